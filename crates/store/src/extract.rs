//! Puts the members of a tar on the disk, confined to one directory.
//!
//! Every name is walked component by component from a descriptor of the root, so nothing an archive holds can lead out
//! of it. Two users with different manners share this: layers (whiteouts become overlay's, links are never followed) and
//! trees (cp into a container: links are followed inside the root, what is there may be replaced).

mod cursor;
mod member;
mod names;
mod removal;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::os::fd::OwnedFd;
use std::sync::mpsc::SyncSender;

pub(crate) use cursor::Scope;
pub(crate) use names::{Whiteout, components};
pub(crate) use removal::{list, remove_children, remove_tree};

use cursor::Cursor;

use crate::tar::{Entry, Kind, Mtime, Reader, Tap};
use crate::{Error, Result};

/// How members are put on the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Turn `.wh.` names into overlay's whiteouts.
    pub(crate) whiteouts: bool,
    /// Refuse to replace a directory by something else and the other way round.
    pub(crate) keep_directories: bool,
    /// Everything belongs to this user and group.
    pub(crate) owner: Option<(u32, u32)>,
    /// The most members.
    pub(crate) entries: u64,
    /// Bytes that must stay free on the disk.
    pub(crate) free_space: u64,
}

/// Where a claimed content went, and what happens to files that are overwritten. Layers record skeletons with it.
pub(crate) trait Ledger: Tap {
    /// Whether contents are to be claimed: kept from the tap and told of by [`Ledger::stored`] instead.
    fn claims(&self) -> bool;
    /// The content just claimed lies in the file `path` (regions of it when sparse), which has this inode.
    fn stored(&mut self, path: &[u8], regions: &[(u64, u64)], inode: u64) -> Result<()>;
    /// Files must outlive being overwritten: moves `name` in `parent` away, true when it did.
    fn rescue(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<bool>;
}

impl Ledger for () {
    fn claims(&self) -> bool {
        false
    }

    fn stored(&mut self, _path: &[u8], _regions: &[(u64, u64)], _inode: u64) -> Result<()> {
        Ok(())
    }

    fn rescue(&mut self, _parent: &OwnedFd, _name: &[u8]) -> Result<bool> {
        Ok(false)
    }
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many members there were.
    pub(crate) entries: u64,
    /// The bytes of all regular files.
    pub(crate) size: u64,
    /// Directories the archive never described; the empty path is the root itself.
    pub(crate) implicit: BTreeSet<Vec<u8>>,
}

/// Puts members below a root.
pub(crate) struct Extractor<'a, R, L: Ledger> {
    reader: &'a mut Reader<R, L>,
    cursor: Cursor,
    manners: Manners,
    umask: u32,
    outcome: Outcome,
    /// Directory times, set last because every file put inside changes them again.
    times: Vec<(Vec<u8>, Mtime)>,
    /// Bytes written since free space was last looked at.
    unchecked: u64,
    /// Who begins to bring large files to the disk.
    writeback: Option<SyncSender<OwnedFd>>,
}

/// Files of so many bytes are worth being handed on.
const LARGE: u64 = 32 << 10;
/// How many bytes may be written between two looks at the free space.
const LOOK_EVERY: u64 = 32 << 20;

impl<'a, R: BufRead, L: Ledger> Extractor<'a, R, L> {
    /// Extracts below `root`, a directory descriptor. With a scope, links in the middle of a path are followed inside it;
    /// without one they are an error.
    pub(crate) fn new(reader: &'a mut Reader<R, L>, root: OwnedFd, manners: Manners, scope: Option<Scope>) -> Self {
        let outcome = Outcome { implicit: BTreeSet::from([Vec::new()]), ..Outcome::default() };
        let cursor = Cursor::new(root, scope);
        let (times, unchecked) = (Vec::new(), LOOK_EVERY);
        Self { reader, cursor, manners, umask: umask(), outcome, times, unchecked, writeback: None }
    }

    /// Hands large files on once they are complete; one that finds the channel full is left to the sync at the end.
    pub(crate) fn handing_on(mut self, writeback: Option<SyncSender<OwnedFd>>) -> Self {
        self.writeback = writeback;
        self
    }

    /// Puts all members on the disk. The rest of the stream after the end marks is left unread.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        while let Some(entry) = self.reader.next_entry()? {
            self.outcome.entries += 1;
            if self.outcome.entries > self.manners.entries {
                return Err(Error::limit("tar", format!("it has more than {} members", self.manners.entries)));
            }
            self.put(&entry)?;
        }
        self.set_directory_times()?;
        Ok(self.outcome)
    }

    fn put(&mut self, entry: &Entry) -> Result<()> {
        let path = components(&entry.path)?;
        let Some((name, parents)) = path.split_last() else { return self.put_root(entry) };
        if self.manners.whiteouts {
            match Whiteout::of(&path)? {
                Whiteout::None => {}
                Whiteout::Ignored => return Ok(()),
                Whiteout::Opaque => return self.put_opaque(parents),
                Whiteout::Of(name) => return self.put_whiteout(parents, name),
            }
        }
        self.enter(parents)?;
        self.put_member(entry, &path, name)
    }

    /// Goes to a directory, making what is missing.
    fn enter(&mut self, parents: &[&[u8]]) -> Result<()> {
        let implicit = &mut self.outcome.implicit;
        self.cursor.enter(parents, &mut |path| {
            implicit.insert(path.join(&b'/'));
        })
    }

    fn put_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(Error::malformed(format!("tar member {}", entry.display()), "the root is no directory"));
        }
        if self.cursor.scope().is_some() {
            // A tree's own root was not made by this archive and keeps its attributes.
            return Ok(());
        }
        self.enter(&[])?;
        member::describe_directory(self.cursor.here(), entry, self.manners.owner)?;
        self.described(Vec::new(), entry.mtime);
        Ok(())
    }

    fn described(&mut self, path: Vec<u8>, mtime: Mtime) {
        self.outcome.implicit.remove(&path);
        self.times.push((path, mtime));
    }

    fn set_directory_times(&mut self) -> Result<()> {
        for (path, mtime) in std::mem::take(&mut self.times) {
            let path: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
            match path.split_last() {
                None => {
                    self.cursor.enter(&[], &mut |_| ())?;
                    member::set_times(self.cursor.here(), b".", mtime)?;
                }
                // What was replaced meanwhile needs no time any more.
                Some((name, parents)) if self.cursor.enter_existing(parents)? => {
                    member::set_times(self.cursor.here(), name, mtime)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Fails before `size` more bytes make the disk too full.
    fn reserve(&mut self, size: u64) -> Result<()> {
        self.unchecked = self.unchecked.saturating_add(size);
        if self.unchecked < LOOK_EVERY {
            return Ok(());
        }
        self.unchecked = 0;
        let disk = rustix::fs::fstatvfs(self.cursor.root()).map_err(Error::io("measure", "free space"))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < size.saturating_add(self.manners.free_space) {
            let cause = std::io::Error::from(rustix::io::Errno::NOSPC);
            return Err(Error::io("write", format!("{size} bytes with {free} bytes free"))(cause));
        }
        Ok(())
    }
}

/// The process's umask, read without changing it: that would change it for all threads.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    // Unknown: assume that it takes everything, then every mode is set explicitly.
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777)
}
