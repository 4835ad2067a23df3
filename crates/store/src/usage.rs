//! How much disk the store takes, as `du` counts it: blocks, each file once however many names it has.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hako_model::digest::Digest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::extract::list;
use crate::{ChainId, Error, Result, Store};

/// The store's disk usage in bytes (blocks really taken).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// All layers: files, records, skeletons.
    pub layers: u64,
    /// All blobs.
    pub blobs: u64,
    /// Partial downloads.
    pub ingest: u64,
    /// All volumes.
    pub volumes: u64,
    /// Records of images and references.
    pub records: u64,
    /// Each image's share, in the order of [`crate::Images::list`].
    pub images: Vec<ImageUsage>,
}

/// One image's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Which image.
    pub id: Digest,
    /// Disk taken by everything it needs: layers and blobs.
    pub total: u64,
    /// The part other images need too.
    pub shared: u64,
    /// Docker's `SharedSize`: bytes of files in layers that other images have too.
    pub shared_size: u64,
}

impl Store {
    /// Measures the store.
    pub fn usage(&self) -> Result<Usage> {
        let mut sizes: HashMap<Digest, u64> = HashMap::new();
        let mut usage = Usage {
            layers: own(&self.shared.path("layers"))?,
            blobs: tree(&self.shared.path("blobs"))?,
            ingest: tree(&self.shared.path("ingest"))?,
            volumes: tree(&self.shared.path("volumes"))?,
            records: tree(&self.shared.path("images"))?,
            images: Vec::new(),
        };
        // Layers that builds made one after the other share files.
        let mut seen = HashSet::new();
        for layer in self.layers().list() {
            let dir = self.layers().dir(&layer.chain_id);
            let size = tree(&dir)?;
            usage.layers += together(&dir, &mut seen)?;
            let blobs = layer.blobs.iter().filter_map(|blob| blocks(&self.blobs().path(&blob.digest)).ok());
            sizes.insert(layer.chain_id.clone(), size + blobs.sum::<u64>());
        }
        usage.images = self.image_usage(&sizes);
        Ok(usage)
    }

    fn image_usage(&self, sizes: &HashMap<ChainId, u64>) -> Vec<ImageUsage> {
        let images = self.images().list();
        let mut users: HashMap<&ChainId, usize> = HashMap::new();
        for layer in images.iter().flat_map(|image| &image.layers) {
            *users.entry(layer).or_default() += 1;
        }
        let size = |id: &ChainId| sizes.get(id).copied().unwrap_or(0);
        let documents = |digest: &Digest| blocks(&self.blobs().path(digest)).unwrap_or(0);
        images
            .iter()
            .map(|image| {
                let manifest = image.manifest.as_ref().map_or(0, |manifest| documents(&manifest.digest));
                let shared = || image.layers.iter().filter(|id| users.get(id).is_some_and(|count| *count > 1));
                let bytes = |id: &ChainId| self.layers().get(id).map_or(0, |layer| layer.size);
                ImageUsage {
                    id: image.id.clone(),
                    total: image.layers.iter().map(size).sum::<u64>() + documents(&image.id) + manifest,
                    shared: shared().map(size).sum(),
                    shared_size: shared().map(bytes).sum(),
                }
            })
            .collect()
    }
}

/// The blocks of one file.
pub(crate) fn blocks(path: &Path) -> Result<u64> {
    let stat = std::fs::symlink_metadata(path).map_err(Error::at("stat", path))?;
    Ok(stat.blocks() * 512)
}

/// The blocks of one directory without what is in it.
fn own(path: &Path) -> Result<u64> {
    blocks(path)
}

/// The bytes a file or a whole tree takes on disk.
pub fn tree(path: &Path) -> Result<u64> {
    together(path, &mut HashSet::new())
}

/// The same, without the files that were seen before under another name.
fn together(path: &Path, seen: &mut HashSet<u64>) -> Result<u64> {
    let mut total = blocks(path)?;
    if !std::fs::symlink_metadata(path).map_err(Error::at("stat", path))?.is_dir() {
        return Ok(total);
    }
    let root = File::open(path).map_err(Error::at("open", path))?;
    walk(root.into(), &mut |stat| {
        if stat.st_nlink <= 1
            || FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            || seen.insert(stat.st_ino)
        {
            total += stat.st_blocks as u64 * 512;
        }
    })?;
    Ok(total)
}

/// The bytes that deleting a tree gives back: a file that has other names elsewhere stays.
pub(crate) fn released(path: &Path) -> Result<u64> {
    let mut total = blocks(path)?;
    if !std::fs::symlink_metadata(path).map_err(Error::at("stat", path))?.is_dir() {
        return Ok(total);
    }
    let root = File::open(path).map_err(Error::at("open", path))?;
    let mut names: HashMap<u64, u64> = HashMap::new();
    walk(root.into(), &mut |stat| {
        let is_last = stat.st_nlink <= 1 || FileType::from_raw_mode(stat.st_mode) == FileType::Directory || {
            let here = names.entry(stat.st_ino).or_default();
            *here += 1;
            *here == stat.st_nlink
        };
        if is_last {
            total += stat.st_blocks as u64 * 512;
        }
    })?;
    Ok(total)
}

/// Shows everything below a directory (not the directory itself), following nothing. What vanishes meanwhile is skipped.
pub(crate) fn walk(root: OwnedFd, see: &mut dyn FnMut(&Stat)) -> Result<()> {
    // Directories wait as paths, not as descriptors: a container can nest them without end.
    let mut waiting: Vec<std::path::PathBuf> = vec![std::path::PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(root.as_fd(), &path, flags, Mode::empty(), resolve);
        let Ok(directory) = opened else { continue };
        for (name, _) in list(&directory)? {
            let Ok(stat) = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            see(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                waiting.push(path.join(name));
            }
        }
    }
    Ok(())
}
