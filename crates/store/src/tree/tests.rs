//! Copying in and out of trees that try to lead elsewhere.

use std::io::Cursor;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::layers::tests::tar;
use crate::tar::{Entry, Kind};

struct Tree {
    dir: tempfile::TempDir,
    root: OwnedFd,
}

/// A root with a few things in it, inside a directory with a canary.
fn tree() -> Tree {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("canary"), "alive").unwrap();
    let root = dir.path().join("root");
    for directory in ["etc", "srv/web", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("etc/hosts"), "hosts").unwrap();
    std::fs::hard_link(root.join("etc/hosts"), root.join("etc/hosts2")).unwrap();
    symlink("/srv/web", root.join("www")).unwrap();
    symlink("../../../../canary", root.join("out")).unwrap();
    symlink("/../..", root.join("up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let root = std::fs::File::open(root).unwrap().into();
    Tree { dir, root }
}

impl Tree {
    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("root").join(below)
    }

    fn unpack(&self, to: &str, members: &[(Entry, &[u8])]) -> Result<u64> {
        let options = UnpackOptions { copy_uid_gid: true, ..UnpackOptions::default() };
        unpack(self.root.as_fd(), Path::new(to), Cursor::new(tar(members)), options)
    }

    fn packed(&self, path: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        pack(self.root.as_fd(), Path::new(path), &mut bytes).unwrap();
        names(&bytes)
    }
}

fn names(bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(Cursor::new(bytes));
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.display());
    }
    names
}

fn file(name: &str) -> Entry {
    Entry { mode: 0o644, ..Entry::new(name, Kind::Regular) }
}

fn link(name: &str, target: &str) -> Entry {
    Entry { link: target.as_bytes().to_vec(), ..Entry::new(name, Kind::Symlink) }
}

#[test]
fn paths_are_described_as_docker_does() {
    let tree = tree();
    let stat = |path: &str| stat(tree.root.as_fd(), Path::new(path)).unwrap();
    let hosts = stat("/etc/hosts");
    assert_eq!((hosts.name.as_str(), hosts.size, hosts.mode), ("hosts", 5, 0o644));
    assert_eq!(stat("/etc").mode, 1 << 31 | 0o755);
    let www = stat("www");
    assert_eq!((www.mode & (1 << 27), www.link_target.as_str()), (1 << 27, "/srv/web"));
    assert_eq!(stat("www/").mode, 1 << 31 | 0o755);
    assert_eq!(stat("/").name, "/");
    assert_eq!(stat("/etc/.").name, ".");
    assert_eq!(stat("out").link_target, "/canary");
    assert!(super::stat(tree.root.as_fd(), Path::new("/nothing")).unwrap_err().is_not_found());
    assert!(super::stat(tree.root.as_fd(), Path::new("out/")).unwrap_err().is_not_found());
    assert!(super::stat(tree.root.as_fd(), Path::new("loop/")).is_err());
    assert!(super::stat(tree.root.as_fd(), Path::new("/etc/hosts/")).is_err());
}

#[test]
fn entries_are_named_as_docker_does() {
    let tree = tree();
    assert_eq!(tree.packed("/etc"), ["etc/", "etc/hosts", "etc/hosts2"]);
    assert_eq!(tree.packed("etc/."), ["./", "./hosts", "./hosts2"]);
    assert_eq!(tree.packed("/etc/hosts"), ["hosts"]);
    assert_eq!(tree.packed("/www"), ["www"]);
    assert_eq!(tree.packed("/www/"), ["www/"]);
    assert_eq!(tree.packed("/")[..3], ["/", "/etc/", "/etc/hosts"]);
    assert_eq!(tree.packed("/up/etc"), ["etc/", "etc/hosts", "etc/hosts2"]);
    let mut bytes = Vec::new();
    export(tree.root.as_fd(), &mut bytes).unwrap();
    assert_eq!(names(&bytes)[..3], ["./", "etc/", "etc/hosts"]);
}

#[test]
fn nothing_is_unpacked_outside_the_root() {
    let tree = tree();
    // Links in the middle lead somewhere inside the root, wherever they claim to lead.
    tree.unpack("/", &[(file("www/index.html"), b"hi")]).unwrap();
    assert_eq!(std::fs::read(tree.path("srv/web/index.html")).unwrap(), b"hi");
    tree.unpack("/tmp", &[(link("abs", "/etc"), b""), (file("abs/new"), b"new")]).unwrap();
    assert_eq!(std::fs::read(tree.path("etc/new")).unwrap(), b"new");
    tree.unpack("/tmp", &[(link("up", "../../../.."), b""), (file("up/new"), b"new")]).unwrap();
    assert_eq!(std::fs::read(tree.path("new")).unwrap(), b"new");
    // A link at the end is replaced, not written through.
    tree.unpack("/", &[(file("out"), b"gone")]).unwrap();
    assert_eq!(std::fs::read(tree.path("out")).unwrap(), b"gone");
    assert!(tree.unpack("/", &[(file("../canary"), b"dead")]).is_err());
    assert!(tree.unpack("/", &[(Entry { kind: Kind::HardLink, ..link("h", "../canary") }, b"")]).is_err());
    assert_eq!(std::fs::read_to_string(tree.dir.path().join("canary")).unwrap(), "alive");
    assert_eq!(std::fs::read_dir(tree.dir.path()).unwrap().count(), 2);
}

#[test]
fn directories_are_kept_when_asked() {
    let tree = tree();
    let options = UnpackOptions { no_overwrite_dir_non_dir: true, owner: (5, 6), ..UnpackOptions::default() };
    let put =
        |members: &[(Entry, &[u8])]| unpack(tree.root.as_fd(), Path::new("/"), Cursor::new(tar(members)), options);
    assert!(put(&[(file("etc"), b"")]).is_err());
    assert!(put(&[(Entry { mode: 0o755, ..Entry::new("etc/hosts/", Kind::Directory) }, b"")]).is_err());
    let web = Entry { mode: 0o755, ..Entry::new("www/", Kind::Directory) };
    assert!(put(&[(web.clone(), b"")]).is_err());
    put(&[(file("etc/hosts"), b"new")]).unwrap();
    // Without that wish a directory takes the place of a link, as in Docker.
    tree.unpack("/", &[(web, b"")]).unwrap();
    assert!(std::fs::symlink_metadata(tree.path("www")).unwrap().is_dir());
    let stat = std::fs::metadata(tree.path("etc/hosts")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.len()), (5, 6, 3));
    assert!(matches!(tree.unpack("/etc/hosts", &[]), Err(Error::Invalid { .. })));
    assert!(tree.unpack("/nowhere", &[]).unwrap_err().is_not_found());
}

#[test]
fn copies_are_faithful() {
    let tree = tree();
    std::fs::set_permissions(tree.path("srv"), PermissionsExt::from_mode(0o2710)).unwrap();
    rustix::fs::setxattr(tree.path("etc/hosts"), "user.x", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    let to = tempfile::tempdir().unwrap();
    copy(tree.root.as_fd(), std::fs::File::open(to.path()).unwrap().into()).unwrap();
    let stat = |path: &str| std::fs::symlink_metadata(to.path().join(path)).unwrap();
    assert_eq!(stat("etc/hosts").ino(), stat("etc/hosts2").ino());
    assert_eq!(stat("srv").mode() & 0o7777, 0o2710);
    let before = std::fs::metadata(tree.path("etc/hosts")).unwrap();
    assert_eq!((stat("etc/hosts").mtime(), stat("etc/hosts").mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    assert_eq!(std::fs::read_link(to.path().join("out")).unwrap(), Path::new("../../../../canary"));
    let mut value = [0; 4];
    assert_eq!(rustix::fs::getxattr(to.path().join("etc/hosts"), "user.x", &mut value).unwrap(), 1);
}

#[test]
fn a_tree_that_changes_underneath_stays_contained() {
    let tree = tree();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (one, other) = (tree.path("swap"), tree.path("swap2"));
    std::fs::create_dir(&one).unwrap();
    symlink("../..", &other).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                hako_sys::file::rename_exchange(&one, &other).unwrap();
            }
        });
        for n in 0..200 {
            let _ = tree.unpack("/", &[(file(&format!("swap/evil{n}")), b"x")]);
            let _ = tree.unpack("/swap", &[(file(&format!("evil{n}")), b"x")]);
            let _ = pack(tree.root.as_fd(), Path::new("/swap"), std::io::sink());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(std::fs::read_dir(tree.dir.path()).unwrap().count(), 2);
}

#[test]
fn deep_trees_are_packed_with_few_descriptors() {
    let tree = tree();
    std::fs::create_dir_all(tree.path(&"d/".repeat(1500))).unwrap();
    assert!(tree.packed("/").len() > 1500);
}

#[test]
fn archives_are_unpacked_however_they_are_packed() {
    use std::io::Write;
    let plain = tar(&[(file("f"), b"content")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let packed = [
        ("plain", plain.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("zstd", zstd),
    ];
    for (name, bytes) in packed {
        assert!(is_archive(Cursor::new(&bytes)), "{name}");
        let tree = tree();
        let options = UnpackOptions { inflate: true, ..UnpackOptions::default() };
        assert_eq!(unpack(tree.root.as_fd(), Path::new("/tmp"), Cursor::new(&bytes), options).unwrap(), 1, "{name}");
        assert_eq!(std::fs::read(tree.path("tmp/f")).unwrap(), b"content", "{name}");
        if name == "plain" {
            continue;
        }
        let cut = Cursor::new(&bytes[..bytes.len() / 2]);
        let options = UnpackOptions { inflate: true, ..UnpackOptions::default() };
        assert!(unpack(tree.root.as_fd(), Path::new("/tmp"), cut, options).is_err(), "{name} cut short");
    }
    assert!(!is_archive(Cursor::new(b"\xfd7zXZ\0rubbish")) && !is_archive(Cursor::new(b"BZh9rubbish")));
}

#[test]
fn an_xz_archive_does_not_choose_how_much_memory_it_takes() {
    use std::io::Write;
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&tar(&[(file("f"), b"content")])).unwrap();
    let mut xz = xz.finish().unwrap();
    assert!(is_archive(Cursor::new(&xz)));
    // The header of the first block, behind that of the stream: its filter is LZMA2, which has the dictionary's size.
    let size = (usize::from(xz[12]) + 1) * 4;
    let at = 12 + xz[12..12 + size].windows(2).position(|pair| pair == [0x21, 1]).unwrap() + 2;
    xz[at] = 34;
    let mut sum = flate2::Crc::new();
    sum.update(&xz[12..12 + size - 4]);
    xz[12 + size - 4..12 + size].copy_from_slice(&sum.sum().to_le_bytes());
    assert!(!is_archive(Cursor::new(&xz)), "a dictionary of 512 MiB is refused");
}
