//! What is attested of an image: how it was made, and which packages are in it.

mod packages;
mod provenance;

use std::os::fd::OwnedFd;

use hako_builder::request::Request;
use hako_builder::solve::Product;
use hako_model::attestation::Attestations;
use hako_model::time::Timestamp;

use crate::Result;
use crate::images::Predicate;

/// What is worth telling of how a build was asked for. Secrets are known by their ids only.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The Dockerfile and its name.
    dockerfile: Vec<u8>,
    name: String,
    target: String,
    arguments: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    /// Names of contexts.
    contexts: Vec<String>,
    /// Ids of secrets.
    secrets: Vec<String>,
    /// Everything is said to have been made then.
    epoch: Option<i64>,
    started: Timestamp,
    finished: Timestamp,
}

impl Story {
    /// Begins to tell.
    pub(super) fn begin(request: &Request) -> Self {
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        // Proxies may have passwords in them, and leave no trace elsewhere either.
        let mut arguments: Vec<(String, String)> = pairs(&request.arguments);
        arguments.retain(|(name, _)| !name.to_ascii_lowercase().ends_with("_proxy"));
        Self {
            dockerfile: request.dockerfile.clone(),
            name: request.name.clone(),
            target: request.target.clone(),
            arguments,
            labels: pairs(&request.labels),
            contexts: request.contexts.keys().cloned().collect(),
            secrets: request.secrets.keys().cloned().collect(),
            epoch: request.epoch,
            started: now(request.epoch),
            finished: Timestamp::default(),
        }
    }

    /// The build is over.
    pub(super) fn end(&mut self) {
        self.finished = now(self.epoch);
    }
}

fn now(epoch: Option<i64>) -> Timestamp {
    epoch.map_or_else(|| Timestamp::from(std::time::SystemTime::now()), Timestamp::from_secs)
}

/// What is attested of a result; `files` are its files.
pub(super) fn statements(
    wanted: &Attestations,
    story: &Story,
    product: &Product,
    files: impl FnOnce() -> Result<OwnedFd>,
) -> Result<Vec<Predicate>> {
    let mut statements = Vec::new();
    if wanted.packages {
        statements.push(packages::statement(product, files()?)?);
    }
    if let Some(provenance) = &wanted.provenance {
        statements.push(provenance::statement(provenance, story, product)?);
    }
    Ok(statements)
}
