//! Verbs on the daemon itself.

use bytes::Bytes;
use hako_api::query;
use hako_api::system::{AuthConfig, AuthReply, Event, Info, Version};
use hako_api::usage::DiskUsage;

use crate::request::segment;
use crate::stream::JsonStream;
use crate::{Client, Result};

/// Verbs on the daemon itself.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    pub(crate) client: &'a Client,
}

impl System<'_> {
    /// Lists jobs and their runs.
    pub async fn jobs(&self) -> Result<Vec<hako_api::job::Job>> {
        self.client.get("/hako/jobs").read().await
    }

    /// Asks whether it is there.
    pub async fn ping(&self) -> Result<()> {
        self.client.get("/_ping").done().await
    }

    /// What it is.
    pub async fn version(&self) -> Result<Version> {
        self.client.get("/version").read().await
    }

    /// What it has and can.
    pub async fn info(&self) -> Result<Info> {
        self.client.get("/info").read().await
    }

    /// What takes space.
    pub async fn disk_usage(&self, kinds: &[&str]) -> Result<DiskUsage> {
        let options = query::DiskUsage { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect() };
        self.client.get("/system/df").query(&options.write()).read().await
    }

    /// What happens, and happened.
    pub async fn events(&self, options: &query::Events) -> Result<JsonStream<Event>> {
        self.client.get("/events").query(&options.write()).messages().await
    }

    /// What the daemon says of something that only clusters or plugins have.
    pub async fn foreign(&self, place: &str, name: &str) -> Result<Bytes> {
        let end = if place == "plugins" { "/json" } else { "" };
        self.client.get(&format!("/{place}/{}{end}", segment(name))).bytes().await
    }

    /// Checks credentials with their registry.
    pub async fn auth(&self, credentials: &AuthConfig) -> Result<AuthReply> {
        self.client.post("/auth").json(credentials)?.read().await
    }
}
