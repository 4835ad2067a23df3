//! A container's writable layer: `diff/` (overlay's upper directory) and `work/`, and what can be read from it.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::{Layers, Limits, Result, Staged};

/// The writable layer of one container.
#[derive(Clone)]
pub struct Writable {}

/// One difference between a container and its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path in the container (lossy where it is not UTF-8).
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a path, with Docker's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChangeKind {
    /// `C`.
    Modified = 0,
    /// `A`.
    Added = 1,
    /// `D`.
    Deleted = 2,
}

/// A root file system reachable through a descriptor, mounted nowhere.
pub struct Rootfs {
    fd: OwnedFd,
}

impl AsFd for Rootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Writable {
    /// Makes `diff/` and `work/`; the root takes owner and mode of the topmost lower directory.
    pub fn create(&self, lowers: &[PathBuf]) -> Result<()> {
        let _ = lowers;
        todo!()
    }

    /// Overlay's upper directory.
    pub fn upper(&self) -> PathBuf {
        todo!()
    }

    /// Overlay's work directory.
    pub fn work(&self) -> PathBuf {
        todo!()
    }

    /// Deletes both directories.
    pub fn delete(&self) -> Result<()> {
        todo!()
    }

    /// The bytes of the files in the layer: Docker's `SizeRw`.
    pub fn size(&self) -> Result<u64> {
        todo!()
    }

    /// The bytes the layer takes on disk.
    pub fn usage(&self) -> Result<u64> {
        todo!()
    }

    /// What `docker diff` shows, sorted by path.
    pub fn changes(&self, lowers: &[PathBuf]) -> Result<Vec<Change>> {
        let _ = lowers;
        todo!()
    }

    /// Writes the layer as a tar with whiteouts.
    pub fn tar(&self, out: impl Write) -> Result<()> {
        let _ = out;
        todo!()
    }

    /// Copies the layer into a new read-only one (commit).
    pub fn commit(&self, layers: &Layers, limits: &Limits) -> Result<Staged> {
        let _ = (layers, limits);
        todo!()
    }

    /// The container's whole root file system, mounted nowhere, for cp, export and the like. Only while the container
    /// does not run; a running one is reached through /proc/PID/root.
    pub fn rootfs(&self, lowers: &[PathBuf]) -> Result<Rootfs> {
        let _ = lowers;
        todo!()
    }
}

/// Where the writable layer of a container directory lies.
pub(crate) fn _upper(container_dir: &Path) -> PathBuf {
    container_dir.join("diff")
}
