//! Images as archives: docker-archive and OCI layout, read from and written to plain streams.

mod describe;
mod file;
mod load;
mod member;
mod named;
mod save;

use std::fs::File;
use std::io::{Read, Write};

use hako_model::digest::Digest;
use hako_model::platform::Platform;

use crate::{Bundle, Limits, Result, Store};

/// An image that came out of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The tags the archive gives it, as written (`nginx:latest`); empty: loaded by id.
    pub references: Vec<String>,
    /// What its names lead to besides.
    pub named: Vec<Named>,
}

/// What a name in an archive leads to besides an image: an index or a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The name as written; none where the archive has none.
    pub reference: Option<String>,
    /// What it leads to.
    pub bundle: Bundle,
}

/// Told as work goes on.
pub trait Progress {
    /// A layer's bytes so far. `id` is the short digest (or the name the archive gives the layer).
    fn layer(&mut self, id: &str, done: u64, total: u64);

    /// Whether somebody still wants the outcome; if not, the work ends with an error.
    fn is_wanted(&self) -> bool {
        true
    }
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
/// sought. References are not set: the caller normalises [`Loaded::references`] and tags. After an error nothing of the archive
/// stays.
pub fn load(
    store: &Store,
    source: impl Read + Send,
    options: &Load,
    progress: &mut (dyn Progress + Send),
) -> Result<Vec<Loaded>> {
    tidily(store, || load::run(store, source, options, progress))
}

/// The same for an archive that is a file on this host: it is read where it lies, several layers at a time. A packed one is
/// read as a stream. Whoever changes the file meanwhile gets what [`load`] gives for such bytes, at worst an error.
pub fn load_file(
    store: &Store,
    file: &File,
    options: &Load,
    progress: &mut (dyn Progress + Send),
) -> Result<Vec<Loaded>> {
    tidily(store, || load::run_file(store, file, options, progress))
}

fn tidily(store: &Store, load: impl FnOnce() -> Result<Vec<Loaded>>) -> Result<Vec<Loaded>> {
    let _hold = store.hold();
    let loaded = load();
    if loaded.is_err() {
        // Layers and blobs that went in before the error belong to nobody now.
        store.shared.index().untidy = true;
    }
    loaded
}

/// An image to be written to an archive.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Which image.
    pub id: Digest,
    /// The references to write (`nginx:latest`, familiar form), empty when it was named by id.
    pub references: Vec<String>,
    /// The index to write with all that is in it, and not only the image; or the manifest to write for the image.
    pub bundle: Option<Bundle>,
}

/// Writes images as one archive: an OCI layout with Docker's `manifest.json` and `repositories` beside it. Layers are
/// written as they are kept: compressed ones as they were received, others plain.
pub fn save(store: &Store, images: &[Saved], out: impl Write) -> Result<()> {
    let _hold = store.hold();
    save::run(store, images, out)
}

#[cfg(test)]
mod tests;
