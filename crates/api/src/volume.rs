//! Bodies about volumes.

use std::collections::BTreeMap;

use hako_model::image::nullable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    /// When it was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_at: String,
    /// Its driver.
    pub driver: String,
    /// Labels; `null` when it has none.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its directory on the host.
    pub mountpoint: String,
    /// Its name.
    pub name: String,
    /// The driver's options; `null` when there are none.
    pub options: Option<BTreeMap<String, String>>,
    /// Always `local`.
    pub scope: String,
    /// What the driver tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Map<String, Value>>,
    /// Its size and users, only in `GET /system/df`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<UsageData>,
}

/// A volume's size and users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UsageData {
    /// Containers that refer to it.
    pub ref_count: i64,
    /// Bytes; -1 means unknown.
    pub size: i64,
}

/// The body of `POST /volumes/create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateBody {
    /// Its name; empty means a random one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its driver; empty means `local`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// The driver's options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Swarm only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_volume_spec: Option<Value>,
}

/// `GET /volumes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct List {
    /// The volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
    /// What could not be listed; `null` when all could.
    pub warnings: Option<Vec<String>>,
}

/// The answer to prune.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Pruned {
    /// What went; `null` when nothing did.
    pub volumes_deleted: Option<Vec<String>>,
    /// Bytes.
    pub space_reclaimed: u64,
}
