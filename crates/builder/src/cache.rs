//! What earlier builds made: layers by the key of everything that went into them. A record is one file below `cache/`;
//! while a record is there, its layer is not collected. Directories that stay from build to build lie below `mounts/`.

mod mounts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hako_model::digest::Digest;
use hako_model::time::Timestamp;
use hako_store::{ChainId, LayerPin, Store};
use hako_sys::file::{Durability, write_atomic};
use serde::{Deserialize, Serialize};

pub use mounts::Occupied;

use crate::files::contents::Memory;
use crate::workshop::Cancel;
use crate::{Error, Result};

/// A record's use is written down again after this long.
const STALE: i64 = 60;

/// How long one waits at a time for another build that makes the same thing.
const PATIENCE: Duration = Duration::from_millis(100);

/// The cache of a data root.
pub struct Cache {
    root: PathBuf,
    store: Store,
    inside: Mutex<Inside>,
    changed: Condvar,
    /// What files held when they were last read.
    pub memory: Memory,
}

#[derive(Default)]
struct Inside {
    records: HashMap<Digest, Held>,
    /// Keys whose layers are being made.
    making: Vec<Digest>,
    mounts: mounts::Busy,
}

struct Held {
    record: Record,
    _pin: LayerPin,
}

/// One thing an earlier build made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The layer, with all below it.
    pub layer: ChainId,
    /// The instruction that made it.
    pub text: String,
    /// When it was made.
    pub created: String,
    /// When it was last used, in seconds since the epoch.
    pub used: i64,
    /// Where it stood: file, stage and instruction.
    pub place: Digest,
    /// What went into it, by name.
    pub inputs: Vec<(String, String)>,
    /// The bytes of its files.
    pub size: u64,
}

/// The right to make a layer; others who want the same one wait until it is dropped.
pub struct Making<'a> {
    cache: &'a Cache,
    key: Digest,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.cache.inside().making.retain(|key| *key != self.key);
        self.cache.changed.notify_all();
    }
}

/// What came of asking.
pub enum Found<'a> {
    /// It is here.
    Here(Record),
    /// The caller makes it.
    Missing(Making<'a>),
}

impl Cache {
    /// Opens the cache below `root`. Records whose layers are gone are gone, too.
    pub fn open(root: &Path, store: Store) -> Result<Self> {
        for name in ["cache", "mounts"] {
            let path = root.join(name);
            std::fs::create_dir_all(&path).map_err(|cause| Error::io(format!("make {}", path.display()), cause))?;
        }
        let mut inside = Inside::default();
        for entry in std::fs::read_dir(root.join("cache")).into_iter().flatten().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let record: Option<Record> = serde_json::from_slice(&bytes).ok();
            let name = entry.file_name().to_string_lossy().into_owned();
            let key = name.strip_suffix(".json").and_then(|hex| Digest::from_sha256_hex(hex).ok());
            match key.zip(record).and_then(|(key, record)| Some((key, held(&store, record)?))) {
                Some((key, held)) => drop(inside.records.insert(key, held)),
                // A record that says nothing is rubbish; failing to remove it costs a look at the next start.
                None => drop(std::fs::remove_file(entry.path())),
            }
        }
        let memory = Memory::load(&root.join("contents"));
        Ok(Self { root: root.to_owned(), store, inside: Mutex::new(inside), changed: Condvar::new(), memory })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.root.join("cache").join(format!("{}.json", key.hex()))
    }

    /// What is under a key; waits while another build makes it. With `fresh` what is here does not count.
    pub fn find(&self, key: &Digest, fresh: bool, cancel: &Cancel) -> Result<Found<'_>> {
        let mut inside = self.inside();
        loop {
            cancel.check()?;
            if !fresh && let Some(held) = inside.records.get_mut(key) {
                let record = held.record.clone();
                let stale = now() - record.used > STALE;
                held.record.used = now();
                let renewed = held.record.clone();
                drop(inside);
                if stale {
                    self.write(key, &renewed)?;
                }
                return Ok(Found::Here(record));
            }
            if !inside.making.contains(key) {
                inside.making.push(key.clone());
                return Ok(Found::Missing(Making { cache: self, key: key.clone() }));
            }
            inside = self.changed.wait_timeout(inside, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps what was made.
    pub fn keep(&self, making: Making<'_>, record: Record) -> Result<()> {
        self.write(&making.key, &record)?;
        let pin = self.store.layers().pin(&record.layer)?;
        self.inside().records.insert(making.key.clone(), Held { record, _pin: pin });
        Ok(())
    }

    fn write(&self, key: &Digest, record: &Record) -> Result<()> {
        let bytes =
            serde_json::to_vec(record).map_err(|error| Error::refused(format!("write cache record: {error}")))?;
        Ok(write_atomic(&self.path(key), &bytes, Durability::Process)?)
    }

    /// The newest record of the same place, to say what differs.
    pub fn last_at(&self, place: &Digest) -> Option<Record> {
        let inside = self.inside();
        let records = inside.records.values().map(|held| &held.record).filter(|record| record.place == *place);
        records.max_by(|one, other| one.created.cmp(&other.created)).cloned()
    }

    /// All records, with their keys.
    pub fn records(&self) -> Vec<(Digest, Record)> {
        self.inside().records.iter().map(|(key, held)| (key.clone(), held.record.clone())).collect()
    }

    /// Forgets records that `wanted` picks; their layers go with the next collection. Gives the keys.
    pub fn forget(&self, wanted: impl Fn(&Record) -> bool) -> Vec<Digest> {
        let mut inside = self.inside();
        let keys: Vec<Digest> =
            inside.records.iter().filter(|(_, held)| wanted(&held.record)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            inside.records.remove(key);
            // What cannot be removed is read again at the next start, and forgotten once its layer is gone.
            let _ = std::fs::remove_file(self.path(key));
        }
        keys
    }

    /// Where this cache lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn held(store: &Store, record: Record) -> Option<Held> {
    let pin = store.layers().pin(&record.layer).ok()?;
    Some(Held { record, _pin: pin })
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

/// Now, as images write it.
pub(crate) fn now_text() -> String {
    Timestamp::from(SystemTime::now()).to_string()
}

/// Shares a cache.
pub type Shared = Arc<Cache>;
