//! The OCI runtime specification 1.2, as far as Linux goes: plain data, serialised in the specification's JSON.
//!
//! Left out: VM and other platforms' sections.

mod hooks;
mod linux;
mod resources;
mod seccomp;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use hooks::{CpuAffinity, Hook, Hooks, IoPriority, Scheduler};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceKind, NetDevice, Personality, TimeOffset,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, Memory, Network, NetworkPriority, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};
pub use seccomp::{Seccomp, SeccompArchitecture, SeccompArg, SeccompCondition, SeccompSyscall};

/// A container, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The version of the specification.
    pub oci_version: String,
    /// The first process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The NIS domain name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// Mounts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Programs run at points of its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Words for others; hako itself takes no orders from them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The Linux section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

impl Spec {
    /// Whether it has a namespace of a kind that is not the host's.
    pub fn has_namespace(&self, kind: NamespaceKind) -> bool {
        self.linux.iter().flat_map(|linux| &linux.namespaces).any(|namespace| namespace.kind == kind)
    }
}

/// A process in a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Whether its standard streams are a terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Who it runs as.
    pub user: User,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// The working directory; made if it is missing.
    pub cwd: String,
    /// Capability sets by name (`CAP_CHOWN`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether programs it executes may gain privileges is switched off.
    #[serde(skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// The AppArmor profile it changes to when it executes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// What is added to its badness when memory runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// The SELinux label it executes under.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// The scheduling policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The priority of its input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// The processors it runs on, if it is added to a running container.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Numbers a process runs under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// File mode creation mask; the kernel's 0022 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups, exactly these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// Capability sets by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The most that can ever be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounding: Vec<String>,
    /// In force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<String>,
    /// Kept over execution of files that have them inheritable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inheritable: Vec<String>,
    /// Can be put in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<String>,
    /// Kept over execution by a non-root user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Its name, e.g. `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The limit that can be raised up to.
    pub hard: u64,
    /// The limit in force.
    pub soft: u64,
}

/// The root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Where it is. Launching takes it from the root plan instead.
    pub path: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub readonly: bool,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Where, inside the container.
    pub destination: String,
    /// The file system type; `bind` for a bind mount.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Only this path below `source` of a bind mount, looked up without ever leaving it. Not of the OCI specification:
    /// whoever else may write there could make any path given as `source` lead elsewhere.
    #[serde(rename = "hakoBeneath", skip_serializing_if = "String::is_empty")]
    pub beneath: String,
    /// Options in the words of mount(8).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// How the owners of its files are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// How the groups of its files are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
