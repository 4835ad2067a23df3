//! Files of a tree behind a descriptor: packed into tar, unpacked from tar, or described; for cp, export and copy-up.
//! Every path is resolved inside the tree's root; no link leads out.

mod ahead;
mod pack;
mod path;

use std::io::{BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hako_model::time::Timestamp;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub(crate) use pack::{Packer, Precision, Sink, is_opaque};

use crate::extract::{Extractor, Manners, Scope};
use crate::layers::Inflater;
use crate::tar::Reader;
use crate::{Error, Limits, Result};

/// How a tar is unpacked into a tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else, or something else by a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the archive's owners; otherwise everything belongs to `owner`.
    pub copy_uid_gid: bool,
    /// The owner when `copy_uid_gid` is off.
    pub owner: (u32, u32),
    /// Undo gzip or zstd, told by the first bytes.
    pub inflate: bool,
}

/// What is at a path: the fields of `X-Docker-Container-Path-Stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last component as asked for.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// Go's `os.FileMode` bits.
    pub mode: u32,
    /// When it was changed.
    pub mtime: Timestamp,
    /// For a link: where it leads, as an absolute path inside the root.
    pub link_target: String,
}

/// How much is read and written at a time.
const BUFFER: usize = 256 << 10;

/// Describes what is at `path` inside `root`; the last component is not followed unless the path ends in `/` or `/.`.
pub fn stat(root: BorrowedFd<'_>, path: &Path) -> Result<PathStat> {
    let found = path::open(root, path)?;
    path::describe(root, path, &found)
}

/// Packs what is at `path` inside `root` as Docker's archive endpoint does: entries are named from the last component on
/// (`etc/`, `etc/passwd`), with `path` ending in `/.` from the directory's own content on. Returns what was there.
pub fn pack(root: BorrowedFd<'_>, path: &Path, out: impl Write) -> Result<PathStat> {
    let found = path::open(root, path)?;
    let stat = path::describe(root, path, &found)?;
    let mut packer = Packer::new(BufWriter::with_capacity(BUFFER, out), Precision::Seconds);
    packer.named(path::base_name(path).as_bytes());
    if path::is_directory(&found)? {
        packer.tree(reopen(&found)?)?;
    } else {
        let (parent, name) = path::parent(root, path)?;
        packer.single(&parent, &name)?;
    }
    packer.finish()?;
    Ok(stat)
}

/// Packs the whole tree, as export does: entries relative to the root, in a fixed order.
pub fn export(root: BorrowedFd<'_>, out: impl Write) -> Result<()> {
    let mut packer = Packer::new(BufWriter::with_capacity(BUFFER, out), Precision::Seconds);
    packer.content(reopen(root)?)?;
    packer.finish()?;
    Ok(())
}

/// Packs several trees, each under a name of its own.
pub fn export_all(roots: &[(&str, BorrowedFd<'_>)], out: impl Write) -> Result<()> {
    let mut packer = Packer::new(BufWriter::with_capacity(BUFFER, out), Precision::Seconds);
    for (name, root) in roots {
        packer.named(name.as_bytes());
        packer.tree(reopen(*root)?)?;
    }
    packer.finish()?;
    Ok(())
}

/// Unpacks a tar into the existing directory `path` inside `root`. Returns the number of entries.
pub fn unpack(root: BorrowedFd<'_>, path: &Path, archive: impl Read + Send, options: UnpackOptions) -> Result<u64> {
    let to = path::open_directory(root, path)?;
    let scope = Scope { root: reopen(root)?, base: path.as_os_str().as_bytes().to_vec() };
    let owner = if options.copy_uid_gid { None } else { Some(options.owner) };
    let manners = Manners { keep_directories: options.no_overwrite_dir_non_dir, owner, ..plain() };
    let plain: Box<dyn Read + '_> = match options.inflate {
        true => Box::new(Inflater::any(archive, &Limits::default())?),
        false => Box::new(archive),
    };
    extract(plain, to, manners, Some(scope))
}

/// Whether a file is a tar, packed or not.
pub fn is_archive(file: impl Read + Send) -> bool {
    let Ok(plain) = Inflater::any(file, &Limits::default()) else { return false };
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, plain));
    matches!(reader.next_entry(), Ok(Some(_)))
}

fn plain() -> Manners {
    let limits = Limits::default();
    Manners {
        whiteouts: false,
        keep_directories: false,
        owner: None,
        entries: limits.entries,
        free_space: limits.free_space,
    }
}

fn extract(archive: impl Read, to: OwnedFd, manners: Manners, scope: Option<Scope>) -> Result<u64> {
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, archive));
    let outcome = Extractor::new(&mut reader, to, manners, scope).run()?;
    reader.finish()?;
    Ok(outcome.entries)
}

/// Copies what is below one directory into another one, with everything a tar can say, following nothing. The
/// destination's own attributes become the source's.
pub(crate) fn copy(from: BorrowedFd<'_>, to: OwnedFd) -> Result<()> {
    let from = reopen(from)?;
    let (read, write) = std::io::pipe().map_err(Error::io("open", "pipe"))?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut packer = Packer::new(BufWriter::with_capacity(BUFFER, write), Precision::Nanoseconds);
            packer.content(from)?;
            packer.finish().map(|_| ())
        });
        let extracted = extract(read, to, plain(), None);
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Whichever side failed first took the other one with it; the extractor's word names the file.
        match (extracted, packed) {
            (Err(Error::Malformed { .. }), Err(error)) | (Ok(_), Err(error)) => Err(error),
            (extracted, _) => extracted.map(|_| ()),
        }
    })
}

/// The directory at a path, links followed inside the root; none when there is nothing or something else.
pub(crate) fn directory(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>> {
    match open_in(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        opened => opened.map(Some).map_err(Error::io("open", path.display().to_string())),
    }
}

/// The path with every link resolved inside `root`; what does not exist is taken as it stands.
pub fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    path::resolve(root, path)
}

/// A readable descriptor of a directory that may be open as a mere path.
fn reopen(fd: impl AsFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(fd.as_fd(), ".", flags, Mode::empty()).map_err(Error::io("open", "directory"))
}

/// Opens inside a root, links followed there.
fn open_in(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests;
