//! Named volumes: `volumes/NAME/_data` and a record beside it.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use hako_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The volumes of a store. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {}

/// A volume's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Always `local`.
    pub driver: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The user's labels; `null` when none were given.
    pub labels: Option<BTreeMap<String, String>>,
    /// Options of the local driver: `type`, `device`, `o`; `null` when none were given.
    pub options: Option<BTreeMap<String, String>>,
    /// Whether nobody named it.
    pub anonymous: bool,
    /// Where its data lies.
    #[serde(skip)]
    pub mountpoint: PathBuf,
    /// Why its record cannot be read; it can still be removed.
    #[serde(skip)]
    pub damage: Option<String>,
}

/// A volume to be made.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Its name; empty makes an anonymous one with a random name.
    pub name: String,
    /// `local` or empty.
    pub driver: String,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
    /// Mark as anonymous even though named (containers' anonymous volumes).
    pub anonymous: bool,
}

impl Volumes {
    /// Makes a volume, or returns the one of that name when driver and options agree.
    pub fn create(&self, new: NewVolume) -> Result<Volume> {
        let _ = new;
        todo!()
    }

    /// The volume of that name.
    pub fn get(&self, name: &str) -> Result<Volume> {
        let _ = name;
        todo!()
    }

    /// All volumes by name, damaged ones too.
    pub fn list(&self) -> Vec<Volume> {
        todo!()
    }

    /// Removes a volume and its data. Whether somebody uses it is the caller's knowledge.
    pub fn remove(&self, name: &str) -> Result<()> {
        let _ = name;
        todo!()
    }

    /// The bytes its data takes on disk.
    pub fn usage(&self, name: &str) -> Result<u64> {
        let _ = name;
        todo!()
    }

    /// Copies what lies at `path` inside `root` into the volume, with ownership, times and xattrs, when the volume is
    /// empty and `path` is a directory there. Links in `path` are resolved inside `root`; links in the content are copied,
    /// never followed. Returns whether anything was copied.
    pub fn copy_up(&self, name: &str, root: BorrowedFd<'_>, path: &Path) -> Result<bool> {
        let _ = (name, root, path);
        todo!()
    }
}
