//! Blobs: content under its digest. What is received goes to `ingest/` first, and appears under its digest only once
//! it was verified.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use hako_model::digest::Digest;

use crate::Result;

/// The blobs of a store. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {}

/// What came of asking to receive a blob.
pub enum Begun {
    /// It is here already; nothing to do. Holds the size.
    Present(u64),
    /// It is to be received from [`Ingest::offset`] on.
    Ingest(Ingest),
}

/// A blob on its way in. Dropped before [`Ingest::commit`], the partial file stays and a later ingest resumes it.
pub struct Ingest {}

/// A reader that follows an ingest from its first byte, waiting for bytes not yet there. It ends where the committed
/// blob ends and fails when the ingest is given up. Never slows the writer down.
pub struct Follower {}

impl Blobs {
    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        let _ = digest;
        todo!()
    }

    /// The blob's size, when it is here.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let _ = digest;
        todo!()
    }

    /// The blob, opened for reading.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        let _ = digest;
        todo!()
    }

    /// The whole blob, refused when longer than `limit`.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let _ = (digest, limit);
        todo!()
    }

    /// Stores some bytes under their SHA-256.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let _ = bytes;
        todo!()
    }

    /// Begins to receive a blob. While another thread receives the same one, waits for it: then it is `Present`, or
    /// (the other gave up) this caller goes on where the other stopped.
    pub fn ingest(&self, digest: &Digest, size: Option<u64>) -> Result<Begun> {
        let _ = (digest, size);
        todo!()
    }

    /// As [`Blobs::ingest`], but gives up waiting after a while and returns `None`, so that a cancelled pull can leave.
    pub fn ingest_within(&self, digest: &Digest, size: Option<u64>, patience: Duration) -> Result<Option<Begun>> {
        let _ = (digest, size, patience);
        todo!()
    }

    /// Removes a blob (nothing happens when it is not here).
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        let _ = digest;
        todo!()
    }
}

impl Ingest {
    /// How many bytes are here already: where a Range request starts.
    pub fn offset(&self) -> u64 {
        todo!()
    }

    /// Appends bytes; best in pieces of 64 KiB and more. More bytes than the promised size are refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        todo!()
    }

    /// Starts over from byte 0: for a server that ignored the Range, or a resumed file that did not verify. Followers
    /// that have read already fail.
    pub fn restart(&mut self) -> Result<()> {
        todo!()
    }

    /// A reader of the bytes as they come in.
    pub fn follow(&self) -> Result<Follower> {
        todo!()
    }

    /// Verifies digest and size and makes the blob visible; returns its size. When the digest is wrong the partial file
    /// is deleted.
    pub fn commit(self) -> Result<u64> {
        todo!()
    }

    /// Gives up and deletes the partial file.
    pub fn discard(self) -> Result<()> {
        todo!()
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = buffer;
        todo!()
    }
}
