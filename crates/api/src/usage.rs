//! `GET /system/df`: what takes space.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::volume::Volume;
use crate::{container, image};

/// Everything that takes space. Kinds that were not asked for are `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DiskUsage {
    /// Bytes of all layers.
    pub layers_size: i64,
    /// Images.
    pub images: Option<Vec<image::Summary>>,
    /// Containers, with sizes.
    pub containers: Option<Vec<container::Summary>>,
    /// Volumes, with sizes.
    pub volumes: Option<Vec<Volume>>,
    /// The builder's cache.
    pub build_cache: Option<Vec<Value>>,
}

/// The answer to `POST /build/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BuildsPruned {
    /// What went; `null` when nothing did.
    pub caches_deleted: Option<Vec<String>>,
    /// Bytes.
    pub space_reclaimed: u64,
}
