//! Images as archives: docker-archive and OCI layout, read from and written to plain streams.

use std::io::{Read, Write};

use hako_model::digest::Digest;
use hako_model::platform::Platform;

use crate::{Limits, Result, Store};

/// An image that came out of an archive.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The tags the archive gives it, as written (`nginx:latest`); empty: loaded by id.
    pub references: Vec<String>,
}

/// Told as work goes on.
pub trait Progress {
    /// A layer's bytes so far. `id` is the short digest.
    fn layer(&mut self, id: &str, done: u64, total: u64);
}

impl Progress for () {
    fn layer(&mut self, _id: &str, _done: u64, _total: u64) {}
}

/// How an archive is read.
#[derive(Default)]
pub struct Load {
    /// Only images for this platform.
    pub platform: Option<Platform>,
    /// Limits on hostile content.
    pub limits: Limits,
}

/// Loads every image of an archive (docker-archive or OCI layout, plain or compressed) from a stream that is never
/// sought. References are not set: the caller normalises [`Loaded::references`] and tags.
pub fn load(store: &Store, source: impl Read + Send, options: &Load, progress: &mut dyn Progress) -> Result<Vec<Loaded>> {
    let _ = (store, source, options, progress);
    todo!()
}

/// An image to be written to an archive.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Which image.
    pub id: Digest,
    /// The references to write (`nginx:latest`, familiar form), empty when it was named by id.
    pub references: Vec<String>,
}

/// Writes images as one archive: an OCI layout with Docker's `manifest.json` and `repositories` beside it.
pub fn save(store: &Store, images: &[Saved], out: impl Write) -> Result<()> {
    let _ = (store, images, out);
    todo!()
}
