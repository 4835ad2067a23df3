//! Verbs on networks; so far, looking at them.

use bytes::Bytes;
use hako_api::network::Network;
use hako_api::query;
use hako_model::filter::Filters;

use crate::request::segment;
use crate::{Client, Result};

/// Verbs on networks.
#[derive(Clone, Copy, Debug)]
pub struct Networks<'a> {
    pub(crate) client: &'a Client,
}

impl Networks<'_> {
    /// Lists networks.
    pub async fn list(&self, filters: &Filters) -> Result<Vec<Network>> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.get("/networks").query(&options.write()).read().await
    }

    /// Describes a network.
    pub async fn inspect(&self, id: &str, options: &query::InspectNetwork) -> Result<Network> {
        self.client.get(&format!("/networks/{}", segment(id))).query(&options.write()).read().await
    }

    /// Describes a network in the daemon's own words.
    pub async fn inspect_raw(&self, id: &str, options: &query::InspectNetwork) -> Result<Bytes> {
        self.client.get(&format!("/networks/{}", segment(id))).query(&options.write()).bytes().await
    }
}
