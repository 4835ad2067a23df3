//! What files hold: digests of selected sources, for cache keys. Digests of files that did not change since they were
//! last read are remembered, so that a context of many files costs one look at each, not one read.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use hako_model::digest::{Algorithm, Digest};
use hako_store::Hasher;
use hako_sys::confined::Root;
use hako_sys::file::{Durability, write_atomic};
use rustix::fs::{FileType, Stat};

use super::select::Source;
use super::tree::{Entry, Tree, TreeKind};
use crate::{Error, Result};

/// A file changed this recently may change again without its times telling.
const FRESH: Duration = Duration::from_millis(100);

/// How large one remembered file is on disk.
const RECORD: usize = 8 + 8 + 8 + 8 + 4 + 8 + 4 + 32;

/// The most remembered files.
const REMEMBERED: usize = 1_000_000;

/// A file as its directory tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    size: u64,
    mtime: (i64, u32),
    ctime: (i64, u32),
}

/// Looks and digests by device and inode.
type Known = HashMap<(u64, u64), (Look, [u8; 32])>;

/// Digests known from earlier.
#[derive(Default)]
pub struct Memory {
    known: Mutex<Known>,
    /// Where it is kept.
    path: Option<PathBuf>,
    learnt: AtomicUsize,
}

impl Memory {
    /// Reads what an earlier build kept; anything damaged is as good as nothing.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut known = Known::new();
        for record in bytes.chunks_exact(RECORD) {
            let (identity, look, digest) = decode(record);
            known.insert(identity, (look, digest));
        }
        Self { known: Mutex::new(known), path: Some(path.to_owned()), learnt: AtomicUsize::new(0) }
    }

    /// Keeps it for later builds, if anything was learnt.
    pub fn save(&self) -> Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.learnt.load(Ordering::Relaxed) > 0) else { return Ok(()) };
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bytes = Vec::with_capacity(known.len() * RECORD);
        for (identity, (look, digest)) in known.iter().take(REMEMBERED) {
            encode(&mut bytes, *identity, look, digest);
        }
        Ok(write_atomic(path, &bytes, Durability::Process)?)
    }

    fn recall(&self, stat: &Stat) -> Option<[u8; 32]> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(&identity(stat)).filter(|(look, _)| *look == look_at(stat)).map(|(_, digest)| *digest)
    }

    fn learn(&self, stat: &Stat, digest: [u8; 32]) {
        let changed = Duration::new(u64::try_from(stat.st_ctime).unwrap_or(0), nanos(stat.st_ctime_nsec));
        let age = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().checked_sub(changed);
        if age.is_some_and(|age| age > FRESH) {
            let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            known.insert(identity(stat), (look_at(stat), digest));
            self.learnt.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn nanos(nanos: impl TryInto<u32>) -> u32 {
    nanos.try_into().unwrap_or(0)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn look_at(stat: &Stat) -> Look {
    Look {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
        ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
    }
}

fn encode(bytes: &mut Vec<u8>, (device, inode): (u64, u64), look: &Look, digest: &[u8; 32]) {
    for number in [device, inode, look.size] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for (secs, nanos) in [look.mtime, look.ctime] {
        bytes.extend_from_slice(&secs.to_le_bytes());
        bytes.extend_from_slice(&nanos.to_le_bytes());
    }
    bytes.extend_from_slice(digest);
}

fn decode(record: &[u8]) -> ((u64, u64), Look, [u8; 32]) {
    let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| record[at + n]));
    let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| record[at + n]));
    let look =
        Look { size: long(16), mtime: (long(24).cast_signed(), short(32)), ctime: (long(36).cast_signed(), short(44)) };
    ((long(0), long(8)), look, std::array::from_fn(|n| record[48 + n]))
}

/// The digest of everything about sources that ends up in a layer, times left out.
pub fn digest(tree: &Tree, sources: &[Source], memory: &Memory) -> Result<Digest> {
    let entries: Vec<&Entry> =
        sources.iter().flat_map(|source| std::iter::once(&source.top).chain(&source.below)).collect();
    let contents = contents(tree.root(), &entries, memory)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut contents = contents.iter();
    for source in sources {
        let offset = source.top.path.len();
        field(&mut hasher, source.name.as_bytes());
        field(&mut hasher, source.folder.as_bytes());
        for entry in std::iter::once(&source.top).chain(&source.below) {
            field(&mut hasher, &entry.path.as_bytes()[offset.min(entry.path.len())..]);
            attributes(&mut hasher, tree.kind(), &entry.stat);
            field(&mut hasher, contents.next().map(Vec::as_slice).unwrap_or_default());
        }
    }
    Ok(hasher.finish())
}

/// A field and where it ends.
pub(crate) fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn attributes(hasher: &mut Hasher, kind: TreeKind, stat: &Stat) {
    hasher.update(&stat.st_mode.to_le_bytes());
    if kind == TreeKind::Image {
        hasher.update(&stat.st_uid.to_le_bytes());
        hasher.update(&stat.st_gid.to_le_bytes());
    }
    let special = matches!(FileType::from_raw_mode(stat.st_mode), FileType::CharacterDevice | FileType::BlockDevice);
    hasher.update(&(if special { stat.st_rdev } else { 0 }).to_le_bytes());
}

/// How many threads read files.
fn readers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8)
}

/// The digests of files and the texts of links, in the order of the entries.
fn contents(root: &Root, entries: &[&Entry], memory: &Memory) -> Result<Vec<Vec<u8>>> {
    let mut found: Vec<Vec<u8>> = vec![Vec::new(); entries.len()];
    let mut unread = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match entry.kind() {
            FileType::RegularFile => match memory.recall(&entry.stat) {
                Some(digest) => found[at] = digest.to_vec(),
                None => unread.push(at),
            },
            FileType::Symlink => found[at] = link(root, entry)?,
            _ => {}
        }
    }
    let share = unread.len().div_ceil(readers()).max(64);
    std::thread::scope(|scope| {
        let working: Vec<_> = unread
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter().map(|at| Ok((*at, read(root, entries[*at], memory)?))).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        for thread in working {
            for (at, digest) in thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                found[at] = digest.to_vec();
            }
        }
        Ok(found)
    })
}

fn link(root: &Root, entry: &Entry) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    Ok(root.read_link(Path::new(&entry.path))?.as_bytes().to_vec())
}

fn read(root: &Root, entry: &Entry, memory: &Memory) -> Result<[u8; 32]> {
    let mut file = root.open_regular(Path::new(&entry.path))?;
    let before = rustix::fs::fstat(file.as_fd()).map_err(|errno| Error::io(format!("stat {}", entry.path), errno))?;
    let digest = hash(&mut file).map_err(|cause| Error::io(format!("read {}", entry.path), cause))?;
    // What the directory said may be older than what was read.
    if look_at(&before) == look_at(&entry.stat) {
        memory.learn(&before, digest);
    }
    Ok(digest)
}

fn hash(file: &mut File) -> std::io::Result<[u8; 32]> {
    use std::io::Read;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let hex = hasher.finish();
    let byte = |at: usize| u8::from_str_radix(hex.hex().get(2 * at..2 * at + 2).unwrap_or("0"), 16).unwrap_or(0);
    Ok(std::array::from_fn(byte))
}
