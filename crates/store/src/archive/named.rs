//! What names of an archive lead to besides an image: an index that is there as a whole, or a manifest that says more than
//! others. An index of which a part is missing is left out, and with it the images of other platforms.

use hako_model::digest::Digest;
use hako_model::image::{Descriptor, Index, Manifest, ManifestOrIndex};

use super::describe::{self, blob_name};
use super::load;
use super::member::{Members, verified};
use super::{Load, Named};
use crate::{Bundle, Error, Result, Store};

/// What a descriptor says when it leads to something that is attested of an image.
const KIND: &str = "vnd.docker.reference.type";

/// Everything of that kind in an archive whose images are loaded. Who wants one platform gets none of it.
pub(super) fn named(store: &Store, members: &mut Members, options: &Load) -> Result<Vec<Named>> {
    let index = members.document("index.json").and_then(|bytes| serde_json::from_slice::<Index>(bytes).ok());
    let mut all = Vec::new();
    for descriptor in index.filter(|_| options.platform.is_none()).map(|index| index.manifests).unwrap_or_default() {
        let bundle = match document(members, &descriptor)? {
            Some((bytes, ManifestOrIndex::Index(index))) => {
                whole(store, members, options, &index)?.map(|(images, blobs)| (bytes, images, blobs))
            }
            Some((bytes, ManifestOrIndex::Manifest(manifest))) => {
                annotated(store, &descriptor, &manifest).map(|image| (bytes, vec![image], Vec::new()))
            }
            None => None,
        };
        let Some((bytes, images, blobs)) = bundle else { continue };
        store.blobs().put(&bytes)?;
        let reference = describe::reference(&descriptor).cloned();
        let index = describe::nameless(descriptor);
        all.push(Named { reference, bundle: Bundle { index, images, blobs } });
    }
    Ok(all)
}

/// A document that a descriptor leads to, if it is in the archive.
fn document(members: &Members, descriptor: &Descriptor) -> Result<Option<(Vec<u8>, ManifestOrIndex)>> {
    let name = blob_name(&descriptor.digest);
    let Some(bytes) = members.document(&name) else { return Ok(None) };
    let bytes = verified(&name, bytes)?;
    let bad = |error: hako_model::image::InvalidManifest| {
        Error::malformed(format!("archive member {name}"), error.to_string())
    };
    let parsed = ManifestOrIndex::parse(bytes, &descriptor.media_type).map_err(bad)?;
    Ok(Some((bytes.to_vec(), parsed)))
}

/// The image of a manifest that says more than others.
fn annotated(store: &Store, descriptor: &Descriptor, manifest: &Manifest) -> Option<Digest> {
    let says_more = !manifest.annotations.is_empty() || !describe::nameless(descriptor.clone()).annotations.is_empty();
    let here = manifest.layers.iter().all(|layer| store.blobs().contains(&layer.digest));
    let known = manifest.is_image() && store.images().get(&manifest.config.digest).is_ok();
    (says_more && here && known).then(|| manifest.config.digest.clone())
}

/// Loads all images of an index; none if something of it is missing. Gives them, and the blobs that belong to none of them.
fn whole(
    store: &Store,
    members: &mut Members,
    options: &Load,
    index: &Index,
) -> Result<Option<(Vec<Digest>, Vec<Digest>)>> {
    let mut parts = Vec::new();
    for descriptor in &index.manifests {
        let Some((bytes, ManifestOrIndex::Manifest(manifest))) = document(members, descriptor)? else {
            return Ok(None);
        };
        let wanted = manifest.layers.iter().chain([&manifest.config]);
        if !wanted.into_iter().all(|blob| members.has(&blob_name(&blob.digest)) || store.blobs().contains(&blob.digest))
        {
            return Ok(None);
        }
        parts.push((descriptor, bytes, manifest));
    }
    let (mut images, mut blobs) = (Vec::new(), Vec::new());
    for (descriptor, bytes, manifest) in parts {
        blobs.push(store.blobs().put(&bytes)?);
        if manifest.is_image() && !descriptor.annotations.contains_key(KIND) {
            let described = describe::described(&manifest, &bytes, descriptor);
            images.push(load::add(store, members, &described, options)?.id);
            continue;
        }
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let name = blob_name(&blob.digest);
            let bytes = members.document(&name).map(|bytes| verified(&name, bytes)).transpose()?;
            blobs.extend(bytes.map(|bytes| store.blobs().put(bytes)).transpose()?);
        }
    }
    let listed = index.manifests.iter().map(|descriptor| &descriptor.digest);
    let here = listed.chain(&blobs).all(|digest| store.blobs().contains(digest));
    Ok((here && !images.is_empty()).then_some((images, blobs)))
}
