//! Services that another program provides: it is run with Compose's words, tells what it does as JSON on its output, and
//! what it says about the way to the service becomes variables of the services that depend on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hako_compose::yaml::{Map, Node, Text, Value};
use hako_compose::{Mood, Project, Report as _};
use rustix::fs::{Access, access};
use serde::Deserialize;

use super::progress::Progress;
use crate::failure::Failure;
use crate::session::Session;
use crate::tree::Outcome;

/// Where Docker's plugins lie, besides the person's own.
const PLUGINS: &[&str] = &[
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// What providers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// The service is to be there.
    Up,
    /// It is to go.
    Down,
}

impl Verb {
    const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// In progress, done, and as a failure has it.
    const fn told(self) -> [&'static str; 3] {
        match self {
            Self::Up => ["Creating", "Created", "create"],
            Self::Down => ["Removing", "Removed", "remove"],
        }
    }
}

/// What a provider says.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What a provider says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    description: String,
    up: Words,
    down: Words,
}

/// The options of one of its words.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Words {
    parameters: Option<Vec<Parameter>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameter {
    name: String,
    required: bool,
}

fn local(error: impl std::fmt::Display) -> Failure {
    Failure::local(error.to_string())
}

/// Asks the providers of a project's services; those that depend on them learn the way.
pub(super) fn ask(session: &Session, project: &mut Project, verb: Verb, progress: &Progress, dry: bool) -> Outcome {
    let provided: Vec<(Text, Node)> = project
        .services
        .iter()
        .filter_map(|(name, node)| Some((name.clone(), node.get("provider")?.clone())))
        .collect();
    for (name, provider) in provided {
        let [doing, done, _] = verb.told();
        let program = program(session, provider.text("type"))?;
        progress.tell(&name, doing, Mood::Working);
        let said = match dry {
            true => BTreeMap::new(),
            false => run(&program, project, &name, &provider, verb, progress)?,
        };
        progress.tell(&name, done, Mood::Done);
        hand_on(project, &name, &said);
    }
    Ok(())
}

/// Models are served by Docker's own plugin, which only Docker Desktop and its engine have.
pub(super) fn refuse_models(project: &Project) -> Outcome {
    let Some(name) = project.models.keys().next() else { return Ok(()) };
    Err(Failure::local(format!(
        "'models' support requires Docker Model plugin, which hako does not use: serve {name:?} yourself, and give the services \
         its address in `environment`, or by a `provider`"
    )))
}

fn program(session: &Session, kind: &str) -> Result<PathBuf, Failure> {
    if kind == "compose" {
        return Err(Failure::local("'compose' is not a valid provider type"));
    }
    if kind.is_empty() || kind.contains('/') {
        return Err(Failure::local(format!("{kind:?} is not a valid provider type: it is the name of a program")));
    }
    let own = session.directory().join("cli-plugins");
    let plugins = std::iter::once(own).chain(PLUGINS.iter().map(PathBuf::from));
    let plugins = plugins.map(|directory| directory.join(format!("docker-{kind}")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).map(|directory| directory.join(kind)).collect();
    let runs = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    let found = plugins.chain(places).find(runs);
    found.ok_or_else(|| Failure::local(format!("exec: {kind:?}: executable file not found in $PATH")))
}

fn command(program: &Path, project: &Project) -> Command {
    let mut command = Command::new(program);
    command.arg("compose").stdin(Stdio::null());
    command.envs(project.environment.iter().map(|(name, definition)| (name, &definition.value)));
    command
}

/// What the provider says of its options; nothing if it does not know the question.
fn metadata(program: &Path, project: &Project) -> Metadata {
    let asked = command(program, project).arg("metadata").stderr(Stdio::null()).output();
    let answer = asked.ok().filter(|answer| answer.status.success());
    answer.and_then(|answer| serde_json::from_slice(&answer.stdout).ok()).unwrap_or_default()
}

fn arguments(metadata: &Metadata, provider: &Node, verb: Verb) -> Result<Vec<String>, Failure> {
    let words = if verb == Verb::Up { &metadata.up } else { &metadata.down };
    let is_mute =
        metadata.description.is_empty() && metadata.up.parameters.is_none() && metadata.down.parameters.is_none();
    let known = words.parameters.as_deref().unwrap_or_default();
    let options: BTreeMap<&str, &Node> =
        provider.entries("options").map(|(name, value)| (name.as_str(), value)).collect();
    for parameter in known.iter().filter(|parameter| parameter.required && !is_mute) {
        if !options.contains_key(parameter.name.as_str()) {
            let kind = provider.text("type");
            let what = format!("required parameter {:?} is missing from provider {kind:?} definition", parameter.name);
            return Err(Failure::local(what));
        }
    }
    let mut arguments = Vec::new();
    for (key, values) in options {
        if !is_mute && !known.iter().any(|parameter| parameter.name == *key) {
            continue;
        }
        let each = if values.items().is_empty() { std::slice::from_ref(values) } else { values.items() };
        arguments.extend(each.iter().filter_map(Node::scalar).map(|value| format!("--{key}={value}")));
    }
    Ok(arguments)
}

/// Runs a provider to its end; the variables it set.
fn run(
    program: &Path,
    project: &Project,
    service: &str,
    provider: &Node,
    verb: Verb,
    progress: &Progress,
) -> Result<BTreeMap<String, String>, Failure> {
    let options = arguments(&metadata(program, project), provider, verb)?;
    let mut command = command(program, project);
    command.arg(format!("--project-name={}", project.name)).arg(verb.word()).args(options).arg(service);
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| local(format!("{service}: {error}")))?;
    let heard = match child.stdout.take() {
        Some(output) => listen(output, service, progress),
        None => Ok(BTreeMap::new()),
    };
    if heard.is_err() {
        // It may still be at work on what nobody waits for any more.
        let _ = child.kill();
    }
    let status = child.wait().map_err(local)?;
    let variables = heard?;
    if status.success() {
        return Ok(variables);
    }
    let [_, _, deed] = verb.told();
    let why = match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    };
    progress.tell(service, &why, Mood::Failed);
    Err(Failure::local(format!("failed to {deed} service provider: {why}")))
}

fn listen(output: impl std::io::Read, service: &str, progress: &Progress) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    for message in serde_json::Deserializer::from_reader(std::io::BufReader::new(output)).into_iter::<Message>() {
        let message =
            message.map_err(|error| local(format!("invalid response from plugin of {service:?}: {error}")))?;
        let invalid = |what: &str| Failure::local(format!("invalid response from plugin: {what}"));
        match message.kind.as_str() {
            "error" => {
                progress.tell(service, &message.message, Mood::Failed);
                return Err(Failure::local(message.message));
            }
            "info" => progress.tell(service, &message.message, Mood::Working),
            "setenv" => {
                let (name, value) = message.message.split_once('=').ok_or_else(|| invalid(&message.message))?;
                variables.insert(name.to_string(), value.to_owned());
            }
            "debug" => {}
            other => return Err(invalid(other)),
        }
    }
    Ok(variables)
}

/// Gives variables to those that depend on a service, with its name before theirs.
fn hand_on(project: &mut Project, service: &str, variables: &BTreeMap<String, String>) {
    let prefix = service.to_uppercase();
    let depends = |node: &&mut Node| node.entries("depends_on").any(|(other, _)| other == service);
    for map in project.services.values_mut().filter(depends).filter_map(Node::map_mut) {
        let environment = map.or_insert("environment", Node::default);
        if environment.map().is_none() {
            *environment = Node::made(Value::Map(Map::default()));
        }
        for (name, value) in variables {
            if let Some(environment) = environment.map_mut() {
                environment.insert(format!("{prefix}_{name}"), Node::made(Value::Text(value.clone().into())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<BTreeMap<String, String>, String> {
        listen(text.as_bytes(), "db", &Progress::quiet()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_a_provider_says_is_heard() {
        let text = r#"{"type":"info","message":"a"}{"type":"debug"}
            {"type":"setenv","message":"URL=a=b"}"#;
        assert_eq!(said(text).unwrap(), BTreeMap::from([("URL".to_owned(), "a=b".to_owned())]));
        assert_eq!(said(r#"{"type":"error","message":"it broke"}"#).unwrap_err(), "it broke");
        assert_eq!(said(r#"{"type":"what"}"#).unwrap_err(), "invalid response from plugin: what");
        assert_eq!(said(r#"{"type":"setenv","message":"x"}"#).unwrap_err(), "invalid response from plugin: x");
        assert!(said("hello").unwrap_err().starts_with("invalid response from plugin of \"db\""));
    }

    #[test]
    fn options_are_those_the_provider_knows() {
        let text = |text: &str| Node::made(Value::from(text));
        let list = Node::made(Value::List(vec![text("x"), text("y")]));
        let options = Map::from_iter([("b".to_owned(), list), ("a".to_owned(), text("1"))]);
        let provider = Map::from_iter([("options".to_owned(), Node::made(Value::Map(options)))]);
        let provider = Node::made(Value::Map(provider));
        let mute = arguments(&Metadata::default(), &provider, Verb::Up).unwrap();
        assert_eq!(mute, ["--a=1", "--b=x", "--b=y"]);
        let metadata = |name: &str| -> Metadata {
            let text = format!(
                r#"{{"description":"d","up":{{"parameters":[{{"name":"{name}","required":true,"type":"string"}}]}},"down":{{"parameters":[]}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(arguments(&metadata("a"), &provider, Verb::Up).unwrap(), ["--a=1"]);
        assert!(arguments(&metadata("a"), &provider, Verb::Down).unwrap().is_empty());
        assert!(arguments(&metadata("c"), &provider, Verb::Up).unwrap_err().to_string().contains("\"c\" is missing"));
    }
}
