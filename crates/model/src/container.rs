//! What a container was told to be: the create body of the Engine API, which is also what `record.json` holds.
//!
//! Field names, order and the choice between `null`, an empty list and an absent key are Docker's (28, API 1.51).
//! A list that Docker may show as `null` is an `Option<Vec<_>>`: whether the client sent `[]` or nothing stays visible.
//! Maps are ordered by key, as Go prints them. What a field *means* is decided elsewhere (`mount`, `port`, the engine).

mod edit;
mod health;
mod host;
mod mounts;
mod network;
mod resources;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub use edit::{Anew, Edit};
pub use health::HealthConfig;
pub use host::{HostConfig, LogConfig, OnUnhealthy, RestartName, RestartPolicy, SecretFile};
pub use mounts::{BindOptions, ImageOptions, Mount, MountKind, MountPoint, TmpfsOptions, VolumeDriver, VolumeOptions};
pub use network::{EndpointIpam, EndpointSettings, NetworkingConfig, PortBinding, PortMap};
pub use resources::{DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, WeightDevice};

/// An object without members, the value Docker gives a set's keys (`{"80/tcp": {}}`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// A set of names in Go's spelling: a map to empty objects.
pub type NameSet = BTreeMap<String, Empty>;

/// The portable half of a container: what runs, as whom, with which environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    /// The UTS host name; empty until the engine fills in the short id.
    pub hostname: String,
    /// The UTS domain name.
    pub domainname: String,
    /// `user[:group]`, names or numbers.
    pub user: String,
    /// Whether the creating client meant to attach standard input.
    pub attach_stdin: bool,
    /// Whether the creating client meant to attach standard output.
    pub attach_stdout: bool,
    /// Whether the creating client meant to attach standard error.
    pub attach_stderr: bool,
    /// Ports the image or the user exposes, `80/tcp` each.
    #[serde(skip_serializing_if = "names_nothing")]
    pub exposed_ports: Option<NameSet>,
    /// Give the process a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub open_stdin: bool,
    /// Close standard input when the first attached client leaves.
    pub stdin_once: bool,
    /// `NAME=value` each.
    pub env: Option<Vec<String>>,
    /// Arguments, or the whole command when there is no entry point.
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// The health check; absent means the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows only: the command line is already escaped.
    #[serde(skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// The image as the user named it.
    pub image: String,
    /// Places that get anonymous volumes.
    pub volumes: Option<NameSet>,
    /// The working directory.
    pub working_dir: String,
    /// The entry point.
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// No networking at all.
    #[serde(skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    /// The MAC address older clients put here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Instructions for images built on this one.
    pub on_build: Option<Vec<String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal `stop` sends first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds `stop` waits before it kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell for shell-form instructions.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub shell: Option<Vec<String>>,
}

/// For `skip_serializing_if`: Go's `omitempty` on numbers and booleans.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For `skip_serializing_if`: Go's `omitempty` on a map that may be absent.
fn names_nothing(names: &Option<NameSet>) -> bool {
    names.as_ref().is_none_or(NameSet::is_empty)
}

/// A list of words that old clients send as one string.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(list) => list,
    }))
}

#[cfg(test)]
mod tests;
