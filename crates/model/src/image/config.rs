//! The image configuration: what runs by default, which layers it stands on, and how it came to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DOCUMENT_LIMIT, InvalidManifest, LAYER_LIMIT, nullable};
use crate::container::{HealthConfig, NameSet};
use crate::digest::Digest;
use crate::platform::Platform;

/// An image's configuration. Its digest is the image's id, so a stored text is never rewritten from this.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// The CPU the content is for.
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
    /// The CPU's variant.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub variant: String,
    /// The operating system the content is for.
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// Windows' build number.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub os_version: String,
    /// Required features of the operating system.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub os_features: Vec<String>,
    /// When it was made, RFC 3339 as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub author: String,
    /// The message of commit or import.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub comment: String,
    /// The container it was committed from.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub container: String,
    /// The engine's version that made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub docker_version: String,
    /// Defaults for containers.
    #[serde(deserialize_with = "nullable")]
    pub config: RunConfig,
    /// The layers' diff ids.
    #[serde(deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// One entry per instruction.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub history: Vec<History>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageConfig {
    /// Parses an untrusted configuration within the limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let refused = |reason: String| InvalidManifest { reason };
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(refused(format!("a configuration of {} bytes exceeds {DOCUMENT_LIMIT}", bytes.len())));
        }
        let config: Self = serde_json::from_slice(bytes).map_err(|error| refused(format!("configuration: {error}")))?;
        if config.rootfs.diff_ids.len() > LAYER_LIMIT {
            return Err(refused(format!("{} diff ids exceed {LAYER_LIMIT}", config.rootfs.diff_ids.len())));
        }
        Ok(config)
    }

    /// The platform the content is for, normalised.
    pub fn platform(&self) -> Platform {
        let mut platform = Platform::new(&self.os, &self.architecture, &self.variant);
        platform.os_version.clone_from(&self.os_version);
        platform.os_features.clone_from(&self.os_features);
        platform
    }
}

/// The `config` object: defaults for containers made from the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user[:group]`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub user: String,
    /// Ports the image listens on, `80/tcp` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<NameSet>,
    /// `NAME=value` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The default arguments, or the whole command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// Places that get anonymous volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<NameSet>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub working_dir: String,
    /// Instructions for images built on this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal `stop` sends first.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub stop_signal: String,
    /// Seconds `stop` waits before it kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell for shell-form instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields this version does not know; old engines wrote all of a container's configuration here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The layers an image stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339 as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub created_by: String,
    /// By whom.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub author: String,
    /// The message.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "nullable")]
    pub empty_layer: bool,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
