//! Answers: whole JSON bodies, streams, and the headers every answer carries.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hako_api::ErrorMessage;
use hako_api::version::{API_VERSION, ApiVersion, EXPERIMENTAL, OS_TYPE};
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;

use crate::failure::Failure;

/// Why a body broke off: the connection is closed, so that the client notices.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// An answer's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// An answer.
pub(crate) type Reply = Response<Body>;

/// What a handler gives.
pub(crate) type Outcome = Result<Reply, Failure>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What hako calls itself in `Server`.
const NAME: HeaderValue = HeaderValue::from_static(concat!("hako/", env!("CARGO_PKG_VERSION"), " (linux)"));

pub(crate) fn json<T: Serialize>(value: &T) -> Outcome {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
    let text = line(value)
        .map_err(|cause| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("encode answer: {cause}")))?;
    Ok(with_type(status, JSON, full(text)))
}

pub(crate) fn no_content() -> Outcome {
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Reply {
    with_type(status, HeaderValue::from_static("text/plain; charset=utf-8"), full(text))
}

/// A text that was put together.
pub(crate) fn text_of(status: StatusCode, text: String) -> Reply {
    with_type(status, HeaderValue::from_static("text/plain; charset=utf-8"), full(text))
}

/// Bytes as they come.
pub(crate) fn stream<S, E>(kind: &'static str, chunks: S) -> Reply
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Broken>,
{
    let frames = chunks.map(|chunk| chunk.map(Frame::data).map_err(Into::into));
    with_type(StatusCode::OK, HeaderValue::from_static(kind), StreamBody::new(frames).boxed_unsync())
}

/// One JSON text per line, as they come. Progress has always had the line ends of terminals, `\r\n`.
pub(crate) fn lines<T, S>(end: &'static str, values: S) -> Reply
where
    T: Serialize,
    S: Stream<Item = T> + Send + 'static,
{
    stream("application/json", values.map(move |value| ended(&value, end)))
}

/// A value on a line of its own.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<Bytes, serde_json::Error> {
    ended(value, "\n")
}

fn ended<T: Serialize>(value: &T, end: &str) -> Result<Bytes, serde_json::Error> {
    let mut text = serde_json::to_vec(value)?;
    text.extend_from_slice(end.as_bytes());
    Ok(Bytes::from(text))
}

pub(crate) fn failure(failure: &Failure) -> Reply {
    if failure.status == StatusCode::NOT_MODIFIED {
        return empty(failure.status);
    }
    let body = ErrorMessage { message: failure.message.clone() };
    json_with(failure.status, &body).unwrap_or_else(|_| empty(failure.status))
}

/// Adds the headers every answer carries.
pub(crate) fn dress(mut reply: Reply, experimental: bool) -> Reply {
    let headers = reply.headers_mut();
    headers.insert(SERVER, NAME);
    headers.insert(OS_TYPE, HeaderValue::from_static("linux"));
    headers.insert(EXPERIMENTAL, HeaderValue::from_static(if experimental { "true" } else { "false" }));
    let version = HeaderValue::try_from(ApiVersion::CURRENT.to_string());
    if let Ok(version) = version {
        headers.insert(API_VERSION, version);
    }
    reply
}

fn with_type(status: StatusCode, kind: HeaderValue, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
