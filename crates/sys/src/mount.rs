//! Mounts by descriptor: detached file systems and trees, attached where an open descriptor says.
//!
//! Needs the mount interface of Linux 5.12. No path of a container is ever resolved here.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use crate::{Error, Result};

/// A set of mount attributes (`MOUNT_ATTR_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// None.
    pub const NONE: Self = Self(0);
    /// Nothing can be written.
    pub const READ_ONLY: Self = Self(0x1);
    /// Set-uid bits and file capabilities have no effect.
    pub const NO_SUID: Self = Self(0x2);
    /// Device nodes cannot be opened.
    pub const NO_DEV: Self = Self(0x4);
    /// Programs cannot be executed.
    pub const NO_EXEC: Self = Self(0x8);
    /// Access times are never updated.
    pub const NO_ATIME: Self = Self(0x10);
    /// Access times are always updated.
    pub const STRICT_ATIME: Self = Self(0x20);
    /// The field the three ways of treating access times share.
    pub const ATIME_FIELD: Self = Self(0x70);
    /// Access times of directories are never updated.
    pub const NO_DIR_ATIME: Self = Self(0x80);
    /// Symbolic links are not followed.
    pub const NO_SYMLINKS: Self = Self(0x20_0000);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// How mounts made below one mount appear below its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the peers here.
    Slave,
    /// Both ways.
    Shared,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    pub(crate) const fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// A file system being configured.
#[derive(Debug)]
pub struct FileSystem {
    context: OwnedFd,
    kind: String,
}

impl FileSystem {
    /// Begins a file system of a kind, e.g. `tmpfs`.
    pub fn open(kind: &str) -> Result<Self> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(Error::os("mount", format!("file system {kind}")))?;
        Ok(Self { context, kind: kind.to_owned() })
    }

    /// Switches an option on.
    pub fn flag(&self, key: &str) -> Result<()> {
        rustix::mount::fsconfig_set_flag(self.context.as_fd(), key).map_err(|errno| self.refusal(key, errno))
    }

    /// Gives an option a value of at most 255 bytes.
    pub fn option(&self, key: &str, value: impl AsRef<OsStr>) -> Result<()> {
        rustix::mount::fsconfig_set_string(self.context.as_fd(), key, value.as_ref().as_encoded_bytes())
            .map_err(|errno| self.refusal(key, errno))
    }

    /// Gives an option a directory. A path too long for the kernel is passed by way of a descriptor.
    pub fn directory(&self, key: &str, path: &Path) -> Result<()> {
        if path.as_os_str().len() < 256 {
            return self.option(key, path);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::at("open", path))?;
        self.option(key, crate::file::fd_path(fd.as_fd()))
    }

    /// Makes the file system and a detached mount of it.
    pub fn mount(self, attributes: Attributes) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(self.context.as_fd()).map_err(|errno| self.refusal("", errno))?;
        let bits = u32::try_from(attributes.bits()).unwrap_or(0);
        let attributes = MountAttrFlags::from_bits_retain(bits);
        rustix::mount::fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| self.refusal("", errno))
    }

    /// The kernel says what it dislikes in a log of the context.
    fn refusal(&self, key: &str, errno: rustix::io::Errno) -> Error {
        let mut log = [0; 512];
        let said = rustix::io::read(&self.context, &mut log).unwrap_or(0);
        let said = String::from_utf8_lossy(&log[..said]);
        let said = said.trim().trim_start_matches("e ").trim();
        let mut object = format!("file system {}", self.kind);
        for part in [key, said].into_iter().filter(|part| !part.is_empty()) {
            object.push_str(": ");
            object.push_str(part);
        }
        Error::os("mount", object)(errno)
    }
}

/// A detached copy of the mount at a path of the host, with the mounts below it if `recursive`.
pub fn copy_tree(path: &Path, recursive: bool) -> Result<OwnedFd> {
    rustix::mount::open_tree(CWD, path, copy_flags(recursive)).map_err(Error::at("bind", path))
}

/// A detached copy of the mount at an open descriptor (a single file works, too).
pub fn copy_tree_at(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let flags = copy_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(fd, "", flags).map_err(Error::os("bind", "descriptor"))
}

fn copy_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Attaches a mount where a descriptor says; nothing is looked up by name.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags).map_err(Error::os("attach", "mount"))
}

/// Changes attributes of the mount at a descriptor, and of those below it if `recursive`.
pub fn set_attributes(mount: BorrowedFd<'_>, set: Attributes, clear: Attributes, recursive: bool) -> Result<()> {
    crate::syscall::mount_setattr(mount, set.bits(), clear.bits(), 0, recursive)
        .map_err(Error::os("change attributes of", "mount"))
}

/// The attributes of the mount at a descriptor, those of its file system included (statfs(2)).
pub fn attributes_of(mount: BorrowedFd<'_>) -> Result<Attributes> {
    let flags = rustix::fs::fstatvfs(mount).map_err(Error::os("stat", "mount"))?.f_flag.bits();
    let has = |flag: u64| flags & flag != 0;
    let mut found = Attributes::NONE;
    for (flag, attribute) in [
        (libc::ST_RDONLY, Attributes::READ_ONLY),
        (libc::ST_NOSUID, Attributes::NO_SUID),
        (libc::ST_NODEV, Attributes::NO_DEV),
        (libc::ST_NOEXEC, Attributes::NO_EXEC),
        (libc::ST_NODIRATIME, Attributes::NO_DIR_ATIME),
        (ST_NOSYMFOLLOW, Attributes::NO_SYMLINKS),
    ] {
        if has(flag) {
            found = found.with(attribute);
        }
    }
    if has(libc::ST_NOATIME) {
        found = found.with(Attributes::NO_ATIME);
    } else if !has(libc::ST_RELATIME) {
        found = found.with(Attributes::STRICT_ATIME);
    }
    Ok(found)
}

/// `ST_NOSYMFOLLOW` of `linux/statfs.h`.
const ST_NOSYMFOLLOW: u64 = 0x2000;

/// Changes the propagation of the mount at a descriptor, and of those below it if `recursive`.
pub fn set_propagation(mount: BorrowedFd<'_>, propagation: Propagation, recursive: bool) -> Result<()> {
    crate::syscall::mount_setattr(mount, 0, 0, propagation.bits(), recursive)
        .map_err(Error::os("change propagation of", "mount"))
}

/// Shows the files of the mount at a descriptor under the numbers a user namespace maps theirs to, and those of the
/// mounts below it if `recursive`. Possible only before the mount is attached, on file systems that know how.
pub fn map_ids(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    crate::syscall::mount_idmap(mount, namespace, recursive).map_err(Error::os("map ids of", "mount"))
}

/// Makes an attached mount the root without letting go of the former one: for roots that cannot be exchanged, such as
/// an initial ramdisk. What lies below stays reachable for a process with `CAP_SYS_CHROOT`.
pub fn change_root(root: BorrowedFd<'_>) -> Result<()> {
    let failed = |errno| Error::os("change", "root")(errno);
    rustix::process::fchdir(root).map_err(failed)?;
    rustix::process::chroot(".").map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}

/// Takes away every procfs and sysfs of the caller's namespace that is not below `root`. Where a former root stays
/// reachable, they would show what the container's own have covered, and let it mount more of their kind. `table` is
/// the caller's mountinfo.
pub fn hide_bare_views(table: &str, root: BorrowedFd<'_>) -> Result<()> {
    let stat = rustix::fs::statx(root, "", rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::MNT_ID)
        .map_err(Error::os("stat", "root"))?;
    for path in bare_views(table, stat.stx_mnt_id).iter().rev() {
        // What may not be taken away, as another user namespace owns it, can be covered.
        if rustix::mount::unmount(path.as_str(), UnmountFlags::DETACH).is_err() {
            rustix::mount::mount("none", path.as_str(), "tmpfs", MountFlags::RDONLY, None)
                .map_err(Error::at("cover", path.as_ref()))?;
        }
    }
    Ok(())
}

/// Where procfs and sysfs are mounted that do not hang below the mount with a number, in the order of the table.
fn bare_views(table: &str, root: u64) -> Vec<String> {
    let mut inside = vec![root];
    let mut found = Vec::new();
    for line in table.lines() {
        let mut fields = line.split(' ');
        let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (Some(id), Some(parent)) = (number(), number()) else { continue };
        if inside.contains(&parent) {
            inside.push(id);
        }
        let kind = line.split_once(" - ").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or(""));
        if !inside.contains(&id) && matches!(kind, "proc" | "sysfs") {
            found.extend(fields.nth(2).map(crate::proc::unescape));
        }
    }
    found
}

/// Makes a mount of the caller's namespace its root and lets go of the former one.
pub fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    let failed = |errno| Error::os("change", "root")(errno);
    rustix::process::fchdir(root).map_err(failed)?;
    // Both names the same: the old root lies over the new one until it is let go.
    rustix::process::pivot_root(".", ".").map_err(failed)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}

/// Mounts an overlay on a directory the way kernels before 6.5 want it: all options in one text.
pub(crate) fn overlay_at(target: &Path, options: &str) -> Result<()> {
    let text = std::ffi::CString::new(options)
        .map_err(|error| Error::Malformed { object: "mount options".into(), what: error.to_string() })?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), text.as_c_str())
        .map_err(Error::at("mount overlay on", target))
}

/// Lets go of the mount whose root a descriptor is, in the caller's mount namespace. `descriptors` is the caller's own
/// `/proc/self/fd`, which leads there without a path of a container being resolved.
pub fn detach_open(descriptors: BorrowedFd<'_>, mounted: BorrowedFd<'_>) -> Result<()> {
    let failed = |errno| Error::os("unmount", "descriptor")(errno);
    rustix::process::fchdir(descriptors).map_err(failed)?;
    let name = crate::process::number_of(mounted).to_string();
    rustix::mount::unmount(name, UnmountFlags::DETACH).map_err(failed)
}

/// Lets go of what is mounted at a path of the host; it vanishes when its last user is gone.
pub fn detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).map_err(Error::at("unmount", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_others_are_found() {
        let table = "20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /proc rw - proc proc rw\n22 20 0:6 / /a\\040b rw - sysfs s rw\n\
                     30 20 8:2 / / rw - ext4 b rw\n31 30 0:7 / /proc rw - proc proc rw\n32 31 0:7 /sys /proc/sys ro - proc proc rw\n";
        assert_eq!(bare_views(table, 30), ["/proc", "/a b"]);
    }
}
