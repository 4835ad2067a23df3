//! Build caches outside of the daemon: in registries, in images, in directories of a client's.

mod document;
mod export;
mod import;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::reference::Reference;
use hako_registry::{Access, Repository};

use super::desk::Desk;
use crate::images::{Credential, Images};
use crate::{Error, Result};

pub(super) use export::inlined;
pub(super) use import::Imports;

/// Where a cache is.
#[derive(Debug, Clone)]
pub enum Outside {
    /// Under a name in a registry: a cache of its own, or an image that holds one.
    Registry(String),
    /// An OCI layout in a directory.
    Folder(Arc<OwnedFd>),
    /// In the image that is made.
    Inline,
    /// In an image that is here.
    Image(String),
    /// In a directory that the client reads and writes itself.
    Client {
        /// What the client calls it.
        place: String,
        /// The manifest of what is there.
        manifest: Option<Digest>,
    },
}

impl std::fmt::Display for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(name) => f.write_str(name),
            Self::Folder(_) => f.write_str("a local directory"),
            Self::Inline => f.write_str("the image"),
            Self::Image(name) => f.write_str(name),
            Self::Client { place, .. } => f.write_str(place.strip_prefix("local:").unwrap_or(place)),
        }
    }
}

/// Where a build's cache goes.
#[derive(Debug, Clone)]
pub struct CacheTarget {
    /// Where to.
    pub place: Outside,
    /// With the layers of all stages that were built, not only those of the result.
    pub max: bool,
}

/// The caches of a build.
#[derive(Debug, Clone, Default)]
pub struct Caches {
    /// Where it takes results from, the first that has one.
    pub from: Vec<Outside>,
    /// Where its results go.
    pub to: Vec<CacheTarget>,
}

/// What gives credentials.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) desk: Option<Arc<dyn Desk>>,
}

impl Keys {
    async fn repository(&self, images: &Images, reference: &Reference, access: Access) -> Result<Repository> {
        let mut credential = self.credentials.get(reference.domain()).cloned();
        if let (None, Some(desk)) = (&credential, &self.desk) {
            credential = desk.credential(reference.domain()).await?;
        }
        images.repository(reference, credential.as_ref(), &access)
    }
}

fn broken(what: &str, error: impl std::fmt::Display) -> Error {
    Error::system(format!("{what}: {error}"))
}
