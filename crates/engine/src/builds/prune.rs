//! Forgetting what builds keep.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hako_model::digest::Digest;
use hako_model::filter::Filters;
use hako_store::ChainId;
use rustix::fs::FlockOperation;

use super::Builds;
use super::usage::{self, Kept, KeptKind};
use crate::house::House;
use crate::{Error, Result};

/// How long a context stays that nobody builds from.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was forgotten.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// What it was.
    pub gone: Vec<Kept>,
    /// Bytes given back.
    pub reclaimed: u64,
}

/// How much of the cache may stay, in bytes; 0 where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// So much stays whatever else is said.
    pub reserved: u64,
    /// So much may stay.
    pub most: u64,
    /// So much of the disk is to be free.
    pub free: u64,
}

impl Bounds {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// How much stays of a cache of a size, with so much of the disk free.
    fn kept(self, size: u64, free: u64) -> u64 {
        let missing = self.free.saturating_sub(free);
        let kept = match (self.most, self.free) {
            (0, 0) => 0,
            (0, _) => size.saturating_sub(missing),
            (most, _) => most.min(size.saturating_sub(missing)),
        };
        kept.max(self.reserved)
    }
}

impl Builds {
    /// Forgets records, with `all` also the directories of cache mounts; filters say which, `until` spares those used since,
    /// and `bounds` those used last.
    pub async fn prune(&self, all: bool, filters: &Filters, bounds: Bounds) -> Result<Pruned> {
        let chosen = Chosen::read(filters)?;
        self.forget_chosen(all, until(filters)?, bounds, chosen).await
    }

    /// Forgets what was last used before a moment, in seconds since the epoch, or everything, or what was used longest ago
    /// until the rest is within its bounds; cache mounts only with `all` and without any of these.
    pub async fn forget(&self, all: bool, before: Option<i64>, bounds: Bounds) -> Result<Pruned> {
        self.forget_chosen(all, before, bounds, Chosen::default()).await
    }

    async fn forget_chosen(&self, all: bool, before: Option<i64>, bounds: Bounds, chosen: Chosen) -> Result<Pruned> {
        let house = std::sync::Arc::clone(&self.house);
        let pruned = tokio::task::spawn_blocking(move || {
            let known = usage::list(&house)?;
            let known: Vec<Kept> = known.into_iter().filter(|kept| chosen.has(kept)).collect();
            if !bounds.is_empty() {
                return within(&house, known, before, bounds);
            }
            let names: HashSet<&str> = known.iter().map(|kept| kept.id.as_str()).collect();
            let is_old = |used: i64| before.is_none_or(|before| used < before);
            let ids = match chosen.is_empty() {
                true => house.cache.forget(|record| is_old(record.used)),
                false => known
                    .iter()
                    .filter(|kept| kept.kind == KeptKind::Layer && is_old(kept.used.secs()))
                    .filter_map(|kept| Digest::parse(&format!("sha256:{}", kept.id)).ok())
                    .filter(|key| house.cache.forget_one(key))
                    .collect(),
            };
            let mut gone: Vec<String> = ids.iter().map(|id| id.hex().to_owned()).collect();
            let mut reclaimed = house.store.collect().map_err(|e| Error::io("collect layers", e))?.reclaimed;
            let age = before.map_or(Duration::ZERO, age_of);
            let mut cleared = clear_contexts(&house, age, |name| chosen.is_empty() || names.contains(name))?;
            // Who says what is to go means it, mounts included.
            if (all || !chosen.is_empty()) && before.is_none() {
                let mounts = house.cache.clear_mounts(|name| chosen.is_empty() || names.contains(name));
                cleared.extend(mounts.map_err(|e| Error::io("clear cache mounts", e))?);
            }
            for (name, bytes) in cleared {
                gone.push(name);
                reclaimed += bytes;
            }
            let gone = known.into_iter().filter(|kept| gone.contains(&kept.id)).collect();
            Ok(Pruned { gone, reclaimed })
        });
        pruned.await.map_err(|e| Error::io("prune build cache", e))?
    }
}

/// What filters say of things in the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Chosen {
    /// Part of the name.
    id: Option<String>,
    /// The names of what it stands on.
    parent: Option<String>,
    kind: Option<String>,
    description: Option<String>,
    /// Whether a step uses it right now: nothing that is so ever goes.
    used: Option<bool>,
    shared: Option<bool>,
}

impl Chosen {
    fn read(filters: &Filters) -> Result<Self> {
        let one = |name: &str| -> Result<Option<String>> {
            let mut values = filters.values(name);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(Error::invalid("failed to prune build cache: filters expect only one value")),
                (first, None) => Ok(first.map(str::to_owned)),
            }
        };
        let switch = |name: &str| -> Result<Option<bool>> {
            Ok(one(name)?.map(|text| !matches!(text.as_str(), "0" | "f" | "F" | "false" | "False" | "FALSE")))
        };
        // What is not shared is private.
        let shared = match (switch("shared")?, switch("private")?) {
            (None, private) => private.map(|private| !private),
            (shared, _) => shared,
        };
        Ok(Self {
            id: one("id")?,
            parent: one("parent")?,
            kind: one("type")?,
            description: one("description")?,
            used: switch("inuse")?,
            shared,
        })
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn has(&self, kept: &Kept) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        self.id.as_ref().is_none_or(|id| kept.id.contains(id.as_str()))
            && self.parent.as_ref().is_none_or(|parent| kept.parents.iter().any(|own| own.starts_with(parent.as_str())))
            && is(&self.kind, kept.kind.word())
            && is(&self.description, &kept.text)
            && self.used != Some(true)
            && self.shared.is_none_or(|shared| shared == kept.shared)
    }
}

/// Forgets steps, those that were used longest ago first, until all that is kept is within its bounds. Steps whose layers
/// images have take no room of their own.
fn within(house: &House, known: Vec<Kept>, before: Option<i64>, bounds: Bounds) -> Result<Pruned> {
    let own = |kept: &&Kept| !kept.shared;
    let size: u64 = known.iter().filter(own).map(|kept| kept.size).sum();
    let disk = rustix::fs::statvfs(house.cache.root()).map_err(|e| Error::io("measure the disk", e))?;
    let mut excess = size.saturating_sub(bounds.kept(size, disk.f_bavail.saturating_mul(disk.f_frsize)));
    let mut gone = Vec::new();
    let turns = turns(house);
    let mut layers: Vec<(Turn, Kept)> = known
        .into_iter()
        .filter(|kept| kept.kind == KeptKind::Layer && !kept.shared)
        .filter_map(|kept| Some((*turns.get(&kept.id)?, kept)))
        .collect();
    layers.sort_by_key(|(turn, _)| *turn);
    for (turn, kept) in layers {
        if excess == 0 || before.is_some_and(|before| turn.0 >= before) {
            break;
        }
        let Ok(key) = Digest::parse(&format!("sha256:{}", kept.id)) else { continue };
        if house.cache.forget_one(&key) {
            excess = excess.saturating_sub(kept.size);
            gone.push(kept);
        }
    }
    let reclaimed = house.store.collect().map_err(|e| Error::io("collect layers", e))?.reclaimed;
    Ok(Pruned { gone, reclaimed })
}

/// When a step's turn to go is: what was used longest ago goes first, and of that what stands highest.
type Turn = (i64, std::cmp::Reverse<usize>);

/// The turns of all steps, by their names. A step is of use as long as one that stands on it.
fn turns(house: &House) -> HashMap<String, Turn> {
    let (records, layers) = (house.cache.records(), house.store.layers());
    let chain = |top: &ChainId| -> Vec<ChainId> {
        let below = |id: &ChainId| layers.get(id).and_then(|layer| layer.parent);
        std::iter::successors(Some(top.clone()), below).collect()
    };
    let mut used: HashMap<ChainId, i64> = HashMap::new();
    for (_, record) in &records {
        for layer in chain(&record.layer) {
            let known = used.entry(layer).or_insert(record.used);
            *known = record.used.max(*known);
        }
    }
    let turn = |layer: &ChainId| (used.get(layer).copied().unwrap_or(0), std::cmp::Reverse(chain(layer).len()));
    records.iter().map(|(key, record)| (key.hex().to_owned(), turn(&record.layer))).collect()
}

/// Removes contexts of these names that nobody used for that long; gives their names and bytes.
pub(super) fn clear_contexts(
    house: &House,
    age: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, u64)>> {
    let root = house.layout.builds().join("contexts");
    let failed = |e: &dyn std::fmt::Display| Error::io("clear contexts", e);
    let mut gone = Vec::new();
    for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|name| !name.contains('.')) else {
            continue;
        };
        if !wanted(&name) {
            continue;
        }
        let path = entry.path().with_extension("lock");
        let Ok(lock) = File::options().create(true).append(true).open(&path) else { continue };
        let used = lock.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_old = used.elapsed().is_ok_and(|found| found >= age);
        // One that a build uses stays. The lock stays with it: a name that is made anew would be another lock.
        if !is_old || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let bytes = hako_store::disk_usage(&entry.path()).map_err(|e| failed(&e))?;
        let confined = hako_sys::confined::Root::open(&root).map_err(|e| failed(&e))?;
        confined.remove_all(Path::new(&name)).map_err(|e| failed(&e))?;
        gone.push((name, bytes));
    }
    Ok(gone)
}

/// Removes contexts that nobody builds from any more.
pub(super) fn clear_stale_contexts(house: &House) {
    if let Err(error) = clear_contexts(house, STALE, |_| true) {
        tracing::warn!(%error, "old build contexts stay");
    }
}

fn age_of(before: i64) -> Duration {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    Duration::from_secs(now.saturating_sub(u64::try_from(before).unwrap_or(0)))
}

/// The filters that Docker has.
const FILTERS: &[&str] = &["until", "unused-for", "id", "parent", "type", "description", "inuse", "shared", "private"];

/// `until=24h` as seconds since the epoch.
fn until(filters: &Filters) -> Result<Option<i64>> {
    let failed = |error: Error| error.during("failed to prune build cache");
    filters.only(FILTERS).map_err(|error| failed(Error::from(error)))?;
    let Some(text) = filters.values("until").chain(filters.values("unused-for")).next().map(str::to_owned) else {
        return Ok(None);
    };
    let nanos = hako_model::duration::parse(&text).map_err(|e| Error::invalid(format!("invalid filter until: {e}")))?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    Ok(Some(i64::try_from(now).unwrap_or(i64::MAX) - nanos / 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose() {
        let kept = |kind, shared| Kept {
            id: "abc123".to_owned(),
            parents: vec!["def456".to_owned()],
            kind,
            text: "[1/2] RUN true".to_owned(),
            created: hako_model::time::Timestamp::default(),
            used: hako_model::time::Timestamp::default(),
            size: 1,
            shared,
        };
        let has = |pairs: &[(&str, &str)], kept: &Kept| {
            let mut filters = Filters::default();
            pairs.iter().for_each(|(name, value)| filters.add(*name, *value));
            Chosen::read(&filters).map(|chosen| chosen.has(kept)).map_err(|error| error.to_string())
        };
        let layer = kept(KeptKind::Layer, false);
        for (name, value, expect) in [
            ("id", "abc123", true),
            ("id", "abc", true),
            ("id", "xyz", false),
            ("parent", "def456", true),
            ("parent", "abc", false),
            ("type", "regular", true),
            ("type", "exec.cachemount", false),
            ("description", "[1/2] RUN true", true),
            ("description", "RUN", false),
            ("inuse", "true", false),
            ("inuse", "false", true),
            ("shared", "true", false),
            ("private", "1", true),
            ("private", "false", false),
        ] {
            assert_eq!(has(&[(name, value)], &layer), Ok(expect), "{name}={value}");
        }
        assert_eq!(has(&[("shared", "1")], &kept(KeptKind::Layer, true)), Ok(true));
        assert_eq!(has(&[("type", "exec.cachemount")], &kept(KeptKind::Mount, false)), Ok(true));
        let two = has(&[("id", "a"), ("id", "b")], &layer);
        assert_eq!(two, Err("failed to prune build cache: filters expect only one value".to_owned()));
    }

    #[test]
    fn bounds_say_how_much_stays() {
        let kept = |reserved, most, free, size, available| Bounds { reserved, most, free }.kept(size, available);
        assert_eq!(kept(0, 40, 0, 100, 0), 40);
        assert_eq!(kept(60, 40, 0, 100, 0), 60, "what is reserved stays");
        assert_eq!(kept(0, 0, 50, 100, 20), 70, "as much goes as is missing");
        assert_eq!(kept(0, 0, 50, 100, 80), 100, "nothing is missing");
        assert_eq!(kept(0, 90, 50, 100, 20), 70);
        assert_eq!(kept(30, 0, 0, 100, 0), 30);
    }
}
