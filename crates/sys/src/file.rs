//! Whole files: atomic replacement, durability, locks, extended attributes, bounded reads.
//!
//! For paths hako itself owns. A path that comes from an image, a container or a client goes through
//! [`crate::confined`].

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// How far a write must have come before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives a crash of the process, not of the machine.
    Process,
    /// Survives a power cut: the data and the directory entry are synced.
    Power,
}

/// Replaces the content of `path` in one step; readers see the old or the new content, never a mixture.
pub fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    write_atomic_mode(path, bytes, 0o600, durability)
}

/// [`write_atomic`] with the permission bits of the new file.
pub fn write_atomic_mode(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> Result<()> {
    let temporary = temporary_name(path)?;
    let written = write_new(&temporary, bytes, mode, durability)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(Error::at("rename", path)));
    if written.is_err() {
        // The error that matters is the first one; a leftover temporary is swept by its owner.
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    match durability {
        Durability::Process => Ok(()),
        Durability::Power => fsync_dir(parent_of(path)),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(mode)).map_err(Error::at("create", path))?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(Error::at("write", path))?;
    if durability == Durability::Power {
        file.sync_all().map_err(Error::at("sync", path))?;
    }
    Ok(())
}

fn temporary_name(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or(Errno::INVAL).map_err(Error::at("name", path))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".");
    temporary.push(crate::random::hex(8)?);
    Ok(path.with_file_name(temporary))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the entries of a directory survive a power cut.
pub fn fsync_dir(path: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::at("open", path))?;
    rustix::fs::fsync(fd).map_err(Error::at("sync", path))
}

/// Renames, but fails with `EEXIST` instead of replacing.
pub fn rename_noreplace(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(Error::at("rename", to))
}

/// Swaps two existing paths in one step.
pub fn rename_exchange(one: &Path, other: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Error::at("exchange", other))
}

/// Asks the kernel to begin writing a file's bytes to the disk (sync_file_range(2)); promises nothing, so that where it
/// is not possible nothing is lost but time.
pub fn begin_writeback(fd: BorrowedFd<'_>) {
    let _ = crate::syscall::begin_writeback(fd);
}

/// Reads a regular file of at most `limit` bytes. Opening cannot hang on a FIFO, and a device is refused.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::at("open", path))?;
    read_regular(fd, limit, path)
}

/// Reads an open regular file of at most `limit` bytes; `path` only names it in errors.
pub fn read_regular(fd: OwnedFd, limit: u64, path: &Path) -> Result<Vec<u8>> {
    let stat = rustix::fs::fstat(&fd).map_err(Error::at("stat", path))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(malformed(path, "not a regular file"));
    }
    // Room for all of it, and for learning that there is no more: two reads, however long it is.
    let length = u64::try_from(stat.st_size).unwrap_or(0).min(limit) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    File::from(fd).take(limit + 1).read_to_end(&mut bytes).map_err(Error::at("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(malformed(path, &format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

fn malformed(path: &Path, what: &str) -> Error {
    Error::Malformed { object: path.display().to_string(), what: what.into() }
}

/// An exclusive `flock` on a file, held as long as this value (or a duplicate of its descriptor) lives.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Waits for the lock, creating the file if it is missing.
    pub fn exclusive(path: &Path) -> Result<Self> {
        let fd = open_lock(path)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))
            .map_err(Error::at("lock", path))?;
        Ok(Self(fd))
    }

    /// Takes the lock, or says `None` when another holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        let fd = open_lock(path)?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(fd))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::at("lock", path)(errno)),
        }
    }

    /// Whether somebody holds the lock now. A missing file is not held.
    pub fn is_held(path: &Path) -> Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            opened => opened.map_err(Error::at("open", path))?,
        };
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(Error::at("lock", path)(errno)),
        }
    }

    /// Takes over a lock whose locked descriptor was passed by another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Gives the locked descriptor away; the lock lives as long as it.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open_lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(Error::at("open", path))
}

/// All extended attributes of whatever `fd` is open on, `O_PATH` descriptors of links and devices included.
pub fn xattrs(fd: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = fd_path(fd);
    let names = match grown(|buffer| rustix::fs::listxattr(&path, buffer)) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        listed => listed.map_err(Error::os("list attributes of", &path))?,
    };
    names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| Ok((name.to_vec(), xattr(fd, name)?)))
        .collect()
}

/// One extended attribute of whatever `fd` is open on.
pub fn xattr(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>> {
    let path = fd_path(fd);
    grown(|buffer| rustix::fs::getxattr(&path, std::ffi::OsStr::from_bytes(name), buffer))
        .map_err(Error::os("get attribute of", &path))
}

/// Sets one extended attribute of whatever `fd` is open on.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let path = fd_path(fd);
    rustix::fs::setxattr(&path, std::ffi::OsStr::from_bytes(name), value, XattrFlags::empty())
        .map_err(Error::os("set attribute of", &path))
}

/// The procfs name of a descriptor: the way to reach calls that have no descriptor form for `O_PATH`.
pub fn fd_path(fd: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn grown(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // 64 KiB is the kernel's own limit for a value and for a list.
            Err(Errno::RANGE) if buffer.len() < 65536 => buffer.resize(65536, 0),
            Err(errno) => return Err(errno),
        }
    }
}

/// Removes a file; a missing one is no error.
pub fn remove_if_present(path: &Path) -> Result<()> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::at("remove", path)(errno)),
    }
}
