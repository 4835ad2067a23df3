//! Bodies about the daemon itself.

use std::collections::BTreeMap;

use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

pub use hako_model::event::Event;

/// `GET /version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Version {
    /// Whose product this is.
    pub platform: PlatformName,
    /// Its parts.
    #[serde(deserialize_with = "nullable")]
    pub components: Vec<Component>,
    /// The daemon's version.
    pub version: String,
    /// The API it speaks.
    pub api_version: String,
    /// The oldest API it answers.
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: String,
    /// The commit it was built from.
    pub git_commit: String,
    /// The compiler, in Docker's field for Go's version.
    pub go_version: String,
    /// The operating system.
    pub os: String,
    /// The processor in Go's words.
    pub arch: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// Whether experimental features are on.
    #[serde(skip_serializing_if = "crate::is_default")]
    pub experimental: bool,
    /// When it was built.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build_time: String,
}

/// Whose product a daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PlatformName {
    /// Its name.
    pub name: String,
}

/// A part of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// More facts.
    pub details: Option<BTreeMap<String, String>>,
}

/// `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Info {
    /// The engine's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Containers in all.
    pub containers: i64,
    /// Those that run.
    pub containers_running: i64,
    /// Those that are paused.
    pub containers_paused: i64,
    /// Those that do not run.
    pub containers_stopped: i64,
    /// Images.
    pub images: i64,
    /// The storage driver.
    pub driver: String,
    /// What the storage driver tells.
    #[serde(deserialize_with = "nullable")]
    pub driver_status: Vec<[String; 2]>,
    /// Plugins by kind.
    pub plugins: Plugins,
    /// The kernel limits memory.
    pub memory_limit: bool,
    /// The kernel limits swap.
    pub swap_limit: bool,
    /// The kernel has CFS periods.
    pub cpu_cfs_period: bool,
    /// The kernel has CFS quotas.
    pub cpu_cfs_quota: bool,
    /// The kernel has CPU shares.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// The kernel has cpusets.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// The kernel limits processes.
    pub pids_limit: bool,
    /// The kernel forwards IPv4.
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    /// The daemon logs much.
    pub debug: bool,
    /// Open descriptors, when debugging.
    #[serde(rename = "NFd")]
    pub n_fd: i64,
    /// The kernel can suspend instead of kill.
    pub oom_kill_disable: bool,
    /// Tasks, in Docker's field for goroutines.
    pub n_goroutines: i64,
    /// The daemon's time.
    pub system_time: String,
    /// The default log driver.
    pub logging_driver: String,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroup_version: String,
    /// Clients that listen to events.
    pub n_events_listener: i64,
    /// The kernel's release.
    pub kernel_version: String,
    /// The distribution.
    pub operating_system: String,
    /// The distribution's version.
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// The processor in the kernel's words.
    pub architecture: String,
    /// The registry that plain names mean.
    pub index_server_address: String,
    /// Registries with special treatment.
    pub registry_config: RegistryConfig,
    /// CPUs.
    #[serde(rename = "NCPU")]
    pub n_cpu: i64,
    /// Bytes of memory.
    pub mem_total: i64,
    /// Swarm only.
    pub generic_resources: Option<Vec<serde_json::Value>>,
    /// The data root.
    pub docker_root_dir: String,
    /// The proxy for http.
    pub http_proxy: String,
    /// The proxy for https.
    pub https_proxy: String,
    /// What goes past the proxy.
    pub no_proxy: String,
    /// The host's name.
    pub name: String,
    /// The daemon's labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: Vec<String>,
    /// Whether experimental features are on.
    pub experimental_build: bool,
    /// The daemon's version.
    pub server_version: String,
    /// Runtimes by name.
    #[serde(deserialize_with = "nullable")]
    pub runtimes: BTreeMap<String, Runtime>,
    /// The runtime used when none is named.
    pub default_runtime: String,
    /// The swarm.
    pub swarm: SwarmInfo,
    /// Containers live on without the daemon.
    pub live_restore_enabled: bool,
    /// Windows only.
    pub isolation: String,
    /// The init program.
    pub init_binary: String,
    /// Which containerd.
    pub containerd_commit: Commit,
    /// Which runc.
    pub runc_commit: Commit,
    /// Which init.
    pub init_commit: Commit,
    /// `name=seccomp,profile=builtin` and the like.
    #[serde(deserialize_with = "nullable")]
    pub security_options: Vec<String>,
    /// Pools of addresses for networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "nullable")]
    pub default_address_pools: Vec<AddressPool>,
    /// How the firewall is programmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_backend: Option<FirewallBackend>,
    /// Devices that drivers found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "nullable")]
    pub discovered_devices: Vec<DeviceInfo>,
    /// Directories with device specifications.
    #[serde(rename = "CDISpecDirs")]
    #[serde(deserialize_with = "nullable")]
    pub cdi_spec_dirs: Vec<String>,
    /// What a user should know; `null` when there is nothing.
    pub warnings: Option<Vec<String>>,
    /// What older versions of the API tell, and whatever else another daemon does.
    #[serde(flatten)]
    pub former: BTreeMap<String, serde_json::Value>,
}

/// A device that a driver found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceInfo {
    /// The driver, `cdi`.
    #[serde(rename = "Source")]
    pub source: String,
    /// What it is asked for by.
    #[serde(rename = "ID")]
    pub id: String,
}

/// Plugins by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Plugins {
    /// Volume drivers.
    #[serde(deserialize_with = "nullable")]
    pub volume: Vec<String>,
    /// Network drivers.
    #[serde(deserialize_with = "nullable")]
    pub network: Vec<String>,
    /// Authorization plugins.
    pub authorization: Option<Vec<String>>,
    /// Log drivers.
    #[serde(deserialize_with = "nullable")]
    pub log: Vec<String>,
}

/// Registries with special treatment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryConfig {
    /// Networks that may be plain http.
    #[serde(rename = "InsecureRegistryCIDRs")]
    #[serde(deserialize_with = "nullable")]
    pub insecure_registry_cidrs: Vec<String>,
    /// Registries by name.
    #[serde(rename = "IndexConfigs")]
    #[serde(deserialize_with = "nullable")]
    pub index_configs: BTreeMap<String, IndexInfo>,
    /// Mirrors of docker.io.
    #[serde(rename = "Mirrors")]
    pub mirrors: Option<Vec<String>>,
    /// See [`Info::former`].
    #[serde(flatten)]
    pub former: BTreeMap<String, serde_json::Value>,
}

/// A registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Its mirrors.
    #[serde(deserialize_with = "nullable")]
    pub mirrors: Vec<String>,
    /// It must have a good certificate.
    pub secure: bool,
    /// It is docker.io.
    pub official: bool,
}

/// A runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Its program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// The swarm; always inactive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwarmInfo {
    /// This node's id.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// This node's address.
    #[serde(rename = "NodeAddr")]
    pub node_addr: String,
    /// `inactive`.
    #[serde(rename = "LocalNodeState")]
    pub local_node_state: String,
    /// Whether this node manages.
    #[serde(rename = "ControlAvailable")]
    pub control_available: bool,
    /// Why it does not work.
    #[serde(rename = "Error")]
    pub error: String,
    /// Managers.
    #[serde(rename = "RemoteManagers")]
    pub remote_managers: Option<Vec<serde_json::Value>>,
}

/// The commit a program was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// The commit.
    #[serde(rename = "ID")]
    pub id: String,
    /// The commit it should be, before 1.49.
    #[serde(rename = "Expected", skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// A pool of addresses for networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AddressPool {
    /// The whole.
    pub base: String,
    /// The prefix length of one network.
    pub size: u8,
}

/// How the firewall is programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FirewallBackend {
    /// `nftables` or `iptables`.
    pub driver: String,
    /// More facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "nullable")]
    pub info: Vec<[String; 2]>,
}

/// Credentials: the body of `POST /auth`, and, in URL-safe base64, the header [`crate::version::REGISTRY_AUTH`].
/// Has no `Debug`: passwords do not belong in logs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// The user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// User and password in base64, as in Docker's configuration file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth: String,
    /// Obsolete.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The registry.
    #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    pub server_address: String,
    /// A token instead of a password, to be exchanged.
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    /// A token instead of a password, used as it is.
    #[serde(rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    pub registry_token: String,
}

/// The answer to `POST /auth`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AuthReply {
    /// For people.
    pub status: String,
    /// A token to be kept instead of the password.
    pub identity_token: String,
}
