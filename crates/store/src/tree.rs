//! Files of a tree behind a descriptor: packed into tar, unpacked from tar, or described; for cp, export and copy-up.
//! Every path is resolved inside the tree's root; no link leads out.

use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use hako_model::time::Timestamp;

use crate::Result;

/// How a tar is unpacked into a tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else, or something else by a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the archive's owners; otherwise everything belongs to `owner`.
    pub copy_uid_gid: bool,
    /// The owner when `copy_uid_gid` is off.
    pub owner: (u32, u32),
    /// Undo gzip or zstd, told by the first bytes.
    pub inflate: bool,
}

/// What is at a path: the fields of `X-Docker-Container-Path-Stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last component as asked for.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// Go's `os.FileMode` bits.
    pub mode: u32,
    /// When it was changed.
    pub mtime: Timestamp,
    /// For a link: where it leads, as an absolute path inside the root.
    pub link_target: String,
}

/// Describes what is at `path` inside `root`; the last component is not followed unless the path ends in `/` or `/.`.
pub fn stat(root: BorrowedFd<'_>, path: &Path) -> Result<PathStat> {
    let _ = (root, path);
    todo!()
}

/// Packs what is at `path` inside `root` as Docker's archive endpoint does: entries are named from the last component on
/// (`etc/`, `etc/passwd`), with `path` ending in `/.` from the directory's own content on. Returns what was there.
pub fn pack(root: BorrowedFd<'_>, path: &Path, out: impl Write) -> Result<PathStat> {
    let _ = (root, path, out);
    todo!()
}

/// Packs the whole tree, as export does: entries relative to the root, in a fixed order.
pub fn export(root: BorrowedFd<'_>, out: impl Write) -> Result<()> {
    let _ = (root, out);
    todo!()
}

/// Unpacks a tar into the existing directory `path` inside `root`. Returns the number of entries.
pub fn unpack(root: BorrowedFd<'_>, path: &Path, archive: impl Read, options: UnpackOptions) -> Result<u64> {
    let _ = (root, path, archive, options);
    todo!()
}

/// The path with every link resolved inside `root`.
pub fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    let _ = (root, path);
    todo!()
}
