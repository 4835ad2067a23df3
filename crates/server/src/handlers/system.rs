//! Requests about the daemon itself.

use futures_util::{Stream, stream};
use hako_api::query;
use hako_api::system::{AuthReply, Event};
use hako_api::version::{ApiVersion, BUILDER_VERSION, SWARM};
use hako_engine::events::Subscription;
use hako_engine::images::Credential;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderValue, StatusCode};

use super::containers::moment;
use crate::failure::Failure;
use crate::reply::{self, Outcome, Reply};
use crate::request::Asked;
use crate::{former, wire};

pub(super) fn ping() -> Reply {
    let mut reply = reply::text(StatusCode::OK, "OK");
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    // "2": clients may speak BuildKit's protocol.
    headers.insert(BUILDER_VERSION, HeaderValue::from_static("2"));
    headers.insert(SWARM, HeaderValue::from_static("inactive"));
    reply
}

pub(super) fn version(asked: &Asked) -> Outcome {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    reply::json(&wire::system::version(kernel.trim().to_owned(), asked.engine.settings().experimental))
}

pub(super) async fn info(asked: Asked) -> Outcome {
    let found = asked.engine.system().info().await?;
    let mut shown = wire::system::info(found);
    former::info(&mut shown, asked.version);
    reply::json(&shown)
}

pub(super) async fn disk_usage(asked: Asked) -> Outcome {
    let kinds = query::DiskUsage::read(&asked.query)?.kinds;
    let known = ["container", "image", "volume", "build-cache"];
    let asked_for = asked.version >= ApiVersion::minor(42);
    if let Some(unknown) = kinds.iter().find(|kind| asked_for && !known.contains(&kind.as_str())) {
        return Err(Failure::invalid(format!("unknown object type: {unknown}")));
    }
    let found = asked.engine.system().disk_usage().await?;
    reply::json(&wire::system::usage(found, &kinds, asked.version))
}

pub(super) async fn auth(mut asked: Asked) -> Outcome {
    let credential: Credential = asked.json().await?;
    let login = asked.engine.images().login(credential).await?;
    reply::json(&AuthReply { status: login.status, identity_token: login.identity_token })
}

pub(super) async fn events(asked: Asked) -> Outcome {
    let query = query::Events::read(&asked.query)?;
    let (since, until) = (moment("since", &query.since)?, moment("until", &query.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        let (since, until) = (&query.since, &query.until);
        return Err(Failure::invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let subscription = asked.engine.events().subscribe(since, until, query.filters).await?;
    let after = match query.after.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Failure::invalid(format!("invalid value for \"after\": {text}")))?),
    };
    let subscription = if query.numbers { subscription.numbered(after) } else { subscription };
    Ok(reply::lines("\n", told(subscription, asked.version)))
}

fn told(subscription: Subscription, version: ApiVersion) -> impl Stream<Item = Event> {
    stream::unfold(subscription, move |mut subscription| async move {
        loop {
            let event = subscription.next().await?;
            if former::tells(&event, version) {
                return Some((event, subscription));
            }
        }
    })
}

/// There are no plugins.
pub(super) fn plugins() -> Outcome {
    reply::json(&[(); 0])
}

/// See [`plugins`].
pub(super) fn no_plugin(name: &str) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("plugin \"{name}\" not found"))
}
