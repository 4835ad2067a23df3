//! `GET /system/df`: what takes space.

use serde::{Deserialize, Serialize};

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
    pub build_cache: Option<Vec<BuildCache>>,
    /// Bytes of the builder's cache; until 1.41.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder_size: Option<i64>,
}

/// Something in the builder's cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BuildCache {
    /// Its name.
    #[serde(rename = "ID")]
    pub id: String,
    /// The names of what it stands on; since 1.42.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// What it is.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What made it.
    pub description: String,
    /// Whether a build needs it now.
    pub in_use: bool,
    /// Whether an image has it, too.
    pub shared: bool,
    /// Its bytes.
    pub size: i64,
    /// When it was made.
    pub created_at: String,
    /// When it was last used.
    pub last_used_at: Option<String>,
    /// How often it was used; hako does not count.
    pub usage_count: i64,
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
