//! Packing a local file or tree.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};

use super::header::{Kind, Member, finish, pad};

/// Writes `directory/base` (a file, or a directory and all below it) under the name `shown`; returns the bytes of
/// content packed.
pub(crate) fn pack(directory: &Path, base: &str, shown: &str, out: &mut impl Write) -> io::Result<u64> {
    let mut packer = Packer { out, links: HashMap::new(), bytes: 0 };
    packer.add(&directory.join(base), shown.as_bytes())?;
    finish(packer.out)?;
    Ok(packer.bytes)
}

/// As [`pack`], but the archive stays open for more; [`end`] ends it.
pub(crate) fn pack_open(directory: &Path, base: &str, shown: &str, out: &mut impl Write) -> io::Result<()> {
    let mut packer = Packer { out, links: HashMap::new(), bytes: 0 };
    packer.add(&directory.join(base), shown.as_bytes())
}

/// Ends an archive.
pub(crate) fn end(out: &mut impl Write) -> io::Result<()> {
    finish(out)
}

struct Packer<'a, W> {
    out: &'a mut W,
    links: HashMap<(u64, u64), Vec<u8>>,
    bytes: u64,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, path: &Path, shown: &[u8]) -> io::Result<()> {
        let named = |error: io::Error| named(path, &error);
        let metadata = fs::symlink_metadata(path).map_err(named)?;
        let Some(mut member) = describe(path, shown, &metadata).map_err(named)? else { return Ok(()) };
        if member.kind == Kind::File && metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            match self.links.get(&key) {
                Some(first) => member = Member { kind: Kind::HardLink, link: first.clone(), size: 0, ..member },
                None => drop(self.links.insert(key, shown.to_owned())),
            }
        }
        match member.kind {
            Kind::File => self.file(path, member),
            Kind::Directory => {
                member.xattrs = File::open(path).map(xattrs).map_err(named)?;
                self.directory(path, shown, &member)
            }
            _ => member.write(self.out),
        }
    }

    fn directory(&mut self, path: &Path, shown: &[u8], member: &Member) -> io::Result<()> {
        member.write(self.out)?;
        let mut names: Vec<_> = fs::read_dir(path)
            .map_err(|error| named(path, &error))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        for name in names {
            self.add(&path.join(&name), &[shown, b"/", name.as_bytes()].concat())?;
        }
        Ok(())
    }

    /// A file that grows or shrinks meanwhile is cut or filled to the size its header told.
    fn file(&mut self, path: &Path, mut member: Member) -> io::Result<()> {
        let file = File::open(path).map_err(|error| named(path, &error))?;
        member.size = file.metadata()?.len();
        member.xattrs = xattrs(&file);
        member.write(self.out)?;
        let copied = io::copy(&mut file.take(member.size), self.out)?;
        io::copy(&mut io::repeat(0).take(member.size - copied), self.out)?;
        self.bytes += member.size;
        pad(self.out, member.size)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", path.display(), crate::failure::go_cause(error)))
}

/// A member's header; sockets have none, they cannot be copied.
fn describe(path: &Path, shown: &[u8], metadata: &Metadata) -> io::Result<Option<Member>> {
    let (mut name, mut link, kind) = (shown.to_owned(), Vec::new(), metadata.file_type());
    let kind = match () {
        () if kind.is_dir() => {
            name.push(b'/');
            Kind::Directory
        }
        () if kind.is_symlink() => {
            link = fs::read_link(path)?.into_os_string().into_vec();
            Kind::Symlink
        }
        () if kind.is_file() => Kind::File,
        () if kind.is_fifo() => Kind::Fifo,
        () if kind.is_char_device() => Kind::Character,
        () if kind.is_block_device() => Kind::Block,
        () => return Ok(None),
    };
    Ok(Some(Member {
        name,
        link,
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid().into(),
        gid: metadata.gid().into(),
        size: 0,
        mtime: metadata.mtime(),
        device: (major(metadata.rdev()), minor(metadata.rdev())),
        xattrs: Vec::new(),
    }))
}

/// What belongs to the content: the person's own attributes and capabilities. Labels belong to the machine.
fn xattrs(fd: impl AsFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    // File systems without attributes are no obstacle.
    let mut found = hako_sys::file::xattrs(fd.as_fd()).unwrap_or_default();
    found.retain(|(name, _)| name.starts_with(b"user.") || name == b"security.capability");
    found
}
