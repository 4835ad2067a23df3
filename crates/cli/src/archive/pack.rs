//! Packing a local file or tree.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};

use super::header::{Kind, Member, finish, pad};

/// Writes `directory/base` (a file, or a directory and all below it) under the name `shown`; returns the bytes of
/// content packed.
pub(crate) fn pack(directory: &Path, base: &str, shown: &str, out: &mut impl Write) -> io::Result<u64> {
    let mut packer = Packer { out, links: HashMap::new(), bytes: 0 };
    packer.add(&directory.join(base), shown)?;
    finish(packer.out)?;
    Ok(packer.bytes)
}

struct Packer<'a, W> {
    out: &'a mut W,
    links: HashMap<(u64, u64), String>,
    bytes: u64,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, path: &Path, shown: &str) -> io::Result<()> {
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
            Kind::Directory => self.directory(path, shown, &member),
            _ => member.write(self.out),
        }
    }

    fn directory(&mut self, path: &Path, shown: &str, member: &Member) -> io::Result<()> {
        member.write(self.out)?;
        let mut names: Vec<_> = fs::read_dir(path)
            .map_err(|error| named(path, &error))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        for name in names {
            self.add(&path.join(&name), &format!("{shown}/{}", displayed(&name)?))?;
        }
        Ok(())
    }

    /// A file that grows or shrinks meanwhile is cut or filled to the size its header told.
    fn file(&mut self, path: &Path, mut member: Member) -> io::Result<()> {
        let file = File::open(path).map_err(|error| named(path, &error))?;
        member.size = file.metadata()?.len();
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

fn displayed(name: &OsStr) -> io::Result<&str> {
    name.to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{}: name is not UTF-8", name.display())))
}

/// A member's header; sockets have none, they cannot be copied.
fn describe(path: &Path, shown: &str, metadata: &Metadata) -> io::Result<Option<Member>> {
    let (mut name, mut link, kind) = (shown.to_owned(), String::new(), metadata.file_type());
    let kind = match () {
        () if kind.is_dir() => {
            name.push('/');
            Kind::Directory
        }
        () if kind.is_symlink() => {
            link = displayed(fs::read_link(path)?.as_os_str())?.to_owned();
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
    }))
}
