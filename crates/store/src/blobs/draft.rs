//! A blob whose digest is known only once it is complete.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use hako_model::digest::{Algorithm, Digest};

use super::Blobs;
use crate::{Error, Hasher, Result};

/// A blob being written. Dropped before [`Draft::finish`], it is deleted.
pub struct Draft {
    blobs: Blobs,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    published: bool,
}

impl Draft {
    pub(super) fn create(blobs: Blobs) -> Result<Self> {
        let path = blobs.shared.temporary();
        let file = File::create_new(&path).map_err(Error::at("create", &path))?;
        Ok(Self { blobs, path, file, hasher: Hasher::new(Algorithm::Sha256), size: 0, published: false })
    }

    /// The digest of what was written so far.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes the blob visible under its digest; returns that and its size.
    pub fn finish(mut self) -> Result<(Digest, u64)> {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        let digest = hasher.finish();
        self.blobs.publish(&self.path, &digest)?;
        self.published = true;
        Ok((digest, self.size))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Swept at the next start otherwise.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
