//! Bind mounts whose source lies on a file system that is not mounted yet: the empty directory below the mount point is
//! not what was meant. A container remembers on which mount its sources lay, and waits for it to come back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hako_model::mount::{Origin, Plan};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::record::Record;
use crate::{Error, Result};

/// How long a start that somebody asked for waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const TABLE: &str = "/proc/self/mountinfo";

/// Writes down on which mounts the sources lie, other than the root of all.
pub(super) fn note(plans: &mut [Plan]) {
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    let points = points(&table);
    for plan in plans {
        if let Origin::Bind(bind) = &mut plan.origin {
            let around = points.iter().filter(|point| Path::new(&bind.source).starts_with(point));
            let around = around.max_by_key(|point| point.as_os_str().len()).filter(|point| *point != Path::new("/"));
            bind.mounted_at = around.map(|point| point.to_string_lossy().into_owned()).unwrap_or_default();
        }
    }
}

/// The mount points of a table, with what the kernel escapes in them.
fn points(table: &str) -> Vec<PathBuf> {
    let field = |line: &str| line.split(' ').nth(4).map(|point| PathBuf::from(unescaped(point)));
    table.lines().filter_map(field).collect()
}

fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// The first source whose mount is not there, and that mount.
fn missing(record: &Record) -> Option<(String, String)> {
    let binds = record.mounts.iter().filter_map(|plan| match &plan.origin {
        Origin::Bind(bind) if !bind.mounted_at.is_empty() => Some(bind),
        _ => None,
    });
    let binds: Vec<_> = binds.collect();
    if binds.is_empty() {
        return None;
    }
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    let points = points(&table);
    let gone = binds.into_iter().find(|bind| !points.iter().any(|point| point == Path::new(&bind.mounted_at)));
    gone.map(|bind| (bind.source.clone(), bind.mounted_at.clone()))
}

/// Why it cannot be started now, if a source is missing.
pub(super) fn refusal(record: &Record) -> Option<String> {
    let (source, point) = missing(record)?;
    Some(format!("bind source {source}: {point} is not mounted, as it was when the container was created"))
}

/// Waits until all sources are there; with a limit, at most so long.
pub(super) async fn wait(record: &Record, patience: Option<Duration>) -> Result<()> {
    if missing(record).is_none() {
        return Ok(());
    }
    let there = until_there(record);
    match patience {
        None => there.await,
        Some(patience) => match tokio::time::timeout(patience, there).await {
            Ok(waited) => waited,
            Err(_) => Err(Error::system(refusal(record).unwrap_or_default())),
        },
    }
}

async fn until_there(record: &Record) -> Result<()> {
    let over = Over::default();
    let (record, seen) = (record.clone(), Arc::clone(&over.0));
    let watching = tokio::task::spawn_blocking(move || watch(&record, &seen));
    watching.await.map_err(|e| Error::io("watch mounts", e))?
}

/// Set when nobody waits any more.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The kernel tells of every change of the table by an urgent condition.
fn watch(record: &Record, over: &AtomicBool) -> Result<()> {
    let table = std::fs::File::open(TABLE).map_err(|e| Error::io("watch mounts", e))?;
    let look = Timespec { tv_sec: 1, tv_nsec: 0 };
    while missing(record).is_some() && !over.load(Ordering::Relaxed) {
        let mut changes = [PollFd::new(&table, PollFlags::PRI)];
        match poll(&mut changes, Some(&look)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("watch mounts", error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:5 / /mnt/my\\040disk rw shared:1 - nfs x:/ rw\n";
        assert_eq!(points(table), [PathBuf::from("/"), PathBuf::from("/mnt/my disk")]);
    }
}
