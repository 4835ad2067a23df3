//! Images and the references that point to them. An image's id is the digest of its configuration.

use std::path::PathBuf;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::image::{Descriptor, ImageConfig};
use hako_model::time::Timestamp;

use crate::{ChainId, Result};

/// The images of a store. Cheap to clone.
///
/// References are whole texts, `docker.io/library/nginx:latest` or `docker.io/library/nginx@sha256:…`; the store looks
/// no deeper than the `@`.
#[derive(Clone)]
pub struct Images {}

/// An image as it is now.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// The manifest it came with, when it came with one.
    pub manifest: Option<Descriptor>,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Its layers, lowest first.
    pub layers: Vec<ChainId>,
    /// The bytes of all its layers' files: Docker's `Size`.
    pub size: u64,
    /// References with a tag, sorted.
    pub tags: Vec<String>,
    /// References with a digest, sorted.
    pub digests: Vec<String>,
    /// The local image it was committed or built from.
    pub parent: Option<Digest>,
    /// When it was made, from its configuration.
    pub created: Timestamp,
    /// When it last got a tag.
    pub tagged: Timestamp,
    /// Why its record or configuration cannot be read; it can still be removed.
    pub damage: Option<String>,
}

/// An image to be added.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// The configuration's exact bytes.
    pub config: Vec<u8>,
    /// The manifest's exact bytes and media type.
    pub manifest: Option<(Vec<u8>, String)>,
    /// The local image it was made from.
    pub parent: Option<Digest>,
}

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// References removed.
    pub untagged: Vec<String>,
    /// The images removed, children first.
    pub images: Vec<Digest>,
    /// Layers removed, topmost first.
    pub layers: Vec<ChainId>,
    /// Bytes given back on disk.
    pub reclaimed: u64,
}

impl Images {
    /// Adds an image, all of whose layers are in place. Everything it needs is on the disk when this returns.
    /// Adding what is here already is fine.
    pub fn add(&self, image: NewImage) -> Result<Image> {
        let _ = image;
        todo!()
    }

    /// All images, newest first; damaged ones too.
    pub fn list(&self) -> Vec<Image> {
        todo!()
    }

    /// The image with this id.
    pub fn get(&self, id: &Digest) -> Result<Image> {
        let _ = id;
        todo!()
    }

    /// The image whose id begins with these hex digits (with or without `sha256:`); several matches are `Ambiguous`.
    pub fn by_prefix(&self, prefix: &str) -> Result<Image> {
        let _ = prefix;
        todo!()
    }

    /// The image a reference points to.
    pub fn by_reference(&self, reference: &str) -> Result<Image> {
        let _ = reference;
        todo!()
    }

    /// Points a reference to an image; returns where it pointed before.
    pub fn tag(&self, reference: &str, id: &Digest) -> Result<Option<Digest>> {
        let _ = (reference, id);
        todo!()
    }

    /// Removes a reference; returns the image it pointed to, which stays.
    pub fn untag(&self, reference: &str) -> Result<Digest> {
        let _ = reference;
        todo!()
    }

    /// Images made from this one.
    pub fn children(&self, id: &Digest) -> Vec<Digest> {
        let _ = id;
        todo!()
    }

    /// Removes an image with all its references, and every layer and blob nobody else needs or pins. With `prune_parents`
    /// untagged parents without other children go too. Whether it may be removed is the caller's decision.
    pub fn delete(&self, id: &Digest, prune_parents: bool) -> Result<Deleted> {
        let _ = (id, prune_parents);
        todo!()
    }

    /// The configuration's exact bytes.
    pub fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>> {
        let _ = id;
        todo!()
    }

    /// The manifest's exact bytes and media type, when the image came with one.
    pub fn manifest_bytes(&self, id: &Digest) -> Result<Option<(Vec<u8>, String)>> {
        let _ = id;
        todo!()
    }

    /// The directories to mount, topmost first.
    pub fn lowers(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        let _ = id;
        todo!()
    }
}
