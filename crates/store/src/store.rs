//! The store as a whole: where things lie, and what happens when it is opened.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_sys::file::Durability;

use crate::extract::remove_tree;
use crate::flights::Flights;
use crate::index::Index;
use crate::{Blobs, Error, Images, Layers, Result, Rootfs, Volumes, Writable};

/// The store below one data root. Cheap to clone. One process at a time opens a data root (the engine's lock sees to it).
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) flights: Arc<Flights>,
    index: Mutex<Index>,
    serial: AtomicU64,
}

/// While it lives, nothing that was received, made or found since it began is collected: a pull, a load or a commit
/// takes one before its first blob and drops it after its image was added.
pub struct Hold {
    shared: Arc<Shared>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let untidy = {
            let mut index = self.shared.index();
            index.holds -= 1;
            if index.holds > 0 {
                return;
            }
            index.recent.clear();
            std::mem::take(&mut index.untidy)
        };
        if untidy {
            // A failed operation left content that nobody refers to; a failure here leaves it to the next collection.
            let _ = Store { shared: self.shared.clone() }.collect_unneeded();
        }
    }
}

const DIRECTORIES: [&str; 8] =
    ["blobs/sha256", "blobs/sha512", "layers", "images/records", "images/references", "ingest", "volumes", "tmp"];

impl Shared {
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A name below `tmp/` that nobody has.
    pub(crate) fn temporary(&self) -> PathBuf {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!("tmp/{}-{serial}", std::process::id()))
    }

    /// A fresh directory below `tmp/`.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let path = self.temporary();
        make_dir(&path, 0o700)?;
        Ok(path)
    }

    /// Makes something invisible at once by moving it to `tmp/`; the returned place is for [`discard`].
    pub(crate) fn bury(&self, path: &Path) -> Result<Option<PathBuf>> {
        let grave = self.temporary();
        match std::fs::rename(path, &grave) {
            Ok(()) => Ok(Some(grave)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::at("remove", path)(error)),
        }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let root = File::open(&self.root).map_err(Error::at("open", &self.root))?;
        rustix::fs::syncfs(&root).map_err(Error::at("sync", &self.root))
    }
}

/// Deletes a file or a whole tree.
pub(crate) fn discard(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = File::open(parent).map_err(Error::at("open", parent))?;
    remove_tree(&parent, name)
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(Error::at("create directory", path))
}

/// Which boot of the machine this is.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Store {
    /// Opens (and if need be creates) the store below `data_root`, sweeps half-done work, reads the records.
    pub fn open(data_root: &Path) -> Result<Self> {
        make_dir(data_root, 0o710)?;
        for directory in DIRECTORIES {
            make_dir(&data_root.join(directory), 0o700)?;
        }
        let shared = Shared {
            root: data_root.to_owned(),
            flights: Arc::default(),
            index: Mutex::default(),
            serial: AtomicU64::new(0),
        };
        let store = Self { shared: Arc::new(shared) };
        store.sweep()?;
        Ok(store)
    }

    /// Reads the records and removes what a crash left. After a power cut, content that nothing durable refers to may
    /// have lost its bytes, so it goes too.
    fn sweep(&self) -> Result<()> {
        let tmp = self.shared.path("tmp");
        crate::extract::remove_children(File::open(&tmp).map_err(Error::at("open", &tmp))?)?;
        self.layers().read_records()?;
        self.images().read_records()?;
        let mark = self.shared.path("boot");
        let (before, now) = (std::fs::read_to_string(&mark).unwrap_or_default(), boot());
        if before == now {
            return Ok(());
        }
        if !before.is_empty() {
            self.drop_unsealed()?;
        }
        hako_sys::file::write_atomic(&mark, now.as_bytes(), Durability::Process)?;
        Ok(())
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Blobs: manifests, configurations and layers as they were received.
    pub fn blobs(&self) -> Blobs {
        Blobs { shared: self.shared.clone() }
    }

    /// Unpacked layers.
    pub fn layers(&self) -> Layers {
        Layers { shared: self.shared.clone() }
    }

    /// Images and what refers to them.
    pub fn images(&self) -> Images {
        Images { shared: self.shared.clone() }
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes { shared: self.shared.clone() }
    }

    /// The writable layer in a container's directory (`containers/ID`), which need not exist yet.
    pub fn writable(&self, container_dir: &Path) -> Writable {
        Writable { dir: container_dir.to_owned(), shared: self.shared.clone() }
    }

    /// The read-only view of an image's layers: a detached mount that no namespace sees and that goes with the value.
    pub fn rootfs(&self, lowers: &[PathBuf]) -> Result<Rootfs> {
        Rootfs::read_only(lowers, &self.shared.temporary())
    }

    /// A directory that is always empty, for overlays of one layer: they want two.
    pub fn nothing(&self) -> Result<PathBuf> {
        let path = self.shared.root.join("nothing");
        make_dir(&path, 0o555)?;
        Ok(path)
    }

    /// Holds off the collection of what an operation brings in.
    pub fn hold(&self) -> Hold {
        self.shared.index().holds += 1;
        Hold { shared: self.shared.clone() }
    }

    /// Writes everything out to the disk (one `syncfs`), so that what was promised survives power loss.
    pub fn sync(&self) -> Result<()> {
        self.shared.sync()
    }

    /// A fresh directory below `tmp/`, swept at the next start if it is still there.
    pub fn scratch(&self) -> Result<PathBuf> {
        self.shared.scratch()
    }
}
