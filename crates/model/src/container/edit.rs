//! What `update` changes of a container beside its limits: hako's own part of the update body.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EndpointSettings, HealthConfig, Mount, OnUnhealthy, PortMap};

/// Changes to a container that exists. What is absent or empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Edit {
    /// Ports to publish as well.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub publish: PortMap,
    /// Published ports to take back: `80/tcp`, or `8080:80/tcp` for one of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpublish: Vec<String>,
    /// Networks to join.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connect: BTreeMap<String, EndpointSettings>,
    /// Networks to leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disconnect: Vec<String>,
    /// Labels to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Labels to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_labels: Vec<String>,
    /// Bind mounts and volumes to add, as `-v` writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<String>,
    /// The same as `--mount` has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// The targets of bind mounts and volumes to take out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmount: Vec<String>,
    /// A health check; what it leaves out stays. The test `NONE` takes the check away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// What is done when it is unhealthy; the action `none` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unhealthy: Option<OnUnhealthy>,
    /// The signal that ends it in good order.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds between that signal and SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// What only a new process can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anew: Option<Anew>,
}

/// Changes for which the container's process is replaced. Its name, addresses, volumes, writable layer and logs stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Anew {
    /// Another image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Variables to set, `NAME=value` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Variables to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_env: Vec<String>,
    /// Another command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Another entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Nanoseconds the new process may take to become healthy; zero is what its health check needs for a verdict.
    #[serde(skip_serializing_if = "is_zero")]
    pub patience: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}
