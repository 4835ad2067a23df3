//! Connections: accepting them, and HTTP on each within limits.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hako_api::query::Query;
use hako_engine::Engine;
use http::Request;
use http::header::{CONNECTION, UPGRADE};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::activity::{Activity, Guard};
use crate::buildkit::Bench;
use crate::failure::Failure;
use crate::listen::{Arrival, Connection, Listener, Peer};
use crate::metrics::Tally;
use crate::patience::{Errand, Patience, Patient};
use crate::reply::{self, Outcome, Reply};
use crate::request::{Asked, Upload, is_json, take_in};
use crate::spans::Spans;
use crate::{handlers, router};

/// How long a client may take for a request's head, and how long a connection may lie idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The most bytes of a request's head.
const HEAD_LIMIT: usize = 64 << 10;

/// The most headers of a request.
const HEADER_LIMIT: usize = 100;

/// How long to wait before accepting again after an error, which mostly means "no descriptors left".
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection shares.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) activity: Activity,
    /// What BuildKit's clients work at.
    pub(crate) bench: Bench,
    pub(crate) tally: Tally,
    /// Spans of requests, if somebody collects them.
    pub(crate) spans: Spans,
    /// Whether the daemon leaves.
    pub(crate) leaving: watch::Receiver<Leaving>,
}

/// How far a daemon is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaving {
    /// It stays.
    #[default]
    No,
    /// Connections finish what they are at.
    Soon,
    /// Connections are cut off. They have to be before what they are at is: a stream whose source has gone would look
    /// complete, and whoever follows it would not come back.
    Now,
}

/// Accepts for ever. Cancel-safe.
pub(crate) async fn accept(listeners: &[Listener], house: &House) {
    loop {
        match next(listeners).await {
            Ok(connection) => welcome(connection, house),
            Err(cause) => {
                tracing::warn!("accept connection: {cause}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Takes the connections that wait in the kernel already; says whether there were any.
pub(crate) fn accept_waiting(listeners: &[Listener], house: &House) -> bool {
    let mut any = false;
    for listener in listeners {
        while let Ok(connection) = listener.accept_now() {
            welcome(connection, house);
            any = true;
        }
    }
    any
}

async fn next(listeners: &[Listener]) -> io::Result<Arrival> {
    std::future::poll_fn(|cx| {
        for listener in listeners {
            if let Poll::Ready(outcome) = listener.poll_accept(cx) {
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
    .await
}

fn welcome(arrival: Arrival, house: &House) {
    let (house, guard) = (house.clone(), house.activity.begin());
    tokio::spawn(async move {
        match arrival.enter().await {
            Ok(connection) => {
                if let Err(cause) = converse(connection, house, guard).await {
                    tracing::debug!("serve connection: {cause}");
                }
            }
            Err(cause) => tracing::warn!("refuse connection: {cause}"),
        }
    });
}

async fn converse(connection: Connection, house: House, _guard: Guard) -> hyper::Result<()> {
    let mut leaving = house.leaving.clone();
    let peer = connection.peer();
    let patience = Patience::default();
    let patient = Patient::new(connection, patience.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut errand = Errand::new(patience.clone());
        // Said here, before the connection is read again. An upload that breaks off must be seen to do so.
        if request.body().is_end_stream() || is_json(request.headers()) {
            errand.begin();
        }
        handle(house.clone(), peer, errand, request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADER_LIMIT)
        .serve_connection(TokioIo::new(patient), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    tokio::select! {
        outcome = serving.as_mut() => return outcome,
        _ = leaving.wait_for(|leaving| *leaving >= Leaving::Soon) => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        _ = leaving.wait_for(|leaving| *leaving == Leaving::Now) => Ok(()),
        outcome = serving => outcome,
    }
}

/// Answers one request. The work has a task of its own: a panic ends only that, and a verb that has begun is not broken
/// off half-way when the client goes.
async fn handle(
    house: House,
    peer: Option<Peer>,
    errand: Errand,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let guard = house.activity.begin();
    let name = format!("{} {}", request.method(), request.uri().path());
    let (tally, spans) = (house.tally.clone(), house.spans.clone());
    let span = spans.begin(&request);
    let experimental = house.engine.settings().experimental;
    let work = tokio::spawn(async move {
        let _guard = guard;
        respond(house, peer, request).await
    });
    let outcome = work.await.unwrap_or_else(|_| Err(Failure::crashed()));
    let reply = outcome.unwrap_or_else(|failure| {
        log_failure(&name, &failure);
        reply::failure(&failure)
    });
    tally.count(reply.status());
    spans.end(span, reply.status());
    tracing::debug!("{name}: {}", reply.status());
    Ok(errand.accompany(reply::dress(reply, experimental)))
}

fn log_failure(name: &str, failure: &Failure) {
    let expected = [http::StatusCode::NOT_IMPLEMENTED, http::StatusCode::SERVICE_UNAVAILABLE];
    if failure.status.is_server_error() && !expected.contains(&failure.status) {
        tracing::error!("{name}: {} {}", failure.status, failure.message);
    }
}

async fn respond(house: House, peer: Option<Peer>, mut request: Request<Incoming>) -> Outcome {
    let route = match without_nul(request.uri()).and_then(|()| router::route(request.method(), request.uri().path())) {
        Ok(route) => route,
        Err(failure) => {
            take_in(request.into_body()).await;
            return Err(failure);
        }
    };
    let upgrade = wants_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let asked = Asked {
        engine: house.engine,
        version: route.version,
        name: route.name,
        query: Query::parse(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body: Upload::new(body),
        activity: house.activity,
        bench: house.bench,
        tally: house.tally,
        peer,
        upgrade,
    };
    handlers::answer(route.endpoint, asked).await
}

/// No name, path or filter has a NUL: the kernel would see only what stands before it, or refuse.
fn without_nul(uri: &http::Uri) -> Result<(), Failure> {
    match uri.path_and_query() {
        Some(asked) if asked.as_str().contains("%00") => Err(Failure::invalid("the address contains a NUL (%00)")),
        _ => Ok(()),
    }
}

/// Docker's clients ask for `tcp`; what they get is a plain stream of bytes.
fn wants_upgrade(request: &Request<Incoming>) -> bool {
    let asks =
        |value: &http::HeaderValue| value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("upgrade"));
    request.headers().contains_key(UPGRADE) && request.headers().get_all(CONNECTION).iter().any(asks)
}

#[cfg(test)]
mod tests;
