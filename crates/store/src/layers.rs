//! Read-only layers, unpacked once and shared by all images, each under its chain id.

mod apart;
mod chunks;
mod compress;
mod draft;
mod inflate;
mod lower;
mod place;
mod skeleton;
mod unpack;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_model::image::media::Compression;
use hako_sys::file::Durability;
use serde::{Deserialize, Serialize};

pub use apart::{PackedFolder, pack_folder, unpack_folder};
pub use draft::LayerDraft;
pub(crate) use inflate::Inflater;
pub use place::Staged;

use crate::flights::Flight;
use crate::store::{Shared, discard, make_dir};
use crate::{Error, Hasher, Result};

/// Names a layer *and* all layers below it; the lowest layer's is its diff id.
pub type ChainId = Digest;

/// The chain ids that belong to a list of diff ids, lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<ChainId> {
    let mut chain: Vec<ChainId> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(chain_id(chain.last(), diff_id));
    }
    chain
}

/// The chain id of a layer above `parent`.
pub(crate) fn chain_id(parent: Option<&ChainId>, diff_id: &Digest) -> ChainId {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Hasher::digest(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// The layers of a store. Cheap to clone.
#[derive(Clone)]
pub struct Layers {
    pub(crate) shared: Arc<Shared>,
}

/// A layer in its place. This is also its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub chain_id: ChainId,
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// The layer below.
    pub parent: Option<ChainId>,
    /// The bytes of its files, which is what Docker calls its size.
    pub size: u64,
    /// The length of its uncompressed tar.
    pub tar_size: u64,
    /// The compressed blobs known to hold exactly this tar (digest, size, media type).
    pub blobs: Vec<Descriptor>,
    /// The boot of the machine in which it was made; a layer of an earlier one is trusted only when sealed.
    #[serde(default)]
    pub(crate) boot: String,
}

/// What came of asking to make a layer.
pub enum Claim {
    /// It is here already.
    Present(Layer),
    /// The caller makes it; others who ask wait until the claim is dropped.
    Free(LayerClaim),
}

/// The right to make one layer; give it up by dropping it, after [`Staged::place`].
pub struct LayerClaim {
    _flight: Flight,
}

/// Keeps a layer, and those below it, from being collected while it lives.
pub struct LayerPin {
    shared: Arc<Shared>,
    chain_id: ChainId,
}

impl Drop for LayerPin {
    fn drop(&mut self) {
        let mut index = self.shared.index();
        if let Some(count) = index.pins.get_mut(&self.chain_id) {
            *count -= 1;
            if *count == 0 {
                index.pins.remove(&self.chain_id);
            }
        }
    }
}

/// How a layer is to be unpacked.
#[derive(Debug, Clone, Default)]
pub struct Unpack {
    /// The diff id the content must have; checked before the layer can be placed.
    pub diff_id: Option<Digest>,
    /// Keep a skeleton, from which the exact tar can be made again. Wanted whenever no compressed blob is kept.
    pub skeleton: bool,
    /// Whiteouts are names as any other.
    pub plain: bool,
    /// Limits on hostile content.
    pub limits: Limits,
}

/// Limits on hostile content.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most entries one layer may have.
    pub entries: u64,
    /// The most bytes of tar per byte of compressed input, once [`Limits::ratio_from`] bytes came out. gzip's own bound
    /// is about 1032 to one.
    pub ratio: u64,
    /// From how many bytes of tar the ratio counts.
    pub ratio_from: u64,
    /// Bytes that must stay free on the disk.
    pub free_space: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, ratio: 500, ratio_from: 1 << 30, free_space: 64 << 20 }
    }
}

impl Layers {
    /// The layer, when it is here.
    pub fn get(&self, chain_id: &ChainId) -> Option<Layer> {
        let mut index = self.shared.index();
        let layer = index.layers.get(chain_id).map(|layer| Layer::clone(layer))?;
        index.touch(chain_id);
        Some(layer)
    }

    /// All layers.
    pub fn list(&self) -> Vec<Layer> {
        self.shared.index().layers.values().map(|layer| Layer::clone(layer)).collect()
    }

    /// Any layer with this diff id, whatever lies below it: its blobs can serve.
    pub fn with_diff_id(&self, diff_id: &Digest) -> Option<Layer> {
        let mut index = self.shared.index();
        let matching = index.layers.values().filter(|layer| layer.diff_id == *diff_id);
        let found = matching.max_by_key(|layer| layer.blobs.len()).map(|layer| Layer::clone(layer))?;
        index.touch(&found.chain_id);
        Some(found)
    }

    /// Asks to make a layer; waits while somebody else is making the same one.
    pub fn claim(&self, chain_id: &ChainId) -> Result<Claim> {
        if let Some(layer) = self.get(chain_id) {
            return Ok(Claim::Present(layer));
        }
        let Some(flight) = self.shared.flights.begin(&format!("layer {chain_id}"), None) else {
            return Err(Error::Abandoned { what: format!("layer {chain_id}") });
        };
        Ok(match self.get(chain_id) {
            Some(layer) => Claim::Present(layer),
            None => Claim::Free(LayerClaim { _flight: flight }),
        })
    }

    /// Unpacks a layer (gzip, zstd or plain tar, told by its first bytes). Reading, inflating, hashing and writing
    /// happen side by side in bounded memory. The source is read to its end.
    pub fn unpack(&self, source: impl Read + Send, options: &Unpack) -> Result<Staged> {
        let dir = self.shared.scratch()?;
        let made = make_dir(&dir.join("diff"), 0o755).and_then(|()| unpack::run(source, &dir, options));
        match made {
            Ok(unpacked) => Ok(Staged::new(self.clone(), dir, unpacked)),
            Err(error) => {
                // The first error is the one to tell; what is left is swept at the next start.
                let _ = discard(&dir);
                Err(error)
            }
        }
    }

    /// The directories to mount for this layer, topmost first.
    pub fn lowers(&self, chain_id: &ChainId) -> Result<Vec<PathBuf>> {
        let chain = self.shared.index().chain(chain_id)?;
        Ok(chain.iter().map(|layer| self.diff_dir(&layer.chain_id)).collect())
    }

    /// The layer's own directory of files.
    pub fn diff_dir(&self, chain_id: &ChainId) -> PathBuf {
        self.dir(chain_id).join("diff")
    }

    pub(crate) fn dir(&self, chain_id: &ChainId) -> PathBuf {
        self.shared.path("layers").join(chain_id.hex())
    }

    fn present(&self, chain_id: &ChainId) -> Result<Layer> {
        self.get(chain_id).ok_or_else(|| Error::not_found("layer", chain_id.as_str()))
    }

    /// The layer's exact uncompressed tar (whose digest is the diff id).
    pub fn tar(&self, chain_id: &ChainId) -> Result<Box<dyn Read + Send>> {
        let layer = self.present(chain_id)?;
        let dir = self.dir(chain_id);
        if dir.join("skeleton").exists() {
            return Ok(Box::new(skeleton::Replay::open(&dir)?));
        }
        let blobs = crate::Blobs { shared: self.shared.clone() };
        let Some(blob) = layer.blobs.iter().find(|blob| blobs.contains(&blob.digest)) else {
            return Err(Error::not_found("content of layer", chain_id.as_str()));
        };
        compress::inflated(blobs.open(&blob.digest)?)
    }

    /// A compressed blob of the layer for pushing: one that is here (whatever its compression), otherwise made now with
    /// the given one and kept.
    pub fn compressed(&self, chain_id: &ChainId, compression: Compression) -> Result<(Descriptor, File)> {
        let flight = self.shared.flights.begin(&format!("compress {chain_id}"), None);
        let layer = self.present(chain_id)?;
        let blobs = crate::Blobs { shared: self.shared.clone() };
        let same = |blob: &&Descriptor| blobs.contains(&blob.digest);
        let here = layer.blob(compression).filter(same).or_else(|| layer.blobs.iter().find(same)).cloned();
        let descriptor = match here {
            Some(descriptor) => descriptor,
            None => self.compress(&layer, compression)?,
        };
        drop(flight);
        let file = blobs.open(&descriptor.digest)?;
        Ok((descriptor, file))
    }

    fn compress(&self, layer: &Layer, compression: Compression) -> Result<Descriptor> {
        let mut draft = crate::Blobs { shared: self.shared.clone() }.draft()?;
        let tar = crate::HashReader::new(self.tar(&layer.chain_id)?, layer.diff_id.algorithm());
        let (actual, _) = compress::run(tar, &mut draft, compression)?.finish();
        if actual != layer.diff_id {
            let what = format!("layer {}", layer.chain_id);
            return Err(Error::DigestMismatch { what, expected: layer.diff_id.clone(), actual });
        }
        let (digest, size) = draft.finish()?;
        let descriptor = Descriptor::new(compression.docker_layer(), digest, size);
        self.add_blob(&layer.chain_id, descriptor.clone())?;
        Ok(descriptor)
    }

    /// Records that a blob holds a layer's tar.
    pub fn add_blob(&self, chain_id: &ChainId, blob: Descriptor) -> Result<()> {
        let mut index = self.shared.index();
        let known = index.layers.get(chain_id).ok_or_else(|| Error::not_found("layer", chain_id.as_str()))?;
        if known.blobs.iter().any(|known| known.digest == blob.digest) {
            return Ok(());
        }
        let mut layer = Layer::clone(known);
        layer.blobs.push(blob);
        layer.write(&self.dir(chain_id))?;
        index.layers.insert(chain_id.clone(), Arc::new(layer));
        Ok(())
    }

    /// Keeps the layer from collection.
    pub fn pin(&self, chain_id: &ChainId) -> Result<LayerPin> {
        let mut index = self.shared.index();
        index.chain(chain_id)?;
        *index.pins.entry(chain_id.clone()).or_default() += 1;
        Ok(LayerPin { shared: self.shared.clone(), chain_id: chain_id.clone() })
    }

    /// Reads all records when the store is opened. A layer whose record is damaged is as good as absent: it is made
    /// again when something needs it, and swept by the next collection.
    pub(crate) fn read_records(&self) -> Result<()> {
        let place = self.shared.path("layers");
        let mut index = self.shared.index();
        for entry in std::fs::read_dir(&place).map_err(Error::at("list", &place))? {
            let dir = entry.map_err(Error::at("list", &place))?.path();
            let bytes = std::fs::read(dir.join("layer.json")).unwrap_or_default();
            let Ok(layer) = serde_json::from_slice::<Layer>(&bytes) else { continue };
            if dir.file_name().is_some_and(|name| name == layer.chain_id.hex()) && dir.join("diff").is_dir() {
                index.layers.insert(layer.chain_id.clone(), Arc::new(layer));
            }
        }
        Ok(())
    }
}

impl Layer {
    /// Whether some blob of it is compressed so.
    pub fn blob(&self, compression: Compression) -> Option<&Descriptor> {
        self.blobs.iter().find(|blob| match compression {
            Compression::None => !blob.media_type.contains("gzip") && !blob.media_type.contains("zstd"),
            Compression::Gzip => blob.media_type.ends_with("gzip"),
            Compression::Zstd => blob.media_type.ends_with("zstd"),
        })
    }

    fn write(&self, dir: &std::path::Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::malformed("layer record", error.to_string()))?;
        Ok(hako_sys::file::write_atomic(&dir.join("layer.json"), &bytes, Durability::Process)?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
