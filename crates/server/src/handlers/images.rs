//! Image requests.

use futures_util::{Stream, StreamExt, stream};
use hako_api::progress;
use hako_api::query;
use hako_api::version::{ApiVersion, REGISTRY_AUTH};
use hako_engine::images::{
    Credential, ImportRequest, ListRequest, Progress, ProgressStream, PullRequest, PushRequest, SaveRequest,
};
use hako_model::platform::Platform;
use http::StatusCode;
use rustix::fs::OFlags;

use super::archive::{changes, some_changes};
use crate::failure::Failure;
use crate::lent;
use crate::reply::{self, Outcome, Reply};
use crate::request::Asked;
use crate::wire;

pub(super) async fn list(asked: Asked) -> Outcome {
    let mut query = query::ListImages::read(&asked.query)?;
    if asked.version < ApiVersion::minor(41) && !query.filter.is_empty() {
        query.filters.add("reference", &query.filter);
    }
    let manifests = query.manifests && asked.version >= ApiVersion::minor(47);
    let request = ListRequest { all: query.all, filters: query.filters, shared_size: query.shared_size, manifests };
    let found = asked.engine.images().list(request).await?;
    reply::json(&found.into_iter().map(|line| wire::image::summary(line, asked.version)).collect::<Vec<_>>())
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let query = query::InspectImage::read(&asked.query)?;
    let platform = platform_since(&asked, &query.platform, 49)?;
    if query.manifests && !platform.is_empty() {
        return Err(Failure::invalid("conflicting options: manifests and platform options cannot both be set"));
    }
    let mut found = asked.engine.images().inspect(&asked.name, &platform).await?;
    let parts = std::mem::take(&mut found.manifests);
    let mut details = wire::image::details(found, asked.version);
    if query.manifests && asked.version >= ApiVersion::minor(48) {
        details.manifests = Some(parts.into_iter().map(wire::image::part).collect());
    }
    reply::json(&details)
}

pub(super) async fn history(asked: Asked) -> Outcome {
    let platform = platform_since(&asked, &query::InspectImage::read(&asked.query)?.platform, 48)?;
    let found = asked.engine.images().history(&asked.name, &platform).await?;
    reply::json(&found.into_iter().map(wire::image::history).collect::<Vec<_>>())
}

/// The platform that is asked for; versions before `since` take no notice of it.
fn platform_since(asked: &Asked, text: &str, since: u16) -> Result<String, Failure> {
    wanted_platform(if asked.version < ApiVersion::minor(since) { "" } else { text })
}

/// New clients send a platform as JSON, old ones as text.
fn wanted_platform(text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if !text.starts_with('{') {
        named_platform(text)?;
        return Ok(text.to_owned());
    }
    let parsed: Platform =
        serde_json::from_str(text).map_err(|cause| Failure::invalid(format!("failed to parse platform: {cause}")))?;
    if parsed.os.is_empty() || parsed.architecture.is_empty() {
        return Err(Failure::invalid("both OS and Architecture must be provided"));
    }
    Ok(parsed.to_string())
}

/// Refuses a text that is no platform.
fn named_platform(text: &str) -> Result<(), Failure> {
    let parsed = if text.is_empty() { Ok(Platform::host()) } else { Platform::parse(text) };
    parsed.map(drop).map_err(|cause| Failure::invalid(cause.to_string()))
}

/// Several platforms are asked for only by clients that know stores of several; hako keeps one per image.
fn one_platform(texts: &[String]) -> Result<String, Failure> {
    match texts {
        [] => Ok(String::new()),
        [one] => wanted_platform(one),
        _ => Err(Failure::invalid("multiple platform parameters not supported")),
    }
}

/// A pull, or an import when there is a source.
pub(super) async fn create(asked: Asked) -> Outcome {
    let query = query::CreateImage::read(&asked.query)?;
    named_platform(&query.platform)?;
    some_changes(&query.changes)?;
    if query.from_src.is_empty() { pull(asked, query).await } else { import(asked, query).await }
}

async fn pull(asked: Asked, query: query::CreateImage) -> Outcome {
    if query.from_image.is_empty() {
        return Err(Failure::invalid("either fromImage or fromSrc is needed"));
    }
    let request = PullRequest {
        image: query.from_image,
        tag: query.tag,
        platform: query.platform,
        credential: credential(&asked)?,
        beside: false,
    };
    messages(asked.engine.images().pull(request)).await
}

async fn import(asked: Asked, query: query::CreateImage) -> Outcome {
    let request = ImportRequest {
        repository: query.repo,
        tag: query.tag,
        message: query.message,
        changes: changes(query.changes),
        platform: query.platform,
    };
    let images = asked.engine.images();
    if query.from_src == "-" {
        return messages(images.import(asked.into_source(), request)).await;
    }
    // As for Docker, what names no scheme is a host.
    let src = query.from_src;
    let url = if src.contains("://") { src } else { format!("http://{src}") };
    messages(images.import_url(url, request)).await
}

pub(super) async fn push(asked: Asked) -> Outcome {
    let query = query::Push::read(&asked.query)?;
    let request = PushRequest {
        image: asked.name.clone(),
        tag: query.tag,
        platform: wanted_platform(&query.platform)?,
        credential: credential(&asked)?,
    };
    messages(asked.engine.images().push(request)).await
}

pub(super) async fn load(asked: Asked) -> Outcome {
    let query = query::Load::read(&asked.query)?;
    let platform = one_platform(&query.platform)?;
    let images = asked.engine.images();
    // Docker has begun its answer before it looks at what came: whatever is wrong with it is a message.
    Ok(told(images.load(asked.into_source(), query.quiet, &platform)))
}

/// A load from a file of the client's.
pub(super) fn load_from(asked: &Asked) -> Outcome {
    let query = query::LoadFrom::read(&asked.query)?;
    let platform = one_platform(&query.platform)?;
    let file = lent::file(asked.peer, query.fd, OFlags::RDONLY)?;
    Ok(told(asked.engine.images().load_file(file, query.quiet, &platform)))
}

/// A save to a file of the client's.
pub(super) async fn save_to(asked: Asked) -> Outcome {
    let query = query::SaveTo::read(&asked.query)?;
    let request = SaveRequest { names: query.names, platform: one_platform(&query.platform)? };
    let file = lent::file(asked.peer, query.fd, OFlags::WRONLY)?;
    asked.engine.images().save_to(request, file).await?;
    reply::no_content()
}

fn credential(asked: &Asked) -> Result<Option<Credential>, Failure> {
    let Some(header) = asked.headers.get(REGISTRY_AUTH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default();
    Credential::from_header(text).map_err(|cause| Failure::invalid(cause.to_string()))
}

/// Progress as JSON messages. As long as nothing was told, a failure has a status of its own; later it is a message.
async fn messages(mut progress: ProgressStream) -> Outcome {
    let first = match progress.next().await {
        Some(Err(refused)) => return Err(refused.into()),
        first => first,
    };
    Ok(told(stream::iter(first).chain(progress)))
}

/// Progress and failures alike as JSON messages.
fn told<S>(progress: S) -> Reply
where
    S: Stream<Item = Result<Progress, hako_engine::Error>> + Send + 'static,
{
    let lines = progress.map(|step| match step {
        Ok(step) => wire::image::progress(step),
        Err(error) => progress::Progress::failure(&error.to_string()),
    });
    reply::lines("\r\n", lines)
}

pub(super) async fn tag(asked: Asked) -> Outcome {
    let query = query::Tag::read(&asked.query)?;
    asked.engine.images().tag(&asked.name, &query.repo, &query.tag).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

pub(super) async fn remove(asked: Asked) -> Outcome {
    let query = query::RemoveImage::read(&asked.query)?;
    for text in &query.platforms {
        if !text.starts_with('{') {
            return Err(Failure::invalid(format!("failed to parse platform: {text:?} is no JSON object")));
        }
        // An image that does not exist for the platform is not to be removed.
        asked.engine.images().history(&asked.name, &wanted_platform(text)?).await?;
    }
    let found = asked.engine.images().remove(&asked.name, query.force, query.noprune).await?;
    reply::json(&found.into_iter().map(wire::image::removed).collect::<Vec<_>>())
}

pub(super) async fn prune(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.images().prune(filters).await?;
    reply::json(&wire::image::pruned(found))
}

pub(super) async fn save(asked: Asked) -> Outcome {
    let query = query::Save::read(&asked.query)?;
    save_all(&asked, query.names, &query.platform).await
}

pub(super) async fn save_one(asked: Asked) -> Outcome {
    let query = query::Save::read(&asked.query)?;
    save_all(&asked, vec![asked.name.clone()], &query.platform).await
}

async fn save_all(asked: &Asked, names: Vec<String>, platforms: &[String]) -> Outcome {
    // Until 1.48 nobody could ask for one.
    let platforms = if asked.version < ApiVersion::minor(48) { &[] } else { platforms };
    let request = SaveRequest { names, platform: one_platform(platforms)? };
    let tar = asked.engine.images().save(request).await?;
    Ok(reply::stream("application/x-tar", tar))
}

pub(super) async fn search(asked: Asked) -> Outcome {
    let query = query::Search::read(&asked.query)?;
    reply::json(&asked.engine.images().search(&query.term, query.limit, &query.filters).await?)
}

pub(super) async fn distribution(asked: Asked) -> Outcome {
    let credential = credential(&asked)?;
    let found = asked.engine.images().distribution(&asked.name, credential).await?;
    reply::json(&wire::image::distribution(found))
}
