//! Build caches outside of the daemon: in registries, in images, in directories of a client's.

mod document;
mod export;
mod import;
mod pack;

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
    /// Which cache mounts go along.
    pub mounts: Carried,
}

impl CacheTarget {
    /// `mounts` is what the attribute of that name says, if it is there.
    pub fn new(place: Outside, max: bool, mounts: Option<&str>) -> Result<Self> {
        let mounts = Carried::parse(mounts.unwrap_or_default());
        if matches!(place, Outside::Inline) && mounts != Carried::None {
            return Err(Error::invalid(
                "an inline cache lies in the image's configuration and cannot hold cache mounts: keep them by type=registry or \
                 type=local",
            ));
        }
        Ok(Self { place, max, mounts })
    }
}

/// Which cache mounts go into a cache outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Carried {
    /// None of them, as with BuildKit.
    #[default]
    None,
    /// All that the build's steps have.
    All,
    /// Those with these ids.
    Named(Vec<String>),
}

impl Carried {
    /// `true`, `false`, or ids with commas between.
    fn parse(text: &str) -> Self {
        match text.trim() {
            "" | "false" | "0" => Self::None,
            "true" | "1" => Self::All,
            ids => Self::Named(ids.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()),
        }
    }

    fn has(&self, id: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(ids) => ids.iter().any(|own| own == id),
        }
    }

    /// Refuses ids that no mount has.
    fn check<'a>(&self, known: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        let Self::Named(ids) = self else { return Ok(()) };
        match ids.iter().find(|id| !known.clone().any(|known| known == id.as_str())) {
            Some(id) => Err(Error::invalid(format!("no step of the build has a cache mount with the id {id:?}"))),
            None => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_mounts_go_along_only_where_asked() {
        let table: [(Option<&str>, &[&str]); 6] = [
            (None, &[]),
            (Some("false"), &[]),
            (Some("true"), &["/a", "b"]),
            (Some("/a"), &["/a"]),
            (Some("b, /a"), &["/a", "b"]),
            (Some("0"), &[]),
        ];
        for (text, expected) in table {
            let target = CacheTarget::new(Outside::Registry("r".to_owned()), true, text).unwrap();
            let going: Vec<&str> = ["/a", "b"].into_iter().filter(|id| target.mounts.has(id)).collect();
            assert_eq!(going, expected, "{text:?}");
            assert!(target.mounts.check(["/a", "b"].into_iter()).is_ok());
        }
        let wrong = Carried::parse("b,c").check(["/a", "b"].into_iter()).unwrap_err();
        assert_eq!(wrong.to_string(), "no step of the build has a cache mount with the id \"c\"");
        assert!(CacheTarget::new(Outside::Inline, false, Some("false")).is_ok());
        assert!(CacheTarget::new(Outside::Inline, false, Some("true")).unwrap_err().to_string().contains("inline"));
    }
}
