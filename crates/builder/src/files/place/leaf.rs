//! Single files, links and nodes: copied with everything but times of reading.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::folder::Folder;
use super::model::{Model, Traits};
use super::{Manners, Placer};
use crate::files::tree::{Entry, TreeKind};
use crate::{Error, Result};

/// Files up to this size are copied through a buffer.
const SMALL: u64 = 128 << 10;

/// What copies single files needs to know; for several threads at once.
#[derive(Clone, Copy)]
pub(super) struct Hands<'a> {
    pub(super) manners: &'a Manners,
    pub(super) umask: u32,
    /// Where files come from that are there already.
    pub(super) model: Option<&'a Model>,
}

impl Placer<'_> {
    /// Copies `own` in `origin` to `name` in `folder`.
    #[expect(clippy::too_many_arguments, reason = "two ends with two names each")]
    pub(super) fn leaf(
        &mut self,
        origin: &Root,
        own: &str,
        folder: &Folder,
        name: &str,
        target: &str,
        kind: TreeKind,
        entry: &Entry,
    ) -> Result<()> {
        folder.make_way(name)?;
        if self.is_twin(folder, name, target, entry)? {
            return Ok(());
        }
        let owner = self.hands.owner(kind, entry);
        match entry.kind() {
            FileType::RegularFile => self.hands.file(origin, own, folder, name, entry, owner),
            FileType::Symlink => symlink(origin, own, folder, name, entry, owner),
            // A socket means nothing outside the process that listens on it.
            FileType::Socket => Ok(()),
            special => self.hands.node(folder, name, special, entry, owner),
        }
    }

    /// Makes it another name of a file copied before, if it was that.
    fn is_twin(&mut self, folder: &Folder, name: &str, target: &str, entry: &Entry) -> Result<bool> {
        if entry.stat.st_nlink < 2 {
            return Ok(false);
        }
        let identity = (entry.stat.st_dev, entry.stat.st_ino);
        let Some(first) = self.twins.get(&identity) else {
            self.twins.insert(identity, target.to_owned());
            return Ok(false);
        };
        let (parent, own) = first.rsplit_once('/').unwrap_or(("", first));
        let from = self.upper.open_dir(Path::new(if parent.is_empty() { "." } else { parent }))?;
        rustix::fs::linkat(&from, own, folder, name, AtFlags::empty())
            .map_err(|errno| Error::io(format!("link {target}"), errno))?;
        Ok(true)
    }
}

impl Hands<'_> {
    pub(super) fn mode(&self, entry: &Entry) -> u32 {
        let own = entry.stat.st_mode & 0o7777;
        self.manners.mode.as_ref().map_or(own, |chmod| chmod.apply(own, entry.is_directory()))
    }

    pub(super) fn owner(&self, kind: TreeKind, entry: &Entry) -> (u32, u32) {
        let own = match kind {
            TreeKind::Context => (0, 0),
            TreeKind::Image => (entry.stat.st_uid, entry.stat.st_gid),
        };
        self.manners.owner.unwrap_or(own)
    }

    /// What a file will be like, if a later layer may take it from this one.
    pub(super) fn traits(&self, kind: TreeKind, entry: &Entry) -> Option<Traits> {
        let lasting = kind == TreeKind::Context && self.manners.made.is_none();
        lasting.then(|| Traits::of(&entry.stat, self.mode(entry), self.owner(kind, entry)))
    }

    pub(super) fn file(
        &self,
        origin: &Root,
        own: &str,
        folder: &Folder,
        name: &str,
        entry: &Entry,
        owner: (u32, u32),
    ) -> Result<()> {
        let failed = |errno| Error::io(format!("copy {}", entry.path), errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let source = rustix::fs::openat(origin, own, flags, Mode::empty()).map_err(failed)?;
        let stat = rustix::fs::fstat(&source).map_err(failed)?;
        unchanged(entry, &stat)?;
        let mode = self.mode(entry);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode & 0o777)).map_err(failed)?;
        fill(&source, &target, entry)?;
        if owner != (0, 0) {
            rustix::fs::fchown(&target, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1))).map_err(failed)?;
        }
        if mode & (self.umask | 0o7000) != 0 {
            rustix::fs::fchmod(&target, Mode::from_raw_mode(mode)).map_err(failed)?;
        }
        copy_attributes(&source, &target)?;
        set_times(&target, &times(&entry.stat))
    }

    fn node(&self, folder: &Folder, name: &str, kind: FileType, entry: &Entry, owner: (u32, u32)) -> Result<()> {
        let failed = |errno| Error::io(format!("make node {}", entry.path), errno);
        rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(0o600), entry.stat.st_rdev).map_err(failed)?;
        own(folder, name, owner).map_err(failed)?;
        rustix::fs::chmodat(folder, name, Mode::from_raw_mode(self.mode(entry)), AtFlags::empty()).map_err(failed)?;
        set_link_times(folder, name, entry)
    }
}

/// What was looked at for the cache must be what is copied.
fn unchanged(entry: &Entry, now: &Stat) -> Result<()> {
    let same = now.st_ino == entry.stat.st_ino
        && now.st_size == entry.stat.st_size
        && (now.st_mtime, now.st_mtime_nsec) == (entry.stat.st_mtime, entry.stat.st_mtime_nsec)
        && FileType::from_raw_mode(now.st_mode) == FileType::RegularFile;
    if same { Ok(()) } else { Err(changed(entry)) }
}

fn changed(entry: &Entry) -> Error {
    Error::refused(format!("{} changed while it was being read", entry.path))
}

fn fill(source: &OwnedFd, target: &OwnedFd, entry: &Entry) -> Result<()> {
    let failed = |cause: std::io::Error| Error::io(format!("copy {}", entry.path), cause);
    let size = u64::try_from(entry.stat.st_size).unwrap_or(0);
    if size > SMALL {
        let duplicate = |fd: &OwnedFd| fd.try_clone().map(File::from).map_err(failed);
        let (mut source, mut target) = (duplicate(source)?, duplicate(target)?);
        return std::io::copy(&mut source, &mut target).map(drop).map_err(failed);
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut have = 0;
    while have < bytes.len() {
        match rustix::io::read(source, &mut bytes[have..]) {
            Ok(0) => return Err(changed(entry)),
            Ok(count) => have += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match rustix::io::write(target, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    Ok(())
}

fn symlink(origin: &Root, own_name: &str, folder: &Folder, name: &str, entry: &Entry, owner: (u32, u32)) -> Result<()> {
    let failed = |errno| Error::io(format!("copy link {}", entry.path), errno);
    let text = rustix::fs::readlinkat(origin, own_name, Vec::new()).map_err(failed)?;
    rustix::fs::symlinkat(text, folder, name).map_err(failed)?;
    own(folder, name, owner).map_err(failed)?;
    set_link_times(folder, name, entry)
}

fn own(folder: &Folder, name: &str, (uid, gid): (u32, u32)) -> std::result::Result<(), Errno> {
    rustix::fs::chownat(folder, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
}

fn set_link_times(folder: &Folder, name: &str, entry: &Entry) -> Result<()> {
    rustix::fs::utimensat(folder, name, &times(&entry.stat), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Error::io(format!("set times of {}", entry.path), errno))
}

/// Extended attributes worth carrying: not the overlay's, and not the host's security labels.
pub(super) fn copy_attributes(from: &impl AsFd, to: &impl AsFd) -> Result<()> {
    // Nearly nothing has any, and this is the quick way to know.
    if rustix::fs::flistxattr(from, &mut [0_u8; 256]) == Ok(0) {
        return Ok(());
    }
    for (name, value) in hako_sys::file::xattrs(from.as_fd())? {
        let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        if !overlay && (name == b"security.capability" || !name.starts_with(b"security.")) {
            hako_sys::file::set_xattr(to.as_fd(), &name, &value)?;
        }
    }
    Ok(())
}

pub(super) fn times(stat: &Stat) -> Timestamps {
    let moment = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
    Timestamps { last_access: moment, last_modification: moment }
}

pub(super) fn set_times(target: &impl AsFd, times: &Timestamps) -> Result<()> {
    rustix::fs::futimens(target.as_fd(), times).map_err(|errno| Error::io("set times", errno))
}
