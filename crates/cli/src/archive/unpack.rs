//! Unpacking what a container sent. The archive is not to be trusted: every name is resolved inside the destination,
//! by descriptor, so neither `..` nor a link made a moment ago leads out of it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hako_sys::confined::Root;
use rustix::fs::{FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::header::{Kind, Member};
use crate::failure::go_cause;

/// Changes the name of a member: `from` as its first part becomes `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rebase {
    /// The first part as the archive has it.
    pub(crate) from: String,
    /// The first part as it is to be.
    pub(crate) to: String,
}

impl Rebase {
    /// The new name.
    pub(crate) fn apply(&self, name: &[u8]) -> Vec<u8> {
        let from = if self.from == "/" { "" } else { &self.from };
        match name.strip_prefix(from.as_bytes()) {
            Some(rest) if from.is_empty() || rest.is_empty() || rest.starts_with(b"/") => {
                let joint = if from.is_empty() && !rest.is_empty() && !rest.starts_with(b"/") { "/" } else { "" };
                [self.to.as_bytes(), joint.as_bytes(), rest].concat()
            }
            _ => name.to_owned(),
        }
    }
}

/// Unpacks `input` below `directory`; returns the bytes of content written.
pub(crate) fn unpack(input: &mut impl Read, directory: &Path, rebase: Option<&Rebase>) -> io::Result<u64> {
    let root = Root::open(directory).map_err(io::Error::other)?;
    let (mut bytes, mut directories) = (0, Vec::new());
    while let Some(mut member) = Member::read(input)? {
        if let Some(rebase) = rebase {
            member.name = rebase.apply(&member.name);
            if member.kind == Kind::HardLink {
                member.link = rebase.apply(&member.link);
            }
        }
        let path = local_path(&member.name);
        bytes += member.size;
        place(&root, &path, &member, input).map_err(|error| named(&path, &error))?;
        io::copy(&mut input.by_ref().take(member.padding()), &mut io::sink())?;
        // The destination itself is not the archive's to describe.
        if member.kind == Kind::Directory && path != Path::new(".") {
            directories.push((path, member));
        }
    }
    for (path, member) in directories.iter().rev() {
        settle(&root, path, member).map_err(|error| named(path, &error))?;
    }
    Ok(bytes)
}

fn local_path(name: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(crate::paths::clean_bytes(name)))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", path.display(), go_cause(error)))
}

fn place(root: &Root, path: &Path, member: &Member, input: &mut impl Read) -> io::Result<()> {
    if path == Path::new(".") || path == Path::new("/") {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        root.mkdir_all(parent, 0o755).map_err(io::Error::other)?;
    }
    let existing = root.symlink_metadata(path).ok().map(|stat| FileType::from_raw_mode(stat.st_mode));
    match (existing, member.kind) {
        (Some(FileType::Directory), Kind::Directory) => return Ok(()),
        (Some(FileType::Directory), _) => return Err(refuse("cannot overwrite directory with non-directory", path)),
        (Some(_), Kind::Directory) => return Err(refuse("cannot overwrite non-directory with directory", path)),
        (Some(_), _) => root.unlink(path).map_err(io::Error::other)?,
        (None, _) => {}
    }
    make(root, path, member, input).map_err(io::Error::other)?;
    if matches!(member.kind, Kind::Directory | Kind::HardLink) { Ok(()) } else { settle(root, path, member) }
}

fn refuse(what: &str, path: &Path) -> io::Error {
    io::Error::other(format!("{what} {}", path.display()))
}

fn make(root: &Root, path: &Path, member: &Member, input: &mut impl Read) -> io::Result<()> {
    let mode = member.mode & 0o777;
    let node = |kind| root.mknod(path, kind, mode, member.device).map_err(io::Error::other);
    match member.kind {
        Kind::File => {
            let mut file = root.create(path, mode).map_err(io::Error::other)?;
            let copied = io::copy(&mut input.by_ref().take(member.size), &mut file)?;
            if copied < member.size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.flush()
        }
        Kind::HardLink => {
            let target = local_path(&member.link);
            root.hard_link(&target, path).map_err(io::Error::other)
        }
        Kind::Symlink => root.symlink(OsStr::from_bytes(&member.link), path).map_err(io::Error::other),
        Kind::Directory => root.mkdir(path, mode | 0o700).map_err(io::Error::other),
        Kind::Character => node(FileType::CharacterDevice),
        Kind::Block => node(FileType::BlockDevice),
        Kind::Fifo => node(FileType::Fifo),
    }
}

/// Attributes, permission bits and times; owners stay the caller's, as with docker.
fn settle(root: &Root, path: &Path, member: &Member) -> io::Result<()> {
    if matches!(member.kind, Kind::File | Kind::Directory) && !member.xattrs.is_empty() {
        let fd = root.open_with(path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()).map_err(io::Error::other)?;
        member.xattrs.iter().try_for_each(|(name, value)| set_xattr(&fd, name, value))?;
    }
    if member.kind != Kind::Symlink {
        root.chmod(path, member.mode).map_err(io::Error::other)?;
    }
    let time = Timespec { tv_sec: member.mtime, tv_nsec: 0 };
    root.set_times(path, &Timestamps { last_access: time, last_modification: time }).map_err(io::Error::other)
}

/// What this person, or this file system, cannot set is left out, as with docker.
fn set_xattr(fd: &OwnedFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    match rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP) => Ok(()),
        Err(error) => Err(io::Error::new(io::Error::from(error).kind(), format!("set attribute: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::header::finish;
    use super::super::pack::pack;
    use super::*;

    fn archive(members: &[(&str, Kind, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, kind, link) in members {
            let member = Member {
                name: name.as_bytes().to_vec(),
                link: link.as_bytes().to_vec(),
                kind: *kind,
                mode: 0o644,
                uid: 0,
                gid: 0,
                size: 0,
                mtime: 0,
                device: (0, 0),
                xattrs: Vec::new(),
            };
            member.write(&mut bytes).unwrap();
        }
        finish(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_tree_survives_the_journey() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("t/sub")).unwrap();
        fs::write(from.path().join("t/sub/file"), "content").unwrap();
        fs::hard_link(from.path().join("t/sub/file"), from.path().join("t/other")).unwrap();
        std::os::unix::fs::symlink("sub/file", from.path().join("t/link")).unwrap();
        let odd = OsStr::from_bytes(b"t/sub/\xff\xfe");
        fs::write(from.path().join(odd), "").unwrap();
        let set = |path: &str| {
            rustix::fs::setxattr(from.path().join(path), "user.note", b"kept", XattrFlags::empty()).unwrap();
        };
        set("t/sub/file");
        set("t/sub");
        let mut bytes = Vec::new();
        assert_eq!(pack(from.path(), "t", "t", &mut bytes).unwrap(), 7);
        let rebase = Rebase { from: "t".into(), to: "new".into() };
        assert_eq!(unpack(&mut bytes.as_slice(), to.path(), Some(&rebase)).unwrap(), 7);
        assert_eq!(fs::read_to_string(to.path().join("new/link")).unwrap(), "content");
        assert_eq!(fs::read_to_string(to.path().join("new/other")).unwrap(), "content");
        assert!(to.path().join("new/sub").join(OsStr::from_bytes(b"\xff\xfe")).exists());
        for path in ["new/sub/file", "new/sub"] {
            let mut value = [0; 8];
            let length = rustix::fs::getxattr(to.path().join(path), "user.note", &mut value).unwrap();
            assert_eq!(&value[..length], b"kept", "{path}");
        }
    }

    #[test]
    fn nothing_leaves_the_destination() {
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("in");
        fs::create_dir(&inside).unwrap();
        let link = outside.path().display().to_string();
        for members in [
            vec![("../escaped", Kind::File, "")],
            vec![("/../escaped", Kind::File, "")],
            vec![("door", Kind::Symlink, link.as_str()), ("door/escaped", Kind::File, "")],
            vec![("door2", Kind::Symlink, ".."), ("door2/escaped", Kind::File, "")],
        ] {
            let _ = unpack(&mut archive(&members).as_slice(), &inside, None);
            assert!(!outside.path().join("escaped").exists(), "{members:?}");
        }
    }

    #[test]
    fn a_file_does_not_replace_a_directory() {
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir(inside.path().join("d")).unwrap();
        let refused = unpack(&mut archive(&[("d", Kind::File, "")]).as_slice(), inside.path(), None).unwrap_err();
        assert!(refused.to_string().contains("cannot overwrite directory with non-directory"), "{refused}");
    }

    #[test]
    fn names_are_rebased_at_the_first_part_only() {
        let rebase = |from: &str, to: &str, name: &[u8]| Rebase { from: from.into(), to: to.into() }.apply(name);
        assert_eq!(rebase("a", "b", b"a/a"), b"b/a");
        assert_eq!(rebase("a", "b", b"ab/a"), b"ab/a");
        assert_eq!(rebase(".", "new", b"./x\xff"), b"new/x\xff");
        assert_eq!(rebase("/", "root", b"etc/passwd"), b"root/etc/passwd");
    }
}
