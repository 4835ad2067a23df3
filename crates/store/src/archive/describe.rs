//! The documents of an archive, read and written: which images it holds, by which names, of which layers.

use std::collections::BTreeMap;

use hako_model::digest::Digest;
use hako_model::image::{Descriptor, INDEX_DEPTH, Index, Manifest, ManifestOrIndex};
use serde::{Deserialize, Serialize};

use super::Load;
use super::member::{Members, verified};
use crate::{Error, Result};

/// One image of `manifest.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    /// The member that holds the configuration.
    pub(super) config: String,
    /// The image's tags.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// The members that hold the layers, lowest first.
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
    /// Descriptors of the layers by diff id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer_sources: Option<BTreeMap<Digest, Descriptor>>,
    /// The manifest the image came with: its exact text and type.
    #[serde(skip)]
    pub(super) manifest: Option<(Vec<u8>, String)>,
}

const NAME: &str = "io.containerd.image.name";
const TAG: &str = "org.opencontainers.image.ref.name";
const CREATED: &str = "org.opencontainers.image.created";

fn bad(name: &str, reason: impl ToString) -> Error {
    Error::malformed(format!("archive member {name}"), reason.to_string())
}

/// The images of an archive. `manifest.json` comes first: Docker writes both, and only it has the short tags.
pub(super) fn images(members: &Members, options: &Load) -> Result<Vec<Described>> {
    if let Some(bytes) = members.document("manifest.json") {
        return serde_json::from_slice(bytes).map_err(|error| bad("manifest.json", error));
    }
    let Some(bytes) = members.document("index.json") else {
        return Err(Error::malformed(
            "archive",
            "it has neither manifest.json nor index.json; is it an image archive?",
        ));
    };
    let index: Index = serde_json::from_slice(bytes).map_err(|error| bad("index.json", error))?;
    let mut found = Vec::new();
    for descriptor in &index.manifests {
        describe(members, descriptor, options, INDEX_DEPTH, &mut found)?;
    }
    Ok(merged(found))
}

fn describe(
    members: &Members,
    descriptor: &Descriptor,
    options: &Load,
    depth: usize,
    found: &mut Vec<Described>,
) -> Result<()> {
    let name = blob_name(&descriptor.digest);
    let bytes = members.document(&name).ok_or_else(|| bad(&name, "it is missing"))?;
    let bytes = verified(&name, bytes)?;
    let parsed = ManifestOrIndex::parse(bytes, &descriptor.media_type).map_err(|error| bad(&name, error))?;
    match parsed {
        ManifestOrIndex::Manifest(manifest) => {
            // Signatures and attestations are no images.
            if manifest.is_image() {
                found.push(described(&manifest, bytes, descriptor));
            }
            Ok(())
        }
        ManifestOrIndex::Index(_) if depth == 0 => Err(bad(&name, "indexes lie too deep inside one another")),
        ManifestOrIndex::Index(index) => {
            let platform = options.platform.clone().unwrap_or_else(hako_model::platform::Platform::host);
            // An archive of one platform often keeps an index that names others too.
            let here = |descriptor: &&Descriptor| members.document(&blob_name(&descriptor.digest)).is_some();
            let list: Vec<Descriptor> = index.manifests.iter().filter(here).cloned().collect();
            let chosen = platform.choose(&list).ok_or_else(|| bad(&name, format!("it has no image for {platform}")))?;
            let mut chosen = chosen.clone();
            chosen.annotations.extend(descriptor.annotations.clone());
            describe(members, &chosen, options, depth - 1, found)
        }
    }
}

/// The name that a descriptor says it has.
pub(super) fn reference(descriptor: &Descriptor) -> Option<&String> {
    let full = descriptor.annotations.get(NAME);
    // A reference name without a colon is a bare tag: nobody knows of what.
    full.or_else(|| descriptor.annotations.get(TAG).filter(|name| name.contains(':')))
}

/// A descriptor without what only says how it came into the archive.
pub(super) fn nameless(mut descriptor: Descriptor) -> Descriptor {
    descriptor.annotations.retain(|name, _| ![NAME, TAG, CREATED].contains(&name.as_str()));
    descriptor
}

pub(super) fn described(manifest: &Manifest, bytes: &[u8], descriptor: &Descriptor) -> Described {
    let named = reference(descriptor);
    Described {
        config: blob_name(&manifest.config.digest),
        repo_tags: Some(named.into_iter().cloned().collect()),
        layers: Some(manifest.layers.iter().map(|layer| blob_name(&layer.digest)).collect()),
        layer_sources: None,
        manifest: Some((bytes.to_vec(), descriptor.media_type.clone())),
    }
}

/// One entry per image, however many tags.
fn merged(list: Vec<Described>) -> Vec<Described> {
    let mut images: Vec<Described> = Vec::new();
    for next in list {
        match images.iter_mut().find(|image| image.config == next.config && image.manifest == next.manifest) {
            Some(image) => image.repo_tags.get_or_insert_default().extend(next.repo_tags.unwrap_or_default()),
            None => images.push(next),
        }
    }
    images
}

/// Where an OCI layout keeps a blob.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// An index entry for one name of an image.
pub(super) fn named(mut descriptor: Descriptor, reference: &str, full: &str) -> Descriptor {
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    descriptor.annotations.insert(NAME.to_owned(), full.to_owned());
    descriptor.annotations.insert(TAG.to_owned(), tag.to_owned());
    descriptor
}
