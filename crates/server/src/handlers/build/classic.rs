//! `POST /build` as Docker's classic builder answers it: one step after the other, told as lines of text.

use std::collections::BTreeMap;

use futures_util::{Stream, StreamExt};
use hako_api::progress::{ErrorDetail, Progress};
use hako_api::query;
use hako_engine::Engine;
use hako_engine::builds::context;
use hako_engine::builds::progress::Event;
use hako_engine::builds::request::{Context, MAIN, Request, Reuse, Sandbox};
use hako_engine::builds::{BuildRequest, Caches, Failure as Broken, Outside, Told};
use hako_model::container::{Resources, Ulimit};
use hako_model::reference::Reference;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{credentials, ignore_file, platform};
use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;

/// How much of an id people are shown.
const SHORT: usize = 12;

pub(in crate::handlers) async fn build(asked: Asked) -> Outcome {
    let query = query::Build::read(&asked.query)?;
    check(&query)?;
    let (builds, credentials) = (asked.engine.builds(), credentials(&asked)?);
    let asked_engine = asked.engine.clone();
    let origin = if query.remote.is_empty() || query.remote == "client-session" {
        builds.receive(asked.into_source()).await?
    } else {
        builds.fetch(&query.remote, None).await?
    };
    let name = if query.dockerfile.is_empty() { "Dockerfile" } else { &query.dockerfile };
    let root = origin.open()?;
    let dockerfile = context::text(&root, name)?;
    let dockerfile =
        dockerfile.ok_or_else(|| Failure::invalid(format!("Cannot locate specified Dockerfile: {name}")))?;
    let ignore = ignore_file(&root, name)?;
    let tree = context::tree(root, ignore.as_deref())?;
    let contexts = BTreeMap::from([(MAIN.to_owned(), Context::Files(tree))]);
    let tags: Vec<String> = query.tags.iter().filter(|tag| !tag.is_empty()).cloned().collect();
    let mut build = request(&query, dockerfile, contexts)?;
    let from = sources(&asked_engine, &query).await?;
    if from.as_ref().is_some_and(Vec::is_empty) {
        build.reuse = Reuse::Nothing;
    }
    let caches = Caches { from: from.unwrap_or_default(), to: Vec::new() };
    let request = BuildRequest { build, tags: tags.clone(), credentials, caches, ..BuildRequest::default() };
    let lines = Lines { quiet: query.quiet, tags, told: 0, step: Vec::new() };
    Ok(reply::lines("\r\n", messages(builds.build(request, origin), lines)))
}

/// What the classic builder had and hako's has not is refused by name.
fn check(query: &query::Build) -> Result<(), Failure> {
    if query.version == "2" {
        return Err(Failure::absent("BuildKit sessions (set DOCKER_BUILDKIT=0, or use hako build)"));
    }
    if query.squash {
        // Docker's words where nothing experimental is done.
        return Err(Failure::invalid("squash is only supported with experimental mode"));
    }
    let outputs: Vec<serde_json::Map<String, serde_json::Value>> = parsed("outputs specified", &query.outputs)?;
    if !outputs.is_empty() {
        return Err(Failure::absent("outputs of the classic builder"));
    }
    for tag in query.tags.iter().filter(|tag| !tag.is_empty()) {
        Reference::parse(tag).map_err(|error| Failure::invalid(error.to_string()))?;
    }
    Ok(())
}

/// The images that are named as sources of the cache, as far as they are here: what they hold of other machines' builds is
/// taken. Whoever names some wants no others: with none of them here, nothing is reused.
async fn sources(engine: &Engine, query: &query::Build) -> Result<Option<Vec<Outside>>, Failure> {
    let named: Vec<String> = parsed("cachefrom", &query.cache_from)?;
    let mut here = Vec::new();
    for name in &named {
        if engine.images().inspect(name, "").await.is_ok() {
            here.push(Outside::Image(name.clone()));
        }
    }
    Ok((!named.is_empty()).then_some(here))
}

fn parsed<T: DeserializeOwned + Default>(name: &str, text: &str) -> Result<T, Failure> {
    if text.is_empty() || text == "null" {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| Failure::invalid(format!("invalid {name}: {error}")))
}

fn request(query: &query::Build, dockerfile: Vec<u8>, contexts: BTreeMap<String, Context>) -> Result<Request, Failure> {
    let arguments: BTreeMap<String, Option<String>> = parsed("buildargs", &query.arguments)?;
    let arguments: BTreeMap<String, String> =
        arguments.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let epoch = arguments.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    let ulimits: Vec<Ulimit> = parsed("ulimits", &query.ulimits)?;
    let resources = Resources {
        memory: query.memory.unwrap_or(0),
        memory_swap: query.memory_swap.unwrap_or(0),
        cpu_shares: query.cpu_shares.unwrap_or(0),
        cpu_period: query.cpu_period.unwrap_or(0),
        cpu_quota: query.cpu_quota.unwrap_or(0),
        cpuset_cpus: query.cpuset_cpus.clone(),
        cpuset_mems: query.cpuset_mems.clone(),
        cgroup_parent: query.cgroup_parent.clone(),
        ulimits: Some(ulimits).filter(|limits| !limits.is_empty()),
        ..Resources::default()
    };
    Ok(Request {
        dockerfile,
        name: if query.dockerfile.is_empty() { "Dockerfile".to_owned() } else { query.dockerfile.clone() },
        target: query.target.clone(),
        arguments,
        labels: parsed("labels", &query.labels)?,
        platform: platform(&query.platform)?,
        reuse: if query.no_cache { Reuse::Nothing } else { Reuse::All },
        pull: query.pull,
        contexts,
        epoch,
        sandbox: Sandbox {
            network: query.network.clone(),
            host_network: false,
            hosts: query.hosts.clone(),
            shm_size: query.shm_size.unwrap_or(0),
            resources,
        },
        // The answer is one text: nothing may be told in between.
        parallel: 1,
        ..Request::default()
    })
}

/// What was told so far.
struct Lines {
    quiet: bool,
    tags: Vec<String>,
    /// How many instructions were begun.
    told: usize,
    /// The steps that were begun and are not done, innermost last.
    step: Vec<usize>,
}

fn messages(told: impl Stream<Item = Told>, mut lines: Lines) -> impl Stream<Item = Progress> {
    told.map(move |told| futures_util::stream::iter(lines.of(told))).flatten()
}

impl Lines {
    fn of(&mut self, told: Told) -> Vec<Progress> {
        match told {
            Told::Step(event) if !self.quiet => self.event(event),
            Told::Step(_) | Told::Layers(_) | Told::Made(_) => Vec::new(),
            Told::Failed(failure) => vec![failed(failure)],
            Told::Image(image) if self.quiet => vec![text(format!("{}\n", image.id))],
            Told::Image(image) => {
                let id = image.id;
                let aux = Progress { aux: Some(json!({"ID": id.to_string()})), ..Progress::default() };
                let mut all = vec![aux, text(format!("Successfully built {}\n", short(id.hex())))];
                let name = |tag: &String| Reference::parse_tagged(tag).map_or_else(|_| tag.clone(), |r| r.familiar());
                all.extend(self.tags.iter().map(|tag| text(format!("Successfully tagged {}\n", name(tag)))));
                all
            }
        }
    }

    fn event(&mut self, event: Event) -> Vec<Progress> {
        match event {
            Event::Begun(step) => {
                self.told += 1;
                self.step.push(step.step);
                vec![
                    text(format!("Step {}/{} : {}", self.told, step.whole.max(self.told), step.text)),
                    text("\n".to_owned()),
                ]
            }
            Event::Cached { .. } => vec![text(" ---> Using cache\n".to_owned())],
            Event::Output { bytes, error, .. } => vec![text(coloured(&String::from_utf8_lossy(&bytes), error))],
            Event::Note { text: note, .. } => vec![Progress { status: note, ..Progress::default() }],
            Event::Done { layer, .. } => {
                self.step.pop();
                let layer = layer.unwrap_or_default();
                let shown = short(layer.strip_prefix("sha256:").unwrap_or(&layer));
                if shown.is_empty() { Vec::new() } else { vec![text(format!(" ---> {shown}\n"))] }
            }
            Event::Base { .. } | Event::Why { .. } | Event::Failed { .. } => Vec::new(),
        }
    }
}

/// What a step says on its error stream is red, as with Docker.
fn coloured(output: &str, error: bool) -> String {
    if error { format!("\x1b[91m{output}\x1b[0m") } else { output.to_owned() }
}

fn text(stream: String) -> Progress {
    Progress { stream, ..Progress::default() }
}

fn short(hex: &str) -> String {
    hex.chars().take(SHORT).collect()
}

/// Docker's words for a failed step; other failures have their own.
fn failed(failure: Broken) -> Progress {
    let command = failure.message.strip_prefix("process \"").and_then(|rest| rest.split_once("\" did not complete"));
    let message = match (command, failure.code) {
        (Some((command, _)), Some(code)) => format!("The command '{command}' returned a non-zero code: {code}"),
        _ => failure.message,
    };
    let code = failure.code.map_or(0, i64::from);
    Progress {
        error_detail: Some(ErrorDetail { code, message: message.clone() }),
        error: message,
        ..Progress::default()
    }
}
