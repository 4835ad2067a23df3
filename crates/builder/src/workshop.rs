//! What a build needs from the engine around it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use hako_model::digest::Digest;
use hako_model::image::ImageConfig;
use hako_model::platform::Platform;
use hako_store::{Image, Layer};

use crate::Result;
use crate::request::{Sandbox, Secret};

/// Runs steps, finds images, fetches addresses.
pub trait Workshop: Send + Sync {
    /// The image of a reference, pulled if it is not here or `pull` says so. `tell` hears of the progress.
    fn image(&self, reference: &str, platform: &Platform, pull: bool, tell: &dyn Fn(&str)) -> Result<Image>;

    /// Runs a container to its end. `output` hears what it writes; the flag is true for errors.
    fn run(&self, step: &Step, output: &(dyn Fn(bool, &[u8]) + Sync), cancel: &Cancel) -> Result<Ending>;

    /// User and group of `user[:group]` by the account files of these layers, topmost first.
    fn account(&self, lowers: &[PathBuf], user: &str) -> Result<(u32, u32)>;

    /// The bytes at an address of the web.
    fn fetch(&self, url: &str, cancel: &Cancel) -> Result<Fetched>;

    /// A secret of the caller's; none if it has none of that name.
    fn secret(&self, id: &str) -> Result<Option<Secret>>;

    /// Makes a socket at a path, and connects who comes to an agent of the caller's, as long as what it gives lives; none
    /// if the caller lends none of that name.
    fn agent(&self, id: &str, socket: &std::path::Path) -> Result<Option<Box<dyn Relay>>>;

    /// The layer that caches outside have under a key, brought here; `below` are the diff ids it stands on. None if they have
    /// none, or it cannot be had: then the step is done.
    fn recall(&self, key: &Digest, below: &[Digest], tell: &dyn Fn(&str)) -> Result<Option<Recalled>> {
        let _ = (key, below, tell);
        Ok(None)
    }

    /// What caches outside have of a cache mount, brought here: a directory in `scratch`. None if they have nothing, or it cannot
    /// be had: then the mount begins as ever.
    fn refill(
        &self,
        mount: &Digest,
        scratch: &std::path::Path,
        cancel: &Cancel,
        tell: &dyn Fn(&str),
    ) -> Result<Option<PathBuf>> {
        let _ = (mount, scratch, cancel, tell);
        Ok(None)
    }

    /// Makes an image of what a failing RUN left, whose command is a shell.
    fn keep_failed(&self, config: ImageConfig) -> Result<()> {
        let _ = config;
        Ok(())
    }

    /// Checks a git repository out into an empty directory: an address with an optional `#ref:folder`. Gives the commit.
    fn checkout(&self, address: &str, keep_git: bool, into: &std::path::Path, cancel: &Cancel) -> Result<String>;
}

/// How a RUN ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ending {
    /// Its exit code.
    pub code: i32,
    /// Whether the kernel ended one of its processes for want of memory.
    pub out_of_memory: bool,
}

/// A layer from a cache outside.
pub struct Recalled {
    /// Where it is now.
    pub layer: Layer,
    /// When it was made, as images write it.
    pub created: String,
}

/// Goes on as long as it lives.
pub trait Relay: Send {}

/// What an address gave.
pub struct Fetched {
    /// The bytes, in a file without a name.
    pub content: File,
    /// When it was last changed, in seconds since the epoch, if the server said.
    pub modified: Option<i64>,
    /// The name the server gave it.
    pub name: Option<String>,
}

/// One RUN.
#[derive(Debug, Clone)]
pub struct Step {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// `user[:group]`.
    pub user: String,
    /// The host name.
    pub hostname: String,
    /// Layers below, topmost first.
    pub lowers: Vec<PathBuf>,
    /// The layer being made.
    pub upper: PathBuf,
    /// Overlay's work directory.
    pub work: PathBuf,
    /// What else is mounted.
    pub mounts: Vec<StepMount>,
    /// `default`, `none` or `host`.
    pub network: String,
    /// How it is confined.
    pub sandbox: Sandbox,
}

/// Something mounted for one RUN.
#[derive(Debug, Clone)]
pub struct StepMount {
    /// Where, inside.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
    /// What.
    pub what: Mounted,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub enum Mounted {
    /// A file or directory of the host's that belongs to the build.
    Path(PathBuf),
    /// Directories as one, topmost first, and where changes go if there may be any.
    Layers {
        /// The directories.
        lowers: Vec<PathBuf>,
        /// Upper and work directory.
        changes: Option<(PathBuf, PathBuf)>,
    },
    /// A file system in memory, of this size.
    Memory(Option<u64>),
    /// A file that must never be on a disk.
    Secret {
        /// Its bytes.
        content: Secret,
        /// Permission bits.
        mode: u32,
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Tells everything that works on a build to stop.
#[derive(Default)]
pub struct Cancel {
    set: AtomicBool,
    wakers: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

impl Cancel {
    /// Stops.
    pub fn set(&self) {
        self.set.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.iter().for_each(|wake| wake());
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// Calls `wake` when it is time to stop, or now if it is.
    pub fn on_set(&self, wake: impl Fn() + Send + 'static) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
        if self.is_set() {
            self.set();
        }
    }

    /// An error if it is time to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(crate::Error::Cancelled) } else { Ok(()) }
    }
}
