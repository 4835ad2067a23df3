//! Bodies about containers: what creates, changes and lists them. Their full description is `inspect`.

use std::collections::BTreeMap;

use hako_model::container::{
    Config, Edit, EndpointSettings, HostConfig, MountPoint, NetworkingConfig, Resources, RestartPolicy,
};
use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

use crate::is_default;

/// The body of `POST /containers/create`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateBody {
    /// The portable half.
    #[serde(flatten)]
    pub config: Config,
    /// The host's half.
    pub host_config: Option<HostConfig>,
    /// The networks.
    pub networking_config: Option<NetworkingConfig>,
}

/// The answer to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Created {
    /// The new container.
    pub id: String,
    /// What was not done as asked.
    #[serde(deserialize_with = "nullable")]
    pub warnings: Vec<String>,
}

/// The body of `POST /containers/{id}/update`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateBody {
    /// New limits; zero leaves a limit as it is.
    #[serde(flatten)]
    pub resources: Resources,
    /// A new restart policy.
    pub restart_policy: RestartPolicy,
    /// What else is to change. (hako's own.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
}

/// The answer to update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Updated {
    /// What was not done as asked; `null` when all was.
    pub warnings: Option<Vec<String>>,
}

/// One line of `GET /containers/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its names, each with a leading slash.
    #[serde(deserialize_with = "nullable")]
    pub names: Vec<String>,
    /// The image as it was named.
    pub image: String,
    /// The image's id.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// The command line.
    pub command: String,
    /// When it was made, seconds.
    pub created: i64,
    /// Its ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<Port>,
    /// Bytes written.
    #[serde(skip_serializing_if = "is_default")]
    pub size_rw: i64,
    /// Bytes in all.
    #[serde(skip_serializing_if = "is_default")]
    pub size_root_fs: i64,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// `running`, `exited`, …
    pub state: String,
    /// The state in words: `Up 3 minutes (healthy)`.
    pub status: String,
    /// An excerpt of its host configuration.
    pub host_config: SummaryHostConfig,
    /// Its networks.
    pub network_settings: SummaryNetworks,
    /// Its mounts.
    #[serde(deserialize_with = "nullable")]
    pub mounts: Vec<MountPoint>,
    /// hako's own: it runs beside another container, so that neither ports nor names lead to it. A rollout that was cut
    /// short leaves such containers.
    #[serde(skip_serializing_if = "is_default")]
    pub aside: bool,
}

/// The excerpt of a host configuration that lists show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryHostConfig {
    /// The network mode.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub network_mode: String,
    /// Annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The networks that lists show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryNetworks {
    /// Endpoints by network.
    #[serde(deserialize_with = "nullable")]
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// A port in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Port {
    /// The host address.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// The port in the container.
    pub private_port: u16,
    /// The port on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub public_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub protocol: String,
}

/// The answer to top.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TopReply {
    /// One list of cells per process.
    #[serde(deserialize_with = "nullable")]
    pub processes: Vec<Vec<String>>,
    /// The columns.
    #[serde(deserialize_with = "nullable")]
    pub titles: Vec<String>,
}

/// One changed path of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Change {
    /// 0 changed, 1 added, 2 deleted.
    pub kind: u8,
    /// The path.
    pub path: String,
}

/// The answer to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitReply {
    /// The exit code.
    pub status_code: i64,
    /// Why the wait failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitError>,
}

/// Why a wait failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitError {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The answer to prune.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Pruned {
    /// The removed containers; `null` when there were none.
    pub containers_deleted: Option<Vec<String>>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// The header [`crate::version::PATH_STAT`], base64 of this JSON: a path in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStat {
    /// The last component.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode`: type bits at the top, permissions below.
    pub mode: u32,
    /// When it was changed.
    pub mtime: String,
    /// Where a symbolic link points.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

/// A checkpoint of a container, in the answer to a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
}

/// A checkpoint to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CheckpointBody {
    /// Its name.
    #[serde(rename = "CheckpointID")]
    pub checkpoint_id: String,
    /// The directory it is to lie in; the container's own if empty.
    pub checkpoint_dir: String,
    /// Whether the container ends with it.
    pub exit: bool,
}

/// The answer to commit, and to everything else that answers with an id alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IdReply {
    /// The new object.
    pub id: String,
}
