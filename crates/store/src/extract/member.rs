//! One member becomes a file, a directory, a link or a device, with as few system calls as it takes.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Extractor, LARGE, Ledger, components, remove_tree};
use crate::tar::{Entry, Kind, Mtime};
use crate::{Error, Result};

const OPAQUE: &str = "trusted.overlay.opaque";

impl<R: BufRead, L: Ledger> Extractor<'_, R, L> {
    pub(super) fn put_member(&mut self, entry: &Entry, path: &[&[u8]], name: &[u8]) -> Result<()> {
        let whole = path.join(&b'/');
        if entry.kind == Kind::Directory {
            self.put_directory(entry, name)?;
            self.described(whole, entry.mtime);
            return Ok(());
        }
        // A directory made on the way whose name now becomes something else.
        self.outcome.implicit.remove(&whole);
        match entry.kind {
            Kind::Regular => self.put_regular(entry, &whole, name),
            Kind::HardLink => self.put_hard_link(entry, name),
            Kind::Symlink => self.put_symlink(entry, name),
            _ => self.put_node(entry, name),
        }
    }

    fn put_directory(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let here = |this: &Self| rustix::fs::mkdirat(this.cursor.here(), OsStr::from_bytes(name), mode);
        let (mut fresh, mut opaque) = (true, false);
        let made = match here(self) {
            Err(Errno::EXIST) => match self.kind_at(name)? {
                FileType::Directory => {
                    fresh = false;
                    Ok(())
                }
                found => {
                    // A whiteout before the directory hides the lower one; the new one must not show it again.
                    opaque = self.manners.whiteouts && found == FileType::CharacterDevice && self.is_whiteout(name)?;
                    self.clear(entry, name)?;
                    here(self)
                }
            },
            made => made,
        };
        made.map_err(Error::io("create directory", entry.display()))?;
        let owner = self.manners.owner.unwrap_or((entry.uid, entry.gid));
        let plain = owner == (0, 0) && entry.mode & (self.umask | 0o7000) == 0 && entry.xattrs.is_empty();
        if fresh && plain && !opaque {
            // Made by root with the right mode: there is nothing to add.
            return Ok(());
        }
        let fd = open_directory(self.cursor.here(), name)?;
        describe_directory(&fd, entry, self.manners.owner)?;
        if opaque { set_opaque(&fd) } else { Ok(()) }
    }

    fn put_regular(&mut self, entry: &Entry, path: &[u8], name: &[u8]) -> Result<()> {
        let stored = self.reader.remaining();
        self.reserve(stored)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let here = |this: &Self| rustix::fs::openat(this.cursor.here(), OsStr::from_bytes(name), flags, mode);
        let opened = match here(self) {
            Err(Errno::EXIST) => {
                self.clear(entry, name)?;
                here(self)
            }
            opened => opened,
        };
        let file = opened.map_err(Error::io("create", entry.display()))?;
        self.fill(entry, path, &file)?;
        self.outcome.size += entry.size;
        describe_file(&file, entry, self.manners.owner, self.umask)?;
        if let Some(writeback) = self.writeback.as_ref().filter(|_| stored >= LARGE) {
            let _ = writeback.try_send(file);
        }
        Ok(())
    }

    fn fill(&mut self, entry: &Entry, path: &[u8], file: &OwnedFd) -> Result<()> {
        let stored = self.reader.remaining();
        let whole = [(0, stored)];
        let regions = entry.sparse.as_deref().unwrap_or(if stored > 0 { &whole } else { &[] });
        if stored > 0 && self.reader.tap().claims() {
            let inode = rustix::fs::fstat(file).map_err(Error::io("stat", entry.display()))?.st_ino;
            self.reader.claim();
            self.reader.tap().stored(path, regions, inode)?;
        }
        for (offset, length) in regions {
            self.fill_region(entry, file, *offset, *length)?;
        }
        if entry.sparse.is_some() {
            rustix::fs::ftruncate(file, entry.size).map_err(Error::io("write", entry.display()))?;
        }
        Ok(())
    }

    fn fill_region(&mut self, entry: &Entry, file: &OwnedFd, offset: u64, length: u64) -> Result<()> {
        let mut at = offset;
        while at < offset + length {
            let piece = self.reader.content()?;
            let want = usize::try_from(offset + length - at).unwrap_or(usize::MAX).min(piece.len());
            if want == 0 {
                return Err(Error::malformed(entry.display(), "its content is cut short"));
            }
            let count = match rustix::io::pwrite(file, &piece[..want], at) {
                Err(Errno::INTR) => 0,
                written => written.map_err(Error::io("write", entry.display()))?,
            };
            self.reader.consume(count)?;
            at += count as u64;
        }
        Ok(())
    }

    /// Other names only ever lead to what lies below the root already.
    fn put_hard_link(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let target = components(&entry.link)?;
        let Some((last, parents)) = target.split_last() else {
            return Err(Error::malformed(format!("tar member {}", entry.display()), "it links to the root"));
        };
        let directory = self.open_below(parents).map_err(|errno| bad_target(entry, errno))?;
        let link = |this: &Self| {
            let (old, new) = (OsStr::from_bytes(last), OsStr::from_bytes(name));
            rustix::fs::linkat(&directory, old, this.cursor.here(), new, AtFlags::empty())
        };
        let linked = match link(self) {
            Err(Errno::EXIST) if self.is_same(&directory, last, name)? => Ok(()),
            Err(Errno::EXIST) => {
                self.clear(entry, name)?;
                link(self)
            }
            linked => linked,
        };
        linked.map_err(|errno| bad_target(entry, errno))
    }

    fn is_same(&self, directory: &OwnedFd, last: &[u8], name: &[u8]) -> Result<bool> {
        let one = rustix::fs::statat(directory, OsStr::from_bytes(last), AtFlags::SYMLINK_NOFOLLOW);
        let other = rustix::fs::statat(self.cursor.here(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
        Ok(matches!((one, other), (Ok(one), Ok(other)) if one.st_ino == other.st_ino && one.st_dev == other.st_dev))
    }

    fn open_below(&self, parents: &[&[u8]]) -> rustix::io::Result<OwnedFd> {
        if let Some(scope) = self.cursor.scope() {
            return scope.open(&parents.join(&b'/'));
        }
        let path = if parents.is_empty() { b".".to_vec() } else { parents.join(&b'/') };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(self.cursor.root(), OsStr::from_bytes(&path), flags, Mode::empty(), resolve)
    }

    fn put_symlink(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let target = OsStr::from_bytes(&entry.link);
        let link = |this: &Self| rustix::fs::symlinkat(target, this.cursor.here(), OsStr::from_bytes(name));
        let linked = match link(self) {
            Err(Errno::EXIST) => {
                self.clear(entry, name)?;
                link(self)
            }
            linked => linked,
        };
        linked.map_err(Error::io("create link", entry.display()))?;
        self.describe_at(entry, name)
    }

    fn put_node(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let kind = match entry.kind {
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let mode = Mode::from_raw_mode(entry.mode);
        let make = |this: &Self| rustix::fs::mknodat(this.cursor.here(), OsStr::from_bytes(name), kind, mode, device);
        let made = match make(self) {
            Err(Errno::EXIST) => {
                self.clear(entry, name)?;
                make(self)
            }
            made => made,
        };
        made.map_err(Error::io("create device", entry.display()))?;
        self.describe_at(entry, name)
    }

    pub(super) fn put_opaque(&mut self, parents: &[&[u8]]) -> Result<()> {
        self.enter(parents)?;
        let fd = open_directory(self.cursor.here(), b".")?;
        set_opaque(&fd)
    }

    pub(super) fn put_whiteout(&mut self, parents: &[&[u8]], name: &[u8]) -> Result<()> {
        self.enter(parents)?;
        let here = self.cursor.here();
        let nothing = rustix::fs::makedev(0, 0);
        match rustix::fs::mknodat(here, OsStr::from_bytes(name), FileType::CharacterDevice, Mode::empty(), nothing) {
            // A whiteout hides what lies below, never what the same layer brings: there it makes a directory opaque.
            Err(Errno::EXIST) if self.kind_at(name)? == FileType::Directory => set_opaque(&open_directory(here, name)?),
            Err(Errno::EXIST) => Ok(()),
            made => made.map_err(Error::io("create whiteout", String::from_utf8_lossy(name))),
        }
    }

    fn kind_at(&self, name: &[u8]) -> Result<FileType> {
        let stat = rustix::fs::statat(self.cursor.here(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", String::from_utf8_lossy(name)))?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    fn is_whiteout(&self, name: &[u8]) -> Result<bool> {
        let stat = rustix::fs::statat(self.cursor.here(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", String::from_utf8_lossy(name)))?;
        Ok(stat.st_rdev == 0)
    }

    /// Makes room for a member whose name is taken.
    fn clear(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let directory = self.kind_at(name)? == FileType::Directory;
        if self.manners.keep_directories && directory != (entry.kind == Kind::Directory) {
            let what = if directory {
                "cannot overwrite a directory with a non-directory"
            } else {
                "cannot overwrite a non-directory with a directory"
            };
            return Err(Error::malformed(format!("tar member {}", entry.display()), what));
        }
        let here = self.cursor.here();
        if self.reader.tap().rescue(here, name)? {
            return Ok(());
        }
        remove_tree(here, OsStr::from_bytes(name))
    }

    /// Attributes of what cannot be opened: links, devices, pipes.
    fn describe_at(&mut self, entry: &Entry, name: &[u8]) -> Result<()> {
        let here = self.cursor.here();
        let path = OsStr::from_bytes(name);
        let (uid, gid) = self.manners.owner.unwrap_or((entry.uid, entry.gid));
        if (uid, gid) != (0, 0) {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(here, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(Error::io("change owner of", entry.display()))?;
        }
        if entry.kind != Kind::Symlink && ((uid, gid) != (0, 0) || entry.mode & self.umask != 0) {
            set_mode(here, path, entry)?;
        }
        if !entry.xattrs.is_empty() {
            // No call sets attributes relative to a directory without opening; procfs' link stands for the directory.
            let place = [format!("/proc/self/fd/{}/", here.as_raw_fd()).as_bytes(), name].concat();
            let place = OsStr::from_bytes(&place).to_owned();
            for (key, value) in kept(entry) {
                tolerate(rustix::fs::lsetxattr(&place, OsStr::from_bytes(key), value, XattrFlags::empty()), entry)?;
            }
        }
        set_times(here, name, entry.mtime)
    }
}

/// Sets the mode of a device or pipe by descriptor: in a live tree its name may have become a link meanwhile.
fn set_mode(here: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<()> {
    let wrong = || Error::io("change mode of", entry.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(here, name, flags, Mode::empty()).map_err(wrong())?;
    let stat = rustix::fs::fstat(&fd).map_err(wrong())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(wrong()(Errno::LOOP));
    }
    let place = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmod(place, Mode::from_raw_mode(entry.mode)).map_err(wrong())
}

fn bad_target(entry: &Entry, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::PERM | Errno::NAMETOOLONG => {
            let target: String = String::from_utf8_lossy(&entry.link).chars().take(300).collect();
            Error::malformed(
                format!("tar member {}", entry.display()),
                format!("its link target {target} is not in the archive"),
            )
        }
        errno => Error::io("link", entry.display())(errno),
    }
}

fn open_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, OsStr::from_bytes(name), flags, Mode::empty())
        .map_err(Error::io("open", String::from_utf8_lossy(name)))
}

fn set_opaque(fd: &OwnedFd) -> Result<()> {
    rustix::fs::fsetxattr(fd, OPAQUE, b"y", XattrFlags::empty()).map_err(Error::io("mark opaque", "directory"))
}

/// Owner, mode and attributes of a directory; its time comes last of all.
pub(super) fn describe_directory(fd: &OwnedFd, entry: &Entry, owner: Option<(u32, u32)>) -> Result<()> {
    let readable;
    let fd = if rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::PATH)) {
        readable = open_directory(fd, b".")?;
        &readable
    } else {
        fd
    };
    let (uid, gid) = owner.unwrap_or((entry.uid, entry.gid));
    rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(Error::io("change owner of", entry.display()))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(Error::io("change mode of", entry.display()))?;
    set_xattrs(fd.as_fd(), entry)
}

/// Owner, mode, attributes and time of a file just made by this process (as root, so root's ownership is there already).
fn describe_file(fd: &OwnedFd, entry: &Entry, owner: Option<(u32, u32)>, umask: u32) -> Result<()> {
    let (uid, gid) = owner.unwrap_or((entry.uid, entry.gid));
    let owned = (uid, gid) != (0, 0);
    if owned {
        rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(Error::io("change owner of", entry.display()))?;
    }
    // Changing the owner takes set-uid away, so the mode comes after it.
    if entry.mode & (umask | 0o7000) != 0 {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
            .map_err(Error::io("change mode of", entry.display()))?;
    }
    set_xattrs(fd.as_fd(), entry)?;
    rustix::fs::futimens(fd, &timestamps(entry.mtime)).map_err(Error::io("set time of", entry.display()))
}

fn set_xattrs(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    for (key, value) in kept(entry) {
        tolerate(rustix::fs::fsetxattr(fd, OsStr::from_bytes(key), value, XattrFlags::empty()), entry)?;
    }
    Ok(())
}

/// Overlay's own attributes steer the driver (redirects, metacopies) and never come from an image.
fn kept(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    let ours = |key: &[u8]| key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.");
    entry.xattrs.iter().filter(move |(key, _)| !ours(key)).map(|(key, value)| (key.as_slice(), value.as_slice()))
}

/// File systems without attributes, and attributes a file type cannot have, lose them, as in Docker.
fn tolerate(set: rustix::io::Result<()>, entry: &Entry) -> Result<()> {
    match set {
        Err(Errno::NOTSUP) => Ok(()),
        Err(Errno::PERM) if !matches!(entry.kind, Kind::Regular | Kind::Directory) => Ok(()),
        set => set.map_err(Error::io("set attribute of", entry.display())),
    }
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let moment = Timespec { tv_sec: mtime.secs, tv_nsec: i64::from(mtime.nanos) };
    Timestamps { last_access: moment, last_modification: moment }
}

pub(super) fn set_times(directory: &OwnedFd, name: &[u8], mtime: Mtime) -> Result<()> {
    match rustix::fs::utimensat(directory, OsStr::from_bytes(name), &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        set => set.map_err(Error::io("set time of", String::from_utf8_lossy(name))),
    }
}
