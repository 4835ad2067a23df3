//! Writing archives, as Docker 28 does: an OCI layout, with `manifest.json` and `repositories` for older readers.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufWriter, Read, Write};

use hako_model::digest::Digest;
use hako_model::image::media::{self, Compression};
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, Index, Manifest};
use hako_model::reference::Reference;

use super::Saved;
use super::describe::{Described, blob_name, named};
use crate::hash::HashReader;
use crate::tar::{Entry, Kind, Writer};
use crate::{Bundle, ChainId, Error, Hasher, Image, Result, Store};

/// Writes an archive, each blob once.
struct Archive<'a, W: Write> {
    store: &'a Store,
    writer: Writer<W>,
    written: HashSet<Digest>,
    index: Vec<Descriptor>,
    images: Vec<Described>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

pub(super) fn run(store: &Store, images: &[Saved], out: impl Write) -> Result<()> {
    let writer = Writer::new(BufWriter::with_capacity(256 << 10, out));
    let mut archive = Archive {
        store,
        writer,
        written: HashSet::new(),
        index: Vec::new(),
        images: Vec::new(),
        repositories: BTreeMap::new(),
    };
    archive.directory("blobs/")?;
    archive.directory("blobs/sha256/")?;
    for saved in images {
        let image = store.images().get(&saved.id)?;
        match &saved.bundle {
            Some(bundle) if bundle.manifest().is_none() => archive.bundle(&image, bundle, &saved.references)?,
            bundle => {
                let own = match bundle.as_ref().and_then(Bundle::manifest) {
                    Some(own) => Some(own.clone()),
                    None => store.images().manifest(&image.id)?,
                };
                archive.image(&Image { manifest: own, ..image }, &saved.references)?;
            }
        }
    }
    archive.finish()
}

fn member(name: &str, kind: Kind, mode: u32) -> Entry {
    Entry { mode, ..Entry::new(name, kind) }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::malformed("archive", error.to_string()))
}

impl<W: Write> Archive<'_, W> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.writer.header(&member(name, Kind::Directory, 0o755))
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.writer.bytes(&member(name, Kind::Regular, 0o644), bytes)
    }

    fn blob(&mut self, digest: &Digest, size: u64, content: &mut dyn Read) -> Result<()> {
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        let entry = Entry { size, ..member(&blob_name(digest), Kind::Regular, 0o644) };
        self.writer.member(&entry, content)
    }

    /// Writes a blob as it is kept. What the disk has spoilt is found here, not by whoever relies on the archive.
    fn kept(&mut self, digest: &Digest, size: u64) -> Result<()> {
        let mut content = HashReader::new(self.store.blobs().open(digest)?, digest.algorithm());
        let known = self.written.contains(digest);
        self.blob(digest, size, &mut content)?;
        let (actual, _) = content.finish();
        if !known && actual != *digest {
            return Err(Error::DigestMismatch { what: "stored blob".to_owned(), actual, expected: digest.clone() });
        }
        Ok(())
    }

    fn image(&mut self, image: &Image, references: &[String]) -> Result<()> {
        let mut layers = Vec::with_capacity(image.layers.len());
        for chain_id in &image.layers {
            layers.push(self.layer(chain_id)?);
        }
        let config = self.store.images().config_bytes(&image.id)?;
        self.blob(&image.id, config.len() as u64, &mut &config[..])?;
        let manifest = self.manifest(image, config.len() as u64, &layers)?;
        let manifest = Descriptor { platform: Some(image.config.platform()), ..manifest };
        self.point(image, manifest, references);
        self.describe(image, &layers, references);
        Ok(())
    }

    /// Writes an index with all that is in it. Readers that know no index find the image that names lead to.
    fn bundle(&mut self, image: &Image, bundle: &Bundle, references: &[String]) -> Result<()> {
        let bad = |digest: &Digest| Error::malformed(format!("index {digest}"), "it is not readable".to_owned());
        let bytes = self.store.blobs().read(&bundle.index.digest, DOCUMENT_LIMIT)?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|_| bad(&bundle.index.digest))?;
        let mut own = Vec::new();
        for descriptor in &index.manifests {
            let bytes = self.store.blobs().read(&descriptor.digest, DOCUMENT_LIMIT)?;
            let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|_| bad(&descriptor.digest))?;
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                self.kept(&blob.digest, blob.size)?;
            }
            self.kept(&descriptor.digest, descriptor.size)?;
            if manifest.config.digest == image.id {
                own = manifest.layers;
            }
        }
        self.kept(&bundle.index.digest, bundle.index.size)?;
        self.point(image, bundle.index.clone(), references);
        self.describe(image, &own, references);
        Ok(())
    }

    /// Writes a layer as it is kept; returns its descriptor.
    fn layer(&mut self, chain_id: &ChainId) -> Result<Descriptor> {
        let layers = self.store.layers();
        let layer = layers.get(chain_id).ok_or_else(|| Error::not_found("layer", chain_id.as_str()))?;
        let kept = layer.blobs.iter().find(|blob| self.store.blobs().contains(&blob.digest));
        if let Some(blob) = kept {
            let descriptor = Descriptor::new(oci_type(&blob.media_type), blob.digest.clone(), blob.size);
            self.kept(&blob.digest, blob.size)?;
            return Ok(descriptor);
        }
        if !self.written.contains(&layer.diff_id) {
            self.blob(&layer.diff_id, layer.tar_size, &mut layers.tar(chain_id)?)?;
        }
        Ok(Descriptor::new(media::OCI_LAYER, layer.diff_id, layer.tar_size))
    }

    /// The image's own manifest when it names just these layers, otherwise a new one.
    fn manifest(&mut self, image: &Image, config_size: u64, layers: &[Descriptor]) -> Result<Descriptor> {
        let config = Descriptor::new(media::OCI_CONFIG, image.id.clone(), config_size);
        let read = |own: &Descriptor| self.store.blobs().read(&own.digest, DOCUMENT_LIMIT);
        if let Some(own) = &image.manifest
            && let bytes = read(own)?
            && names(&bytes, layers)
        {
            self.blob(&own.digest, bytes.len() as u64, &mut &bytes[..])?;
            return Ok(own.clone());
        }
        let bytes = json(&Manifest::new(media::OCI_MANIFEST, config, layers.to_vec()))?;
        let digest = Hasher::digest(&bytes);
        self.blob(&digest, bytes.len() as u64, &mut &bytes[..])?;
        Ok(Descriptor::new(media::OCI_MANIFEST, digest, bytes.len() as u64))
    }

    fn point(&mut self, image: &Image, manifest: Descriptor, references: &[String]) {
        if references.is_empty() {
            self.index.push(manifest.clone());
        }
        for reference in references {
            let full = Reference::parse(reference).map_or_else(|_| reference.clone(), |parsed| parsed.to_string());
            self.index.push(named(manifest.clone(), reference, &full));
            if let (Some((repository, tag)), Some(top)) = (reference.rsplit_once(':'), image.layers.last()) {
                let tags = self.repositories.entry(repository.to_owned()).or_default();
                tags.insert(tag.to_owned(), top.hex().to_owned());
            }
        }
    }

    fn describe(&mut self, image: &Image, layers: &[Descriptor], references: &[String]) {
        let diff_ids = image.config.rootfs.diff_ids.iter().cloned();
        self.images.push(Described {
            config: blob_name(&image.id),
            repo_tags: Some(references.to_vec()).filter(|list| !list.is_empty()),
            layers: Some(layers.iter().map(|layer| blob_name(&layer.digest)).collect()),
            layer_sources: Some(diff_ids.zip(layers.iter().cloned()).collect()),
            manifest: None,
        });
    }

    fn finish(mut self) -> Result<()> {
        let index = json(&Index::new(media::OCI_INDEX, std::mem::take(&mut self.index)))?;
        self.document("index.json", &index)?;
        let images = json(&self.images)?;
        self.document("manifest.json", &images)?;
        self.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !self.repositories.is_empty() {
            let repositories = json(&self.repositories)?;
            self.document("repositories", &repositories)?;
        }
        self.writer.finish().map(|_| ())
    }
}

/// Whether a manifest names exactly these layers.
fn names(bytes: &[u8], layers: &[Descriptor]) -> bool {
    let same =
        |manifest: &Manifest| manifest.layers.iter().map(|layer| &layer.digest).eq(layers.iter().map(|l| &l.digest));
    serde_json::from_slice::<Manifest>(bytes).is_ok_and(|manifest| same(&manifest))
}

/// The OCI media type of a layer with this one.
fn oci_type(media_type: &str) -> &'static str {
    let compression = match media_type {
        zstd if zstd.ends_with("zstd") => Compression::Zstd,
        gzip if gzip.ends_with("gzip") => Compression::Gzip,
        _ => Compression::None,
    };
    compression.oci_layer()
}
