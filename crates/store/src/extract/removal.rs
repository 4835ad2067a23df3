//! Removes trees of any depth by descriptor, following nothing.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// How deep the walk goes before it lifts what is deeper up to the top: descriptors are few, and a container can nest
/// directories without end.
const DEPTH: usize = 32;

/// Removes `name` from `parent`, be it a whole tree. What is not there is fine.
pub(crate) fn remove_tree(parent: impl AsFd, name: &OsStr) -> Result<()> {
    let parent = parent.as_fd();
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(Error::io("remove", name.to_string_lossy())(errno)),
    }
    remove_children(&open(parent, name)?)?;
    rmdir(parent, name)
}

/// Empties a directory.
pub(crate) fn remove_children(top: impl AsFd) -> Result<()> {
    let top = top.as_fd();
    // Lifting puts new names into the top, so look again until nothing is left.
    let mut lifted = 0u64;
    loop {
        let before = lifted;
        empty(top, top, 0, &mut lifted)?;
        if lifted == before {
            return Ok(());
        }
    }
}

fn empty(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, depth: usize, lifted: &mut u64) -> Result<()> {
    for (name, kind) in list(directory)? {
        let unlinked = match kind {
            FileType::Directory => Err(Errno::ISDIR),
            _ => rustix::fs::unlinkat(directory, &name, AtFlags::empty()),
        };
        match unlinked {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) if depth < DEPTH => {
                empty(top, open(directory, &name)?.as_fd(), depth + 1, lifted)?;
                rmdir(directory, &name)?;
            }
            Err(Errno::ISDIR) => lift(top, directory, &name, lifted)?,
            Err(errno) => return Err(Error::io("remove", name.to_string_lossy())(errno)),
        }
    }
    Ok(())
}

fn lift(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &OsStr, lifted: &mut u64) -> Result<()> {
    loop {
        *lifted += 1;
        let place = format!(".lifted-{lifted}");
        let moved = rustix::fs::renameat_with(directory, name, top, &place, rustix::fs::RenameFlags::NOREPLACE);
        match moved {
            Err(Errno::EXIST) => {}
            moved => return moved.map_err(Error::io("remove", name.to_string_lossy())),
        }
    }
}

fn rmdir(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("remove", name.to_string_lossy())(errno)),
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(Error::io("open", name.to_string_lossy()))
}

/// The names in a directory, `.` and `..` left out, in the order the file system gives them.
pub(crate) fn list(directory: impl AsFd) -> Result<Vec<(OsString, FileType)>> {
    let read = |cause: Errno| Error::io("list", "directory")(cause);
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_trees_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut here = open(rustix::fs::CWD, dir.path().as_os_str()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "d", Mode::from_raw_mode(0o700)).unwrap();
            here = open(here.as_fd(), OsStr::new("d")).unwrap();
        }
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        remove_children(open(rustix::fs::CWD, dir.path().as_os_str()).unwrap()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
