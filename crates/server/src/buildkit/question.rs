//! Questions about a Dockerfile that are answered without building: checks, targets, an outline; and what checks have to say
//! of a build that goes on.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_buildkit::Status;
use hako_buildkit::wire::control::{StatusResponse, VertexWarning};
use hako_buildkit::wire::{fault, gateway};
use hako_engine::builds::lint::{self, Findings, Warning};
use hako_engine::builds::{Builds, CheckRequest, Dockerfile, Failure, Kind, Lines, SyntaxError, mount};
use serde_json::{Map, Value, json};

use super::control::refusal;
use super::job::Job;
use super::order::Order;

/// The version of all answers.
const VERSION: &str = "1.0.0";

/// Tells of what is probably not meant. Where the Dockerfile wants it, that ends the build.
pub(super) async fn warn(
    job: &Job,
    builds: &Builds,
    order: &Order<'_>,
    (vertex, dockerfile): (&str, &[u8]),
) -> Result<(), Status> {
    let target = Some(order.word("target").unwrap_or_default().to_owned());
    // What cannot be read is the build's to refuse.
    let Ok(findings) = check(builds, order, dockerfile, target).await? else { return Ok(()) };
    let info =
        fault::SourceInfo { filename: base_name(order), data: dockerfile.to_vec(), language: "Dockerfile".to_owned() };
    let warnings: Vec<VertexWarning> = findings
        .warnings
        .iter()
        .map(|warning| VertexWarning {
            vertex: vertex.to_owned(),
            level: 1,
            short: warning.line().into_bytes(),
            detail: vec![warning.rule.description.as_bytes().to_vec()],
            url: warning.rule.url(),
            info: Some(info.clone()),
            ranges: vec![range(warning.lines)],
        })
        .collect();
    if !warnings.is_empty() {
        job.tell(StatusResponse { warnings, ..StatusResponse::default() }).await;
    }
    match findings.violation() {
        Some(why) => Err(fault::Status::about(why, None).into()),
        None => Ok(()),
    }
}

async fn check(
    builds: &Builds,
    order: &Order<'_>,
    dockerfile: &[u8],
    target: Option<String>,
) -> Result<Result<Findings, SyntaxError>, Status> {
    let options = order.word("build-arg:BUILDKIT_DOCKERFILE_CHECK").map(str::to_owned);
    let request = CheckRequest { dockerfile: dockerfile.to_vec(), target, options };
    builds.check(request).await.map_err(|error| Status::internal(error.to_string()))
}

fn range(lines: Lines) -> fault::Range {
    let position = |line: usize| fault::Position { line: i32::try_from(line).unwrap_or(i32::MAX), character: 0 };
    fault::Range { start: Some(position(lines.first)), end: Some(position(lines.last)) }
}

fn base_name(order: &Order<'_>) -> String {
    let file = order.file();
    file.rsplit('/').next().unwrap_or(file).to_owned()
}

/// Answers a question.
pub(super) async fn answer(
    builds: &Builds,
    order: &Order<'_>,
    question: &str,
    dockerfile: &[u8],
) -> Result<gateway::Outcome, Status> {
    let parsed = || {
        Dockerfile::parse(dockerfile).map_err(|error| {
            let failure = Failure { message: error.message, lines: error.lines, ..Failure::default() };
            refusal(failure, order.file(), dockerfile)
        })
    };
    let (answer, text, code) = match question {
        "frontend.lint" => checked(builds, order, dockerfile).await?,
        "frontend.targets" => (targets(&parsed()?, dockerfile), String::new(), 0),
        "frontend.outline" => (outline(&parsed()?, order, dockerfile)?, String::new(), 0),
        "frontend.subrequests.describe" => (describe(), String::new(), 0),
        other => return Err(Status::unimplemented(format!("hako does not answer {other}"))),
    };
    let text = if text.is_empty() { answer.to_string() } else { text };
    let metadata = HashMap::from([
        ("result.json".to_owned(), answer.to_string().into_bytes()),
        ("result.txt".to_owned(), text.into_bytes()),
        ("result.statuscode".to_owned(), code.to_string().into_bytes()),
        ("version".to_owned(), VERSION.as_bytes().to_vec()),
    ]);
    Ok(gateway::Outcome { metadata, ..gateway::Outcome::default() })
}

fn location(lines: Lines) -> Value {
    json!({"ranges": [{"start": {"line": lines.first}, "end": {"line": lines.last}}]})
}

/// What the checks find, in all stages.
async fn checked(builds: &Builds, order: &Order<'_>, dockerfile: &[u8]) -> Result<(Value, String, i32), Status> {
    let found = check(builds, order, dockerfile, None).await?;
    let mut answer = Map::new();
    let findings = match found {
        Ok(findings) => findings,
        Err(error) => {
            let lines = error.lines.unwrap_or_default();
            let place = if lines.first > 0 { location(lines) } else { Value::Null };
            answer.insert("buildError".to_owned(), json!({"message": error.message, "location": place}));
            Findings::default()
        }
    };
    let warning = |warning: &Warning| {
        json!({
            "ruleName": warning.rule.name,
            "description": warning.rule.description,
            "url": warning.rule.url(),
            "detail": warning.detail,
            "location": location(warning.lines),
        })
    };
    if let Some(why) = findings.violation() {
        answer.insert("buildError".to_owned(), json!({"message": why}));
    }
    let failed = !findings.warnings.is_empty() || answer.contains_key("buildError");
    let source = json!({"filename": base_name(order), "data": STANDARD.encode(dockerfile), "language": "Dockerfile"});
    answer.insert("warnings".to_owned(), findings.warnings.iter().map(warning).collect());
    answer.insert("sources".to_owned(), json!([source]));
    let text: Vec<String> = findings.warnings.iter().map(Warning::line).collect();
    Ok((Value::Object(answer), text.join("\n"), i32::from(failed)))
}

fn targets(file: &Dockerfile, dockerfile: &[u8]) -> Value {
    let last = file.stages.len().saturating_sub(1);
    let target = |(number, stage): (usize, &hako_engine::builds::Stage)| {
        let mut target = Map::new();
        if let Some(name) = &stage.from.name {
            target.insert("name".to_owned(), json!(name));
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

/// The arguments, secrets and agents of a target.
fn outline(file: &Dockerfile, order: &Order<'_>, dockerfile: &[u8]) -> Result<Value, Status> {
    let target = order.word("target").unwrap_or_default();
    let stages = lint::reachable(file, target);
    let Some(first) = stages.first() else {
        return Err(Status::invalid_argument(format!("target stage {target:?} could not be found")));
    };
    let mut outline = Map::new();
    if let Some(name) = &file.stages[*first].from.name {
        outline.insert("name".to_owned(), json!(name));
    }
    let (mut arguments, mut secrets, mut agents) = (Vec::new(), Vec::new(), Vec::new());
    for stage in stages {
        for own in &file.stages[stage].instructions {
            match &own.kind {
                Kind::Arg(pairs) => {
                    arguments.extend(pairs.iter().map(|pair| argument(file, order, pair, own.lines)));
                }
                Kind::Run(run) => {
                    for mount in run.mounts.iter().filter_map(|text| mount::parse(text).ok()) {
                        match &mount.kind {
                            mount::Kind::Secret(secret) => secrets.push(lent(secret, "", own.lines)),
                            mount::Kind::Ssh(agent) => agents.push(lent(agent, "default", own.lines)),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }
    for (name, values) in [("args", arguments), ("secrets", secrets), ("ssh", agents)] {
        if !values.is_empty() {
            outline.insert(name.to_owned(), Value::Array(values));
        }
    }
    outline.insert("sources".to_owned(), json!([STANDARD.encode(dockerfile)]));
    Ok(Value::Object(outline))
}

/// An argument with the value it will have; one that is declared before the first stage, too, is shown there.
fn argument(file: &Dockerfile, order: &Order<'_>, (name, value): &(String, Option<String>), lines: Lines) -> Value {
    let global = file.arguments.iter().find_map(|own| match &own.kind {
        Kind::Arg(pairs) => Some((pairs.iter().find(|(known, _)| known == name)?, own.lines)),
        _ => None,
    });
    let given = order.word(&format!("build-arg:{name}")).map(str::to_owned);
    let value = given.or_else(|| value.clone()).or_else(|| global.and_then(|((_, value), _)| value.clone()));
    let mut argument = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(value) = value {
        argument.insert("value".to_owned(), json!(value));
    }
    argument.insert("location".to_owned(), location(global.map_or(lines, |(_, lines)| lines)));
    Value::Object(argument)
}

fn lent(secret: &mount::Secret, default: &str, lines: Lines) -> Value {
    let name = secret.id.clone().unwrap_or_else(|| default.to_owned());
    let mut lent = Map::from_iter([("name".to_owned(), json!(name))]);
    if secret.required {
        lent.insert("required".to_owned(), json!(true));
    }
    lent.insert("location".to_owned(), location(lines));
    Value::Object(lent)
}

/// Which questions there are.
fn describe() -> Value {
    let names = ["frontend.lint", "frontend.targets", "frontend.outline", "frontend.subrequests.describe"];
    let question = |name: &&str| {
        let metadata = json!([{"name": "result.json"}, {"name": "result.txt"}]);
        json!({"name": name, "version": VERSION, "type": "rpc", "metadata": metadata})
    };
    Value::Array(names.iter().map(question).collect())
}
