//! Walks a tree by descriptor and writes what it finds as tar members, names sorted so that the same tree always gives the
//! same archive.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::ahead::{self, Content, Loaded, Readers, Shelf};
use crate::extract::list;
use crate::tar::{Entry, Kind, Mtime, Writer};
use crate::{Error, Result};

const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// How exactly times are written. Seconds need no extended headers, and are what Docker writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Seconds,
    Nanoseconds,
}

/// Where an archive goes. One that keeps an account of files is told before the content of each.
pub(crate) trait Sink: Write {
    /// The next `size` bytes are the content of the file `path`, which has this inode.
    fn file(&mut self, _path: &[u8], _size: u64, _inode: u64) -> Result<()> {
        Ok(())
    }
}

impl<W: Write> Sink for BufWriter<W> {}

/// Packs files.
pub(crate) struct Packer<W: Sink> {
    writer: Writer<W>,
    precision: Precision,
    /// What entries' names begin with.
    base: Vec<u8>,
    /// Turn overlay's whiteouts into those of image layers.
    whiteouts: bool,
    /// First names of files with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// What reads files ahead, if anything does.
    readers: Option<Readers>,
}

/// Something still to be packed.
struct Waiting {
    parent: Rc<[u8]>,
    name: OsString,
    /// Where a file comes from; none for everything else.
    shelf: Option<Rc<RefCell<Shelf>>>,
}

impl<W: Sink> Packer<W> {
    pub(crate) fn new(out: W, precision: Precision) -> Self {
        let (writer, links) = (Writer::new(out), HashMap::new());
        Self { writer, precision, base: Vec::new(), whiteouts: false, links, readers: None }
    }

    /// Lets other threads read files ahead. Only for trees that nobody changes.
    pub(crate) fn read_ahead(&mut self) {
        self.readers = Some(Readers::default());
    }

    /// Begins entries' names with `base`. Files there are no other names of those elsewhere.
    pub(crate) fn named(&mut self, base: &[u8]) {
        self.base = base.to_vec();
        self.links.clear();
    }

    /// Packs an overlay's upper directory as an image layer.
    pub(crate) fn as_layer(&mut self) {
        self.whiteouts = true;
    }

    pub(crate) fn finish(self) -> Result<W> {
        self.writer.finish()
    }

    /// Packs a directory under the base name, and what is below it.
    pub(crate) fn tree(&mut self, root: OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(&root).map_err(Error::io("stat", "directory"))?;
        let mut entry = self.entry(Kind::Directory, self.full_name(b"", true), &stat);
        entry.xattrs = xattrs(&root)?;
        self.writer.header(&entry)?;
        self.below(root)
    }

    /// Packs a directory as `./` and what is below it without a base.
    pub(crate) fn content(&mut self, root: OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(&root).map_err(Error::io("stat", "directory"))?;
        let mut entry = self.entry(Kind::Directory, b"./".to_vec(), &stat);
        entry.xattrs = xattrs(&root)?;
        self.writer.header(&entry)?;
        if self.whiteouts {
            self.opaque_mark(&root, b"")?;
        }
        self.below(root)
    }

    /// Packs an overlay's upper directory as an image layer, its root only when `describe_root`.
    pub(crate) fn layer(&mut self, root: OwnedFd, describe_root: bool) -> Result<()> {
        self.as_layer();
        if describe_root {
            return self.content(root);
        }
        self.opaque_mark(&root, b"")?;
        self.below(root)
    }

    /// Packs one thing that is no directory, under the base name.
    pub(crate) fn single(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", name.to_string_lossy()))?;
        let full = self.full_name(b"", false);
        self.leaf(parent, name, full, &stat)
    }

    /// Packs everything below a directory. Waiting names hold no descriptors: a container can nest without end.
    fn below(&mut self, root: OwnedFd) -> Result<()> {
        let mut here: (Rc<[u8]>, OwnedFd) =
            (Rc::from(&b""[..]), root.try_clone().map_err(Error::io("open", "directory"))?);
        let mut waiting = Vec::new();
        wait_for(&mut waiting, &here.0, &here.1)?;
        while let Some(next) = waiting.pop() {
            if here.0 != next.parent {
                let Some(fd) = enter(&root, &next.parent)? else { continue };
                here = (next.parent.clone(), fd);
            }
            let path: Vec<u8> = match next.parent.is_empty() {
                true => next.name.as_bytes().to_vec(),
                false => [&next.parent, next.name.as_bytes()].join(&b'/'),
            };
            if let Some(shelf) = &next.shelf {
                let loaded = shelf.borrow_mut().next(&here.1, self.readers.as_mut())?;
                let full = self.full_name(&path, false);
                loaded.map_or(Ok(()), |loaded| self.file(full, loaded))?;
                continue;
            }
            let stat = match rustix::fs::statat(&here.1, &next.name, AtFlags::SYMLINK_NOFOLLOW) {
                // Vanished since it was listed: a live tree.
                Err(Errno::NOENT) => continue,
                stat => stat.map_err(Error::io("stat", String::from_utf8_lossy(&path)))?,
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                let full = self.full_name(&path, false);
                self.leaf(&here.1, &next.name, full, &stat)?;
                continue;
            }
            let Some(fd) = step(&here.1, &next.name)? else { continue };
            self.directory(&fd, &path)?;
            let path: Rc<[u8]> = Rc::from(path);
            wait_for(&mut waiting, &path, &fd)?;
            here = (path, fd);
        }
        Ok(())
    }

    fn directory(&mut self, fd: &OwnedFd, path: &[u8]) -> Result<()> {
        let stat = rustix::fs::fstat(fd).map_err(Error::io("stat", String::from_utf8_lossy(path)))?;
        let mut entry = self.entry(Kind::Directory, self.full_name(path, true), &stat);
        entry.xattrs = xattrs(fd)?;
        self.writer.header(&entry)?;
        if self.whiteouts { self.opaque_mark(fd, path) } else { Ok(()) }
    }

    fn opaque_mark(&mut self, fd: &OwnedFd, path: &[u8]) -> Result<()> {
        if !is_opaque(fd) {
            return Ok(());
        }
        let name = if path.is_empty() { b".wh..wh..opq".to_vec() } else { [path, b".wh..wh..opq"].join(&b'/') };
        self.writer.header(&Entry::new(name, Kind::Regular))
    }

    fn leaf(&mut self, parent: &OwnedFd, name: &OsStr, full: Vec<u8>, stat: &Stat) -> Result<()> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let loaded = ahead::load(parent, name)?;
                return loaded.map_or(Ok(()), |loaded| self.file(full, loaded));
            }
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice if self.whiteouts && stat.st_rdev == 0 => return self.whiteout(name, &full),
            FileType::CharacterDevice => Kind::Character,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing outside the process that listens on it.
            _ => return Ok(()),
        };
        let mut entry = self.entry(kind, full, stat);
        if stat.st_nlink > 1 && self.is_linked(&mut entry, stat) {
            return self.writer.header(&entry);
        }
        match kind {
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(Error::io("read link", entry.display()))?;
                entry.link = target.into_bytes();
            }
            _ => entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::openat(parent, name, flags, Mode::empty()) {
            entry.xattrs = xattrs(&fd)?;
        }
        self.writer.header(&entry)
    }

    fn whiteout(&mut self, name: &OsStr, full: &[u8]) -> Result<()> {
        let parent = &full[..full.len() - name.len()];
        let hidden = [parent, b".wh.", name.as_bytes()].concat();
        self.writer.header(&Entry::new(hidden, Kind::Regular))
    }

    /// Makes the entry a link when the same file was packed before.
    fn is_linked(&mut self, entry: &mut Entry, stat: &Stat) -> bool {
        let identity = (stat.st_dev, stat.st_ino);
        match self.links.get(&identity) {
            Some(first) => {
                (entry.kind, entry.link, entry.size) = (Kind::HardLink, first.clone(), 0);
                true
            }
            None => {
                self.links.insert(identity, entry.path.clone());
                false
            }
        }
    }

    fn file(&mut self, path: Vec<u8>, loaded: Loaded) -> Result<()> {
        let mut entry = self.entry(Kind::Regular, path, &loaded.stat);
        if loaded.stat.st_nlink > 1 && self.is_linked(&mut entry, &loaded.stat) {
            return self.writer.header(&entry);
        }
        entry.xattrs = worth_carrying(loaded.xattrs);
        self.writer.header(&entry)?;
        self.writer.get_mut().file(&entry.path, entry.size, loaded.stat.st_ino)?;
        match loaded.content {
            Content::Whole(bytes) => self.writer.content(&entry, &mut &bytes[..]),
            Content::Open(fd) => self.writer.content(&entry, &mut File::from(fd)),
        }
    }

    fn entry(&self, kind: Kind, path: Vec<u8>, stat: &Stat) -> Entry {
        let mut entry = Entry::new(path, kind);
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        entry.mtime.secs = stat.st_mtime;
        if self.precision == Precision::Nanoseconds {
            entry.mtime = Mtime { secs: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) };
        }
        if kind == Kind::Regular {
            entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        }
        entry
    }

    fn full_name(&self, path: &[u8], directory: bool) -> Vec<u8> {
        let mut name = self.base.clone();
        if !name.is_empty() && !name.ends_with(b"/") && !path.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(path);
        if directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        name
    }
}

fn xattrs(fd: &OwnedFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    ahead::attributes(fd).map(worth_carrying)
}

/// Attributes worth carrying: not the driver's, and not the host's security labels.
fn worth_carrying(mut xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    xattrs.retain(|(name, _)| {
        let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        !overlay && (name == b"security.capability" || !name.starts_with(b"security."))
    });
    xattrs.sort();
    xattrs
}

/// Puts a directory's names on the pile, so that the first comes off first.
fn wait_for(waiting: &mut Vec<Waiting>, path: &Rc<[u8]>, fd: &OwnedFd) -> Result<()> {
    let mut names = list(fd)?;
    names.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let files = names.iter().filter(|(_, kind)| *kind == FileType::RegularFile).map(|(name, _)| name.clone());
    let shelf = Rc::new(RefCell::new(Shelf::new(files)));
    waiting.extend(names.into_iter().rev().map(|(name, kind)| Waiting {
        parent: path.clone(),
        name,
        shelf: (kind == FileType::RegularFile).then(|| Rc::clone(&shelf)),
    }));
    Ok(())
}

fn step(parent: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    found(rustix::fs::openat(parent, name, flags, Mode::empty()), name.as_bytes())
}

/// Whether overlay hides everything below this directory of lower layers.
pub(crate) fn is_opaque(directory: &OwnedFd) -> bool {
    hako_sys::file::xattr(directory.as_fd(), OPAQUE).is_ok_and(|value| value == b"y")
}

/// Comes back to a directory after one of its children.
fn enter(root: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    found(rustix::fs::openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), resolve), path)
}

/// In a live tree what was a directory a moment ago may be gone.
fn found(opened: rustix::io::Result<OwnedFd>, path: &[u8]) -> Result<Option<OwnedFd>> {
    match opened {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Error::io("open", String::from_utf8_lossy(path))(errno)),
    }
}
