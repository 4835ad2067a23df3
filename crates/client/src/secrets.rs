//! Verbs on secrets: hako's own.

use hako_api::container::IdReply;
use hako_api::own::{Secret, SecretBody};

use crate::request::segment;
use crate::{Client, Result};

/// Verbs on secrets.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    pub(crate) client: &'a Client,
}

impl Secrets<'_> {
    /// Keeps a secret; gives its id.
    pub async fn create(&self, body: &SecretBody) -> Result<String> {
        let reply: IdReply = self.client.post("/hako/secrets/create").json(body)?.read().await?;
        Ok(reply.id)
    }

    /// Lists secrets.
    pub async fn list(&self) -> Result<Vec<Secret>> {
        self.client.get("/hako/secrets").read().await
    }

    /// Describes a secret.
    pub async fn inspect(&self, name: &str) -> Result<Secret> {
        self.client.get(&format!("/hako/secrets/{}", segment(name))).read().await
    }

    /// Forgets a secret.
    pub async fn remove(&self, name: &str) -> Result<()> {
        self.client.delete(&format!("/hako/secrets/{}", segment(name))).done().await
    }
}
