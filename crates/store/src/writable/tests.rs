//! A container's layer, changed through a real overlay.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::ChangeKind;
use crate::layers::tests::{Fixture, fixture, tar};
use crate::tar::{Entry, Kind};

fn base(fixture: &Fixture) -> Vec<PathBuf> {
    let directory = |name: &str| (Entry { mode: 0o755, ..Entry::new(name, Kind::Directory) }, &b""[..]);
    let file = |name: &str| (Entry { mode: 0o644, ..Entry::new(name, Kind::Regular) }, &b"content"[..]);
    let root = (Entry { mode: 0o711, ..Entry::new("./", Kind::Directory) }, &b""[..]);
    let layer = fixture
        .layer(&tar(&[root, directory("etc/"), file("etc/a"), file("etc/b"), directory("var/"), file("var/x")]), None);
    fixture.store.layers().lowers(&layer.chain_id).unwrap()
}

fn changed(fixture: &Fixture, lowers: &[PathBuf]) -> Writable {
    let writable = fixture.store.writable(&fixture.store.root().join("containers/c"));
    writable.create(lowers).unwrap();
    let rootfs = writable.rootfs(lowers).unwrap();
    let path = |below: &str| PathBuf::from(hako_sys::file::fd_path(rootfs.as_fd())).join(below);
    std::fs::write(path("etc/a"), "changed").unwrap();
    std::fs::remove_file(path("etc/b")).unwrap();
    std::fs::remove_dir_all(path("var")).unwrap();
    std::fs::create_dir(path("var")).unwrap();
    std::fs::create_dir_all(path("new/deep")).unwrap();
    std::fs::write(path("new/deep/file"), "new").unwrap();
    writable
}

fn shown(writable: &Writable, lowers: &[PathBuf]) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Modified => 'C',
        ChangeKind::Added => 'A',
        ChangeKind::Deleted => 'D',
    };
    writable.changes(lowers).unwrap().iter().map(|change| format!("{} {}", letter(change.kind), change.path)).collect()
}

#[test]
fn changes_are_what_docker_diff_shows() {
    let fixture = fixture();
    let lowers = base(&fixture);
    let writable = changed(&fixture, &lowers);
    let want = ["C /etc", "C /etc/a", "D /etc/b", "A /new", "A /new/deep", "A /new/deep/file", "C /var"];
    assert_eq!(shown(&writable, &lowers), want);
    assert_eq!(writable.size().unwrap(), 10);
    assert!(writable.usage().unwrap() >= 8192);
    assert_eq!(std::fs::metadata(writable.upper()).unwrap().mode() & 0o7777, 0o711);
    writable.delete().unwrap();
    writable.delete().unwrap();
    assert!(!writable.upper().exists());
}

#[test]
fn a_commit_shows_the_same_tree() {
    let fixture = fixture();
    let lowers = base(&fixture);
    let writable = changed(&fixture, &lowers);
    let staged = writable.commit(&fixture.store.layers(), &Limits::default()).unwrap();
    let parent = fixture.store.layers().list().remove(0).chain_id;
    let layer = staged.place(Some(&parent), None).unwrap();
    let listing = |rootfs: &Rootfs| {
        let mut out = Vec::new();
        crate::tree::export(rootfs.as_fd(), &mut out).unwrap();
        let mut reader = crate::tar::Reader::new(std::io::Cursor::new(out));
        let mut list = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            list.push((entry.display(), entry.mode, entry.mtime.secs, reader.read_content(1 << 20).unwrap()));
        }
        list
    };
    let committed = fixture.store.layers().lowers(&layer.chain_id).unwrap();
    let before = listing(&writable.rootfs(&lowers).unwrap());
    assert_eq!(listing(&fixture.store.rootfs(&committed).unwrap()), before);
    assert!(before.iter().any(|entry| entry.0 == "new/deep/file") && !before.iter().any(|entry| entry.0 == "var/x"));
    // The container goes on without touching the image.
    std::fs::write(writable.upper().join("etc/a"), "later").unwrap();
    assert_eq!(std::fs::read(committed[0].join("etc/a")).unwrap(), b"changed");
}

#[test]
fn an_image_without_layers_is_an_empty_root() {
    let fixture = fixture();
    let writable = fixture.store.writable(&fixture.store.root().join("containers/c"));
    writable.create(&[]).unwrap();
    std::fs::write(writable.upper().join("f"), "x").unwrap();
    assert_eq!(shown(&writable, &[]), ["A /f"]);
    let rootfs = fixture.store.rootfs(&[]).unwrap();
    assert!(crate::extract::list(rootfs.as_fd()).unwrap().is_empty());
    assert!(crate::tree::resolve(writable.rootfs(&[]).unwrap().as_fd(), Path::new("/a/../f")).is_ok());
}

#[test]
fn what_a_layer_covers() {
    let fixture = fixture();
    let lowers = base(&fixture);
    let writable = changed(&fixture, &lowers);
    let rootfs = writable.rootfs(&lowers).unwrap();
    let path = |below: &str| PathBuf::from(hako_sys::file::fd_path(rootfs.as_fd())).join(below);
    std::fs::remove_dir_all(path("new")).unwrap();
    std::os::unix::fs::symlink("etc", path("new")).unwrap();
    let expect =
        [("etc/a", true), ("etc/b", true), ("etc/missing", false), ("var/x", true), ("new/a", true), ("srv/x", false)];
    for (path, covered) in expect {
        assert_eq!(writable.covers(Path::new(path)), covered, "{path}");
    }
}
