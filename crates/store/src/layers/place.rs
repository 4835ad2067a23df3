//! An unpacked layer finds its place.

use std::path::PathBuf;
use std::sync::Arc;

use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_model::image::media::Compression;

use super::unpack::Unpacked;
use super::{ChainId, Layer, Layers, chain_id, lower};
use crate::store::{boot, discard};
use crate::{Error, Result};

/// An unpacked layer that has no place yet. Dropped, it is deleted.
pub struct Staged {
    layers: Layers,
    dir: PathBuf,
    unpacked: Unpacked,
    placed: bool,
}

impl Staged {
    pub(super) fn new(layers: Layers, dir: PathBuf, unpacked: Unpacked) -> Self {
        Self { layers, dir, unpacked, placed: false }
    }

    /// The digest of the uncompressed tar.
    pub fn diff_id(&self) -> &Digest {
        &self.unpacked.diff_id
    }

    /// The number of bytes of input.
    pub fn input_size(&self) -> u64 {
        self.unpacked.input_size
    }

    /// How the input was compressed.
    pub fn compression(&self) -> Compression {
        self.unpacked.compression
    }

    /// The bytes of its files.
    pub fn size(&self) -> u64 {
        self.unpacked.outcome.size
    }

    /// How many members the archive had.
    pub fn entries(&self) -> u64 {
        self.unpacked.outcome.entries
    }

    /// Gives the layer its place above `parent`, which must be in its place already. `blob` says which compressed blob
    /// holds the same content.
    pub fn place(mut self, parent: Option<&ChainId>, blob: Option<Descriptor>) -> Result<Layer> {
        let chain_id = chain_id(parent, self.diff_id());
        self.inherit(parent)?;
        let layer = Layer {
            chain_id: chain_id.clone(),
            diff_id: self.diff_id().clone(),
            parent: parent.cloned(),
            size: self.size(),
            tar_size: self.unpacked.tar_size,
            blobs: blob.into_iter().collect(),
            boot: boot(),
        };
        layer.write(&self.dir)?;
        self.move_in(layer)
    }

    fn inherit(&self, parent: Option<&ChainId>) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let lowers = self.layers.lowers(parent)?;
        let diff = self.dir.join("diff");
        // Deepest first: setting the time of a directory is undone by nothing that happens above it.
        for path in self.unpacked.outcome.implicit.iter().rev() {
            lower::inherit(&diff, path, &lowers)?;
        }
        Ok(())
    }

    fn move_in(&mut self, layer: Layer) -> Result<Layer> {
        let shared = self.layers.shared.clone();
        let place = self.layers.dir(&layer.chain_id);
        let mut index = shared.index();
        index.touch(&layer.chain_id);
        if let Some(present) = index.layers.get(&layer.chain_id) {
            return Ok(Layer::clone(present));
        }
        // Whatever lies there has no readable record.
        let grave = shared.bury(&place)?;
        std::fs::rename(&self.dir, &place).map_err(Error::at("publish", &place))?;
        self.placed = true;
        index.layers.insert(layer.chain_id.clone(), Arc::new(layer.clone()));
        drop(index);
        grave.map_or(Ok(()), |grave| discard(&grave))?;
        Ok(layer)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // Swept at the next start otherwise.
            let _ = discard(&self.dir);
        }
    }
}
