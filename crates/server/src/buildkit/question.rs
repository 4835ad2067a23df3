//! Questions about a Dockerfile that are answered without building: checks, targets, an outline; and what checks have to say
//! of a build that goes on.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_buildkit::Status;
use hako_buildkit::wire::control::{StatusResponse, VertexWarning};
use hako_buildkit::wire::{fault, gateway};
use hako_engine::builds::lint::{Findings, Warning};
use hako_engine::builds::{Builds, CheckRequest, Dockerfile, Failure, Lines, SyntaxError};
use serde_json::{Map, Value, json};

use super::control::refusal;
use super::job::Job;
use super::order::Order;
use crate::outline::{location, outline, targets};

/// The version of all answers.
const VERSION: &str = "1.0.0";

/// What is looked at: the Dockerfile, and what is left out of its context.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) dockerfile: &'a [u8],
    pub(super) ignore: Option<&'a [u8]>,
}

/// Tells of what is probably not meant. Where the Dockerfile wants it, that ends the build.
pub(super) async fn warn(
    job: &Job,
    builds: &Builds,
    order: &Order<'_>,
    (vertex, sources): (&str, Sources<'_>),
) -> Result<(), Status> {
    let target = Some(order.word("target").unwrap_or_default().to_owned());
    // What cannot be read is the build's to refuse.
    let Ok(findings) = check(builds, order, sources, target).await? else { return Ok(()) };
    let info = fault::SourceInfo {
        filename: base_name(order),
        data: sources.dockerfile.to_vec(),
        language: "Dockerfile".to_owned(),
    };
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
    sources: Sources<'_>,
    target: Option<String>,
) -> Result<Result<Findings, SyntaxError>, Status> {
    let options = order.word("build-arg:BUILDKIT_DOCKERFILE_CHECK").map(str::to_owned);
    let (dockerfile, ignore) = (sources.dockerfile.to_vec(), sources.ignore.map(<[u8]>::to_vec));
    // A platform that is no platform is the build's to refuse.
    let platform = order.platform().ok().flatten();
    let request = CheckRequest { dockerfile, target, options, ignore, platform };
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
    sources: Sources<'_>,
) -> Result<gateway::Outcome, Status> {
    let dockerfile = sources.dockerfile;
    let parsed = || {
        Dockerfile::parse(dockerfile).map_err(|error| {
            let failure = Failure { message: error.message, lines: error.lines, ..Failure::default() };
            refusal(failure, order.file(), dockerfile)
        })
    };
    let (answer, text, code) = match question {
        "frontend.lint" => checked(builds, order, sources).await?,
        "frontend.targets" => (targets(&parsed()?, dockerfile), String::new(), 0),
        "frontend.outline" => {
            let given = |name: &str| order.word(&format!("build-arg:{name}")).map(str::to_owned);
            let outline = outline(&parsed()?, dockerfile, order.word("target").unwrap_or_default(), &given);
            (outline.map_err(Status::invalid_argument)?, String::new(), 0)
        }
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

/// What the checks find, in all stages.
async fn checked(builds: &Builds, order: &Order<'_>, sources: Sources<'_>) -> Result<(Value, String, i32), Status> {
    let found = check(builds, order, sources, None).await?;
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
    let source =
        json!({"filename": base_name(order), "data": STANDARD.encode(sources.dockerfile), "language": "Dockerfile"});
    answer.insert("warnings".to_owned(), findings.warnings.iter().map(warning).collect());
    answer.insert("sources".to_owned(), json!([source]));
    let text: Vec<String> = findings.warnings.iter().map(Warning::line).collect();
    Ok((Value::Object(answer), text.join("\n"), i32::from(failed)))
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
