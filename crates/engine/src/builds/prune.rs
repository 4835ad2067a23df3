//! Forgetting what builds keep.

use hako_model::filter::Filters;

use super::Builds;
use crate::{Error, Result};

/// What was forgotten.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Ids of the cache's records.
    pub ids: Vec<String>,
    /// Bytes given back.
    pub reclaimed: u64,
}

impl Builds {
    /// Forgets records, with `all` also the directories of cache mounts; `until` spares those used since.
    pub async fn prune(&self, all: bool, filters: &Filters) -> Result<Pruned> {
        let before = until(filters)?;
        let house = std::sync::Arc::clone(&self.house);
        let pruned = tokio::task::spawn_blocking(move || {
            let ids = house.cache.forget(|record| before.is_none_or(|before| record.used < before));
            let mut pruned = Pruned { ids: ids.iter().map(|id| id.hex().to_owned()).collect(), reclaimed: 0 };
            pruned.reclaimed += house.store.collect().map_err(|e| Error::io("collect layers", e))?.reclaimed;
            if all && before.is_none() {
                let cleared = house.cache.clear_mounts().map_err(|e| Error::io("clear cache mounts", e))?;
                pruned.reclaimed += cleared.1;
            }
            Ok(pruned)
        });
        pruned.await.map_err(|e| Error::io("prune build cache", e))?
    }
}

/// `until=24h` as seconds since the epoch.
fn until(filters: &Filters) -> Result<Option<i64>> {
    let Some(text) = filters.values("until").next().map(str::to_owned) else { return Ok(None) };
    let nanos = hako_model::duration::parse(&text).map_err(|e| Error::invalid(format!("invalid filter until: {e}")))?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    Ok(Some(i64::try_from(now).unwrap_or(i64::MAX) - nanos / 1_000_000_000))
}
