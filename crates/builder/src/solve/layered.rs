//! A path inside a pile of layers, as directories that make the same tree when they are laid over each other.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hako_store::Store;
use hako_sys::confined::Root;
use rustix::fs::{FileType, Stat};

use crate::{Error, Result};

const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder: its parts, topmost first.
    Folder(Vec<PathBuf>),
    /// A file, where it lies.
    File(PathBuf),
}

/// Looks a path up in layers, topmost first; links are followed among them.
pub(super) fn find(store: &Store, lowers: &[PathBuf], path: &str) -> Result<Found> {
    let view = store.rootfs(lowers)?;
    let real = hako_store::tree::resolve(view.as_fd(), Path::new(path))?;
    drop(view);
    let real = real.strip_prefix("/").unwrap_or(&real).to_owned();
    let mut parts = Vec::new();
    for lower in lowers {
        let root = Root::open(lower)?;
        match look(&root, &real)? {
            Seen::Nothing => {}
            Seen::Hidden => break,
            Seen::File if parts.is_empty() => return Ok(Found::File(lower.join(&real))),
            Seen::File => break,
            Seen::Folder { last } => {
                parts.push(lower.join(&real));
                if last {
                    break;
                }
            }
        }
    }
    if parts.is_empty() {
        return Err(Error::refused(format!("{path:?}: not found")));
    }
    Ok(Found::Folder(parts))
}

enum Seen {
    /// This layer says nothing of it.
    Nothing,
    /// This layer hides what is below.
    Hidden,
    File,
    /// A folder; `last` when it hides what is below.
    Folder {
        last: bool,
    },
}

fn look(root: &Root, path: &Path) -> Result<Seen> {
    let mut so_far = PathBuf::new();
    let mut opaque = false;
    for part in path.components() {
        so_far.push(part);
        match root.symlink_metadata(&so_far) {
            Err(error) if error.is_not_found() => return Ok(if opaque { Seen::Hidden } else { Seen::Nothing }),
            Err(error) => return Err(error.into()),
            Ok(stat) if is_whiteout(&stat) => return Ok(Seen::Hidden),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let folder = root.open_path_nofollow(&so_far)?;
                opaque |= hako_sys::file::xattr(folder.as_fd(), OPAQUE).is_ok_and(|value| value == b"y");
            }
            Ok(_) if so_far == path => return Ok(Seen::File),
            Ok(_) => return Ok(Seen::Hidden),
        }
    }
    Ok(Seen::Folder { last: opaque })
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
