//! Taking layers from caches outside: a cache is asked for its list when the first step misses, and for a layer when a step's
//! key is on that list.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_builder::workshop::{Cancel, Recalled};
use hako_model::digest::Digest;
use hako_model::image::media;
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, ImageConfig, Index, Manifest, ManifestOrIndex};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_registry::{Access, Repository};
use hako_store::{HashReader, Hasher, Layer, Store, Unpack, chain_ids, unpack_folder};
use hako_sys::confined::Root;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::document::{CONFIG, Document, INLINE, Offer, Offers};
use super::{Keys, Outside, broken};
use crate::builds::desk::Desk;
use crate::images::{self, Images};
use crate::{Error, Result};

/// Caches that a build takes layers from. Opened when the first step asks.
pub(in crate::builds) struct Imports {
    from: Vec<Outside>,
    opened: Mutex<Option<Vec<Arc<Import>>>>,
}

/// One cache.
pub(super) struct Import {
    source: Source,
    offers: Offers,
}

/// What it takes to read caches.
pub(in crate::builds) type Around<'a> = (&'a Store, &'a Images, &'a Keys, &'a Handle);

enum Source {
    Registry(Repository),
    Folder(Root),
    /// An image that is here: its layers are, too.
    Here,
    Client(Arc<dyn Desk>, String),
}

impl Imports {
    pub(in crate::builds) fn new(from: Vec<Outside>) -> Self {
        Self { from, opened: Mutex::default() }
    }

    /// The caches that can be had. One that cannot be is told of and left out.
    fn opened(&self, (store, images, keys, runtime): Around<'_>, tell: &dyn Fn(&str)) -> Vec<Arc<Import>> {
        if self.from.is_empty() {
            return Vec::new();
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let caches = opened.get_or_insert_with(|| {
            let open = |place: &Outside| {
                let import = runtime.block_on(open(place, (store, images, keys)));
                import.map_err(|error| tell(&format!("cache {place} cannot be read: {error}"))).map(Arc::new).ok()
            };
            self.from.iter().filter_map(open).collect()
        });
        caches.clone()
    }

    /// The layer of a key, brought here.
    pub(in crate::builds) fn recall(
        &self,
        around: Around<'_>,
        key: &Digest,
        below: &[Digest],
        tell: &dyn Fn(&str),
    ) -> Option<Recalled> {
        self.opened(around, tell).iter().find_map(|cache| {
            let offer = cache.offers.steps.get(key)?;
            tell(&format!("importing layer {}", offer.blob.digest.short()));
            let layer = cache.fetch(around, offer, below);
            let layer = layer.map_err(|error| tell(&format!("layer {}: {error}", offer.blob.digest.short()))).ok()?;
            Some(Recalled { layer, created: offer.created.clone() })
        })
    }

    /// The content of a cache mount, unpacked in a directory.
    pub(in crate::builds) fn refill(
        &self,
        around: Around<'_>,
        mount: &Digest,
        scratch: &Path,
        (cancel, tell): (&Cancel, &dyn Fn(&str)),
    ) -> Option<PathBuf> {
        self.opened(around, tell).iter().enumerate().find_map(|(number, cache)| {
            let (id, offer) = cache.offers.mounts.get(mount)?;
            tell(&format!("importing cache mount {id} {}", offer.blob.digest.short()));
            let made = cache.unpack(around, offer, &scratch.join(number.to_string()), cancel);
            made.map_err(|error| tell(&format!("cache mount {id}: {error}"))).ok()
        })
    }

    /// The cache that has something of a cache mount.
    pub(super) fn with_mount(&self, around: Around<'_>, mount: &Digest) -> Option<(Arc<Import>, Offer)> {
        let caches = self.opened(around, &|text| tracing::warn!("{text}"));
        caches.into_iter().find_map(|cache| {
            let (_, offer) = cache.offers.mounts.get(mount).cloned()?;
            Some((cache, offer))
        })
    }
}

impl Import {
    fn fetch(&self, around: Around<'_>, offer: &Offer, below: &[Digest]) -> Result<Layer> {
        let store = around.0;
        let mut diff_ids = below.to_vec();
        diff_ids.push(offer.diff_id.clone());
        let chain = chain_ids(&diff_ids);
        let own = chain.last().ok_or_else(|| Error::system("a layer without a name"))?;
        if let Some(layer) = store.layers().get(own) {
            return Ok(layer);
        }
        let file = self.blob(store, &offer.blob, &Cancel::default(), around.3)?;
        // What it unpacks to is checked, whatever it was packed as.
        let options = Unpack { diff_id: Some(offer.diff_id.clone()), skeleton: true, ..Unpack::default() };
        let staged = store.layers().unpack(file, &options).map_err(|e| broken("unpack", e))?;
        let parent = chain.len().checked_sub(2).map(|at| &chain[at]);
        staged.place(parent, None).map_err(|e| broken("place", e))
    }

    fn unpack(&self, around: Around<'_>, offer: &Offer, into: &Path, cancel: &Cancel) -> Result<PathBuf> {
        std::fs::create_dir(into).map_err(|e| Error::io("make place for cache mount", e))?;
        let file = self.blob(around.0, &offer.blob, cancel, around.3)?;
        unpack_folder(Stoppable(file, cancel), into, &offer.diff_id).map_err(|e| broken("unpack", e))
    }

    /// The bytes of a blob; whether they are the right ones is for the caller to see.
    fn blob(&self, store: &Store, blob: &Descriptor, cancel: &Cancel, runtime: &Handle) -> Result<File> {
        match &self.source {
            Source::Folder(root) => root.open_regular(&blob_path(&blob.digest)).map_err(|e| broken("cache", e)),
            Source::Registry(repository) => runtime.block_on(download(store, repository, blob, cancel)),
            Source::Here => Err(Error::not_found("it stands on other layers here")),
            Source::Client(desk, place) => {
                runtime.block_on(taken(store, desk.as_ref(), place, &blob.digest, blob.size))
            }
        }
    }

    /// The bytes of a blob that goes on to another cache: they are what its digest says.
    pub(super) fn verified(&self, store: &Store, blob: &Descriptor, runtime: &Handle) -> Result<File> {
        let mut file = self.blob(store, blob, &Cancel::default(), runtime)?;
        let mut reader = HashReader::new(&mut file, blob.digest.algorithm());
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| Error::io("read cache", e))?;
        if reader.finish() != (blob.digest.clone(), blob.size) {
            return Err(Error::invalid(format!("{} of the cache has another digest", blob.digest)));
        }
        std::io::Seek::rewind(&mut file).map_err(|e| Error::io("read cache", e))?;
        Ok(file)
    }
}

/// Ends with an error when it is time to stop.
struct Stoppable<'a>(File, &'a Cancel);

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.1.is_set() {
            true => Err(std::io::Error::other("the build was stopped")),
            false => self.0.read(buffer),
        }
    }
}

/// Where an OCI layout has a blob.
pub(super) fn blob_path(digest: &Digest) -> std::path::PathBuf {
    Path::new("blobs").join(digest.algorithm().name()).join(digest.hex())
}

async fn download(store: &Store, repository: &Repository, blob: &Descriptor, cancel: &Cancel) -> Result<File> {
    let mut file = nameless(store)?;
    let mut download = repository.blob(blob, 0);
    let mut size = 0;
    let stopped = Arc::new(Notify::new());
    let waker = Arc::clone(&stopped);
    cancel.on_set(move || waker.notify_one());
    loop {
        // Who sends may have stopped sending.
        let piece = tokio::select! {
            piece = download.next() => piece.map_err(|e| broken("download", e))?,
            () = stopped.notified() => return Err(Error::system("the build was stopped")),
        };
        let Some(piece) = piece else { break };
        size += piece.len() as u64;
        if size > blob.size {
            return Err(Error::system(format!("blob {} is longer than {} bytes", blob.digest, blob.size)));
        }
        file.write_all(&piece).map_err(|e| Error::io("keep layer", e))?;
    }
    std::io::Seek::rewind(&mut file).map_err(|e| Error::io("keep layer", e))?;
    Ok(file)
}

/// A file that goes with whoever holds it.
pub(super) fn nameless(store: &Store) -> Result<File> {
    let scratch = store.scratch().map_err(|e| broken("make place for layer", e))?;
    let opened = File::options().read(true).write(true).create_new(true).open(scratch.join("blob"));
    // Swept at the next start otherwise.
    let _ = std::fs::remove_dir_all(&scratch);
    opened.map_err(|e| Error::io("make place for layer", e))
}

/// A blob of the client's.
async fn taken(store: &Store, desk: &dyn Desk, place: &str, digest: &Digest, limit: u64) -> Result<File> {
    let mut file = nameless(store)?;
    let into = file.try_clone().map_err(|e| Error::io("keep layer", e))?;
    desk.take(place, digest, limit, into).await?;
    std::io::Seek::rewind(&mut file).map_err(|e| Error::io("keep layer", e))?;
    Ok(file)
}

/// A document of the client's.
async fn read(store: &Store, desk: &dyn Desk, place: &str, digest: &Digest) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = taken(store, desk, place, digest, DOCUMENT_LIMIT).await?;
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read cache", e))?;
    if Hasher::digest(&bytes) != *digest {
        return Err(Error::invalid(format!("{digest} of the cache has another digest")));
    }
    Ok(bytes)
}

async fn of_client(store: &Store, desk: Arc<dyn Desk>, place: &str, manifest: &Digest) -> Result<Import> {
    let parsed = ManifestOrIndex::parse(&read(store, desk.as_ref(), place, manifest).await?, "")?;
    let offers = match parsed {
        ManifestOrIndex::Manifest(manifest) => {
            of_manifest(&manifest, &read(store, desk.as_ref(), place, &manifest.config.digest).await?)?
        }
        ManifestOrIndex::Index(index) => {
            let config = index.manifests.iter().find(|blob| blob.media_type == CONFIG);
            let config = config.ok_or_else(|| Error::not_found("the index holds no build cache"))?;
            own(&read(store, desk.as_ref(), place, &config.digest).await?, &index.manifests)?
        }
    };
    Ok(Import { source: Source::Client(desk, place.to_owned()), offers })
}

/// What an image that is here offers: the layers are those of its own.
async fn of_image(name: &str, images: &Images) -> Result<Import> {
    let image = images.local(name, "").await?;
    let own = &image.config.rootfs.diff_ids;
    let layers = own.iter().map(|diff_id| Descriptor::new(media::OCI_LAYER, diff_id.clone(), 0)).collect();
    let manifest = Manifest::new(media::OCI_MANIFEST, Descriptor::default(), layers);
    let config = serde_json::to_vec(&*image.config).map_err(|e| broken("image", e))?;
    Ok(Import { source: Source::Here, offers: of_manifest(&manifest, &config)? })
}

async fn open(place: &Outside, (store, images, keys): (&Store, &Images, &Keys)) -> Result<Import> {
    match place {
        Outside::Registry(name) => {
            let reference = Reference::parse_tagged(name)?;
            let repository = keys.repository(images, &reference, Access::Pull).await?;
            let document = images::fetch(&repository, &reference).await.map_err(|e| broken("registry", e))?;
            let parsed = document.parse().map_err(|e| broken("registry", e))?;
            let offers = of_registry(&repository, parsed).await?;
            Ok(Import { source: Source::Registry(repository), offers })
        }
        Outside::Folder(directory) => {
            let root = Root::from_fd(directory.try_clone().map_err(|e| Error::io("open cache", e))?);
            let root = Root::from_fd(OwnedFd::from(root.open_dir(Path::new(".")).map_err(|e| broken("open", e))?));
            let offers = of_folder(&root)?;
            Ok(Import { source: Source::Folder(root), offers })
        }
        Outside::Image(name) => of_image(name, images).await,
        Outside::Client { place, manifest: Some(manifest) } => {
            let desk =
                keys.desk.clone().ok_or_else(|| Error::invalid("the build has no session to read a cache by"))?;
            of_client(store, desk, place, manifest).await
        }
        Outside::Client { manifest: None, .. } => Err(Error::invalid("the client does not say which manifest it has")),
        Outside::Inline => Err(Error::invalid("an image must be named to take a cache from")),
    }
}

/// What a manifest or an index offers, whether it is a cache or an image with one.
async fn of_registry(repository: &Repository, parsed: ManifestOrIndex) -> Result<Offers> {
    let refused = |e: hako_registry::Error| broken("registry", e);
    let manifest = match parsed {
        ManifestOrIndex::Manifest(manifest) => manifest,
        ManifestOrIndex::Index(index) => {
            if let Some(config) = index.manifests.iter().find(|blob| blob.media_type == CONFIG) {
                return own(&repository.small_blob(config).await.map_err(refused)?, &index.manifests);
            }
            let image = of_this_host(&index).ok_or_else(|| Error::not_found("no image of this platform"))?;
            let document = repository.manifest(&image.digest).await.map_err(refused)?;
            match document.parse().map_err(refused)? {
                ManifestOrIndex::Manifest(manifest) => manifest,
                ManifestOrIndex::Index(_) => return Err(Error::invalid("an index of indexes holds no build cache")),
            }
        }
    };
    let config = repository.small_blob(&manifest.config).await.map_err(refused)?;
    of_manifest(&manifest, &config)
}

fn of_this_host(index: &Index) -> Option<&Descriptor> {
    let host = Platform::host().normalised();
    index.manifests.iter().find(|blob| {
        blob.platform.as_ref().is_some_and(|own| own.os == host.os && own.architecture == host.architecture)
    })
}

fn of_manifest(manifest: &Manifest, config: &[u8]) -> Result<Offers> {
    if manifest.config.media_type == CONFIG {
        return own(config, &manifest.layers);
    }
    let image = ImageConfig::parse(config)?;
    let text = image.extra.get(INLINE).and_then(|text| text.as_str());
    let text = text.ok_or_else(|| Error::not_found("the image holds no build cache"))?;
    let bytes = STANDARD.decode(text).map_err(|e| broken("build cache of the image", e))?;
    let document: Document = serde_json::from_slice(&bytes).map_err(|e| broken("build cache of the image", e))?;
    Ok(document.inline_offers(&manifest.layers, &image.rootfs.diff_ids))
}

fn own(config: &[u8], blobs: &[Descriptor]) -> Result<Offers> {
    let document: Document = serde_json::from_slice(config).map_err(|e| broken("build cache", e))?;
    Ok(document.own_offers(blobs))
}

fn of_folder(root: &Root) -> Result<Offers> {
    let read = |path: &Path| root.read_limited(path, DOCUMENT_LIMIT).map_err(|e| broken("read cache", e));
    let index: Index = serde_json::from_slice(&read(Path::new("index.json"))?).map_err(|e| broken("index.json", e))?;
    let first = index.manifests.first().ok_or_else(|| Error::not_found("index.json names no cache"))?;
    let bytes = read(&blob_path(&first.digest))?;
    match ManifestOrIndex::parse(&bytes, &first.media_type)? {
        ManifestOrIndex::Manifest(manifest) => of_manifest(&manifest, &read(&blob_path(&manifest.config.digest))?),
        ManifestOrIndex::Index(index) => {
            let config = index.manifests.iter().find(|blob| blob.media_type == CONFIG);
            let config = config.ok_or_else(|| Error::not_found("the index holds no build cache"))?;
            own(&read(&blob_path(&config.digest))?, &index.manifests)
        }
    }
}
