//! Blobs: content under its digest. What is received goes to `ingest/` first, and appears under its digest only once
//! it was verified.

mod draft;
mod ingest;

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hako_model::digest::Digest;

pub use draft::Draft;
pub use ingest::{Follower, Ingest};

use crate::store::Shared;
use crate::{Error, Result};

/// The blobs of a store. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    pub(crate) shared: Arc<Shared>,
}

/// What came of asking to receive a blob.
#[allow(clippy::large_enum_variant, reason = "matched at once, never stored")]
pub enum Begun {
    /// It is here already; nothing to do. Holds the size.
    Present(u64),
    /// It is to be received from [`Ingest::offset`] on.
    Ingest(Ingest),
}

impl Blobs {
    /// Where the blob lies or would lie.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.shared.path("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.size(digest).is_some()
    }

    /// The blob's size, when it is here.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        // Under the lock, so that a collection either sees the touch or has removed the file already.
        let mut index = self.shared.index();
        let stat = std::fs::metadata(self.path(digest)).ok().filter(std::fs::Metadata::is_file)?;
        index.touch(digest);
        Some(stat.len())
    }

    /// The blob, opened for reading.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        match File::open(self.path(digest)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::not_found("blob", digest.as_str()))
            }
            opened => opened.map_err(Error::io("open", digest.as_str())),
        }
    }

    /// The whole blob, refused when longer than `limit`.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let file = self.open(digest)?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", digest.as_str()))?;
        if bytes.len() as u64 > limit {
            return Err(Error::limit(format!("blob {digest}"), format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Stores some bytes under their SHA-256.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut draft = self.draft()?;
        draft.write_all(bytes).map_err(Error::io("write", "blob"))?;
        draft.finish().map(|(digest, _)| digest)
    }

    /// Begins a blob whose digest will be known at its end.
    pub fn draft(&self) -> Result<Draft> {
        Draft::create(self.clone())
    }

    /// Begins to receive a blob. While another thread receives the same one, waits for it: then it is `Present`, or
    /// (the other gave up) this caller goes on where the other stopped.
    pub fn ingest(&self, digest: &Digest, size: Option<u64>) -> Result<Begun> {
        match self.begin(digest, size, None)? {
            Some(begun) => Ok(begun),
            None => Err(Error::Abandoned { what: format!("blob {digest}") }),
        }
    }

    /// As [`Blobs::ingest`], but gives up waiting after a while and returns `None`, so that a cancelled pull can leave.
    pub fn ingest_within(&self, digest: &Digest, size: Option<u64>, patience: Duration) -> Result<Option<Begun>> {
        self.begin(digest, size, Some(patience))
    }

    fn begin(&self, digest: &Digest, size: Option<u64>, patience: Option<Duration>) -> Result<Option<Begun>> {
        if let Some(size) = self.size(digest) {
            return Ok(Some(Begun::Present(size)));
        }
        let Some(flight) = self.shared.flights.begin(&flight_name(digest), patience) else { return Ok(None) };
        if let Some(size) = self.size(digest) {
            return Ok(Some(Begun::Present(size)));
        }
        Ingest::open(self.clone(), digest, size, flight).map(|ingest| Some(Begun::Ingest(ingest)))
    }

    /// Removes a blob (nothing happens when it is not here).
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        Ok(hako_sys::file::remove_if_present(&self.path(digest))?)
    }

    /// Makes a verified file visible.
    fn publish(&self, file: &std::path::Path, digest: &Digest) -> Result<()> {
        let mut index = self.shared.index();
        std::fs::rename(file, self.path(digest)).map_err(Error::io("publish", digest.as_str()))?;
        index.touch(digest);
        Ok(())
    }
}

pub(crate) fn flight_name(digest: &Digest) -> String {
    format!("blob {digest}")
}

#[cfg(test)]
mod tests;
