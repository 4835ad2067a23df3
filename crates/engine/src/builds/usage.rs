//! What the build cache holds, and how much room it takes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use hako_model::time::Timestamp;

use super::Builds;
use crate::house::House;
use crate::{Error, Result};

/// What somebody may want to know of one thing in the cache.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// The names of what it stands on.
    pub parents: Vec<String>,
    /// What it is.
    pub kind: KeptKind,
    /// What made it.
    pub text: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
    /// Its bytes.
    pub size: u64,
    /// Whether an image has it, too.
    pub shared: bool,
}

/// What a thing in the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptKind {
    /// A step's layer.
    Layer,
    /// The directory of a cache mount.
    Mount,
    /// A context as a client last sent it.
    Context,
}

impl KeptKind {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Layer => "regular",
            Self::Mount => "exec.cachemount",
            Self::Context => "source.local",
        }
    }
}

impl Builds {
    /// Everything in the cache, what was used last first.
    pub async fn usage(&self) -> Result<Vec<Kept>> {
        let house = std::sync::Arc::clone(&self.house);
        tokio::task::spawn_blocking(move || list(&house)).await.map_err(|e| Error::io("list build cache", e))?
    }
}

/// Everything in the cache, what was used last first.
pub(crate) fn list(house: &House) -> Result<Vec<Kept>> {
    let held: HashSet<String> =
        house.store.images().list().into_iter().flat_map(|image| image.layers).map(|layer| layer.to_string()).collect();
    let records = house.cache.records();
    let mut made: HashMap<String, Vec<String>> = HashMap::new();
    for (key, record) in &records {
        made.entry(record.layer.to_string()).or_default().push(key.hex().to_owned());
    }
    let layers = house.store.layers();
    let parents = |layer: &hako_store::ChainId| {
        let below = layers.get(layer).and_then(|layer| layer.parent);
        below.and_then(|below| made.get(&below.to_string()).cloned()).unwrap_or_default()
    };
    let layer = |(key, record): (hako_model::digest::Digest, hako_builder::cache::Record)| Kept {
        id: key.hex().to_owned(),
        parents: parents(&record.layer),
        kind: KeptKind::Layer,
        created: Timestamp::parse(&record.created).unwrap_or_default(),
        used: Timestamp::from_secs(record.used),
        size: record.size,
        shared: held.contains(&record.layer.to_string()),
        text: record.text,
    };
    let mut all: Vec<Kept> = records.iter().cloned().map(layer).collect();
    let builds = house.layout.builds();
    all.extend(directories(&builds.join("mounts"), KeptKind::Mount, "cached mount")?);
    all.extend(directories(&builds.join("contexts"), KeptKind::Context, "local source")?);
    all.sort_by_key(|kept| std::cmp::Reverse(kept.used));
    Ok(all)
}

fn directories(root: &Path, kind: KeptKind, text: &str) -> Result<Vec<Kept>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        // It may be going just now.
        let Ok(about) = entry.metadata() else { continue };
        if !about.is_dir() {
            continue;
        }
        let used = about.modified().map_or_else(|_| Timestamp::default(), Timestamp::from);
        found.push(Kept {
            id: entry.file_name().to_string_lossy().into_owned(),
            parents: Vec::new(),
            kind,
            text: text.to_owned(),
            created: about.created().map_or(used, Timestamp::from),
            used,
            size: hako_store::disk_usage(&entry.path()).map_err(|e| Error::io("measure build cache", e))?,
            shared: false,
        });
    }
    Ok(found)
}
