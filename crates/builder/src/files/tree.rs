//! A tree of files to copy from: a build context, a stage or an image.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use rustix::fs::{AtFlags, FileType, Stat};

use super::ignore::Ignore;
use crate::{Error, Result};

/// The most entries one step may take, as for layers.
const ENTRIES: usize = 2_000_000;

/// The deepest nesting of folders.
const DEPTH: usize = 512;

/// A tree.
pub struct Tree {
    root: Root,
    ignore: Ignore,
    kind: TreeKind,
}

/// Where a tree comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// The caller's files: they belong to root in the image, unless said otherwise.
    Context,
    /// A stage's or an image's files: they keep their owners.
    Image,
}

/// Something in a tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path from the tree's root, without a slash at its beginning; empty for the root itself.
    pub path: String,
    /// What it is.
    pub stat: Stat,
}

impl Entry {
    /// Its file type.
    #[must_use]
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl Tree {
    /// A tree below an open directory.
    #[must_use]
    pub fn new(root: OwnedFd, ignore: Ignore, kind: TreeKind) -> Self {
        Self { root: Root::from_fd(root), ignore, kind }
    }

    /// Where it comes from.
    #[must_use]
    pub fn kind(&self) -> TreeKind {
        self.kind
    }

    /// The directory, as a confined root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What lies at a path, links followed inside the tree; none when nothing does or it is left out.
    pub fn find(&self, path: &str) -> Result<Option<Entry>> {
        let real = hako_store::tree::resolve(self.root.as_fd(), Path::new(path))?;
        let real = real.to_string_lossy().trim_start_matches('/').to_owned();
        if !real.is_empty() && self.ignore.excludes(&real) && !self.may_hold_exceptions(&real) {
            return Ok(None);
        }
        match self.root.symlink_metadata(Path::new(if real.is_empty() { "." } else { &real })) {
            Ok(stat) => Ok(Some(Entry { path: real, stat })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn may_hold_exceptions(&self, path: &str) -> bool {
        self.ignore.has_exceptions() && self.root.open_dir(Path::new(path)).is_ok()
    }

    /// Everything below a directory, parents before children, names sorted; what is left out is left out. A folder that is
    /// left out itself is there if something in it is not.
    pub fn walk(&self, path: &str) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let directory = self.root.open_dir(Path::new(if path.is_empty() { "." } else { path }))?;
        self.below(directory, path, 0, &mut found)?;
        Ok(found)
    }

    fn below(&self, directory: Root, path: &str, depth: usize, found: &mut Vec<Entry>) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::refused(format!("{path}: folders are nested more than {DEPTH} deep")));
        }
        let mut entries = directory.read_dir(Path::new("."))?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                let shown = entry.name.to_string_lossy();
                return Err(Error::refused(format!("{path}/{shown}: the file's name is not UTF-8")));
            };
            let child = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let excluded = self.ignore.excludes(&child);
            if excluded && !self.ignore.has_exceptions() {
                continue;
            }
            self.child(&directory, name, child, excluded, depth, found)?;
        }
        Ok(())
    }

    fn child(
        &self,
        directory: &Root,
        name: &str,
        path: String,
        excluded: bool,
        depth: usize,
        found: &mut Vec<Entry>,
    ) -> Result<()> {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Vanished since it was listed.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            stat => stat.map_err(|errno| Error::io(format!("stat {path}"), errno))?,
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if excluded && !is_directory {
            return Ok(());
        }
        if found.len() >= ENTRIES {
            return Err(Error::refused(format!("more than {ENTRIES} files are copied in one step")));
        }
        let place = found.len();
        found.push(Entry { path: path.clone(), stat });
        if is_directory {
            self.below(directory.open_dir(Path::new(name))?, &path, depth + 1, found)?;
            if excluded && found.len() == place + 1 {
                found.pop();
            }
        }
        Ok(())
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}
