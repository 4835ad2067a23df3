//! Verbs on volumes.

use bytes::Bytes;
use hako_api::query;
use hako_api::volume::{CreateBody, List, Pruned, Volume};
use hako_model::filter::Filters;

use crate::request::segment;
use crate::{Client, Result};

/// Verbs on volumes.
#[derive(Clone, Copy, Debug)]
pub struct Volumes<'a> {
    pub(crate) client: &'a Client,
}

impl Volumes<'_> {
    /// Makes a volume.
    pub async fn create(&self, body: &CreateBody) -> Result<Volume> {
        self.client.post("/volumes/create").json(body)?.read().await
    }

    /// Lists volumes.
    pub async fn list(&self, filters: &Filters) -> Result<List> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.get("/volumes").query(&options.write()).read().await
    }

    /// Describes a volume.
    pub async fn inspect(&self, name: &str) -> Result<Volume> {
        self.client.get(&format!("/volumes/{}", segment(name))).read().await
    }

    /// Describes a volume in the daemon's own words.
    pub async fn inspect_raw(&self, name: &str) -> Result<Bytes> {
        self.client.get(&format!("/volumes/{}", segment(name))).bytes().await
    }

    /// Removes a volume.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let options = query::RemoveVolume { force };
        self.client.delete(&format!("/volumes/{}", segment(name))).query(&options.write()).done().await
    }

    /// Removes volumes nobody uses.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.post("/volumes/prune").query(&options.write()).read().await
    }
}
