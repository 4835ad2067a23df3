//! Read-only layers, unpacked once and shared by all images, each under its chain id.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_model::image::media::Compression;

use crate::Result;

/// Names a layer *and* all layers below it; the lowest layer's is its diff id.
pub type ChainId = Digest;

/// The chain ids that belong to a list of diff ids, lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<ChainId> {
    let _ = diff_ids;
    todo!()
}

/// The layers of a store. Cheap to clone.
#[derive(Clone)]
pub struct Layers {}

/// A layer in its place.
#[derive(Debug, Clone)]
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
}

/// What came of asking to make a layer.
pub enum Claim {
    /// It is here already.
    Present(Layer),
    /// The caller makes it; others who ask wait until the claim is dropped.
    Free(LayerClaim),
}

/// The right to make one layer.
pub struct LayerClaim {}

/// Keeps a layer, and those below it, from being collected while it lives.
pub struct LayerPin {}

/// How a layer is to be unpacked.
#[derive(Debug, Clone, Default)]
pub struct Unpack {
    /// The diff id the content must have; checked before the layer can be placed.
    pub diff_id: Option<Digest>,
    /// Keep a skeleton, from which the exact tar can be made again. Wanted whenever no compressed blob is kept.
    pub skeleton: bool,
    /// Limits on hostile content.
    pub limits: Limits,
}

/// Limits on hostile content.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most entries one layer may have.
    pub entries: u64,
    /// The most bytes of tar per byte of compressed input, once [`Limits::ratio_from`] bytes came out.
    pub ratio: u64,
    /// From how many bytes of tar the ratio counts.
    pub ratio_from: u64,
    /// Bytes that must stay free on the disk.
    pub free_space: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, ratio: 1200, ratio_from: 256 << 20, free_space: 64 << 20 }
    }
}

/// An unpacked layer that has no place yet. Dropped, it is deleted.
pub struct Staged {}

impl Staged {
    /// The digest of the uncompressed tar.
    pub fn diff_id(&self) -> &Digest {
        todo!()
    }

    /// The digest of the input as it was read (compressed or not).
    pub fn input_digest(&self) -> &Digest {
        todo!()
    }

    /// The number of bytes of input.
    pub fn input_size(&self) -> u64 {
        todo!()
    }

    /// How the input was compressed.
    pub fn compression(&self) -> Compression {
        todo!()
    }

    /// The bytes of its files.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Gives the layer its place above `parent`, which must be in its place already. `blob` says which compressed blob
    /// holds the same content.
    pub fn place(self, parent: Option<&ChainId>, blob: Option<Descriptor>) -> Result<Layer> {
        let _ = (parent, blob);
        todo!()
    }
}

impl Layers {
    /// The layer, when it is here.
    pub fn get(&self, chain_id: &ChainId) -> Option<Layer> {
        let _ = chain_id;
        todo!()
    }

    /// All layers.
    pub fn list(&self) -> Vec<Layer> {
        todo!()
    }

    /// Any layer with this diff id, whatever lies below it: its blobs can serve.
    pub fn with_diff_id(&self, diff_id: &Digest) -> Option<Layer> {
        let _ = diff_id;
        todo!()
    }

    /// Asks to make a layer; waits while somebody else is making the same one.
    pub fn claim(&self, chain_id: &ChainId) -> Result<Claim> {
        let _ = chain_id;
        todo!()
    }

    /// Unpacks a layer (gzip, zstd or plain tar, told by its first bytes). Reading, inflating, hashing and writing
    /// happen side by side in bounded memory. The source is read to its end.
    pub fn unpack(&self, source: impl Read + Send, options: &Unpack) -> Result<Staged> {
        let _ = (source, options);
        todo!()
    }

    /// The directories to mount for this layer, topmost first.
    pub fn lowers(&self, chain_id: &ChainId) -> Result<Vec<PathBuf>> {
        let _ = chain_id;
        todo!()
    }

    /// The layer's own directory of files.
    pub fn diff_dir(&self, chain_id: &ChainId) -> PathBuf {
        let _ = chain_id;
        todo!()
    }

    /// The layer's exact uncompressed tar (whose digest is the diff id).
    pub fn tar(&self, chain_id: &ChainId) -> Result<Box<dyn Read + Send>> {
        let _ = chain_id;
        todo!()
    }

    /// A compressed blob of the layer for pushing: one that is here, otherwise made now and kept.
    pub fn compressed(&self, chain_id: &ChainId, compression: Compression) -> Result<(Descriptor, File)> {
        let _ = (chain_id, compression);
        todo!()
    }

    /// Keeps the layer from collection.
    pub fn pin(&self, chain_id: &ChainId) -> Result<LayerPin> {
        let _ = chain_id;
        todo!()
    }
}

/// Where a layer's files lie.
impl Layer {
    /// Whether some blob of it is compressed so.
    pub fn blob(&self, compression: Compression) -> Option<&Descriptor> {
        let _ = compression;
        todo!()
    }

    /// The layer's directory below the given layers directory.
    pub fn dir(&self, layers: &Path) -> PathBuf {
        layers.join(self.chain_id.hex())
    }
}
