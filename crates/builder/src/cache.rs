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

pub use mounts::{Begin, Occupied, name as mount_name};

use crate::files::contents::Memory;
use crate::files::place::model::{self, Model, Traits};
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
        model::sweep(root, |name| Digest::from_sha256_hex(name).is_ok_and(|key| inside.records.contains_key(&key)))?;
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

    /// Keeps what was made, and what was placed for that.
    pub fn keep(&self, making: Making<'_>, record: Record, placed: &[(String, Traits)]) -> Result<()> {
        Model::note(&model::place(&self.root, &making.key), placed)?;
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

    /// The newest layer of the same place that noted what it was made of.
    pub fn model_at(&self, place: &Digest) -> Option<Model> {
        let mut records: Vec<(Digest, Record)> = self.records();
        records.retain(|(_, record)| record.place == *place);
        records.sort_by(|(_, one), (_, other)| other.created.cmp(&one.created));
        let opened = |(key, record): &(Digest, Record)| {
            Model::open(&model::place(&self.root, key), &self.store.layers().diff_dir(&record.layer))
        };
        records.iter().find_map(opened)
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
            self.remove(key);
        }
        keys
    }

    /// Forgets one record; whether it was there.
    pub fn forget_one(&self, key: &Digest) -> bool {
        let known = self.inside().records.remove(key).is_some();
        self.remove(key);
        known
    }

    fn remove(&self, key: &Digest) {
        // What cannot be removed is read again at the next start, and forgotten once its layer is gone.
        let _ = std::fs::remove_file(self.path(key));
        let _ = std::fs::remove_file(model::place(&self.root, key));
    }

    /// Forgets what was used longest ago until the rest is no larger than `limit` bytes. What `free` picks takes no room of
    /// its own, and stays. Gives how many went.
    pub fn trim(&self, limit: u64, free: impl Fn(&ChainId) -> bool) -> usize {
        let mut records: Vec<Record> = self.records().into_iter().map(|(_, record)| record).collect();
        records.retain(|record| !free(&record.layer));
        records.sort_by_key(|record| std::cmp::Reverse(record.used));
        let mut total = 0_u64;
        let kept = records.iter().take_while(|record| {
            total = total.saturating_add(record.size);
            total <= limit
        });
        match kept.last().map(|record| record.used) {
            _ if total <= limit => 0,
            oldest => {
                let old = |record: &Record| oldest.is_none_or(|oldest| record.used < oldest);
                self.forget(|record| old(record) && !free(&record.layer)).len()
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::mount::Sharing;

    /// A cache with records of 100 bytes each, used at these times.
    fn filled(dir: &Path, used: &[i64]) -> Cache {
        let store = Store::open(&dir.join("store")).unwrap();
        let cache = Cache::open(&dir.join("build"), store.clone()).unwrap();
        for (number, used) in used.iter().enumerate() {
            let draft = store.layers().draft(None).unwrap();
            std::fs::write(draft.upper().join(number.to_string()), vec![b'x'; 100]).unwrap();
            let layer = draft.freeze(None).unwrap().place(None, None).unwrap();
            let key = hako_store::Hasher::digest(number.to_string().as_bytes());
            let Found::Missing(making) = cache.find(&key, false, &Cancel::default()).unwrap() else { panic!() };
            let record = Record {
                layer: layer.chain_id,
                text: "RUN x".to_owned(),
                created: now_text(),
                used: *used,
                place: key.clone(),
                inputs: Vec::new(),
                size: layer.size,
            };
            cache.keep(making, record, &[]).unwrap();
        }
        cache
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path(), &[30, 10, 20]);
        let none = |_: &ChainId| false;
        assert_eq!(cache.trim(300, none), 0);
        // What an image has is not counted, and not forgotten either.
        assert_eq!(cache.trim(0, |_| true), 0);
        assert_eq!(cache.trim(250, none), 1);
        let mut left: Vec<i64> = cache.records().iter().map(|(_, record)| record.used).collect();
        left.sort_unstable();
        assert_eq!(left, [20, 30]);
        assert_eq!(cache.trim(10, none), 2);
    }

    #[test]
    fn records_outlive_a_daemon_as_long_as_their_layers_do() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), &[1, 2]));
        std::fs::write(dir.path().join("build/cache/rubbish.json"), "{").unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let cache = Cache::open(&dir.path().join("build"), store.clone()).unwrap();
        assert_eq!(cache.records().len(), 2);
        store.collect().unwrap();
        assert_eq!(store.layers().list().len(), 2, "records keep their layers");
        cache.forget(|_| true);
        store.collect().unwrap();
        assert!(store.layers().list().is_empty());
        assert_eq!(std::fs::read_dir(dir.path().join("build/cache")).unwrap().count(), 0);
    }

    #[test]
    fn one_makes_what_others_wait_for() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path(), &[]);
        let (key, cancel) = (hako_store::Hasher::digest(b"key"), Cancel::default());
        let Found::Missing(making) = cache.find(&key, false, &cancel).unwrap() else { panic!() };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| matches!(cache.find(&key, false, &cancel), Ok(Found::Missing(_))));
            drop(making);
            assert!(waiting.join().unwrap(), "given up by the first, it is the second's");
        });
        cancel.set();
        assert!(matches!(cache.find(&key, false, &cancel), Err(Error::Cancelled)));
    }

    /// Begins a mount with one file.
    fn begin(scratch: &Path, _: bool) -> Result<Option<PathBuf>> {
        let made = scratch.join("made");
        std::fs::create_dir(&made).unwrap();
        std::fs::write(made.join("first"), "1").unwrap();
        Ok(Some(made))
    }

    #[test]
    fn ids_of_cache_mounts_name_no_paths() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path(), &[]);
        let cancel = Cancel::default();
        let name = mount_name("../../escape", "", "/");
        let first = cache.occupy(&name, Sharing::Private, &cancel, &begin).unwrap();
        let second = cache.occupy(&name, Sharing::Private, &cancel, &begin).unwrap();
        assert!(first.path() != second.path());
        assert!(first.path().starts_with(dir.path().join("build/mounts")));
        assert_eq!(first.path().parent().unwrap().file_name().unwrap(), "mounts");
    }

    #[test]
    fn a_cache_mount_is_begun_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path(), &[]);
        let cancel = Cancel::default();
        let name = mount_name("id", "", "/");
        let failing = |scratch: &Path, _: bool| {
            begin(scratch, true)?;
            Err(Error::refused("half-way"))
        };
        assert!(cache.occupy(&name, Sharing::Shared, &cancel, &failing).is_err());
        assert!(cache.visit(&name, Sharing::Shared, &cancel).unwrap().is_none(), "nothing stays of it");
        let left = std::fs::read_dir(dir.path().join("store/tmp")).unwrap().count();
        assert_eq!(left, 0);

        // Who shares it waits until it is whole.
        let (send, receive) = std::sync::mpsc::channel();
        let (begun, has_begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let (cache, cancel, name) = (&cache, &cancel, &name);
            scope.spawn(move || {
                let slow = |scratch: &Path, fresh: bool| {
                    begun.send(()).unwrap();
                    receive.recv().unwrap();
                    begin(scratch, fresh)
                };
                cache.occupy(name, Sharing::Shared, cancel, &slow).unwrap();
            });
            has_begun.recv().unwrap();
            let never = |_: &Path, _: bool| panic!("it is begun already");
            let second = scope.spawn(move || {
                let second = cache.occupy(name, Sharing::Shared, cancel, &never).unwrap();
                second.path().join("first").exists()
            });
            send.send(()).unwrap();
            assert!(second.join().unwrap());
        });

        // An empty one may be begun again, and is not made by force.
        let place = cache.occupy(&name, Sharing::Shared, &cancel, &|_, _| Ok(None)).unwrap().path().to_owned();
        std::fs::write(place.join("first"), "mine").unwrap();
        drop(cache.occupy(&name, Sharing::Locked, &cancel, &begin).unwrap());
        assert_eq!(std::fs::read(place.join("first")).unwrap(), b"mine");
        std::fs::remove_file(place.join("first")).unwrap();
        let asked = std::cell::Cell::new(None);
        let ask = |_: &Path, fresh: bool| {
            asked.set(Some(fresh));
            Ok(None)
        };
        drop(cache.occupy(&name, Sharing::Locked, &cancel, &ask).unwrap());
        assert_eq!(asked.get(), Some(false));
        drop(cache.occupy(&name, Sharing::Locked, &cancel, &begin).unwrap());
        assert_eq!(std::fs::read(place.join("first")).unwrap(), b"1");
    }

    #[test]
    fn who_reads_a_cache_mount_waits_for_who_has_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path(), &[]);
        let (cancel, stopped) = (Cancel::default(), Cancel::default());
        stopped.set();
        let name = mount_name("id", "", "/");
        let locked = cache.occupy(&name, Sharing::Locked, &cancel, &begin).unwrap();
        let visited = cache.visit(&name, Sharing::Shared, &stopped);
        assert!(matches!(visited, Err(Error::Cancelled)), "it is waited for, until one is told to stop");
        drop(locked);
        let shared = cache.occupy(&name, Sharing::Shared, &cancel, &begin).unwrap();
        assert!(cache.visit(&name, Sharing::Shared, &cancel).unwrap().is_some());
        assert!(matches!(cache.visit(&name, Sharing::Locked, &stopped), Err(Error::Cancelled)));
        drop(shared);
        let visit = cache.visit(&name, Sharing::Locked, &cancel).unwrap();
        assert!(visit.is_some_and(|visit| visit.path().join("first").exists()));
    }
}
