//! File systems mounted in the container's own namespaces: procfs, sysfs, tmpfs, devpts, mqueue.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use hako_sys::mount::{Attributes, FileSystem};
use hako_sys::pty::Pty;

use crate::LaunchError;
use crate::option::MountOptions;
use crate::spec::{ConsoleSize, Mount};

/// A file system that takes no options of its own.
pub(crate) fn simple(mount: &Mount, options: &MountOptions) -> hako_sys::Result<OwnedFd> {
    open(mount)?.mount(options.set)
}

/// A file system named in the mount table as described.
fn open(mount: &Mount) -> hako_sys::Result<FileSystem> {
    let opened = FileSystem::open(&mount.kind)?;
    if !mount.source.is_empty() {
        opened.option("source", &mount.source)?;
    }
    Ok(opened)
}

/// Whether a file system looks like the directory it covers for want of a mode of its own.
pub(crate) fn takes_mode(kind: &str, options: &MountOptions) -> bool {
    kind == "tmpfs" && !options.data.iter().any(|(key, _)| key == "mode" || key == "tmpcopyup")
}

/// A file system with its own options. `target` is where it will be attached; `tmpcopyup` copies from there. It takes its
/// mode from the directory `like`. A tmpfs can be written to for the time being, even if it shall be read-only.
pub(crate) fn mount(
    mount: &Mount,
    options: &MountOptions,
    label: &str,
    like: Option<&OwnedFd>,
    target: &OwnedFd,
) -> Result<OwnedFd, LaunchError> {
    let mounting = open(mount)?;
    let kind = mount.kind.as_str();
    let mut copy_up = false;
    for (key, value) in &options.data {
        match (key.as_str(), value) {
            ("tmpcopyup", _) => copy_up = true,
            (key, Some(value)) => mounting.option(key, value)?,
            (key, None) => mounting.flag(key)?,
        }
    }
    if !label.is_empty() && kind == "tmpfs" {
        mounting.option("context", label)?;
    }
    if let Some(like) = like {
        let stat = rustix::fs::fstat(like).map_err(|error| LaunchError::setup("look at mount point", error))?;
        mounting.option("mode", format!("{:o}", stat.st_mode & 0o7777))?;
    }
    let later = if kind == "tmpfs" { Attributes::READ_ONLY } else { Attributes::NONE };
    let mounted = mounting.mount(options.set.without(later))?;
    if copy_up {
        copy(&Root::from_fd(reopened(target)?), &Root::from_fd(reopened(&mounted)?))?;
    }
    Ok(mounted)
}

/// A mount's descriptor only names it; this one can be read and changed.
fn reopened(fd: &OwnedFd) -> Result<OwnedFd, LaunchError> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(fd, ".", flags, rustix::fs::Mode::empty())
        .map_err(|error| LaunchError::setup("open directory", error))
}

fn copy(from: &Root, to: &Root) -> Result<(), LaunchError> {
    for entry in from.read_dir(Path::new("."))? {
        let name = Path::new(&entry.name);
        let stat = from.symlink_metadata(name)?;
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => {
                to.mkdir(name, stat.st_mode & 0o7777)?;
                copy(&from.open_dir(name)?, &to.open_dir(name)?)?;
            }
            rustix::fs::FileType::Symlink => to.symlink(&from.read_link(name)?, name)?,
            rustix::fs::FileType::RegularFile => {
                let mut target = to.create(name, stat.st_mode & 0o7777)?;
                std::io::copy(&mut from.open_regular(name)?, &mut target)
                    .map_err(|error| LaunchError::setup("copy into tmpfs", error))?;
            }
            kind => to.mknod(
                name,
                kind,
                stat.st_mode & 0o7777,
                (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            )?,
        }
        to.chown(name, stat.st_uid, stat.st_gid)?;
    }
    Ok(())
}

const DEVPTS_MAGIC: i64 = 0x1cd1;

/// A terminal of the container's own devpts, whatever lies at `/dev/pts` by name.
pub(crate) fn open_terminal(pts: Option<&OwnedFd>, size: Option<ConsoleSize>) -> Result<Pty, LaunchError> {
    let missing = || LaunchError::setup("open terminal", "the container has no devpts at /dev/pts");
    let pts = pts.ok_or_else(missing)?;
    if !rustix::fs::fstatfs(pts).is_ok_and(|fs| fs.f_type == DEVPTS_MAGIC) {
        return Err(missing());
    }
    let terminal = Pty::open_at(pts.as_fd(), "ptmx")?;
    if let Some(size) = size.filter(|size| size.height > 0 || size.width > 0) {
        hako_sys::pty::resize(&terminal.master, size.height, size.width)?;
    }
    Ok(terminal)
}
