//! Verbs on networks.

use bytes::Bytes;
use hako_api::network::{ConnectBody, CreateBody, Created, DisconnectBody, Network, Pruned, Reach, Traced};
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
    /// Makes a network.
    pub async fn create(&self, body: &CreateBody) -> Result<Created> {
        self.client.post("/networks/create").json(body)?.read().await
    }

    /// Plugs a container in.
    pub async fn connect(&self, network: &str, body: &ConnectBody) -> Result<()> {
        self.client.post(&format!("/networks/{}/connect", segment(network))).json(body)?.done().await
    }

    /// Plugs a container out.
    pub async fn disconnect(&self, network: &str, body: &DisconnectBody) -> Result<()> {
        self.client.post(&format!("/networks/{}/disconnect", segment(network))).json(body)?.done().await
    }

    /// Removes a network.
    pub async fn remove(&self, network: &str) -> Result<()> {
        self.client.delete(&format!("/networks/{}", segment(network))).done().await
    }

    /// Tells how a name is answered.
    pub async fn trace(&self, options: &query::Trace) -> Result<Vec<Traced>> {
        self.client.get("/hako/trace").query(&options.write()).read().await
    }

    /// Tells who reaches a container's published ports.
    pub async fn reach(&self, container: &str) -> Result<Vec<Reach>> {
        self.client.get(&format!("/hako/reach/{}", segment(container))).read().await
    }

    /// Removes networks nobody uses.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let options = query::Filtered { filters: filters.clone() };
        self.client.post("/networks/prune").query(&options.write()).read().await
    }

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
