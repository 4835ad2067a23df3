//! The store as a whole: where things lie, and what happens when it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Blobs, Images, Layers, Result, Rootfs, Volumes, Writable};

/// The store below one data root. Cheap to clone. One process at a time opens a data root (the engine's lock sees to it).
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) root: PathBuf,
}

impl Store {
    /// Opens (and if need be creates, mode 0710) the store below `data_root`, sweeps half-done work, reads the records.
    pub fn open(data_root: &Path) -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared { root: data_root.to_owned() }) })
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Blobs: manifests, configurations and layers as they were received.
    pub fn blobs(&self) -> Blobs {
        todo!()
    }

    /// Unpacked layers.
    pub fn layers(&self) -> Layers {
        todo!()
    }

    /// Images and what refers to them.
    pub fn images(&self) -> Images {
        todo!()
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        todo!()
    }

    /// The writable layer in a container's directory (`containers/ID`), which need not exist yet.
    pub fn writable(&self, container_dir: &Path) -> Writable {
        let _ = container_dir;
        todo!()
    }

    /// The read-only view of an image's layers: a detached mount that no namespace sees and that goes with the value.
    pub fn rootfs(&self, lowers: &[PathBuf]) -> Result<Rootfs> {
        let _ = lowers;
        todo!()
    }

    /// Writes everything out to the disk (one `syncfs`), so that what was promised survives power loss.
    pub fn sync(&self) -> Result<()> {
        todo!()
    }

    /// A fresh directory below `tmp/`, swept at the next start if it is still there.
    pub fn scratch(&self) -> Result<PathBuf> {
        todo!()
    }
}
