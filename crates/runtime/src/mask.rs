//! Paths a container must not see or write, and the working directory.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use hako_sys::mount::{Attributes, FileSystem};
use rustix::fs::FileType;

use crate::LaunchError;
use crate::device;
use crate::spec::Linux;

/// Makes paths read-only, then hides others. Missing ones need neither.
pub(crate) fn apply(root: &Root, linux: &Linux) -> Result<(), LaunchError> {
    for path in &linux.readonly_paths {
        make_read_only(root, Path::new(path))
            .map_err(|error| LaunchError::setup(format!("make {path} read-only"), error))?;
    }
    if linux.masked_paths.is_empty() {
        return Ok(());
    }
    let mut covers = Covers::new(root)?;
    for path in &linux.masked_paths {
        covers.hide(root, Path::new(path)).map_err(|error| LaunchError::setup(format!("mask {path}"), error))?;
    }
    Ok(())
}

fn make_read_only(root: &Root, path: &Path) -> hako_sys::Result<()> {
    let place = match root.open_path(path) {
        Err(error) if error.is_not_found() => return Ok(()),
        opened => opened?,
    };
    let tree = hako_sys::mount::copy_tree_at(place.as_fd(), true)?;
    hako_sys::mount::set_attributes(tree.as_fd(), Attributes::READ_ONLY, Attributes::NONE, true)?;
    hako_sys::mount::attach(tree.as_fd(), place.as_fd())
}

/// What lies over hidden paths: the null device over files, one empty file system over directories.
struct Covers {
    null: OwnedFd,
    empty: OwnedFd,
    /// Kernels before 6.15 copy only what is attached: the first directory gets the file system, the others copies.
    attached: bool,
}

impl Covers {
    fn new(root: &Root) -> Result<Self, LaunchError> {
        let null = device::null(root)?;
        let empty = FileSystem::open("tmpfs")?;
        empty.option("size", "0")?;
        empty.option("nr_blocks", "1")?;
        let empty = empty.mount(Attributes::READ_ONLY.with(Attributes::NO_SUID).with(Attributes::NO_DEV))?;
        Ok(Self { null, empty, attached: false })
    }

    fn hide(&mut self, root: &Root, path: &Path) -> hako_sys::Result<()> {
        let place = match root.open_path(path) {
            Err(error) if error.is_not_found() => return Ok(()),
            opened => opened?,
        };
        let stat = rustix::fs::fstat(&place).map_err(hako_sys::Error::at("stat", path))?;
        let directory = FileType::from_raw_mode(stat.st_mode).is_dir();
        if directory && !self.attached {
            self.attached = true;
            return hako_sys::mount::attach(self.empty.as_fd(), place.as_fd());
        }
        let cover = if directory { &self.empty } else { &self.null };
        let tree = hako_sys::mount::copy_tree_at(cover.as_fd(), false)?;
        hako_sys::mount::attach(tree.as_fd(), place.as_fd())
    }
}

/// Makes the working directory if the image has none.
pub(crate) fn make_directory(root: &Root, path: &str) -> Result<(), LaunchError> {
    if path.is_empty() || path == "/" || root.exists(Path::new(path)) {
        return Ok(());
    }
    match root.mkdir_all(Path::new(path), 0o755) {
        Ok(_) => Ok(()),
        Err(error) => Err(LaunchError::setup(format!("mkdir {path}"), error)),
    }
}
