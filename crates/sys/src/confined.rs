//! Lookups that cannot leave a directory, whatever links lie below it.
//!
//! Every path given to a [`Root`] is resolved by `openat2(RESOLVE_IN_ROOT)`: absolute paths and links start at the
//! root, `..` stops there, magic links of procfs are refused. What was looked up is then used by descriptor only, so
//! nothing can be swapped between the check and the use.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timestamps, Uid};
use rustix::io::Errno;

use crate::{Error, Result};

/// A directory that confines every lookup made through it.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Its type as the directory tells it; `Unknown` on file systems that do not say.
    pub kind: FileType,
}

impl Root {
    /// Confines to the directory at a path hako itself owns.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map(Self).map_err(Error::at("open", path))
    }

    /// Confines to an already open directory.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A second handle on the same root.
    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self).map_err(Error::os("duplicate", "root"))
    }

    /// Opens with the given flags. `O_NOFOLLOW` concerns the last component only, as everywhere.
    pub fn open_with(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        self.lookup(path, flags, mode).map_err(Error::at("open", path))
    }

    fn lookup(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // A rename anywhere on the system can make the kernel give up a lookup that met "..".
        for _ in 0..64 {
            match rustix::fs::openat2(&self.0, name, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Opens a regular file for reading; never hangs on a FIFO and refuses everything else.
    pub fn open_regular(&self, path: &Path) -> Result<File> {
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd).map_err(Error::at("stat", path))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            return Ok(File::from(fd));
        }
        Err(Error::Malformed { object: path.display().to_string(), what: "not a regular file".into() })
    }

    /// Reads a regular file of at most `limit` bytes.
    pub fn read_limited(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        crate::file::read_regular(self.open_regular(path)?.into(), limit, path)
    }

    /// A handle (`O_PATH`) on what the path leads to, links followed inside the root.
    pub fn open_path(&self, path: &Path) -> Result<OwnedFd> {
        self.open_with(path, OFlags::PATH, Mode::empty())
    }

    /// A handle (`O_PATH`) on the last component itself, be it a link.
    pub fn open_path_nofollow(&self, path: &Path) -> Result<OwnedFd> {
        self.open_with(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Opens a directory and confines to it.
    pub fn open_dir(&self, path: &Path) -> Result<Self> {
        self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).map(Self)
    }

    /// The directory that holds the last component, and that component's name.
    ///
    /// Names that mean a directory itself (`/`, `.`, `..`, empty) are refused with `EINVAL`.
    pub fn parent(&self, path: &Path) -> Result<(Self, OsString)> {
        let name = last_name(path).ok_or(Errno::INVAL).map_err(Error::at("name", path))?;
        let parent = path.parent().unwrap_or(Path::new("."));
        let fd = self.open_with(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok((Self(fd), name.to_owned()))
    }

    /// Where a path leads inside the root, also through links to what is not there yet. Nothing is promised by that: it is
    /// a path to be looked up again.
    pub fn destination(&self, path: &Path) -> Result<PathBuf> {
        /// As many as the kernel follows.
        const LINKS: usize = 40;
        let mut left: Vec<PathBuf> = vec![path.to_owned()];
        let (mut found, mut links) = (PathBuf::new(), 0);
        while let Some(next) = left.pop() {
            let mut parts = next.components();
            let Some(part) = parts.next() else { continue };
            left.push(parts.as_path().to_owned());
            match part {
                Component::RootDir => found.clear(),
                Component::ParentDir => drop(found.pop()),
                Component::CurDir | Component::Prefix(_) => {}
                Component::Normal(name) => match self.read_link(&found.join(name)) {
                    Ok(_) if links == LINKS => return Err(Error::at("follow", path)(Errno::LOOP)),
                    Ok(target) => {
                        links += 1;
                        left.push(target.into());
                    }
                    Err(_) => found.push(name),
                },
            }
        }
        Ok(found)
    }

    /// Makes the directory and all missing parents (following links inside the root) and opens it.
    pub fn mkdir_all(&self, path: &Path, mode: u32) -> Result<Self> {
        if let Ok(fd) = self.lookup(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            return Ok(Self(fd));
        }
        let mut so_far = PathBuf::new();
        let mut reached = self.try_clone()?;
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    so_far.push(name);
                    reached = self.enter_or_make(&reached, &so_far, name, mode)?;
                }
                Component::ParentDir => {
                    so_far.push("..");
                    reached = self.open_dir(&so_far)?;
                }
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        Ok(reached)
    }

    fn enter_or_make(&self, parent: &Self, so_far: &Path, name: &OsStr, mode: u32) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.lookup(so_far, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => return opened.map(Self).map_err(Error::at("open", so_far)),
        }
        match rustix::fs::mkdirat(&parent.0, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::at("make", so_far)(errno)),
        }
        // The name is opened below the directory it was made in, so a swapped parent cannot lead elsewhere.
        parent.open_with(Path::new(name), flags, Mode::empty()).map(Self)
    }

    /// Makes one directory.
    pub fn mkdir(&self, path: &Path, mode: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent.0, &name, Mode::from_raw_mode(mode)).map_err(Error::at("make", path))
    }

    /// Makes a new regular file open for reading and writing; an existing name, even a link, is `EEXIST`.
    pub fn create(&self, path: &Path, mode: u32) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&parent.0, &name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
            .map_err(Error::at("create", path))
    }

    /// Makes a symbolic link; the target is text and is not looked at.
    pub fn symlink(&self, target: &OsStr, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(target, &parent.0, &name).map_err(Error::at("link", path))
    }

    /// Makes `to` another name of `from`; a link is itself linked, not followed.
    pub fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        rustix::fs::linkat(&from_parent.0, &from_name, &to_parent.0, &to_name, AtFlags::empty())
            .map_err(Error::at("link", to))
    }

    /// Makes a FIFO, socket or device node.
    pub fn mknod(&self, path: &Path, kind: FileType, mode: u32, device: (u32, u32)) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let device = rustix::fs::makedev(device.0, device.1);
        rustix::fs::mknodat(&parent.0, &name, kind, Mode::from_raw_mode(mode), device)
            .map_err(Error::at("make node", path))
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::unlinkat(&parent.0, &name, AtFlags::empty()).map_err(Error::at("remove", path))
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::unlinkat(&parent.0, &name, AtFlags::REMOVEDIR).map_err(Error::at("remove", path))
    }

    /// Removes whatever the name is, a whole tree included; links are removed, not followed. Missing is no error.
    pub fn remove_all(&self, path: &Path) -> Result<()> {
        let (parent, name) = match self.parent(path) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        remove_tree(&parent.0, &name).map_err(Error::at("remove", path))
    }

    /// Removes everything in the root, but not the root.
    pub fn clear(&self) -> Result<()> {
        empty(&self.0).map_err(Error::os("empty", "directory"))
    }

    /// Renames, replacing an existing `to`.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename_with(from, to, RenameFlags::empty())
    }

    /// Renames; an existing `to` is `EEXIST`.
    pub fn rename_noreplace(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename_with(from, to, RenameFlags::NOREPLACE)
    }

    fn rename_with(&self, from: &Path, to: &Path, flags: RenameFlags) -> Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        rustix::fs::renameat_with(&from_parent.0, &from_name, &to_parent.0, &to_name, flags)
            .map_err(Error::at("rename", to))
    }

    /// What the path leads to, links followed inside the root.
    pub fn metadata(&self, path: &Path) -> Result<Stat> {
        rustix::fs::fstat(self.open_path(path)?).map_err(Error::at("stat", path))
    }

    /// The last component itself, be it a link.
    pub fn symlink_metadata(&self, path: &Path) -> Result<Stat> {
        rustix::fs::fstat(self.open_path_nofollow(path)?).map_err(Error::at("stat", path))
    }

    /// Whether the path leads to anything inside the root.
    pub fn exists(&self, path: &Path) -> bool {
        self.lookup(path, OFlags::PATH, Mode::empty()).is_ok()
    }

    /// The text of a link.
    pub fn read_link(&self, path: &Path) -> Result<OsString> {
        let fd = self.open_path_nofollow(path)?;
        let text = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(Error::at("read link", path))?;
        Ok(OsStr::from_bytes(text.as_bytes()).to_owned())
    }

    /// The entries of a directory, without `.` and `..`, in the file system's order.
    pub fn read_dir(&self, path: &Path) -> Result<Vec<Entry>> {
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        entries(&fd).map_err(Error::at("list", path))
    }

    /// Sets the owner of the last component itself.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(&parent.0, &name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::at("change owner of", path))
    }

    /// Sets permission bits; a link as last component is followed inside the root.
    pub fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        let fd = self.open_path(path)?;
        rustix::fs::chmod(crate::file::fd_path(fd.as_fd()), Mode::from_raw_mode(mode))
            .map_err(Error::at("change mode of", path))
    }

    /// Sets the times of the last component itself.
    pub fn set_times(&self, path: &Path, times: &Timestamps) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::utimensat(&parent.0, &name, times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::at("set times of", path))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Root> for OwnedFd {
    fn from(root: Root) -> Self {
        root.0
    }
}

/// The last component when it is a plain name; trailing `/` and `/.` are tolerated, as in `mkdir a/`.
fn last_name(path: &Path) -> Option<&OsStr> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Some(name),
        _ => None,
    }
}

fn entries(directory: &OwnedFd) -> rustix::io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(Entry { name: OsStr::from_bytes(name).to_owned(), kind: entry.file_type() });
        }
    }
    Ok(found)
}

fn remove_tree(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        done => return done,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    empty(&rustix::fs::openat(parent, name, flags, Mode::empty())?)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Empties a directory without recursion on the call stack's descriptors: each level holds one open descriptor.
fn empty(directory: &OwnedFd) -> rustix::io::Result<()> {
    for entry in entries(directory)? {
        remove_tree(directory, &entry.name)?;
    }
    Ok(())
}
