//! The verbs that only ask a registry: login and distribution.

use hako_model::image::{Index, ManifestOrIndex};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_registry::{Access, Document, Repository};

use super::answer::{Credential, Distribution, Login};
use super::{Images, failure};
use crate::{Error, Result};

impl Images {
    /// Checks credentials with their registry.
    pub async fn login(&self, credential: Credential) -> Result<Login> {
        let server = credential.serveraddress.clone();
        let outcome = self.room.client.login(&credential).await;
        let identity_token = outcome.map_err(|error| match error.status() {
            Some(400..=403) => Error::unauthorized(format!("Get {:?}: {error}", address(&server))),
            _ => failure::of_registry(&error),
        })?;
        Ok(Login { status: "Login Succeeded".to_owned(), identity_token })
    }

    /// What the registry has under a name.
    pub async fn distribution(&self, name: &str, credential: Option<Credential>) -> Result<Distribution> {
        let reference = Reference::parse_tagged(name)?;
        let refused = |error: hako_registry::Error| failure::of_pull(&error, &reference);
        let repository =
            self.room.client.repository(&reference, credential.as_ref(), &Access::Pull).map_err(refused)?;
        let document = fetch(&repository, &reference).await.map_err(refused)?;
        let platforms = match document.parse().map_err(refused)? {
            ManifestOrIndex::Index(index) => platforms(&index),
            ManifestOrIndex::Manifest(manifest) => {
                let bytes = repository.small_blob(&manifest.config).await.map_err(refused)?;
                vec![hako_model::image::ImageConfig::parse(&bytes)?.platform()]
            }
        };
        Ok(Distribution { descriptor: document.descriptor(), platforms })
    }
}

/// The address a login is tried at, for messages.
fn address(server: &str) -> String {
    let host = server.trim_start_matches("https://").trim_start_matches("http://").split('/').next();
    match host.unwrap_or_default() {
        "" | "index.docker.io" | "docker.io" => "https://registry-1.docker.io/v2/".to_owned(),
        host => format!("https://{host}/v2/"),
    }
}

/// The document a reference means: by its digest, else by its tag.
pub(crate) async fn fetch(repository: &Repository, reference: &Reference) -> hako_registry::Result<Document> {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => repository.manifest(digest).await,
        (None, tag) => repository.tagged(tag.unwrap_or(hako_model::reference::DEFAULT_TAG)).await,
    }
}

fn platforms(index: &Index) -> Vec<Platform> {
    index.manifests.iter().filter_map(|manifest| manifest.platform.clone()).collect()
}
