//! The JSON messages of pull, push, load and import: one object per line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::is_default;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Output of a build or load.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// What is being done, or was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// How far it is.
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// The same as a bar; only old clients want it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub progress: String,
    /// The layer it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What failed.
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// The same as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Results meant for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<Value>,
}

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// Done.
    #[serde(skip_serializing_if = "is_default")]
    pub current: i64,
    /// In all.
    #[serde(skip_serializing_if = "is_default")]
    pub total: i64,
    /// When it began, seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub start: i64,
    /// Do not show the numbers.
    #[serde(rename = "hidecounts", skip_serializing_if = "is_default")]
    pub hide_counts: bool,
    /// Of what; bytes when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub units: String,
}

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    /// An exit code.
    #[serde(skip_serializing_if = "is_default")]
    pub code: i64,
    /// For people.
    pub message: String,
}

impl Progress {
    /// The message that ends a stream with a failure.
    #[must_use]
    pub fn failure(message: &str) -> Self {
        Self {
            error: message.to_owned(),
            error_detail: Some(ErrorDetail { code: 0, message: message.to_owned() }),
            ..Self::default()
        }
    }
}
