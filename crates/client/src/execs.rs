//! Verbs on execs: further processes in running containers.

use hako_api::container::IdReply;
use hako_api::exec::{Exec, ExecBody, ExecStart};
use hako_api::query;

use crate::request::segment;
use crate::stream::Hijacked;
use crate::{Client, Result};

/// Verbs on execs.
#[derive(Clone, Copy, Debug)]
pub struct Execs<'a> {
    pub(crate) client: &'a Client,
}

impl Execs<'_> {
    /// Prepares a process in a container.
    pub async fn create(&self, container: &str, body: &ExecBody) -> Result<IdReply> {
        self.client.post(&format!("/containers/{}/exec", segment(container))).json(body)?.read().await
    }

    /// Starts it and connects to its streams.
    pub async fn start(&self, id: &str, body: &ExecStart) -> Result<Hijacked> {
        self.client.post(&format!("/exec/{}/start", segment(id))).json(body)?.hijack().await
    }

    /// Starts it and leaves it alone.
    pub async fn start_detached(&self, id: &str, body: &ExecStart) -> Result<()> {
        self.client.post(&format!("/exec/{}/start", segment(id))).json(body)?.done().await
    }

    /// Tells its terminal its size.
    pub async fn resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let size = query::Resize { height: height.to_string(), width: width.to_string() };
        self.client.post(&format!("/exec/{}/resize", segment(id))).query(&size.write()).done().await
    }

    /// Describes it.
    pub async fn inspect(&self, id: &str) -> Result<Exec> {
        self.client.get(&format!("/exec/{}/json", segment(id))).read().await
    }
}
