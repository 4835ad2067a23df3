//! `GET /containers/{id}/json`: everything known about one container.

use std::collections::BTreeMap;

use hako_model::container::{Config, EndpointSettings, HostConfig, MountPoint, PortMap};
use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Container {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: String,
    /// The program.
    pub path: String,
    /// Its arguments.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// Where it stands.
    pub state: State,
    /// The image's id.
    pub image: String,
    /// The file mounted at /etc/resolv.conf.
    pub resolv_conf_path: String,
    /// The file mounted at /etc/hostname.
    pub hostname_path: String,
    /// The file mounted at /etc/hosts.
    pub hosts_path: String,
    /// The log file, if the driver writes one.
    pub log_path: String,
    /// Its name with a leading slash.
    pub name: String,
    /// How often the policy restarted it.
    pub restart_count: i64,
    /// The storage driver.
    pub driver: String,
    /// The operating system.
    pub platform: String,
    /// SELinux's label of its mounts.
    pub mount_label: String,
    /// SELinux's label of its processes.
    pub process_label: String,
    /// AppArmor's profile.
    pub app_armor_profile: String,
    /// Running execs; `null` when there are none.
    #[serde(rename = "ExecIDs")]
    pub exec_ids: Option<Vec<String>>,
    /// The host's half of its configuration.
    pub host_config: HostConfig,
    /// Where its files are.
    pub graph_driver: GraphDriver,
    /// Bytes written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    /// Bytes in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    /// Its mounts.
    #[serde(deserialize_with = "nullable")]
    pub mounts: Vec<MountPoint>,
    /// The portable half of its configuration.
    pub config: Config,
    /// Its networks.
    pub network_settings: NetworkSettings,
}

/// Where a container stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct State {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub status: String,
    /// Its process lives.
    pub running: bool,
    /// It is frozen.
    pub paused: bool,
    /// It waits to be restarted.
    pub restarting: bool,
    /// It was killed because memory was short.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// It could not be removed.
    pub dead: bool,
    /// Its process, zero when there is none.
    pub pid: i64,
    /// The last exit code.
    pub exit_code: i64,
    /// Why it did not start.
    pub error: String,
    /// When it last started.
    pub started_at: String,
    /// When it last ended.
    pub finished_at: String,
    /// Its health, if that is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// The result of health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
    /// Consecutive failures.
    pub failing_streak: i64,
    /// The last probes.
    pub log: Option<Vec<Probe>>,
}

/// One probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    pub start: String,
    /// When it ended.
    pub end: String,
    /// Its exit code.
    pub exit_code: i64,
    /// What it wrote.
    pub output: String,
}

/// Where an object's files are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GraphDriver {
    /// Directories by role; `null` when there is nothing to say.
    pub data: Option<BTreeMap<String, String>>,
    /// The storage driver.
    pub name: String,
}

/// A container's networks; the top-level addresses repeat those of the default bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// Obsolete.
    pub bridge: String,
    /// The network namespace's id.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// The network namespace's file.
    pub sandbox_key: String,
    /// Ports in force.
    #[serde(deserialize_with = "nullable")]
    pub ports: PortMap,
    /// Obsolete.
    pub hairpin_mode: bool,
    /// Obsolete.
    #[serde(rename = "LinkLocalIPv6Address")]
    pub link_local_ipv6_address: String,
    /// Obsolete.
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    pub link_local_ipv6_prefix_len: u8,
    /// Obsolete.
    #[serde(rename = "SecondaryIPAddresses")]
    pub secondary_ip_addresses: Option<Vec<Address>>,
    /// Obsolete.
    #[serde(rename = "SecondaryIPv6Addresses")]
    pub secondary_ipv6_addresses: Option<Vec<Address>>,
    /// The default bridge's endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// The default bridge's gateway.
    pub gateway: String,
    /// The default bridge's IPv6 address.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// The default bridge's IPv6 prefix length.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// The address on the default bridge.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The prefix length on the default bridge.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// The IPv6 gateway of the default bridge.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// The MAC address on the default bridge.
    pub mac_address: String,
    /// Endpoints by network.
    #[serde(deserialize_with = "nullable")]
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// An address with its prefix length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Address {
    /// The address.
    pub addr: String,
    /// The prefix length.
    pub prefix_len: u8,
}
