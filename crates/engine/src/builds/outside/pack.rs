//! What a cache outside is to hold: layers of steps, and the contents of cache mounts.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use hako_builder::cache::Cache;
use hako_builder::dockerfile::mount::Sharing;
use hako_builder::solve::{CacheMount, Kept, Product};
use hako_builder::workshop::Cancel;
use hako_model::digest::Digest;
use hako_model::image::media::{self, Compression};
use hako_model::image::{Descriptor, Manifest};
use hako_model::reference::Reference;
use hako_registry::Access;
use hako_store::{ChainId, Hasher, Store, chain_ids, pack_folder};

use super::document::{About, CONFIG, CacheLayer, CacheRecord, CacheResult, Document, MountRecord};
use super::import::{Around, nameless};
use super::{CacheTarget, Outside, broken};
use crate::builds::Made;
use crate::{Error, Result};

/// What goes out.
pub(super) struct Parcel {
    pub(super) blobs: Vec<(Descriptor, Content)>,
    pub(super) config: (Descriptor, Vec<u8>),
    pub(super) manifest: Vec<u8>,
}

/// Where a blob's bytes are.
#[derive(Clone)]
pub(super) enum Content {
    /// A layer that is here.
    Layer(ChainId),
    /// A file without a name.
    File(Arc<File>),
    /// Who is to get it has it.
    There,
}

impl Content {
    pub(super) fn open(&self, store: &Store) -> Result<File> {
        match self {
            Self::Layer(layer) => {
                let opened = store.layers().compressed(layer, Compression::Gzip);
                opened.map(|(_, file)| file).map_err(|e| broken("open layer", e))
            }
            Self::File(file) => {
                let mut file = file.try_clone().map_err(|e| Error::io("open cache mount", e))?;
                std::io::Seek::rewind(&mut file).map_err(|e| Error::io("open cache mount", e))?;
                Ok(file)
            }
            Self::There => Err(Error::not_found("a blob that was in the cache is gone from there")),
        }
    }
}

/// The steps that go out, each layer once.
pub(super) fn chosen(product: &Product, max: bool) -> Vec<Kept> {
    let own: HashSet<ChainId> = chain_ids(&product.state.diff_ids).into_iter().collect();
    product.steps.iter().filter(|step| max || own.contains(&step.layer)).cloned().collect()
}

pub(super) fn record(step: &Kept, layer: usize) -> CacheRecord {
    let results = vec![CacheResult { layer, created_at: step.created.clone() }];
    CacheRecord { digest: step.key.clone(), results }
}

/// A parcel in the making.
#[derive(Default)]
struct Packing {
    blobs: Vec<(Descriptor, Content)>,
    document: Document,
    places: HashMap<ChainId, usize>,
}

/// Packs what a target is to have of results.
pub(super) fn parcel(
    around: Around<'_>,
    cache: &Cache,
    made: &[Made],
    target: &CacheTarget,
    cancel: &Cancel,
) -> Result<Parcel> {
    let mut packing = Packing::default();
    let mut known: HashSet<Digest> = HashSet::new();
    // Builds for several platforms share steps and mounts.
    for step in made.iter().flat_map(|made| chosen(&made.product, target.max)) {
        if known.insert(step.key.clone()) {
            packing.step(around.0, &step)?;
        }
    }
    let mounts: Vec<&CacheMount> = made.iter().flat_map(|made| &made.product.mounts).collect();
    target.mounts.check(mounts.iter().map(|mount| mount.id.as_str()))?;
    for mount in mounts {
        if target.mounts.has(&mount.id) && known.insert(mount.name.clone()) {
            packing.mount(around, cache, (made, target), mount, cancel)?;
        }
    }
    packing.finish()
}

impl Packing {
    fn step(&mut self, store: &Store, step: &Kept) -> Result<()> {
        let at = match self.places.get(&step.layer) {
            Some(at) => *at,
            None => {
                let (blob, _) =
                    store.layers().compressed(&step.layer, Compression::Gzip).map_err(|e| broken("pack layer", e))?;
                let layer = store.layers().get(&step.layer).ok_or_else(|| Error::system("a layer is gone"))?;
                let parent = layer.parent.and_then(|parent| self.places.get(&parent)).copied();
                let blob = Descriptor::new(media::OCI_LAYER_GZIP, blob.digest, blob.size);
                let at = self.add(blob, parent, layer.diff_id, Content::Layer(step.layer.clone()));
                self.places.insert(step.layer.clone(), at);
                at
            }
        };
        self.document.records.push(record(step, at));
        Ok(())
    }

    fn add(&mut self, blob: Descriptor, parent: Option<usize>, diff_id: Digest, content: Content) -> usize {
        let about = About { media_type: blob.media_type.clone(), diff_id: Some(diff_id), size: blob.size };
        self.document.layers.push(CacheLayer {
            blob: blob.digest.clone(),
            parent: parent.map_or(-1, |at| i64::try_from(at).unwrap_or(-1)),
            annotations: Some(about),
        });
        self.blobs.push((blob, content));
        self.blobs.len() - 1
    }

    /// Adds what a cache mount holds. One that no step has asked for here yet stays what it was in the cache it would have come from.
    fn mount(
        &mut self,
        around: Around<'_>,
        cache: &Cache,
        (made, target): (&[Made], &CacheTarget),
        mount: &CacheMount,
        cancel: &Cancel,
    ) -> Result<()> {
        let packed = match pack(around.0, cache, mount, cancel)? {
            Some(packed) => Some(packed),
            None => made.iter().find_map(|made| carried(around, made, target, mount)),
        };
        if let Some((blob, diff_id, content)) = packed {
            let layer = self.add(blob, None, diff_id, content);
            self.document.mounts.push(MountRecord { digest: mount.name.clone(), id: mount.id.clone(), layer });
        }
        Ok(())
    }

    fn finish(self) -> Result<Parcel> {
        let config = serde_json::to_vec(&self.document).map_err(|e| Error::io("write cache", e))?;
        let described = Descriptor::new(CONFIG, Hasher::digest(&config), config.len() as u64);
        let layers = self.blobs.iter().map(|(blob, _)| blob.clone()).collect();
        let manifest = Manifest::new(media::OCI_MANIFEST, described.clone(), layers);
        let manifest = serde_json::to_vec(&manifest).map_err(|e| Error::io("write cache", e))?;
        Ok(Parcel { blobs: self.blobs, config: (described, config), manifest })
    }
}

type Packed = (Descriptor, Digest, Content);

/// Packs what a cache mount holds here. Only for so long it is taken: what goes out lies in a file of its own.
fn pack(store: &Store, cache: &Cache, mount: &CacheMount, cancel: &Cancel) -> Result<Option<Packed>> {
    let failed = |error: &dyn std::fmt::Display| broken(&format!("pack cache mount {}", mount.id), error);
    // Of directories that steps have for themselves the first one counts.
    let sharing = if mount.sharing == Sharing::Private { Sharing::Locked } else { mount.sharing };
    let visited = cache.visit(&mount.name, sharing, cancel).map_err(|error| failed(&error))?;
    let Some(visited) = visited else { return Ok(None) };
    let folder = File::open(visited.path()).map_err(|error| failed(&error))?;
    let file = nameless(store)?;
    let packed = pack_folder(folder.into(), Stoppable(&file, cancel)).map_err(|error| failed(&error))?;
    let blob = Descriptor::new(media::OCI_LAYER_GZIP, packed.digest, packed.size);
    Ok(Some((blob, packed.diff_id, Content::File(Arc::new(file)))))
}

/// What the caches that a build took from have of a cache mount. What is damaged there goes no further.
fn carried(around: Around<'_>, made: &Made, target: &CacheTarget, mount: &CacheMount) -> Option<Packed> {
    let (import, offer) = made.imports.with_mount(around, &mount.name)?;
    if is_there(around, target, &offer.blob) {
        return Some((offer.blob, offer.diff_id, Content::There));
    }
    match import.verified(around.0, &offer.blob, around.3) {
        Ok(file) => Some((offer.blob, offer.diff_id, Content::File(Arc::new(file)))),
        Err(error) => {
            tracing::warn!(%error, id = mount.id, "a cache mount is not carried on");
            None
        }
    }
}

fn is_there((_, images, keys, runtime): Around<'_>, target: &CacheTarget, blob: &Descriptor) -> bool {
    let Outside::Registry(name) = &target.place else { return false };
    let Ok(reference) = Reference::parse_tagged(name) else { return false };
    let asked = async {
        let repository = keys.repository(images, &reference, Access::Push { sources: Vec::new() }).await?;
        repository.has_blob(&blob.digest).await.map_err(|e| broken("registry", e))
    };
    runtime.block_on(asked).unwrap_or(false)
}

/// Ends with an error when it is time to stop.
struct Stoppable<'a>(&'a File, &'a Cancel);

impl std::io::Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.1.is_set() {
            true => Err(std::io::Error::other("the build was stopped")),
            false => self.0.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
