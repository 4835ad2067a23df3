//! What can be said of a Dockerfile without building it: its targets, and the arguments, secrets and agents of one, in the
//! form of BuildKit's answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_engine::builds::lint::{self, description};
use hako_engine::builds::{Dockerfile, Kind, Lines, Stage, mount};
use serde_json::{Map, Value, json};

/// A place in the file.
pub(crate) fn location(lines: Lines) -> Value {
    json!({"ranges": [{"start": {"line": lines.first}, "end": {"line": lines.last}}]})
}

/// Its stages.
pub(crate) fn targets(file: &Dockerfile, dockerfile: &[u8]) -> Value {
    let text = String::from_utf8_lossy(dockerfile);
    let last = file.stages.len().saturating_sub(1);
    let target = |(number, stage): (usize, &Stage)| {
        let mut target = Map::new();
        if let Some(name) = &stage.from.name {
            target.insert("name".to_owned(), json!(name));
            describe(&mut target, &text, stage.lines, name);
        }
        if number == last {
            target.insert("default".to_owned(), json!(true));
        }
        target.insert("base".to_owned(), json!(stage.from.base));
        if let Some(platform) = &stage.from.platform {
            target.insert("platform".to_owned(), json!(platform));
        }
        target.insert("location".to_owned(), location(stage.lines));
        Value::Object(target)
    };
    let targets: Vec<Value> = file.stages.iter().enumerate().map(target).collect();
    json!({"targets": targets, "sources": [STANDARD.encode(dockerfile)]})
}

/// What the comment before an instruction says.
fn describe(about: &mut Map<String, Value>, text: &str, lines: Lines, name: &str) {
    if let Some(said) = description(text, lines.first, name) {
        about.insert("description".to_owned(), json!(said));
    }
}

/// The arguments, secrets and agents of a target, each once, in the order of the file. `given` says what the caller sets.
pub(crate) fn outline(
    file: &Dockerfile,
    dockerfile: &[u8],
    target: &str,
    given: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, String> {
    let text = String::from_utf8_lossy(dockerfile);
    let stages = lint::reachable(file, target);
    let first = stages.first().ok_or_else(|| format!("target stage {target:?} could not be found"))?;
    let mut outline = Map::new();
    let stage = &file.stages[*first];
    if let Some(name) = &stage.from.name {
        outline.insert("name".to_owned(), json!(name));
        describe(&mut outline, &text, stage.lines, name);
    }
    let (mut arguments, mut secrets, mut agents) = (Found::default(), Found::default(), Found::default());
    for stage in stages {
        // Of several in a stage the last one counts.
        for own in file.stages[stage].instructions.iter().rev() {
            match &own.kind {
                Kind::Arg(pairs) => {
                    for pair in pairs {
                        arguments.add(&pair.0, argument(file, &text, given, pair, own.lines));
                    }
                }
                Kind::Run(run) => {
                    for mount in run.mounts.iter().filter_map(|text| mount::parse(text).ok()) {
                        match &mount.kind {
                            mount::Kind::Secret(secret) => lend(&mut secrets, secret, "", own.lines),
                            mount::Kind::Ssh(agent) => lend(&mut agents, agent, "default", own.lines),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }
    for (name, found) in [("args", arguments), ("secrets", secrets), ("ssh", agents)] {
        if !found.0.is_empty() {
            outline.insert(name.to_owned(), found.sorted());
        }
    }
    outline.insert("sources".to_owned(), json!([STANDARD.encode(dockerfile)]));
    Ok(Value::Object(outline))
}

/// Things by name, with the lines they are at.
#[derive(Default)]
struct Found(Vec<(String, usize, Value)>);

impl Found {
    fn add(&mut self, name: &str, (lines, value): (Lines, Value)) {
        if !self.0.iter().any(|(known, ..)| known == name) {
            self.0.push((name.to_owned(), lines.first, value));
        }
    }

    fn sorted(mut self) -> Value {
        self.0.sort_by_key(|(_, line, _)| *line);
        self.0.into_iter().map(|(.., value)| value).collect()
    }
}

/// An argument with the value it will have; one that is declared before the first stage, too, is shown there.
fn argument(
    file: &Dockerfile,
    text: &str,
    given: &dyn Fn(&str) -> Option<String>,
    (name, value): &(String, Option<String>),
    lines: Lines,
) -> (Lines, Value) {
    let global = file.arguments.iter().find_map(|own| match &own.kind {
        Kind::Arg(pairs) => Some((pairs.iter().find(|(known, _)| known == name)?, own.lines)),
        _ => None,
    });
    let value = given(name).or_else(|| value.clone()).or_else(|| global.and_then(|((_, value), _)| value.clone()));
    let lines = global.map_or(lines, |(_, lines)| lines);
    let mut argument = Map::from_iter([("name".to_owned(), json!(name))]);
    describe(&mut argument, text, lines, name);
    if let Some(value) = value {
        argument.insert("value".to_owned(), json!(value));
    }
    argument.insert("location".to_owned(), location(lines));
    (lines, Value::Object(argument))
}

fn lend(found: &mut Found, secret: &mount::Secret, default: &str, lines: Lines) {
    let name = secret.id.clone().unwrap_or_else(|| default.to_owned());
    let mut lent = Map::from_iter([("name".to_owned(), json!(name))]);
    if secret.required {
        lent.insert("required".to_owned(), json!(true));
    }
    lent.insert("location".to_owned(), location(lines));
    found.add(&name, (lines, Value::Object(lent)));
}
