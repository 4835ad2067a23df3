//! Giving a build's layers to caches outside.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_builder::solve::Product;
use hako_builder::workshop::Cancel;
use hako_model::digest::Digest;
use hako_model::image::{Descriptor, media};
use hako_model::reference::{DEFAULT_TAG, Reference};
use hako_registry::{Access, Begun, Repository};
use hako_store::{Hasher, Store, chain_ids};
use hako_sys::confined::Root;
use serde_json::json;
use tokio::runtime::Handle;

use super::document::{CacheLayer, Document, INLINE};
use super::import::{blob_path, nameless};
use super::pack::{Content, Parcel, chosen, parcel, record};
use super::{CacheTarget, Keys, Outside, broken};
use crate::builds::{Builds, Made};
use crate::{Error, Result};

/// Stops what goes on in another thread when nobody waits for it any more.
struct Leash(Arc<Cancel>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Builds {
    /// Gives a result's layers to a cache outside; gives the manifest that stands there then.
    pub(in crate::builds) async fn give(
        &self,
        made: &[Made],
        target: &CacheTarget,
        keys: &Keys,
    ) -> Result<Option<Descriptor>> {
        let failed = |error: Error| broken(&format!("export cache to {}", target.place), error);
        if matches!(target.place, Outside::Inline) {
            return Ok(None);
        }
        let leash = Leash(Arc::default());
        let (builds, made, wanted) = (self.clone(), made.to_vec(), target.clone());
        let (keys_there, runtime, cancel) = (keys.clone(), Handle::current(), Arc::clone(&leash.0));
        let parcel = tokio::task::spawn_blocking(move || {
            let around = (&builds.house.store, &builds.images, &keys_there, &runtime);
            parcel(around, &builds.house.cache, &made, &wanted, &cancel)
        });
        let parcel = parcel.await.map_err(|e| Error::io("pack cache", e))?.map_err(failed)?;
        let size = parcel.manifest.len() as u64;
        let manifest = Descriptor::new(media::OCI_MANIFEST, Hasher::digest(&parcel.manifest), size);
        match &target.place {
            Outside::Registry(name) => self.push_cache(&parcel, name, keys).await.map_err(failed)?,
            Outside::Client { place, .. } => {
                self.lend_cache(&parcel, &manifest, place, keys).await.map_err(failed)?;
            }
            Outside::Folder(directory) => {
                let directory = directory.try_clone().map_err(|e| Error::io("open cache", e))?;
                let store = self.house.store.clone();
                let written = tokio::task::spawn_blocking(move || write(&store, &parcel, &Root::from_fd(directory)));
                written.await.map_err(|e| Error::io("write cache", e))?.map_err(failed)?;
            }
            Outside::Image(_) | Outside::Inline => {}
        }
        Ok(Some(manifest))
    }

    /// Gives everything to the client, which writes it.
    async fn lend_cache(&self, parcel: &Parcel, manifest: &Descriptor, place: &str, keys: &Keys) -> Result<()> {
        let desk = keys.desk.as_ref().ok_or_else(|| Error::invalid("the build has no session to write a cache by"))?;
        for (blob, content) in &parcel.blobs {
            desk.give(place, blob, self.opened(content).await?).await?;
        }
        for (blob, bytes) in [(&parcel.config.0, &parcel.config.1), (manifest, &parcel.manifest)] {
            let mut file = nameless(&self.house.store)?;
            let written = file.write_all(bytes).and_then(|()| std::io::Seek::rewind(&mut file));
            written.map_err(|e| Error::io("write cache", e))?;
            desk.give(place, blob, file).await?;
        }
        Ok(())
    }

    async fn opened(&self, content: &Content) -> Result<File> {
        let (store, content) = (self.house.store.clone(), content.clone());
        let opened = tokio::task::spawn_blocking(move || content.open(&store));
        opened.await.map_err(|e| Error::io("open layer", e))?
    }

    async fn push_cache(&self, parcel: &Parcel, name: &str, keys: &Keys) -> Result<()> {
        let reference = Reference::parse_tagged(name)?;
        let repository = keys.repository(&self.images, &reference, Access::Push { sources: Vec::new() }).await?;
        for (blob, content) in &parcel.blobs {
            if !has(&repository, blob).await? {
                send(&repository, blob, self.opened(content).await?).await?;
            }
        }
        if !has(&repository, &parcel.config.0).await? {
            let mut file = nameless(&self.house.store)?;
            file.write_all(&parcel.config.1).map_err(|e| Error::io("write cache", e))?;
            send(&repository, &parcel.config.0, file).await?;
        }
        let tag = reference.tag().unwrap_or(DEFAULT_TAG);
        let put = repository.put_manifest(tag, media::OCI_MANIFEST, &parcel.manifest).await;
        put.map(drop).map_err(|e| broken("registry", e))
    }
}

async fn has(repository: &Repository, blob: &Descriptor) -> Result<bool> {
    repository.has_blob(&blob.digest).await.map_err(|e| broken("registry", e))
}

async fn send(repository: &Repository, blob: &Descriptor, file: File) -> Result<()> {
    let refused = |e: hako_registry::Error| broken("registry", e);
    match repository.begin(&blob.digest, None).await.map_err(refused)? {
        Begun::Mounted => Ok(()),
        Begun::Open(upload) => repository.send(upload, blob, Arc::new(file), Arc::new(|_| {})).await.map_err(refused),
    }
}

/// An OCI layout.
fn write(store: &Store, parcel: &Parcel, root: &Root) -> Result<()> {
    let refused = |e: hako_sys::Error| broken("write cache", e);
    root.mkdir_all(Path::new("blobs/sha256"), 0o755).map_err(refused)?;
    for (blob, content) in &parcel.blobs {
        put(root, &blob_path(&blob.digest), &mut content.open(store)?)?;
    }
    put(root, &blob_path(&parcel.config.0.digest), &mut &parcel.config.1[..])?;
    let digest = Hasher::digest(&parcel.manifest);
    put(root, &blob_path(&digest), &mut &parcel.manifest[..])?;
    put(root, Path::new("oci-layout"), &mut &br#"{"imageLayoutVersion":"1.0.0"}"#[..])?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": [{
            "mediaType": media::OCI_MANIFEST,
            "digest": digest,
            "size": parcel.manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": DEFAULT_TAG},
        }],
    });
    put(root, Path::new("index.json"), &mut index.to_string().as_bytes())
}

/// Writes a file under another name first, so that there is never half of one.
fn put(root: &Root, path: &Path, content: &mut dyn std::io::Read) -> Result<()> {
    let refused = |e: hako_sys::Error| broken("write cache", e);
    let partial = path.with_extension("partial");
    // What an earlier export left half done.
    let _ = root.unlink(&partial);
    let mut file = root.create(&partial, 0o644).map_err(refused)?;
    std::io::copy(content, &mut file).map_err(|e| Error::io("write cache", e))?;
    root.rename(&partial, path).map_err(refused)
}

/// The cache as an image's configuration holds it: its own layers by their places.
pub(in crate::builds) fn inlined(product: &Product) -> Option<(String, serde_json::Value)> {
    let chain = chain_ids(&product.state.diff_ids);
    let layer = |(at, diff_id): (usize, &Digest)| CacheLayer {
        blob: diff_id.clone(),
        parent: i64::try_from(at).unwrap_or(0) - 1,
        annotations: None,
    };
    let layers = product.state.diff_ids.iter().enumerate().map(layer).collect();
    let steps = chosen(product, false);
    let records = steps.iter().filter_map(|step| Some(record(step, chain.iter().position(|own| *own == step.layer)?)));
    let document = Document { layers, records: records.collect(), ..Document::default() };
    let bytes = serde_json::to_vec(&document).ok()?;
    Some((INLINE.to_owned(), STANDARD.encode(bytes).into()))
}
