//! Push: only what the registry lacks. An image that came with a manifest keeps it, so that its digest stays the same;
//! others get one made of their layers' compressed blobs.

use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hako_model::digest::Digest;
use hako_model::image::media::{self, Compression};
use hako_model::image::{DOCUMENT_LIMIT, Descriptor, Index, Manifest, ManifestOrIndex};
use hako_model::reference::Reference;
use hako_registry::{Access, Begun, Repository, Sent};
use hako_store::{Bundle, ChainId, Image, Store};
use tokio::task::JoinSet;

use super::answer::PushRequest;
use super::job::Reporter;
use super::layer::blocking;
use super::progress::Progress;
use super::{Images, bundle, failure, resolve};
use crate::{Error, Result};

/// How often a layer tells how far it is.
const EVERY: Duration = Duration::from_millis(100);

/// One tag being pushed.
#[derive(Clone)]
struct Push {
    images: Images,
    repository: Repository,
    reference: Reference,
    reporter: Reporter,
    sources: Arc<Vec<String>>,
}

/// What goes to the registry for one image.
struct Parcel {
    manifest: Vec<u8>,
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Images {
    pub(super) async fn run_push(self, request: PushRequest, reporter: Reporter) -> Result<()> {
        let reference = resolve::join(&request.image, &request.tag)?;
        if reference.digest().is_some() {
            return Err(Error::invalid("cannot push a digest reference"));
        }
        let images = self.clone();
        reporter.status(None, format!("The push refers to repository [{}]", reference.name()));
        let references = self.tags_of(&reference)?;
        let sources = Arc::new(self.neighbours(&reference));
        let access = Access::Push { sources: sources.to_vec() };
        let repository = self.room.client.repository(&reference, request.credential.as_ref(), &access);
        let repository = repository.map_err(|error| failure::of_registry(&error))?;
        for reference in references {
            let image = images.resolve(&reference.to_string(), &request.platform)?;
            let push = Push {
                images: images.clone(),
                repository: repository.clone(),
                reference,
                reporter: reporter.clone(),
                sources: sources.clone(),
            };
            let store = self.room.store.clone();
            let (own, all) = (image.clone(), request.platform.is_empty());
            match blocking(move || Ok(bundle::whole(&store, &own).filter(|_| all))).await? {
                Some((bundle, index)) => push.all(&image, bundle, &index).await?,
                None => push.run(&image).await?,
            }
        }
        Ok(())
    }

    /// The references to push: one, or all with a tag in a repository.
    fn tags_of(&self, reference: &Reference) -> Result<Vec<Reference>> {
        let stored = self.room.store.images().references();
        let mut own = stored.iter().filter_map(|(text, _)| Reference::parse(text).ok());
        let missing = || {
            let text = format!("An image does not exist locally with the tag: {}", reference.familiar_name());
            Error::not_found(text)
        };
        if reference.tag().is_some() {
            let there = own.any(|other| other == *reference);
            return there.then(|| vec![reference.clone()]).ok_or_else(missing);
        }
        let tags: Vec<Reference> =
            own.filter(|other| other.repository() == *reference && other.digest().is_none()).collect();
        if tags.is_empty() { Err(missing()) } else { Ok(tags) }
    }

    /// Other repositories of the same registry that local images came from: their blobs may be mounted.
    fn neighbours(&self, reference: &Reference) -> Vec<String> {
        let stored = self.room.store.images().references();
        let parsed = stored.iter().filter_map(|(text, _)| Reference::parse(text).ok());
        let same = parsed.filter(|other| other.domain() == reference.domain() && other.path() != reference.path());
        let mut paths: Vec<String> = same.map(|other| other.path().to_owned()).collect();
        paths.sort();
        paths.dedup();
        // Every one of them goes into the token's scopes; a request must not grow without bound.
        paths.truncate(16);
        paths
    }
}

impl Push {
    async fn run(&self, image: &Image) -> Result<()> {
        let _hold = self.images.room.store.hold();
        for chain_id in image.layers.iter().rev() {
            self.reporter.layer(&self.label(chain_id), "Preparing");
        }
        let parcel = self.parcel(image).await?;
        self.layers(image, &parcel).await?;
        self.blob(&parcel.config, None).await?;
        let tag = self.reference.tag().unwrap_or(hako_model::reference::DEFAULT_TAG);
        let put = self.repository.put_manifest(tag, &parcel.media_type, &parcel.manifest).await;
        let digest = put.map_err(|error| failure::of_registry(&error))?;
        self.remember(image, &digest, &parcel).await?;
        self.tell_pushed(image, tag, &digest, parcel.manifest.len() as u64);
        Ok(())
    }

    /// Pushes an index with all that is in it.
    async fn all(&self, image: &Image, bundle: Bundle, index: &Index) -> Result<()> {
        let _hold = self.images.room.store.hold();
        let refused = |error: hako_registry::Error| failure::of_registry(&error);
        for descriptor in &index.manifests {
            let parcel = self.listed(descriptor).await?;
            match self.images.room.store.images().get(&parcel.config.digest) {
                Ok(image) => self.layers(&image, &parcel).await?,
                // What is attested belongs to no image.
                Err(_) => {
                    for blob in &parcel.layers {
                        self.blob(blob, None).await?;
                    }
                }
            }
            self.blob(&parcel.config, None).await?;
            let put = self.repository.put_manifest(descriptor.digest.as_str(), &parcel.media_type, &parcel.manifest);
            put.await.map_err(refused)?;
        }
        let tag = self.reference.tag().unwrap_or(hako_model::reference::DEFAULT_TAG);
        let (bytes, size) = (self.document(&bundle.index.digest).await?, bundle.index.size);
        let put = self.repository.put_manifest(tag, &bundle.index.media_type, &bytes).await;
        let digest = put.map_err(refused)?;
        let (store, id) = (self.images.room.store.clone(), image.id.clone());
        let stored = self.reference.repository().with_digest(digest.clone()).to_string();
        blocking(move || store.images().tag_bundle(&stored, &id, Some(bundle))).await?;
        self.tell_pushed(image, tag, &digest, size);
        Ok(())
    }

    async fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let (store, digest) = (self.images.room.store.clone(), digest.clone());
        blocking(move || store.blobs().read(&digest, DOCUMENT_LIMIT)).await
    }

    /// A manifest of an index, as it is.
    async fn listed(&self, descriptor: &Descriptor) -> Result<Parcel> {
        let bytes = self.document(&descriptor.digest).await?;
        let parsed: Manifest = serde_json::from_slice(&bytes).map_err(|error| Error::io("read manifest", error))?;
        let media_type = descriptor.media_type.clone();
        Ok(Parcel { manifest: bytes, media_type, config: parsed.config, layers: parsed.layers })
    }

    fn tell_pushed(&self, image: &Image, tag: &str, digest: &Digest, size: u64) {
        self.reporter.status(None, format!("{tag}: digest: {digest} size: {size}"));
        self.reporter.tell(Progress::Pushed { tag: tag.to_owned(), digest: digest.to_string(), size });
        let name = self.reference.familiar();
        self.images.room.tell("push", &name, &self.reference.familiar_name(), Some(image));
    }

    /// The short diff id, as Docker names layers of a push.
    fn label(&self, chain_id: &ChainId) -> String {
        let layer = self.images.room.store.layers().get(chain_id);
        layer.map_or_else(|| chain_id.short().to_owned(), |layer| layer.diff_id.short().to_owned())
    }

    /// The image under the digest it has in the registry now; its manifest is kept.
    async fn remember(&self, image: &Image, digest: &Digest, parcel: &Parcel) -> Result<()> {
        let store = self.images.room.store.clone();
        let stored = self.reference.repository().with_digest(digest.clone()).to_string();
        let (id, manifest) = (image.id.clone(), Some((parcel.manifest.clone(), parcel.media_type.clone())));
        let own = image.bundle.clone().filter(|bundle| bundle.index.digest == *digest);
        blocking(move || {
            let images = store.images();
            if own.is_none() && images.manifest_bytes(&id)?.is_none() {
                let config = images.config_bytes(&id)?;
                images.add(hako_store::NewImage { config, manifest, parent: None })?;
            }
            images.tag_bundle(&stored, &id, own).map(drop)
        })
        .await
    }

    async fn parcel(&self, image: &Image) -> Result<Parcel> {
        let (store, manifest) = (self.images.room.store.clone(), image.manifest.clone());
        if let Some(parcel) = blocking(move || received(&store, manifest.as_ref())).await? {
            return Ok(parcel);
        }
        let mut packing = JoinSet::new();
        for (position, chain_id) in image.layers.iter().cloned().enumerate() {
            let store = self.images.room.store.clone();
            packing.spawn_blocking(move || {
                (position, store.layers().compressed(&chain_id, Compression::Gzip).map(|(blob, _)| blob))
            });
        }
        let mut layers: Vec<Option<Descriptor>> = vec![None; image.layers.len()];
        while let Some(packed) = packing.join_next().await {
            let (position, blob) = packed.map_err(|error| Error::io("pack layer", error))?;
            layers[position] = Some(blob.map_err(|error| failure::of_store(&error))?);
        }
        let (store, id) = (self.images.room.store.clone(), image.id.clone());
        let config = blocking(move || store.images().config_bytes(&id)).await?;
        made(image, config.len() as u64, layers.into_iter().flatten().collect())
    }

    /// Sends what is missing of the layers, several at a time.
    async fn layers(&self, image: &Image, parcel: &Parcel) -> Result<()> {
        let mut tasks = JoinSet::new();
        let mut begun: Vec<Digest> = Vec::new();
        for (blob, chain_id) in parcel.layers.iter().zip(&image.layers).rev() {
            // An image may have the same layer twice; the registry wants it once.
            if begun.contains(&blob.digest) {
                continue;
            }
            begun.push(blob.digest.clone());
            let (push, blob, label) = (self.clone(), blob.clone(), self.label(chain_id));
            tasks.spawn(async move { push.blob(&blob, Some(&label)).await });
        }
        while let Some(sent) = tasks.join_next().await {
            sent.map_err(|error| Error::io("push layer", error))??;
        }
        Ok(())
    }

    /// Sends one blob, unless the registry has it or can take it from another repository.
    async fn blob(&self, blob: &Descriptor, label: Option<&str>) -> Result<()> {
        let refused = |error: hako_registry::Error| failure::of_registry(&error);
        let tell = |status: &str| label.into_iter().for_each(|label| self.reporter.layer(label, status));
        let _permit = self.images.room.uploads.acquire().await.map_err(|error| Error::io("wait to upload", error))?;
        if self.repository.has_blob(&blob.digest).await.map_err(refused)? {
            tell("Layer already exists");
            return Ok(());
        }
        let source = self.source(&blob.digest);
        let upload = match self.repository.begin(&blob.digest, source).await.map_err(refused)? {
            Begun::Mounted => {
                tell(&format!("Mounted from {}", source.unwrap_or_default()));
                return Ok(());
            }
            Begun::Open(upload) => upload,
        };
        let file = self.open(blob).await?;
        tell("Pushing");
        let sent = self.sent(label, blob.size);
        self.repository.send(upload, blob, Arc::new(file), sent).await.map_err(refused)?;
        tell("Pushed");
        Ok(())
    }

    async fn open(&self, blob: &Descriptor) -> Result<File> {
        let (store, digest) = (self.images.room.store.clone(), blob.digest.clone());
        blocking(move || store.blobs().open(&digest)).await
    }

    fn sent(&self, label: Option<&str>, total: u64) -> Sent {
        let Some(label) = label.map(str::to_owned) else { return Arc::new(|_| {}) };
        let (reporter, next) = (self.reporter.clone(), Mutex::new(Instant::now()));
        Arc::new(move |current| {
            let Ok(mut next) = next.lock() else { return };
            if Instant::now() >= *next {
                *next = Instant::now() + EVERY;
                reporter.amount(&label, "Pushing", current, total);
            }
        })
    }

    /// A repository of the same registry whose local images have this blob.
    fn source(&self, digest: &Digest) -> Option<&str> {
        let store = &self.images.room.store;
        let having: Vec<ChainId> = store
            .layers()
            .list()
            .into_iter()
            .filter(|layer| layer.blobs.iter().any(|blob| blob.digest == *digest))
            .map(|layer| layer.chain_id)
            .collect();
        let holders = store.images().list();
        let holders = holders.iter().filter(|image| image.layers.iter().any(|layer| having.contains(layer)));
        let names: Vec<Reference> = holders
            .flat_map(|image| image.digests.iter())
            .filter_map(|text| Reference::parse(text).ok())
            .filter(|name| name.domain() == self.reference.domain())
            .collect();
        self.sources.iter().find(|source| names.iter().any(|name| name.path() == **source)).map(String::as_str)
    }
}

/// The manifest an image came with, or was given, when all it names is still here.
fn received(store: &Store, manifest: Option<&Descriptor>) -> hako_store::Result<Option<Parcel>> {
    let Some(Descriptor { digest, media_type, .. }) = manifest.cloned() else { return Ok(None) };
    let bytes = store.blobs().read(&digest, DOCUMENT_LIMIT)?;
    let Ok(ManifestOrIndex::Manifest(manifest)) = ManifestOrIndex::parse(&bytes, &media_type) else { return Ok(None) };
    let blobs = store.blobs();
    if !manifest.layers.iter().all(|layer| blobs.contains(&layer.digest)) {
        return Ok(None);
    }
    Ok(Some(Parcel { manifest: bytes, media_type, config: manifest.config, layers: manifest.layers }))
}

/// A manifest for an image that has none: Docker's, or OCI's when a layer is packed in a way Docker's does not know.
fn made(image: &Image, config_size: u64, layers: Vec<Descriptor>) -> Result<Parcel> {
    let oci = layers.iter().any(|layer| layer.media_type.contains("zstd"));
    let (manifest_type, config_type) =
        if oci { (media::OCI_MANIFEST, media::OCI_CONFIG) } else { (media::DOCKER_MANIFEST, media::DOCKER_CONFIG) };
    let typed = |layer: Descriptor| {
        let packing = packing(&layer.media_type);
        let media_type = if oci { packing.oci_layer() } else { packing.docker_layer() };
        Descriptor::new(media_type, layer.digest, layer.size)
    };
    let layers: Vec<Descriptor> = layers.into_iter().map(typed).collect();
    let config = Descriptor::new(config_type, image.id.clone(), config_size);
    let manifest = Manifest::new(manifest_type, config.clone(), layers.clone());
    let manifest = serde_json::to_vec_pretty(&manifest).map_err(|error| Error::io("write manifest", error))?;
    if manifest.len() as u64 > DOCUMENT_LIMIT {
        return Err(Error::invalid(format!("the manifest of {} is too long", image.id)));
    }
    Ok(Parcel { manifest, media_type: manifest_type.to_owned(), config, layers })
}

fn packing(media_type: &str) -> Compression {
    match media_type {
        text if text.ends_with("gzip") => Compression::Gzip,
        text if text.ends_with("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}
