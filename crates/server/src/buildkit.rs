//! BuildKit's protocol on the daemon's socket: connections that clients hand over (`/session`, where they are asked for files
//! and secrets, and `/grpc`, where they ask for builds), and what is shared between them.

mod board;
mod context;
mod control;
mod desk;
mod export;
mod filter;
mod job;
mod order;
mod question;
mod results;
mod session;

use std::sync::Arc;

use hako_buildkit::caller::Caller;
use hako_buildkit::door;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;

use self::control::Workbench;
use self::job::Jobs;
use self::session::{Session, Sessions};
use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;

/// The protocol that clients ask to switch to: HTTP/2 without TLS.
const H2C: HeaderValue = HeaderValue::from_static("h2c");

/// What BuildKit's clients work at, shared by all connections. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bench {
    sessions: Sessions,
    jobs: Jobs,
}

/// A client offers what it serves, under a name of its own.
pub(crate) fn session(asked: Asked) -> Outcome {
    let word = |name: &str| text(&asked.headers, name);
    let id = word("x-docker-expose-session-uuid");
    if id.is_empty() {
        return Err(Failure::invalid("a session needs a name: X-Docker-Expose-Session-Uuid is missing"));
    }
    let Some(name) = asked.bench.sessions.name(&id) else {
        return Err(Failure::new(StatusCode::CONFLICT, format!("session {id} already exists")));
    };
    let shared_key = word("x-docker-expose-session-sharedkey");
    let methods = asked.headers.get_all("x-docker-expose-session-grpc-method");
    let methods = methods.iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    let guard = asked.activity.begin();
    switch(&asked.headers, asked.upgrade, move |upgraded| async move {
        let _guard = guard;
        match Caller::open(upgraded, methods).await {
            Ok(caller) => {
                name.opened(Session { caller: caller.clone(), shared_key });
                caller.closed().await;
            }
            Err(error) => tracing::debug!("{error}"),
        }
    })
}

/// A client asks for builds.
pub(crate) fn grpc(asked: Asked) -> Outcome {
    let (bench, engine, guard) = (asked.bench.clone(), asked.engine.clone(), asked.activity.begin());
    switch(&asked.headers, asked.upgrade, move |upgraded| async move {
        let _guard = guard;
        let service = Arc::new(Workbench::new(bench, engine));
        if let Err(error) = door::serve(upgraded, service).await {
            tracing::debug!("serve BuildKit's API: {error}");
        }
    })
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Answers that the protocol changes, and goes on with the connection.
fn switch<F>(
    headers: &HeaderMap,
    upgrade: Option<OnUpgrade>,
    go_on: impl FnOnce(hyper::upgrade::Upgraded) -> F + Send + 'static,
) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let offered = text(headers, UPGRADE.as_str());
    let mut protocols = offered.split(',').map(str::trim);
    if offered.is_empty() {
        return Err(Failure::invalid("no upgrade proto in request"));
    }
    if !protocols.any(|protocol| protocol.eq_ignore_ascii_case("h2c")) {
        return Err(Failure::invalid(format!("protocol {offered} not supported")));
    }
    let upgrade = upgrade.ok_or_else(|| Failure::invalid("this is for clients that upgrade to h2c"))?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => go_on(upgraded).await,
            Err(error) => tracing::debug!("take over connection: {error}"),
        }
    });
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(UPGRADE, H2C);
    Ok(reply)
}
