//! How much disk the store takes, as `du` counts it.

use hako_model::digest::Digest;

use crate::{Result, Store};

/// The store's disk usage in bytes (blocks really taken).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// All layers: files, records, skeletons.
    pub layers: u64,
    /// All blobs.
    pub blobs: u64,
    /// Partial downloads.
    pub ingest: u64,
    /// All volumes.
    pub volumes: u64,
    /// What would go if every image without a container went; per image.
    pub images: Vec<ImageUsage>,
}

/// One image's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Which image.
    pub id: Digest,
    /// Disk taken by everything it needs: layers and blobs.
    pub total: u64,
    /// The part other images need too.
    pub shared: u64,
    /// Docker's `SharedSize`: bytes of files in layers that other images have too.
    pub shared_size: u64,
}

impl Store {
    /// Measures the store. Layers never change, so each is walked once and remembered.
    pub fn usage(&self) -> Result<Usage> {
        todo!()
    }
}
