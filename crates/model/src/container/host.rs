//! The half of a container that depends on its host: `HostConfig`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::PortMap;
use super::{Mount, Resources, words};

/// What the host gives a container, and what it withholds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HostConfig {
    /// `source:target[:options]` each, as `-v` takes them.
    pub binds: Option<Vec<String>>,
    /// Where the client wrote the id.
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    /// The log driver.
    pub log_config: LogConfig,
    /// `bridge`, `none`, `host`, `container:ID` or a network's name.
    pub network_mode: String,
    /// What `-p` published.
    pub port_bindings: Option<PortMap>,
    /// What happens when the process ends.
    pub restart_policy: RestartPolicy,
    /// Remove the container when it ends (`--rm`).
    pub auto_remove: bool,
    /// The volume driver for anonymous volumes.
    pub volume_driver: String,
    /// `container[:ro|rw]` each.
    pub volumes_from: Option<Vec<String>>,
    /// Rows and columns of the creating client's terminal.
    pub console_size: [u32; 2],
    /// Annotations passed to the runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Capabilities beyond the default ones.
    #[serde(deserialize_with = "words")]
    pub cap_add: Option<Vec<String>>,
    /// Default capabilities taken away.
    #[serde(deserialize_with = "words")]
    pub cap_drop: Option<Vec<String>>,
    /// `private`, `host` or empty.
    pub cgroupns_mode: String,
    /// Name servers.
    pub dns: Option<Vec<String>>,
    /// Resolver options.
    pub dns_options: Option<Vec<String>>,
    /// Search domains.
    pub dns_search: Option<Vec<String>>,
    /// `name:address` lines for /etc/hosts.
    pub extra_hosts: Option<Vec<String>>,
    /// Supplementary groups.
    pub group_add: Option<Vec<String>>,
    /// `private`, `shareable`, `host`, `none`, `container:ID`.
    pub ipc_mode: String,
    /// Legacy: the cgroup to join.
    pub cgroup: String,
    /// Legacy links.
    pub links: Option<Vec<String>>,
    /// The kernel's preference for killing it when memory is short.
    pub oom_score_adj: i64,
    /// Empty, `host` or `container:ID`.
    pub pid_mode: String,
    /// Everything the host may do.
    pub privileged: bool,
    /// Publish all exposed ports (`-P`).
    pub publish_all_ports: bool,
    /// The root filesystem is read-only.
    pub readonly_rootfs: bool,
    /// `seccomp=…`, `apparmor=…`, `no-new-privileges`, `label=…`.
    pub security_opt: Option<Vec<String>>,
    /// Storage driver options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opt: Option<BTreeMap<String, String>>,
    /// Target → options of `--tmpfs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    /// Empty or `host`.
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    /// Empty or `host`.
    pub userns_mode: String,
    /// Bytes of /dev/shm; zero means the default.
    pub shm_size: i64,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    /// The OCI runtime's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// Windows only.
    pub isolation: String,
    /// Limits; Docker shows them among the host's fields.
    #[serde(flatten)]
    pub resources: Resources,
    /// `--mount` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Paths hidden from the container; `None` until the default is filled in.
    pub masked_paths: Option<Vec<String>>,
    /// Paths the container may only read; `None` until the default is filled in.
    pub readonly_paths: Option<Vec<String>>,
    /// Run an init that forwards signals and reaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// What is done when it is unhealthy. (hako's own.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unhealthy: Option<OnUnhealthy>,
    /// Secrets it may read. (hako's own.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretFile>>,
    /// The stopped container whose file system it looks at, with tools beside it. (hako's own.)
    #[serde(skip_serializing_if = "String::is_empty")]
    pub examines: String,
    /// The image whose tools it brings for that; empty is the host's. (hako's own.)
    #[serde(skip_serializing_if = "String::is_empty")]
    pub examines_with: String,
}

/// What is done when a container is unhealthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct OnUnhealthy {
    /// `restart`, `stop` or `kill`.
    pub action: String,
    /// After so many failed probes in a row; zero is as many as make it unhealthy.
    pub streak: i64,
    /// Nanoseconds before something is done again; zero is a minute.
    pub cool_down: i64,
}

/// A secret as a file in a container. What it says is never here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SecretFile {
    /// The secret's name.
    pub source: String,
    /// Where: a path; without a slash at its beginning below `/run/secrets`; empty is the name.
    pub target: String,
    /// The owner's number.
    #[serde(rename = "UID")]
    pub uid: u32,
    /// The group's number.
    #[serde(rename = "GID")]
    pub gid: u32,
    /// Permission bits; zero is 0444.
    pub mode: u32,
}

/// The log driver and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogConfig {
    /// The driver; empty means the daemon's default.
    #[serde(rename = "Type")]
    pub driver: String,
    /// The driver's options.
    pub config: Option<BTreeMap<String, String>>,
}

/// What happens when the process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// Which policy.
    pub name: RestartName,
    /// With `on-failure`: how often at most; zero means without end.
    pub maximum_retry_count: i64,
    /// Nanoseconds of the first pause before a restart; zero is 100 ms. (hako's own, as are the others.)
    #[serde(skip_serializing_if = "is_zero")]
    pub minimum_delay: i64,
    /// Nanoseconds of the longest pause; zero is a minute.
    #[serde(skip_serializing_if = "is_zero")]
    pub maximum_delay: i64,
    /// Nanoseconds a container must have run for the pauses to begin anew; zero is ten seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub reset_after: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The names of the restart policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub enum RestartName {
    /// Nothing was said, which means [`RestartName::No`].
    #[default]
    #[serde(rename = "")]
    Unset,
    /// Never restart.
    #[serde(rename = "no")]
    No,
    /// Restart unless it was stopped.
    #[serde(rename = "always")]
    Always,
    /// Restart when the exit code is not zero.
    #[serde(rename = "on-failure")]
    OnFailure,
    /// As always, but a stopped container stays stopped when the daemon comes back.
    #[serde(rename = "unless-stopped")]
    UnlessStopped,
}

/// A restart policy nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
)]
pub struct UnknownRestart {
    /// Its name.
    pub name: String,
}

impl TryFrom<String> for RestartName {
    type Error = UnknownRestart;

    fn try_from(name: String) -> Result<Self, UnknownRestart> {
        Ok(match name.as_str() {
            "" => Self::Unset,
            "no" => Self::No,
            "always" => Self::Always,
            "on-failure" => Self::OnFailure,
            "unless-stopped" => Self::UnlessStopped,
            _ => return Err(UnknownRestart { name }),
        })
    }
}
