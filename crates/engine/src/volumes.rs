//! The volume verbs.

use std::collections::BTreeMap;

use hako_model::filter::Filters;
use hako_model::time::Timestamp;

use crate::Result;
pub use crate::containers::Pruned;

/// The volume verbs. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {}

/// What a new volume is to be.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The name; 64 hexadecimal digits are made up when empty.
    pub name: String,
    /// The driver; `local` when empty.
    pub driver: String,
    /// The driver's options: `type`, `device`, `o`, `size` of `local`.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Where its data is on the host.
    pub mountpoint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Always `local`.
    pub scope: String,
    /// Bytes used and containers using it, when computed (`system df`).
    pub usage: Option<(u64, u64)>,
}

impl Volumes {
    /// Makes a volume, or finds the one of that name and driver.
    pub async fn create(&self, request: CreateRequest) -> Result<Volume> {
        todo!()
    }

    /// Lists volumes by name. Filters: dangling, driver, label, label!, name.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Volume>> {
        todo!()
    }

    /// One volume.
    pub async fn inspect(&self, name: &str) -> Result<Volume> {
        todo!()
    }

    /// Removes a volume that no container uses; with `force`, one that does not exist is no error.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        todo!()
    }

    /// Removes unused anonymous volumes, with the filter `all` named ones too.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }
}
