//! Keeping the disk budget: when images, build cache and stopped containers take more than the high mark, what was unused
//! longest goes until they take less than the low one. Volumes are never touched, nor what is in use, nor what has the
//! label `io.hako.keep`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, UNIX_EPOCH};

use hako_model::budget::Budget;
use hako_model::digest::Digest;
use hako_model::id::ContainerId;
use hako_model::restart::Policy;
use hako_model::state::State;

use crate::containers::{Containers, RemoveOptions};
use crate::house::House;
use crate::{Error, Result};

/// What a person writes on images and containers that stay.
pub(crate) const KEEP: &str = "io.hako.keep";

/// A look is taken when something happened, but not more often than this.
const REST: Duration = Duration::from_secs(1);
/// And after this time whatever happened: what containers write is no event.
const PATROL: Duration = Duration::from_secs(60);

/// Something that may go.
#[derive(Debug)]
struct Candidate {
    /// When it was last used, nanoseconds since the epoch.
    used: i64,
    what: What,
}

#[derive(Debug)]
enum What {
    Container(ContainerId),
    Image(Digest),
    Step(Digest),
}

/// Keeps the budget for as long as the engine lives.
pub(crate) fn keep(house: &Arc<House>, budget: Budget) {
    let mut told = house.hub.listen();
    let house = Arc::downgrade(house);
    tokio::spawn(async move {
        loop {
            let begun = Instant::now();
            match look(&house, budget).await {
                None => return,
                Some(Err(error)) => tracing::warn!(%error, "disk budget not kept"),
                Some(Ok(())) => {}
            }
            // Measuring takes no more than a twentieth of the time.
            tokio::time::sleep(REST.max(begun.elapsed() * 20)).await;
            // A hub that is gone ends this with the next look.
            let _ = tokio::time::timeout(PATROL, told.changed()).await;
        }
    });
}

async fn look(house: &Weak<House>, budget: Budget) -> Option<Result<()>> {
    let house = house.upgrade()?;
    Some(settle(&house, budget.marks(disk(&house.layout.data_root))).await)
}

async fn settle(house: &Arc<House>, (high, low): (u64, u64)) -> Result<()> {
    let mut taken = measure(house).await?;
    if taken > high {
        let before = taken;
        for candidate in candidates(house) {
            if taken <= low {
                break;
            }
            tracing::debug!(?candidate, taken, "over the disk budget");
            // Measured anew, for layers are shared: what one thing gives back depends on the others.
            if evict(house, &candidate).await {
                taken = measure(house).await?;
            }
        }
        tracing::info!(before, after = taken, high, low, "disk budget kept");
        if taken > high {
            tracing::warn!(taken, high, "the disk budget is exceeded by what is in use, kept by label, or shared");
        }
        tell(house, before, taken);
    }
    Ok(())
}

fn tell(house: &House, before: u64, after: u64) {
    let facts = BTreeMap::from([
        ("before".to_owned(), before.to_string()),
        ("reclaimed".to_owned(), before.saturating_sub(after).to_string()),
    ]);
    house.hub.tell(hako_model::event::Kind::Builder, "budget", "", facts);
}

/// All bytes of the file system.
fn disk(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// What counts: layers, blobs, what builds keep, and the files of containers that do not run.
async fn measure(house: &Arc<House>) -> Result<u64> {
    let house = Arc::clone(house);
    let measured = tokio::task::spawn_blocking(move || {
        let usage = house.store.usage().map_err(|e| Error::io("measure store", e))?;
        let tree = |path: &Path| hako_store::disk_usage(path).unwrap_or(0);
        let stopped = house.index.all().into_iter().filter(|container| !container.status().state.is_running());
        let containers: u64 = stopped.map(|container| tree(&container.dir)).sum();
        Ok(usage.layers + usage.blobs + tree(&house.layout.builds()) + containers)
    });
    measured.await.map_err(|e| Error::io("measure store", e))?
}

/// Everything that may go, what was unused longest first.
fn candidates(house: &House) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = house
        .index
        .all()
        .into_iter()
        .filter_map(|container| {
            let (record, status) = (container.record(), container.status());
            let ended = matches!(status.state, State::Exited | State::Created | State::Dead);
            // One that its policy starts at the next boot is in use, though it does not run.
            let wanted = record.restart() != Policy::No && status.starts_at_boot(record.restart());
            let used = status.finished_at.nanos().max(status.started_at.nanos()).max(record.created.nanos());
            let goes = ended && !wanted && !is_kept(&record.labels());
            goes.then(|| Candidate { used, what: What::Container(container.id.clone()) })
        })
        .collect();
    for image in house.store.images().list() {
        let labels = image.config.config.labels.clone().unwrap_or_default();
        let in_use = house.index.all().iter().any(|container| container.record().image == image.id);
        if !in_use && !is_kept(&labels) {
            let used = house.store.images().used(&image.id);
            found.push(Candidate { used: nanos(used), what: What::Image(image.id.clone()) });
        }
    }
    let steps = house.cache.records().into_iter();
    found.extend(
        steps.map(|(key, record)| Candidate { used: record.used.saturating_mul(1_000_000_000), what: What::Step(key) }),
    );
    found.sort_by_key(|candidate| candidate.used);
    found
}

fn nanos(time: std::time::SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}

fn is_kept(labels: &BTreeMap<String, String>) -> bool {
    labels.get(KEEP).is_some_and(|value| value != "false")
}

/// Removes one thing; whether it went. What cannot go stays.
async fn evict(house: &Arc<House>, candidate: &Candidate) -> bool {
    match &candidate.what {
        What::Container(id) => {
            let containers = Containers { house: Arc::clone(house) };
            containers.remove(id.as_str(), RemoveOptions::default()).await.is_ok()
        }
        What::Image(id) => match house.images.get() {
            Some(images) => images.evict(id).await.is_ok(),
            None => false,
        },
        What::Step(key) => {
            let (house, key) = (Arc::clone(house), key.clone());
            let forgotten = tokio::task::spawn_blocking(move || {
                let known = house.cache.forget_one(&key);
                known && house.store.collect().is_ok()
            });
            forgotten.await.unwrap_or(false)
        }
    }
}
