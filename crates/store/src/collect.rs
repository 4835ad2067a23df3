//! Collection: what nobody refers to goes.

use crate::{ChainId, Result, Store};

/// What a collection gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers removed.
    pub layers: Vec<ChainId>,
    /// How many blobs were removed.
    pub blobs: usize,
    /// Partial downloads removed.
    pub ingests: usize,
    /// Bytes given back on disk.
    pub reclaimed: u64,
}

impl Store {
    /// Removes layers and blobs that no image and no pin needs, and partial downloads nobody is at. Containers must have
    /// pinned their layers before.
    pub fn collect(&self) -> Result<Collected> {
        todo!()
    }
}
