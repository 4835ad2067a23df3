//! From a reference to the one manifest for a platform, through indexes that may lie inside one another.

use hako_model::digest::Digest;
use hako_model::image::{Descriptor, INDEX_DEPTH, ImageConfig, Index, Manifest, ManifestOrIndex};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_registry::{Document, Repository};

use super::failure;
use crate::{Error, Result};

/// The manifest for a platform, as received and taken apart.
pub(super) struct Chosen {
    pub(super) document: Document,
    pub(super) manifest: Manifest,
}

/// Follows indexes from a document down to the manifest that serves a platform best.
pub(super) async fn choose(
    repository: &Repository,
    reference: &Reference,
    document: Document,
    platform: &Platform,
) -> Result<Chosen> {
    let mut document = document;
    let mut seen: Vec<Digest> = Vec::new();
    loop {
        let index = match parse(&document)? {
            ManifestOrIndex::Manifest(manifest) => return Ok(Chosen { document, manifest }),
            ManifestOrIndex::Index(index) => index,
        };
        seen.push(document.digest.clone());
        let next = best(&index, platform)?;
        if seen.len() > INDEX_DEPTH || seen.contains(&next.digest) {
            return Err(Error::invalid(format!(
                "{}: its indexes lie inside one another without end",
                reference.familiar()
            )));
        }
        document = child(repository, reference, &next).await?;
    }
}

fn best(index: &Index, platform: &Platform) -> Result<Descriptor> {
    let chosen = platform.choose(&index.manifests);
    chosen
        .cloned()
        .ok_or_else(|| Error::not_found(format!("no matching manifest for {platform} in the manifest list entries")))
}

/// What an index points to: it must be as long as the index says, and of the kind it says.
async fn child(repository: &Repository, reference: &Reference, descriptor: &Descriptor) -> Result<Document> {
    let mut document =
        repository.manifest(&descriptor.digest).await.map_err(|error| failure::of_pull(&error, reference))?;
    let actual = document.bytes.len() as u64;
    if actual != descriptor.size {
        return Err(Error::invalid(format!(
            "manifest {} has {actual} bytes, its index says {}",
            descriptor.digest, descriptor.size
        )));
    }
    if !descriptor.media_type.is_empty() {
        document.media_type.clone_from(&descriptor.media_type);
    }
    Ok(document)
}

fn parse(document: &Document) -> Result<ManifestOrIndex> {
    document.parse().map_err(|error| Error::invalid(error.to_string()))
}

/// The configuration of a manifest that is an image's, checked against it.
pub(super) async fn configuration(
    repository: &Repository,
    reference: &Reference,
    manifest: &Manifest,
) -> Result<(Vec<u8>, ImageConfig)> {
    if !manifest.is_image() {
        return Err(Error::invalid(format!(
            "unsupported media type {}: {} is not an image",
            manifest.config.media_type,
            reference.familiar()
        )));
    }
    let bytes = repository.small_blob(&manifest.config).await.map_err(|error| failure::of_pull(&error, reference))?;
    let config = ImageConfig::parse(&bytes)?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != diff_ids {
        return Err(Error::invalid(format!(
            "{}: the manifest has {layers} layers, the configuration {diff_ids}",
            reference.familiar()
        )));
    }
    Ok((bytes, config))
}
