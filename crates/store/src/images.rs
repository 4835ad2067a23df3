//! Images and the references that point to them. An image's id is the digest of its configuration.
//!
//! `images/records/HEX.json` holds what the configuration does not say, `images/references/NAME.json` one reference each.

mod record;
mod removal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use hako_model::digest::Digest;
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, ImageConfig};
use hako_model::time::Timestamp;

pub use record::Bundle;
pub(crate) use record::{ImageEntry, ReferenceRecord};

use crate::index::Index;
use crate::layers::chain_ids;
use crate::store::Shared;
use crate::{Blobs, ChainId, Error, Layers, Result};

/// How references begin that only keep an index. No name of an image begins so: that would have a domain first.
const UNTAGGED: &str = "untagged@";

/// The images of a store. Cheap to clone.
///
/// References are whole texts, `docker.io/library/nginx:latest` or `docker.io/library/nginx@sha256:…`; the store looks
/// no deeper than the `@`.
#[derive(Clone)]
pub struct Images {
    pub(crate) shared: Arc<Shared>,
}

/// An image as it is now.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// The manifest it came with, when it came with one; or that of the reference it was reached by.
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
    /// The index it was reached by; not by reference, that of its newest reference that has one.
    pub bundle: Option<Bundle>,
    /// Whether it is in the index of a reference that leads to another image.
    pub member: bool,
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
    fn blobs(&self) -> Blobs {
        Blobs { shared: self.shared.clone() }
    }

    fn layers(&self) -> Layers {
        Layers { shared: self.shared.clone() }
    }

    /// Adds an image, all of whose layers are in place. Everything it needs is on the disk when this returns.
    /// Adding what is here already is fine (a manifest it lacked is added to it).
    pub fn add(&self, image: NewImage) -> Result<Image> {
        let config = ImageConfig::parse(&image.config).map_err(|error| Error::malformed("image", error.to_string()))?;
        let layers = chain_ids(&config.rootfs.diff_ids);
        let size = self.size_of(&layers)?;
        let id = self.blobs().put(&image.config)?;
        let manifest = self.put_manifest(image.manifest)?;
        let (before, parent) = match self.shared.index().images.get(&id) {
            Some(known) => (known.manifest.clone(), known.parent.clone()),
            None => (None, None),
        };
        let (manifest, parent) = (before.or(manifest), parent.or(image.parent));
        let entry =
            ImageEntry { id: id.clone(), manifest, layers, size, parent, config: Arc::new(config), damage: None };
        // Content first, then the record that promises it.
        self.shared.sync()?;
        entry.write(&self.shared)?;
        self.layers().seal(&entry.layers)?;
        self.shared.index().images.insert(id.clone(), Arc::new(entry));
        self.get(&id)
    }

    fn size_of(&self, layers: &[ChainId]) -> Result<u64> {
        let index = self.shared.index();
        let size = |id| index.layers.get(id).map(|layer| layer.size);
        layers.iter().map(|id| size(id).ok_or_else(|| Error::not_found("layer", id.as_str()))).sum()
    }

    fn put_manifest(&self, manifest: Option<(Vec<u8>, String)>) -> Result<Option<Descriptor>> {
        let Some((bytes, media_type)) = manifest else { return Ok(None) };
        let digest = self.blobs().put(&bytes)?;
        Ok(Some(Descriptor::new(&media_type, digest, bytes.len() as u64)))
    }

    /// When the image was last pulled, made or used for a container.
    pub fn used(&self, id: &Digest) -> SystemTime {
        let times = std::fs::metadata(ImageEntry::path(&self.shared, id)).and_then(|meta| meta.modified());
        times.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Takes note that the image is used now.
    pub fn touch(&self, id: &Digest) {
        let file = std::fs::File::options().write(true).open(ImageEntry::path(&self.shared, id));
        // Only who goes first when the disk is short hangs on it.
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// All images, newest first; damaged ones too.
    pub fn list(&self) -> Vec<Image> {
        let index = self.shared.index();
        let mut images: Vec<Image> = index.images.values().map(|entry| view(entry, &index, &self.shared)).collect();
        images.sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        images
    }

    /// The image with this id.
    pub fn get(&self, id: &Digest) -> Result<Image> {
        let index = self.shared.index();
        let entry = index.images.get(id).ok_or_else(|| Error::not_found("image", id.as_str()))?;
        Ok(view(entry, &index, &self.shared))
    }

    /// The image whose id begins with these hex digits (with or without `sha256:`); several matches are `Ambiguous`.
    pub fn by_prefix(&self, prefix: &str) -> Result<Image> {
        let hex = prefix.strip_prefix("sha256:").unwrap_or(prefix);
        let matching: Vec<Digest> = {
            let index = self.shared.index();
            index.images.keys().filter(|id| !hex.is_empty() && id.hex().starts_with(hex)).cloned().collect()
        };
        match &matching[..] {
            [] => Err(Error::not_found("image", prefix)),
            [id] => self.get(id),
            _ => Err(Error::Ambiguous { kind: "image", name: prefix.to_owned() }),
        }
    }

    /// The image a reference points to.
    pub fn by_reference(&self, reference: &str) -> Result<Image> {
        let found = self.shared.index().references.get(reference).cloned();
        let found = found.ok_or_else(|| Error::not_found("image", reference))?;
        let index = self.shared.index();
        let entry = index.images.get(&found.image).ok_or_else(|| Error::not_found("image", reference))?;
        let manifest = manifest_of(entry, found.bundle.as_ref());
        Ok(Image { bundle: found.bundle, manifest, ..view(entry, &index, &self.shared) })
    }

    /// All references with the ids they point to, sorted.
    pub fn references(&self) -> Vec<(String, Digest)> {
        let index = self.shared.index();
        let named = index.references.iter().filter(|(name, _)| !name.starts_with(UNTAGGED));
        named.map(|(name, pointer)| (name.clone(), pointer.image.clone())).collect()
    }

    /// Points a reference to an image; returns where it pointed before.
    pub fn tag(&self, reference: &str, id: &Digest) -> Result<Option<Digest>> {
        self.tag_bundle(reference, id, None)
    }

    /// The same for an image that comes with an index, whose images and blobs are in place. They are kept as long as the
    /// reference is.
    pub fn tag_bundle(&self, reference: &str, id: &Digest, bundle: Option<Bundle>) -> Result<Option<Digest>> {
        if bundle.is_some() {
            self.shared.sync()?;
        }
        let mut index = self.shared.index();
        if !index.images.contains_key(id) {
            return Err(Error::not_found("image", id.as_str()));
        }
        let time = Timestamp::from(SystemTime::now());
        let record = ReferenceRecord { reference: reference.to_owned(), image: id.clone(), time, bundle };
        match index.references.get(reference).filter(|before| before.says_as(&record)) {
            // Where it points is on the disk already: that it was said again is no promise to be kept through a power cut.
            Some(_) => record.touch(&self.shared),
            None => record.write(&self.shared)?,
        }
        Ok(index.references.insert(reference.to_owned(), record).map(|before| before.image))
    }

    /// Keeps an index that has no name, as long as its image stays.
    pub fn keep_bundle(&self, id: &Digest, bundle: Bundle) -> Result<()> {
        let reference = format!("{UNTAGGED}{}", bundle.index.digest);
        self.tag_bundle(&reference, id, Some(bundle)).map(drop)
    }

    /// The other images of all indexes that references to this image have.
    pub fn kin(&self, id: &Digest) -> Vec<Digest> {
        let index = self.shared.index();
        let bundles = index.references.values().filter(|record| record.image == *id).filter_map(|r| r.bundle.clone());
        let mut kin: Vec<Digest> =
            bundles.flat_map(|bundle| bundle.images.clone()).filter(|other| other != id).collect();
        kin.sort();
        kin.dedup();
        kin
    }

    /// Removes a reference; returns the image it pointed to, which stays.
    pub fn untag(&self, reference: &str) -> Result<Digest> {
        let mut index = self.shared.index();
        self.untag_in(&mut index, reference)
    }

    fn untag_in(&self, index: &mut Index, reference: &str) -> Result<Digest> {
        let Some(record) = index.references.get(reference) else {
            return Err(Error::not_found("image", reference));
        };
        let image = record.image.clone();
        ReferenceRecord::remove(&self.shared, reference)?;
        index.references.remove(reference);
        Ok(image)
    }

    /// Images made from this one.
    pub fn children(&self, id: &Digest) -> Vec<Digest> {
        let index = self.shared.index();
        index.images.values().filter(|image| image.parent.as_ref() == Some(id)).map(|image| image.id.clone()).collect()
    }

    /// The configuration's exact bytes.
    pub fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>> {
        self.get(id)?;
        self.blobs().read(id, DOCUMENT_LIMIT)
    }

    /// The manifest an image came with, whatever references to it have.
    pub fn manifest(&self, id: &Digest) -> Result<Option<Descriptor>> {
        let index = self.shared.index();
        let entry = index.images.get(id).ok_or_else(|| Error::not_found("image", id.as_str()))?;
        Ok(entry.manifest.clone())
    }

    /// The manifest's exact bytes and media type, when the image came with one.
    pub fn manifest_bytes(&self, id: &Digest) -> Result<Option<(Vec<u8>, String)>> {
        let Some(manifest) = self.manifest(id)? else { return Ok(None) };
        let bytes = self.blobs().read(&manifest.digest, DOCUMENT_LIMIT)?;
        Ok(Some((bytes, manifest.media_type)))
    }

    /// The directories to mount, topmost first.
    pub fn lowers(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        match self.get(id)?.layers.last() {
            Some(top) => self.layers().lowers(top),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn read_records(&self) -> Result<()> {
        let images = record::read_images(&self.shared)?;
        let references = record::read_references(&self.shared)?;
        let mut index = self.shared.index();
        index.images = images.into_iter().map(|image| (image.id.clone(), Arc::new(image))).collect();
        let known = references.into_iter().filter(|record| index.images.contains_key(&record.image));
        index.references = known.map(|record| (record.reference.clone(), record)).collect();
        Ok(())
    }
}

/// The manifest of an image that was reached by a reference.
fn manifest_of(entry: &ImageEntry, bundle: Option<&Bundle>) -> Option<Descriptor> {
    bundle.and_then(Bundle::manifest).or(entry.manifest.as_ref()).cloned()
}

/// An image with what points to it.
fn view(entry: &ImageEntry, index: &Index, shared: &Shared) -> Image {
    let pointing: Vec<&ReferenceRecord> = index.references.values().filter(|record| record.image == entry.id).collect();
    let names = |digest: bool| -> Vec<String> {
        let names = pointing.iter().map(|record| &record.reference);
        names.filter(|name| name.contains('@') == digest && !name.starts_with(UNTAGGED)).cloned().collect()
    };
    let newest = pointing.iter().filter(|record| record.bundle.is_some()).max_by_key(|record| record.time);
    let bundle = newest.and_then(|record| record.bundle.clone());
    let holds = |record: &ReferenceRecord| record.bundle.as_ref().is_some_and(|it| it.images.contains(&entry.id));
    let missing = entry.layers.iter().find(|id| !index.layers.contains_key(id));
    let damage = missing.map(|id| format!("layer {id} is missing below {}", shared.root.display()));
    Image {
        id: entry.id.clone(),
        manifest: manifest_of(entry, bundle.as_ref()),
        config: entry.config.clone(),
        layers: entry.layers.clone(),
        size: entry.size,
        tags: names(false),
        digests: names(true),
        parent: entry.parent.clone(),
        created: entry.config.created.as_deref().and_then(|text| Timestamp::parse(text).ok()).unwrap_or_default(),
        tagged: pointing.iter().map(|record| record.time).max().unwrap_or_default(),
        bundle,
        member: index.references.values().any(|record| record.image != entry.id && holds(record)),
        damage: entry.damage.clone().or(damage),
    }
}

#[cfg(test)]
pub(crate) mod tests;
