//! Log drivers and their options, in Docker's words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Files kept by default, the current one included.
pub const DEFAULT_FILES: u32 = 5;
/// Bytes after which a file is full by default.
pub const DEFAULT_SIZE: u64 = 20 * 1024 * 1024;

/// A log driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// Docker's json-file: one JSON object a line.
    #[default]
    JsonFile,
    /// Docker's local: compact protobuf entries.
    Local,
    /// Nothing is kept.
    None,
}

/// Where output goes, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The driver.
    pub driver: Driver,
    /// The current file; older ones are `PATH.1` (youngest) to `PATH.N`, with `.gz` if compressed.
    pub path: PathBuf,
    /// Bytes after which a file is full; none: never.
    pub max_size: Option<u64>,
    /// Files kept, the current one included.
    pub max_file: u32,
    /// Whether files but the current one are compressed.
    pub compress: bool,
    /// What is added to every line (`attrs`): chosen labels, environment and the tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A log option was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLogOption {
    /// hako has no such driver.
    #[error("logger: no log driver named '{driver}' is registered")]
    Driver {
        /// Its name.
        driver: String,
    },
    /// The driver has no such option.
    #[error("unknown log opt '{option}' for {driver} log driver")]
    Option {
        /// The option.
        option: String,
        /// The driver.
        driver: String,
    },
    /// The value makes no sense.
    #[error("invalid value for {option}: {value}: {reason}")]
    Value {
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What `labels`, `env` and `tag` are chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The container's name.
    pub name: &'a str,
    /// The image as it was asked for.
    pub image: &'a str,
    /// The image's id.
    pub image_id: &'a str,
    /// The container's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The container's environment, `NAME=VALUE`.
    pub env: &'a [String],
}

impl LogConfig {
    /// Reads Docker's driver name (empty: json-file) and options. `path` is the file without the driver's say.
    pub fn from_options(
        driver: &str,
        options: &BTreeMap<String, String>,
        path: PathBuf,
        source: Source<'_>,
    ) -> Result<Self, InvalidLogOption> {
        let _ = (driver, options, path, source);
        todo!()
    }
}
