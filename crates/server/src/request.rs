//! A request as handlers see it: the engine, the route, parsed parameters, and a body read within limits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use hako_api::query::Query;
use hako_api::version::ApiVersion;
use hako_engine::Engine;
use hako_engine::stream::ByteSource;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::activity::Activity;
use crate::buildkit::Bench;
use crate::failure::Failure;
use crate::listen::Peer;
use crate::metrics::Tally;

/// The most bytes of a JSON body.
const JSON_LIMIT: usize = 4 << 20;

/// How long a JSON body may take to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of a JSON body that is held without asking.
const SMALL: usize = 64 << 10;

/// Places for JSON bodies that are longer: however many clients send such bodies, slowly, they fill no more memory.
static LARGE: Semaphore = Semaphore::const_new(8);

/// The most bytes read of a body that nobody wants.
const UNWANTED_LIMIT: usize = 1 << 20;

/// How long such a body may take to arrive.
const UNWANTED_TIMEOUT: Duration = Duration::from_secs(5);

/// A request whose path was understood.
pub(crate) struct Asked {
    pub(crate) engine: Engine,
    pub(crate) version: ApiVersion,
    /// The variable part of the path.
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Upload,
    /// What BuildKit's clients work at.
    pub(crate) bench: Bench,
    /// What was answered so far.
    pub(crate) tally: Tally,
    /// For work that outlives the answer.
    pub(crate) activity: Activity,
    /// Who asks, if that is known.
    pub(crate) peer: Option<Peer>,
    /// Present when the client asked to switch protocols.
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl Asked {
    /// The body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let bytes = self.read_json().await?;
        if bytes.is_empty() {
            return Err(Failure::invalid("invalid JSON: got EOF while reading request body"));
        }
        decode(&bytes)
    }

    /// The body as JSON, or nothing when there is none.
    pub(crate) async fn optional_json<T: DeserializeOwned + Default>(&mut self) -> Result<T, Failure> {
        let bytes = self.read_json().await?;
        if bytes.is_empty() { Ok(T::default()) } else { decode(&bytes) }
    }

    async fn read_json(&mut self) -> Result<Bytes, Failure> {
        if self.body.is_end_stream() {
            return Ok(Bytes::new());
        }
        check_json_type(&self.headers)?;
        let Ok(outcome) = tokio::time::timeout(JSON_TIMEOUT, whole(&mut self.body)).await else {
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "request body did not arrive in time"));
        };
        outcome
    }

    /// The body as it comes.
    pub(crate) fn into_source(self) -> ByteSource {
        Box::pin(self.body)
    }
}

/// A body within its limit.
async fn whole(body: &mut Upload) -> Result<Bytes, Failure> {
    let too_long = || {
        let message = format!("request body is longer than {JSON_LIMIT} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.said_length() > Some(JSON_LIMIT as u64) {
        return Err(too_long());
    }
    let mut place = None;
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|cause| Failure::invalid(format!("read request body: {cause}")))?;
        if bytes.len() + piece.len() > JSON_LIMIT {
            return Err(too_long());
        }
        if bytes.len() + piece.len() > SMALL && place.is_none() {
            place = LARGE.acquire().await.ok();
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// What a client sends. Whoever drops it before its end lets the rest be read, within limits: a client that still writes
/// when the connection closes never sees its answer.
pub(crate) struct Upload(Option<Incoming>);

impl Upload {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// How long the client said it is.
    fn said_length(&self) -> Option<u64> {
        self.0.as_ref().and_then(|body| body.size_hint().exact())
    }
}

impl Stream for Upload {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        while let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Err(cause) => {
                    self.0 = None;
                    return Poll::Ready(Some(Err(io::Error::other(cause))));
                }
            }
        }
        self.0 = None;
        Poll::Ready(None)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(take_in(body));
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    hako_api::body::read(bytes).map_err(|cause| {
        let reason = if cause.is_eof() { "unexpected EOF".to_owned() } else { cause.to_string() };
        // A well-formed text with a policy nobody knows: for Docker that is no matter of JSON.
        let whole = reason.starts_with("invalid restart policy") || reason.starts_with("invalid mount config");
        Failure::invalid(if whole { reason } else { format!("invalid JSON: {reason}") })
    })
}

/// Reads what nobody wants, within limits.
pub(crate) async fn take_in(body: Incoming) {
    let whole = Limited::new(body, UNWANTED_LIMIT).collect();
    // It is answered whatever came.
    let _ = tokio::time::timeout(UNWANTED_TIMEOUT, whole).await;
}

/// Whether the body is said to be JSON, which is short and read within a time limit.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    check_json_type(headers).is_ok()
}

fn check_json_type(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() {
        return Err(Failure::invalid(format!("malformed Content-Type header ({kind}): mime: no media type")));
    }
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Failure::invalid(format!("unsupported Content-Type header ({kind}): must be 'application/json'")));
    }
    Ok(())
}
