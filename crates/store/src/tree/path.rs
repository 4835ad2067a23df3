//! Paths inside a tree: opened, described, resolved.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hako_model::time::Timestamp;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::{PathStat, open_in};
use crate::{Error, Result};

/// The most links followed in one path, as in the kernel.
const LINKS: usize = 40;

fn refused(path: &Path) -> impl FnOnce(Errno) -> Error {
    let name = path.display().to_string();
    move |errno| match errno {
        Errno::NOENT => Error::not_found("path", name),
        errno => Error::io("open", name)(errno),
    }
}

/// Whether the path asks for the directory behind its last component.
fn asks_for_directory(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b"." || bytes.is_empty()
}

/// A handle on what is at a path; a link at its end is itself meant, unless the path asks for a directory.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let flags = if asks_for_directory(path) { OFlags::DIRECTORY } else { OFlags::NOFOLLOW };
    open_in(root, path, OFlags::PATH | flags).map_err(refused(path))
}

pub(super) fn open_directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    match open_in(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::NOTDIR) => Err(Error::Invalid {
            what: "unpack into",
            text: path.display().to_string(),
            reason: "extraction point is not a directory".to_owned(),
        }),
        opened => opened.map_err(refused(path)),
    }
}

/// The directory that holds the last component, and that component.
pub(super) fn parent(root: BorrowedFd<'_>, path: &Path) -> Result<(OwnedFd, OsString)> {
    let name = path.file_name().ok_or(Errno::INVAL).map_err(refused(path))?.to_owned();
    let parent = path.parent().unwrap_or(Path::new("/"));
    let fd = open_in(root, parent, OFlags::PATH | OFlags::DIRECTORY).map_err(refused(path))?;
    Ok((fd, name))
}

pub(super) fn is_directory(fd: &OwnedFd) -> Result<bool> {
    let stat = rustix::fs::fstat(fd).map_err(Error::io("stat", "path"))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Go's `filepath.Base`, which Docker names archive entries by: `/` for the root, `.` for `dir/.`.
pub(super) fn base_name(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = &bytes[..bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1)];
    match trimmed.rsplit(|byte| *byte == b'/').next() {
        Some(name) if !name.is_empty() => OsString::from_vec(name.to_vec()),
        _ => OsString::from("/"),
    }
}

pub(super) fn describe(root: BorrowedFd<'_>, path: &Path, found: &OwnedFd) -> Result<PathStat> {
    let stat = rustix::fs::fstat(found).map_err(Error::io("stat", path.display().to_string()))?;
    let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let link_target = if link { resolve(root, path)?.to_string_lossy().into_owned() } else { String::new() };
    Ok(PathStat {
        name: base_name(path).to_string_lossy().into_owned(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: go_mode(&stat),
        mtime: Timestamp::from_nanos(
            stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        ),
        link_target,
    })
}

/// Go's `os.FileMode`, whose bits beyond the permissions are its own.
fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| stat.st_mode & bit != 0).map(|(_, go)| go).sum::<u32>();
    kind | special | (stat.st_mode & 0o777)
}

/// Resolves every link as text, inside the root. Only for showing: what is opened is looked up by the kernel anew.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    let mut ahead: VecDeque<OsString> = parts(path.as_os_str());
    let mut reached = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        match part.as_bytes() {
            b"" | b"." => continue,
            b".." => {
                reached.pop();
                continue;
            }
            _ => reached.push(&part),
        }
        let Some(target) = read_link(root, &reached) else { continue };
        links += 1;
        if links > LINKS {
            return Err(refused(path)(Errno::LOOP));
        }
        reached.pop();
        if target.as_bytes().starts_with(b"/") {
            reached = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            ahead.push_front(part);
        }
    }
    Ok(reached)
}

fn parts(path: &OsStr) -> VecDeque<OsString> {
    path.as_bytes().split(|byte| *byte == b'/').map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

fn read_link(root: BorrowedFd<'_>, path: &Path) -> Option<OsString> {
    let fd = open_in(root, path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
    let target = rustix::fs::readlinkat(&fd, "", Vec::new()).ok()?;
    Some(OsString::from_vec(target.into_bytes()))
}
