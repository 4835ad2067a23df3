//! How a container differs from its image, as `docker diff` tells it: read from overlay's upper directory alone, with a
//! look below at each path for what was there before.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::extract::list;
use crate::tree::is_opaque;
use crate::{Error, Result};

/// One difference between a container and its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path in the container (lossy where it is not UTF-8).
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a path, with Docker's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChangeKind {
    /// `C`.
    Modified = 0,
    /// `A`.
    Added = 1,
    /// `D`.
    Deleted = 2,
}

/// The layers below, topmost first.
struct Below(Vec<OwnedFd>);

/// Finds all changes.
pub(crate) fn find(upper: OwnedFd, lowers: &[PathBuf]) -> Result<Vec<Change>> {
    let open = |path: &PathBuf| File::open(path).map(OwnedFd::from).map_err(Error::at("open", path));
    let below = Below(lowers.iter().map(open).collect::<Result<_>>()?);
    let mut found = BTreeMap::new();
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let Some(directory) = enter(&upper, &path)? else { continue };
        for (name, _) in list(&directory)? {
            let Ok(stat) = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let child = if path.is_empty() { name.as_bytes().to_vec() } else { [&path, name.as_bytes()].join(&b'/') };
            if let Some(kind) = kind(&below, &child, &stat) {
                note(&mut found, &child, kind);
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                waiting.push(child);
            }
        }
    }
    let shown = |path: &[u8]| format!("/{}", String::from_utf8_lossy(path));
    Ok(found.into_iter().map(|(path, kind)| Change { path: shown(&path), kind }).collect())
}

/// Whatever changes below a directory changes the directory.
fn note(found: &mut BTreeMap<Vec<u8>, ChangeKind>, path: &[u8], kind: ChangeKind) {
    found.insert(path.to_vec(), kind);
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends {
        found.entry(path[..end].to_vec()).or_insert(ChangeKind::Modified);
    }
}

fn kind(below: &Below, path: &[u8], stat: &Stat) -> Option<ChangeKind> {
    let before = below.stat(path);
    if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0 {
        // A whiteout over nothing hides nothing: the file came and went in the container.
        return before.map(|_| ChangeKind::Deleted);
    }
    let Some(before) = before else { return Some(ChangeKind::Added) };
    let is_directory = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let same = stat.st_mode == before.st_mode
        && (stat.st_uid, stat.st_gid) == (before.st_uid, before.st_gid)
        && stat.st_mtime == before.st_mtime
        && (stat.st_mtime_nsec == before.st_mtime_nsec || stat.st_mtime_nsec == 0 || before.st_mtime_nsec == 0);
    if is_directory(stat) && is_directory(&before) && same { None } else { Some(ChangeKind::Modified) }
}

impl Below {
    /// What the image shows at a path.
    fn stat(&self, path: &[u8]) -> Option<Stat> {
        for layer in &self.0 {
            match self.look(layer, path) {
                Some(Ok(stat)) => return Some(stat),
                Some(Err(())) => return None,
                None => {}
            }
        }
        None
    }

    /// The path in one layer; `Err` when the layer hides it, none when it says nothing about it.
    fn look(&self, layer: &OwnedFd, path: &[u8]) -> Option<Result<Stat, ()>> {
        match open(layer, path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd).ok()?;
                let hidden = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0;
                Some(if hidden { Err(()) } else { Ok(stat) })
            }
            Err(Errno::NOTDIR | Errno::LOOP) => Some(Err(())),
            Err(_) => hides(layer, path).then_some(Err(())),
        }
    }
}

/// Whether a directory above is opaque in this layer.
fn hides(layer: &OwnedFd, path: &[u8]) -> bool {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.into_iter().any(|end| open(layer, &path[..end], OFlags::PATH).is_ok_and(|fd| is_opaque(&fd)))
}

fn open(root: &OwnedFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    // With O_PATH and O_NOFOLLOW a link at the path's end is opened itself; one in its middle hides what is below.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = if path.is_empty() { b"." } else { path };
    rustix::fs::openat2(root, OsStr::from_bytes(path), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn enter(upper: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>> {
    match open(upper, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(fd) => Ok(Some(fd)),
        // Gone since it was listed.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Error::io("open", String::from_utf8_lossy(path))(errno)),
    }
}
