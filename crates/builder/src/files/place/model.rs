//! An earlier layer that a new one is made after: files of the context that did not change since are not copied again, but
//! get another name in the new layer. Layers never change, so it does not show that they share files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hako_sys::confined::Root;
use hako_sys::file::{Durability, write_atomic};
use rustix::fs::Stat;

use crate::{Error, Result};

/// The most files whose traits are kept.
const MOST: usize = 200_000;

/// A file changed this recently may change again without its times telling.
const FRESH: Duration = Duration::from_millis(100);

/// How large the fixed part of a record is.
const FIXED: usize = 3 * 8 + 2 * (8 + 4) + 3 * 4 + 4;

/// What a file was like when it was copied, and what its copy is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// Device, inode and size of the original.
    identity: [u64; 3],
    /// When its content and when anything else of it was last changed.
    times: [(i64, u32); 2],
    /// The copy's mode, user and group.
    attributes: [u32; 3],
}

impl Traits {
    pub(super) fn of(stat: &Stat, mode: u32, (uid, gid): (u32, u32)) -> Self {
        let nanos = |nanos: u64| u32::try_from(nanos).unwrap_or(0);
        Self {
            identity: [stat.st_dev, stat.st_ino, u64::try_from(stat.st_size).unwrap_or(0)],
            times: [(stat.st_mtime, nanos(stat.st_mtime_nsec)), (stat.st_ctime, nanos(stat.st_ctime_nsec))],
            attributes: [mode, uid, gid],
        }
    }

    /// Whether the original changed so lately that it may do so again unnoticed.
    pub(super) fn is_fresh(&self) -> bool {
        let (secs, nanos) = self.times[1];
        let changed = Duration::new(u64::try_from(secs).unwrap_or(0), nanos);
        let age = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().checked_sub(changed);
        age.is_none_or(|age| age <= FRESH)
    }
}

/// An earlier layer and what its files were made of.
pub struct Model {
    root: Root,
    files: HashMap<String, Traits>,
}

impl Model {
    /// The model that was noted at `path`, of the layer whose files lie in `diff`. None if it was never noted, or is damaged.
    #[must_use]
    pub fn open(path: &Path, diff: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        Some(Self { root: Root::open(diff).ok()?, files: decode(&bytes)? })
    }

    /// Notes what a layer was made of. What a much later build needs nobody, it is worth no more than its time.
    pub fn note(path: &Path, placed: &[(String, Traits)]) -> Result<()> {
        if placed.is_empty() || placed.len() > MOST {
            return Ok(());
        }
        Ok(write_atomic(path, &encode(placed), Durability::Process)?)
    }

    /// A folder of the layer.
    pub(super) fn folder(&self, path: &str) -> Option<Root> {
        self.root.open_dir(Path::new(if path.is_empty() { "." } else { path })).ok()
    }

    /// Whether the layer's file at a path is what would be made now.
    pub(super) fn has(&self, path: &str, traits: &Traits) -> bool {
        self.files.get(path) == Some(traits)
    }
}

fn encode(placed: &[(String, Traits)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(placed.len() * (FIXED + 32));
    for (path, traits) in placed {
        traits.identity.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        for (secs, nanos) in traits.times {
            bytes.extend_from_slice(&secs.to_le_bytes());
            bytes.extend_from_slice(&nanos.to_le_bytes());
        }
        traits.attributes.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(path.as_bytes());
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<HashMap<String, Traits>> {
    let mut files = HashMap::new();
    while !bytes.is_empty() {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| fixed[at + n]));
        let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| fixed[at + n]));
        let traits = Traits {
            identity: [long(0), long(8), long(16)],
            times: [(long(24).cast_signed(), short(32)), (long(36).cast_signed(), short(44))],
            attributes: [short(48), short(52), short(56)],
        };
        let (path, rest) = rest.split_at_checked(short(60) as usize)?;
        files.insert(String::from_utf8(path.to_vec()).ok()?, traits);
        bytes = rest;
    }
    Some(files)
}

/// Where models are noted.
pub(crate) fn place(root: &Path, key: &hako_model::digest::Digest) -> PathBuf {
    root.join("models").join(key.hex())
}

/// Makes the directory of notes, and forgets those of records that are gone.
pub(crate) fn sweep(root: &Path, known: impl Fn(&str) -> bool) -> Result<()> {
    let models = root.join("models");
    std::fs::create_dir_all(&models).map_err(|cause| Error::io("make directory of models", cause))?;
    for entry in std::fs::read_dir(&models).into_iter().flatten().flatten() {
        if !known(&entry.file_name().to_string_lossy()) {
            // One that stays is looked at again at the next start.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let traits = |inode| Traits { identity: [1, inode, 3], times: [(-4, 5), (6, 7)], attributes: [0o644, 8, 9] };
        let placed = vec![("a".to_owned(), traits(1)), ("b/ü".to_owned(), traits(2))];
        let bytes = encode(&placed);
        let read = decode(&bytes).unwrap();
        assert_eq!((read.len(), &read["a"], &read["b/ü"]), (2, &traits(1), &traits(2)));
        assert!(decode(&bytes[..bytes.len() - 1]).is_none() && decode(&bytes[1..]).is_none());
        assert!(traits(1) != traits(2) && !traits(1).is_fresh());
    }
}
