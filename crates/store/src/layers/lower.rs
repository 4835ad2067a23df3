//! What the layers below say about a directory. A layer's tar may put files into directories it does not describe;
//! overlay would show the ones made for them instead of the lower ones, so those take over the lower ones' attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::{Error, Result};

const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// Gives the directory `path` below `diff` the attributes that the topmost of `lowers` (topmost first) shows for it.
pub(super) fn inherit(diff: &Path, path: &[u8], lowers: &[PathBuf]) -> Result<()> {
    let top = open_root(diff)?;
    let Ok(made) = open(&top, path, OFlags::RDONLY | OFlags::DIRECTORY) else { return Ok(()) };
    for lower in lowers {
        let root = open_root(lower)?;
        match seen(&root, path)? {
            Seen::Directory(fd) => return copy(&fd, &made),
            Seen::Hidden => return Ok(()),
            Seen::Nothing => {}
        }
    }
    Ok(())
}

enum Seen {
    Directory(OwnedFd),
    /// Something else is there, or hides it.
    Hidden,
    Nothing,
}

fn seen(root: &OwnedFd, path: &[u8]) -> Result<Seen> {
    match open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(fd) => Ok(Seen::Directory(fd)),
        Err(Errno::NOENT) => hidden(root, path),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(Seen::Hidden),
        Err(errno) => Err(Error::io("open", String::from_utf8_lossy(path))(errno)),
    }
}

/// Whether some directory above is opaque, which ends the search.
fn hidden(root: &OwnedFd, path: &[u8]) -> Result<Seen> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends.chain([0]) {
        let Ok(fd) = open(root, &path[..end], OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
        if hako_sys::file::xattr(fd.as_fd(), OPAQUE).is_ok_and(|value| value == b"y") {
            return Ok(Seen::Hidden);
        }
    }
    Ok(Seen::Nothing)
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    File::open(path).map(OwnedFd::from).map_err(Error::at("open", path))
}

fn open(root: &OwnedFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, OsStr::from_bytes(path), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    let stat = rustix::fs::fstat(from).map_err(Error::io("stat", "directory"))?;
    let wrong = || Error::io("set attributes of", "directory");
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))).map_err(wrong())?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode)).map_err(wrong())?;
    for (name, value) in hako_sys::file::xattrs(from.as_fd())? {
        if !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay.") {
            hako_sys::file::set_xattr(to.as_fd(), &name, &value)?;
        }
    }
    rustix::fs::futimens(to, &times(&stat)).map_err(wrong())
}

fn times(stat: &Stat) -> Timestamps {
    let moment = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
    Timestamps { last_access: moment, last_modification: moment }
}
