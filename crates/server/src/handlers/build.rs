//! Builds as hako's own clients ask for them, what comes out of them, and the build cache.

pub(super) mod classic;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use hako_api::build::{CachePlace, Message, ORDER_LIMIT, Order, Place};
use hako_api::query;
use hako_api::usage::BuildsPruned;
use hako_engine::builds::context::{self, KEEP_GIT, Origin};
use hako_engine::builds::desk::{Agents, Desk};
use hako_engine::builds::lint::Warning;
use hako_engine::builds::progress::Event;
use hako_engine::builds::request::{Context, MAIN, Request, Reuse, Sandbox, Secret};
use hako_engine::builds::{
    Becomes, Bounds, BuildRequest, Builds, CacheTarget, Caches, CheckRequest, Dockerfile, Outside, Told,
};
use hako_engine::images::Credential;
use hako_engine::stream::ByteSource;
use hako_model::digest::Digest;
use hako_model::platform::Platform;
use http::StatusCode;

use crate::failure::Failure;
use crate::lent;
use crate::listen::Peer;
use crate::outline;
use crate::reply::{self, Outcome};
use crate::request::Asked;

/// The header with credentials for all registries.
const REGISTRY_CONFIG: &str = "x-registry-config";

/// A build by hako's own order.
pub(super) async fn build(asked: Asked) -> Outcome {
    let (builds, peer) = (asked.engine.builds(), asked.peer);
    let credentials = credentials(&asked)?;
    let mut body = asked.into_source();
    let (order, rest) = read_order(&mut body).await?;
    let needs_files = order.contexts.values().any(|place| matches!(place, Place::Sent { .. }));
    let rest: ByteSource = Box::pin(futures_util::stream::iter([Ok(rest)]).chain(body));
    let sent = if needs_files { Some(builds.receive(rest).await?) } else { None };
    let (check, question) = (order.check, order.question.clone());
    let (request, ignore, kept) = assemble(&builds, order, sent, peer, credentials).await?;
    if !question.is_empty() {
        let answer = answer(&request, &question)?;
        return Ok(reply::lines("\n", futures_util::stream::iter([Message::Answer { answer }])));
    }
    let (warnings, failed) = look(&builds, &request, ignore, check).await?;
    let warned = futures_util::stream::iter(warnings);
    if check || failed.is_some() {
        let end = Message::Checked { failed };
        return Ok(reply::lines("\n", warned.chain(futures_util::stream::iter([end]))));
    }
    let told = builds.build(request, kept).filter_map(|told| async move { message(told) });
    Ok(reply::lines("\n", warned.chain(told)))
}

/// What is asked about a Dockerfile that is not built.
fn answer(request: &BuildRequest, question: &str) -> Result<serde_json::Value, Failure> {
    let build = &request.build;
    let file = Dockerfile::parse(&build.dockerfile).map_err(|error| Failure::invalid(error.to_string()))?;
    let given = |name: &str| build.arguments.get(name).cloned();
    match question {
        "targets" => Ok(outline::targets(&file, &build.dockerfile)),
        "outline" => outline::outline(&file, &build.dockerfile, &build.target, &given).map_err(Failure::invalid),
        other => Err(Failure::invalid(format!("unsupported request frontend.{other}"))),
    }
}

/// What is probably not meant, and why that fails the build, if it does. What cannot be read is the build's to refuse.
async fn look(
    builds: &Builds,
    request: &BuildRequest,
    ignore: Option<Vec<u8>>,
    check: bool,
) -> Result<(Vec<Message>, Option<String>), Failure> {
    let build = &request.build;
    let asked = CheckRequest {
        dockerfile: build.dockerfile.clone(),
        target: (!check).then(|| build.target.clone()),
        options: build.arguments.get("BUILDKIT_DOCKERFILE_CHECK").cloned(),
        ignore,
        platform: build.platform.clone(),
    };
    let findings = match builds.check(asked).await? {
        Ok(findings) => findings,
        Err(error) if check => return Ok((Vec::new(), Some(error.message))),
        Err(_) => return Ok((Vec::new(), None)),
    };
    let failed = findings.violation();
    let warning = |warning: Warning| Message::Warning {
        rule: warning.rule.name.to_owned(),
        url: warning.rule.url(),
        description: warning.rule.description.to_owned(),
        detail: warning.detail,
        first: warning.lines.first,
        last: warning.lines.last,
    };
    Ok((findings.warnings.into_iter().map(warning).collect(), failed))
}

/// The order at the beginning of a body, and what of the rest arrived with it.
async fn read_order(body: &mut ByteSource) -> Result<(Order, bytes::Bytes), Failure> {
    let broken = |cause: std::io::Error| Failure::invalid(format!("read build order: {cause}"));
    let mut begun = bytes::BytesMut::new();
    let mut wanted = 4;
    let mut known = false;
    while begun.len() < wanted || !known {
        if begun.len() >= 4 && !known {
            let length = u32::from_be_bytes([begun[0], begun[1], begun[2], begun[3]]);
            if length > ORDER_LIMIT {
                return Err(Failure::invalid(format!("the build order is longer than {ORDER_LIMIT} bytes")));
            }
            wanted = 4 + length as usize;
            known = true;
            continue;
        }
        let piece = body.next().await.ok_or_else(|| Failure::invalid("the build order ends early"))?;
        begun.extend_from_slice(&piece.map_err(broken)?);
    }
    let rest = begun.split_off(wanted).freeze();
    let order =
        serde_json::from_slice(&begun[4..]).map_err(|e| Failure::invalid(format!("invalid build order: {e}")))?;
    Ok((order, rest))
}

/// Opens contexts, finds the Dockerfile, and makes the engine's request of all that; and what is left out of the main one.
async fn assemble(
    builds: &Builds,
    order: Order,
    sent: Option<Origin>,
    peer: Option<Peer>,
    credentials: BTreeMap<String, Credential>,
) -> Result<(BuildRequest, Option<Vec<u8>>, Vec<Origin>), Failure> {
    let mut kept: Vec<Origin> = Vec::new();
    let mut left_out = None;
    let mut contexts = BTreeMap::new();
    let mut dockerfile = order.dockerfile.clone().map(String::into_bytes);
    for (name, place) in &order.contexts {
        let (root, ignore): (OwnedFd, Option<Vec<u8>>) = match place {
            Place::Image { name: image } => {
                contexts.insert(name.clone(), Context::Image(image.clone()));
                continue;
            }
            Place::Open { fd, ignore } => (lent::directory(peer, *fd)?, Some(ignore.clone().into_bytes())),
            Place::Sent { folder, ignore } => {
                let origin = sent.as_ref().ok_or_else(|| Failure::invalid("the build order names no files"))?;
                (origin.folder(folder)?, ignore.clone().map(String::into_bytes))
            }
            Place::Remote { address } => {
                let origin = builds.fetch(address, order.arguments.get(KEEP_GIT).map(String::as_str)).await?;
                let root = origin.open()?;
                kept.push(origin);
                (root, None)
            }
        };
        let ignore = match ignore {
            Some(ignore) => Some(ignore),
            None => ignore_file(&root, &order.name)?,
        };
        if name == MAIN && dockerfile.is_none() {
            dockerfile = context::text(&root, &order.name)?;
        }
        contexts.insert(name.clone(), Context::Files(context::tree(root, ignore.as_deref())?));
        left_out = left_out.or(ignore.filter(|_| name == MAIN));
    }
    kept.extend(sent);
    let dockerfile = dockerfile.ok_or_else(|| no_dockerfile(&order.name))?;
    let build = request(&order, dockerfile, contexts)?;
    let agents = order.agents.iter().map(|(id, fd)| Ok((id.clone(), lent::agent(peer, *fd)?)));
    let agents = agents.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    let desk = (!agents.is_empty()).then(|| Arc::new(Agents(agents)) as Arc<dyn Desk>);
    let result = if order.keep { Becomes::Image } else { Becomes::Files };
    let caches = Caches {
        from: order.cache_from.iter().map(|place| outside(peer, place)).collect::<Result<_, _>>()?,
        to: order
            .cache_to
            .iter()
            .map(|goal| Ok(CacheTarget::new(outside(peer, &goal.place)?, goal.max, goal.mounts.as_deref())?))
            .collect::<Result<_, Failure>>()?,
    };
    let platforms = order.platforms.iter().map(|text| platform(text)).collect::<Result<Vec<_>, _>>()?;
    let platforms = platforms.into_iter().flatten().collect();
    let request = BuildRequest {
        build,
        platforms,
        attest: order.attest,
        annotations: order.annotations,
        tags: order.tags,
        result,
        credentials,
        desk,
        caches,
    };
    Ok((request, left_out, kept))
}

fn no_dockerfile(name: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, format!("failed to read dockerfile: open {name}: no such file or directory"))
}

/// `NAME.dockerignore` beside the Dockerfile, or `.dockerignore`.
fn ignore_file(root: &OwnedFd, dockerfile: &str) -> Result<Option<Vec<u8>>, Failure> {
    if let Some(own) = context::text(root, &format!("{dockerfile}.dockerignore"))? {
        return Ok(Some(own));
    }
    Ok(context::text(root, ".dockerignore")?)
}

fn request(order: &Order, dockerfile: Vec<u8>, contexts: BTreeMap<String, Context>) -> Result<Request, Failure> {
    let reuse = match (order.no_cache, order.no_cache_filter.is_empty()) {
        (true, _) => Reuse::Nothing,
        (false, true) => Reuse::All,
        (false, false) => Reuse::Except(order.no_cache_filter.clone()),
    };
    let secret = |(id, text): (&String, &String)| {
        let bytes = STANDARD.decode(text).map_err(|_| Failure::invalid(format!("secret {id} is not base64")))?;
        Ok((id.clone(), Secret(bytes)))
    };
    Ok(Request {
        dockerfile,
        name: order.name.clone(),
        target: order.target.clone(),
        arguments: order.arguments.clone(),
        labels: order.labels.clone(),
        platform: platform(&order.platform)?,
        reuse,
        pull: order.pull,
        contexts,
        secrets: order.secrets.iter().map(secret).collect::<Result<_, Failure>>()?,
        epoch: order.epoch,
        sandbox: Sandbox {
            network: order.network.clone(),
            host_network: order.host_network,
            hosts: order.hosts.clone(),
            shm_size: order.shm_size,
            resources: order.resources.clone(),
        },
        debug: order.debug,
        parallel: 0,
    })
}

fn platform(text: &str) -> Result<Option<Platform>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    Platform::parse(text).map(Some).map_err(|error| Failure::invalid(error.to_string()))
}

/// A cache outside.
fn outside(peer: Option<Peer>, place: &CachePlace) -> Result<Outside, Failure> {
    Ok(match place {
        CachePlace::Registry { reference } => Outside::Registry(reference.clone()),
        CachePlace::Inline => Outside::Inline,
        CachePlace::Folder { fd } => Outside::Folder(Arc::new(lent::cache(peer, *fd)?)),
    })
}

fn credentials(asked: &Asked) -> Result<BTreeMap<String, Credential>, Failure> {
    let text = asked.headers.get(REGISTRY_CONFIG).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Credential::map_from_header(text).map_err(|cause| Failure::invalid(cause.to_string()))
}

fn message(told: Told) -> Option<Message> {
    Some(match told {
        Told::Image(image) => {
            Message::Image { id: image.id.to_string(), index: image.index.map(|index| index.digest.to_string()) }
        }
        // Only asked for by BuildKit's clients.
        Told::Made(_) => return None,
        Told::Layers(mut layers) => {
            let text = |id: Option<Digest>| id.map(|id| id.to_string());
            match layers.len() {
                1 => Message::Layer { id: text(layers.remove(0).1) },
                _ => Message::Layers {
                    layers: layers.into_iter().map(|(platform, id)| (platform.to_string(), text(id))).collect(),
                },
            }
        }
        Told::Failed(failure) => {
            let lines = failure.lines.unwrap_or_default();
            Message::Refused {
                message: failure.message,
                first: lines.first,
                last: lines.last,
                code: failure.code,
                image: failure.image.map(|id| id.to_string()),
            }
        }
        Told::Step(event) => match event {
            Event::Begun(step) => {
                let title = if step.number > 0 { step.title() } else { String::new() };
                Message::Begun { step: step.step, title }
            }
            Event::Base { .. } => return None,
            Event::Cached { step } => Message::Cached { step },
            Event::Output { step, bytes, .. } => {
                Message::Output { step, text: String::from_utf8_lossy(&bytes).into_owned() }
            }
            Event::Note { step, text } => Message::Note { step, text },
            Event::Why { step, text } => Message::Why { step, text },
            Event::Done { step, layer } => Message::Done { step, layer },
            Event::Failed { step, message } => Message::Failed { step, message },
        },
    })
}

/// What a build that was not to be an image made, as a tar.
pub(super) fn files(asked: Asked) -> Outcome {
    let query::BuildFiles { layer, folders } = query::BuildFiles::read(&asked.query)?;
    let digest = |text: &str| match text.is_empty() {
        true => Ok(None),
        false => Digest::parse(text).map(Some).map_err(|error| Failure::invalid(error.to_string())),
    };
    let builds = asked.engine.builds();
    let archive = match folders.is_empty() {
        true => builds.export(digest(&layer)?)?,
        false => {
            let part = |text: &String| {
                let (name, layer) = text.split_once('=').unwrap_or((text, ""));
                Ok((name.to_owned(), digest(layer)?))
            };
            builds.export_all(folders.iter().map(part).collect::<Result<Vec<_>, Failure>>()?)?
        }
    };
    Ok(reply::stream("application/x-tar", archive))
}

pub(super) async fn prune(asked: Asked) -> Outcome {
    let query = query::PruneBuilds::read(&asked.query)?;
    let bytes = |asked: Option<i64>| u64::try_from(asked.unwrap_or(0)).unwrap_or(0);
    let bounds = Bounds {
        reserved: bytes(query.reserved_space.or(query.keep_storage)),
        most: bytes(query.max_used_space),
        free: bytes(query.min_free_space),
    };
    let pruned = asked.engine.builds().prune(query.all, &query.filters, bounds).await?;
    let caches_deleted =
        Some(pruned.gone.into_iter().map(|kept| kept.id).collect::<Vec<_>>()).filter(|ids| !ids.is_empty());
    reply::json(&BuildsPruned { caches_deleted, space_reclaimed: pruned.reclaimed })
}

/// A build stops when its client goes; there is none that could be named.
pub(super) fn cancel(asked: &Asked) -> Outcome {
    if query::CancelBuild::read(&asked.query)?.id.is_empty() {
        return Err(Failure::invalid("build ID not provided"));
    }
    Ok(reply::empty(StatusCode::OK))
}
