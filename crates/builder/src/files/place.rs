//! Puts selected files into a layer's own directory. Nothing is mounted for that: what the layers below hold is looked up
//! through a read-only view, and folders that exist there are made again with the same attributes.

mod crew;
mod folder;
mod leaf;
pub mod mode;
pub mod model;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use hako_store::LayerDraft;
use hako_store::tree::resolve;
use hako_sys::confined::Root;
use rustix::fs::{FileType, Timespec, Timestamps};

use self::crew::{Batch, Crew};
use self::folder::Folder;
use self::leaf::Hands;
use self::mode::Chmod;
use self::model::{Model, Traits};
use super::ignore::cleaned;
use super::select::Source;
use super::tree::{Entry, Tree};
use crate::{Error, Result};

/// How files look in the layer.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// `--chown`.
    pub owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub mode: Option<Chmod>,
    /// When folders made on the way were changed; now, if none.
    pub made: Option<i64>,
}

/// Puts files into a layer.
pub struct Placer<'a> {
    upper: Root,
    /// The layers below as one tree; none for the first layer.
    below: Option<Root>,
    manners: &'a Manners,
    /// Files with several names: where the first one is.
    twins: HashMap<(u64, u64), String>,
    hands: Hands<'a>,
    /// What was placed, for a later layer to be made after.
    placed: Vec<(String, Traits)>,
}

impl<'a> Placer<'a> {
    /// Puts files into the draft, above what `below` shows.
    pub fn new(draft: &LayerDraft, below: Option<BorrowedFd<'_>>, manners: &'a Manners) -> Result<Self> {
        let reopen = |fd: BorrowedFd<'_>| Ok::<_, Error>(Root::from_fd(duplicate(fd)?).open_dir(Path::new("."))?);
        let below = below.map(reopen).transpose()?;
        Ok(Self::above(Root::open(&draft.upper())?, below, manners))
    }

    /// Puts files into a directory that is no layer.
    pub fn into(directory: &Path, manners: &'a Manners) -> Result<Self> {
        Ok(Self::above(Root::open(directory)?, None, manners))
    }

    fn above(upper: Root, below: Option<Root>, manners: &'a Manners) -> Self {
        let hands = Hands { manners, umask: umask(), model: None };
        Self { upper, below, manners, twins: HashMap::new(), hands, placed: Vec::new() }
    }

    /// Takes files that did not change since an earlier layer was made from there.
    #[must_use]
    pub fn after(mut self, model: Option<&'a Model>) -> Self {
        self.hands.model = model;
        self
    }

    /// What was placed, for a later layer to be made after.
    #[must_use]
    pub fn into_placed(self) -> Vec<(String, Traits)> {
        self.placed
    }

    /// Copies sources to a destination, by the rules of COPY: one after the other, so that of several files the last one
    /// is what a destination becomes that is not said to be a folder.
    pub fn copy(&mut self, tree: &Tree, sources: &[Source], destination: &str) -> Result<()> {
        let is_folder = destination.ends_with('/') || destination.ends_with("/.");
        let path = self.real(destination)?;
        if is_folder {
            self.folder(&path)?;
        }
        for source in sources {
            let path = joined(&path, &source.folder);
            match source.top.is_directory() {
                true => self.copy_folder(tree, source, &path)?,
                false => self.copy_file(tree, source, &path, is_folder || !source.folder.is_empty())?,
            }
        }
        Ok(())
    }

    /// Makes a folder and those it is in, unless they exist. Says whether it was made.
    pub fn make_folder(&mut self, path: &str) -> Result<bool> {
        let path = self.real(path)?;
        if self.exists_as_folder(&path)? {
            return Ok(false);
        }
        self.folder(&path).map(|_| true)
    }

    /// The path without links, from the root, without a slash at its beginning.
    fn real(&self, path: &str) -> Result<String> {
        let path = cleaned(&format!("/{path}"));
        let real = match &self.below {
            Some(below) => resolve(below.as_fd(), Path::new(&path))?.to_string_lossy().into_owned(),
            None => path,
        };
        Ok(real.trim_matches('/').to_owned())
    }

    fn exists_as_folder(&self, path: &str) -> Result<bool> {
        let path = Path::new(if path.is_empty() { "." } else { path });
        let is_folder = |root: &Root| root.open_dir(path).is_ok();
        Ok(is_folder(&self.upper) || self.below.as_ref().is_some_and(is_folder))
    }

    /// The folder at a path, with all it is in.
    fn folder(&mut self, path: &str) -> Result<Folder> {
        let mut folder = Folder::root(&self.upper, self.below.as_ref())?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder = match folder.enter(name)? {
                Some(inside) => inside,
                None => {
                    let mode = self.manners.mode.as_ref().map_or(0o755, |chmod| chmod.apply(0o755, true));
                    let made = folder.make(name, mode, self.manners.owner.unwrap_or((0, 0)))?;
                    made.set_times(&self.made_at())?;
                    made
                }
            };
        }
        Ok(folder)
    }

    /// The times of folders made on the way: now, unless the build has a time of its own.
    fn made_at(&self) -> Timestamps {
        let moment = match self.manners.made {
            Some(secs) => Timespec { tv_sec: secs, tv_nsec: 0 },
            None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        };
        Timestamps { last_access: moment, last_modification: moment }
    }

    /// The content of a folder goes into the destination, which is a plain folder if it is made for that.
    fn copy_folder(&mut self, tree: &Tree, source: &Source, path: &str) -> Result<()> {
        let top = self.folder(path)?;
        let hands = self.hands;
        let placed = std::thread::scope(|scope| {
            let mut crew = Crew::new(scope, hands, source.below.len());
            let walked = self.copy_below(tree, source, path, top, &mut crew);
            // What stopped a thread is told rather than that it stopped.
            let placed = crew.finish()?;
            walked.map(|()| placed)
        })?;
        self.placed.extend(placed);
        self.set_folder_times(source, path)
    }

    fn copy_below<'c, 's: 'c>(
        &mut self,
        tree: &Tree,
        source: &'s Source,
        path: &str,
        top: Folder,
        crew: &mut Crew<'c, 's>,
    ) -> Result<()> {
        let mut stack = vec![(String::new(), Arc::new(top))];
        let offset = if source.top.path.is_empty() { 0 } else { source.top.path.len() + 1 };
        let from = tree.root().open_dir(Path::new(if source.top.path.is_empty() { "." } else { &source.top.path }))?;
        let mut origin = (String::new(), Arc::new(from.try_clone()?));
        for entry in &source.below {
            let relative = &entry.path[offset..];
            let (parent, name) = relative.rsplit_once('/').unwrap_or(("", relative));
            while stack.last().is_some_and(|(own, _)| !is_at_or_below(parent, own)) {
                stack.pop();
            }
            self.descend(&mut stack, parent)?;
            if origin.0 != parent {
                let folder = if parent.is_empty() { "." } else { parent };
                origin = (parent.to_owned(), Arc::new(from.open_dir(Path::new(folder))?));
            }
            let Some((_, folder)) = stack.last() else { continue };
            if entry.is_directory() {
                let inside = self.subfolder(folder, name, tree, entry)?;
                stack.push((relative.to_owned(), Arc::new(inside)));
            } else if entry.kind() == FileType::RegularFile && entry.stat.st_nlink < 2 {
                let batch = || Batch::new(&origin.1, folder, joined(path, parent), tree.kind());
                crew.add(parent, name, entry, batch)?;
            } else {
                let target = joined(path, relative);
                self.leaf(&origin.1, name, folder, name, &target, tree.kind(), entry)?;
            }
        }
        Ok(())
    }

    /// Enters folders that were left out of the list but hold something that was not.
    fn descend(&mut self, stack: &mut Vec<(String, Arc<Folder>)>, parent: &str) -> Result<()> {
        let here = stack.last().map_or(0, |(own, _)| own.len());
        let missing = parent[here..].trim_start_matches('/').to_owned();
        for name in missing.split('/').filter(|name| !name.is_empty()) {
            let Some((own, folder)) = stack.last() else { return Ok(()) };
            let inside = match folder.enter(name)? {
                Some(inside) => inside,
                None => folder.make(name, 0o755, self.manners.owner.unwrap_or((0, 0)))?,
            };
            stack.push((joined(own, name), Arc::new(inside)));
        }
        Ok(())
    }

    fn subfolder(&self, parent: &Folder, name: &str, tree: &Tree, entry: &Entry) -> Result<Folder> {
        if let Some(inside) = parent.enter(name)? {
            return Ok(inside);
        }
        let made = parent.make(name, self.hands.mode(entry), self.hands.owner(tree.kind(), entry))?;
        leaf::copy_attributes(
            &tree.root().open_dir(Path::new(if entry.path.is_empty() { "." } else { &entry.path }))?,
            &made,
        )?;
        Ok(made)
    }

    /// Folders get their times last: everything put inside changes them.
    fn set_folder_times(&self, source: &Source, path: &str) -> Result<()> {
        let offset = source.top.path.len();
        for entry in source.below.iter().rev().filter(|entry| entry.is_directory()) {
            let target = joined(path, entry.path[offset..].trim_start_matches('/'));
            let known = self.below.as_ref().is_some_and(|below| below.open_dir(Path::new(&target)).is_ok());
            if !known {
                let folder = self.upper.open_dir(Path::new(&target))?;
                leaf::set_times(&folder, &leaf::times(&entry.stat))?;
            }
        }
        Ok(())
    }

    fn copy_file(&mut self, tree: &Tree, source: &Source, path: &str, into_folder: bool) -> Result<()> {
        let into_folder = into_folder || self.exists_as_folder(path)?;
        let (parent, name) = if into_folder {
            (path.to_owned(), source.name.clone())
        } else {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            (parent.to_owned(), name.to_owned())
        };
        let folder = self.folder(&parent)?;
        let (from, own) = source.top.path.rsplit_once('/').unwrap_or(("", &source.top.path));
        let origin = tree.root().open_dir(Path::new(if from.is_empty() { "." } else { from }))?;
        let target = joined(&parent, &name);
        self.leaf(&origin, own, &folder, &name, &target, tree.kind(), &source.top)
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|cause| Error::io("open layers", cause))
}

/// `a` and `b/c` → `a/b/c`.
fn joined(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{name}"),
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The process's umask, read without changing it: that would change it for all threads.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777)
}

#[cfg(test)]
mod tests;
