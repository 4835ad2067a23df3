//! Errors with their place in a Dockerfile, as `google.rpc.Status` carries them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost_types::Any;
use serde_json::json;

/// An error.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// Its kind, one of gRPC's.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What people read.
    #[prost(string, tag = "2")]
    pub message: String,
    /// More of it.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// The place an error comes from.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Source {
    /// The file.
    #[prost(message, optional, tag = "1")]
    pub info: Option<SourceInfo>,
    /// Where in it.
    #[prost(message, repeated, tag = "2")]
    pub ranges: Vec<Range>,
}

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SourceInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub filename: String,
    /// Its bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// What it is written in.
    #[prost(string, tag = "4")]
    pub language: String,
}

/// From one place to another.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Range {
    /// The first line.
    #[prost(message, optional, tag = "1")]
    pub start: Option<Position>,
    /// The last one.
    #[prost(message, optional, tag = "2")]
    pub end: Option<Position>,
}

/// A place in a file.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// Its line, from 1.
    #[prost(int32, tag = "1")]
    pub line: i32,
    /// Its column, from 0.
    #[prost(int32, tag = "2")]
    pub character: i32,
}

/// gRPC's code for errors that fit nowhere else.
const UNKNOWN: i32 = 2;

/// What BuildKit's clients know the place of an error by.
const PLACE: &str = "github.com/moby/buildkit/errdefs.Source+json";

impl Status {
    /// An error, and the place in a file that it is about.
    #[must_use]
    pub fn about(message: impl Into<String>, place: Option<&Source>) -> Self {
        // Clients read this detail as JSON, whatever the others are.
        let detail = |place: &Source| Any { type_url: PLACE.to_owned(), value: json(place).to_string().into_bytes() };
        Self { code: UNKNOWN, message: message.into(), details: place.map(detail).into_iter().collect() }
    }
}

fn json(place: &Source) -> serde_json::Value {
    let info = place.info.clone().unwrap_or_default();
    let position = |position: &Option<Position>| {
        let position = position.unwrap_or_default();
        json!({"line": position.line, "character": position.character})
    };
    let range = |range: &Range| json!({"start": position(&range.start), "end": position(&range.end)});
    json!({
        "info": {"filename": info.filename, "data": STANDARD.encode(info.data), "language": info.language},
        "ranges": place.ranges.iter().map(range).collect::<Vec<_>>(),
    })
}

impl From<Status> for tonic::Status {
    fn from(status: Status) -> Self {
        let encoded = status.encode_to_vec();
        Self::with_details(tonic::Code::from(status.code), status.message, encoded.into())
    }
}
