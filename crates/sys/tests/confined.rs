//! Lookups that must not leave their root, whatever lies there, also while it changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hako_sys::confined::Root;
use proptest::prelude::*;

struct Place {
    directory: tempfile::TempDir,
    root: Root,
}

/// A root beside a secret that nothing in the root may reach.
fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("root")).unwrap();
    std::fs::create_dir(directory.path().join("outside")).unwrap();
    std::fs::write(directory.path().join("outside/secret"), "secret").unwrap();
    let root = Root::open(&directory.path().join("root")).unwrap();
    Place { directory, root }
}

#[test]
fn links_lead_nowhere_outside() {
    let place = place();
    let inside = place.directory.path().join("root");
    symlink(place.directory.path().join("outside"), inside.join("absolute")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    symlink("../../../../../../../../etc", inside.join("far")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    for path in [
        "absolute/secret",
        "relative/secret",
        "../outside/secret",
        "far/passwd",
        "magic/etc/passwd",
        "/../../etc/passwd",
    ] {
        assert!(place.root.open_regular(Path::new(path)).is_err(), "{path}");
        assert!(
            place.root.create(Path::new(path), 0o600).is_err()
                || !place.directory.path().join("outside").join("new").exists()
        );
    }
    let entries = std::fs::read_dir(place.directory.path().join("outside")).unwrap().count();
    assert_eq!(entries, 1);
}

#[test]
fn directories_are_made_through_links_inside() {
    let place = place();
    let inside = place.directory.path().join("root");
    std::fs::create_dir(inside.join("real")).unwrap();
    symlink("/real", inside.join("link")).unwrap();
    drop(place.root.mkdir_all(Path::new("/link/a/../b/./c"), 0o750).unwrap());
    assert!(inside.join("real/a").is_dir() && inside.join("real/b/c").is_dir());
    symlink("/nowhere", inside.join("dangling")).unwrap();
    assert!(place.root.mkdir_all(Path::new("dangling/x"), 0o755).is_err());
    assert!(!Path::new("/nowhere").exists());
    // Who wants to make what such a link leads to asks where that is, inside.
    assert_eq!(place.root.destination(Path::new("/link/../dangling/x")).unwrap(), Path::new("nowhere/x"));
    symlink("circle", inside.join("circle")).unwrap();
    assert!(place.root.destination(Path::new("circle")).is_err());
}

#[test]
fn new_files_never_replace_or_follow() {
    let place = place();
    let target = place.directory.path().join("outside/secret");
    symlink(&target, place.directory.path().join("root/link")).unwrap();
    assert!(place.root.create(Path::new("link"), 0o600).unwrap_err().is_exists());
    place.root.symlink(OsStr::new("/etc/passwd"), Path::new("new")).unwrap();
    assert_eq!(place.root.read_link(Path::new("new")).unwrap(), "/etc/passwd");
    place.root.chown(Path::new("link"), 12, 34).unwrap();
    assert_eq!(place.root.symlink_metadata(Path::new("link")).unwrap().st_uid, 12);
    assert_ne!(rustix::fs::stat(&target).unwrap().st_uid, 12);
    assert_eq!(std::fs::read(&target).unwrap(), b"secret");
}

#[test]
fn trees_are_removed_without_following() {
    let place = place();
    let inside = place.directory.path().join("root");
    std::fs::create_dir_all(inside.join("tree/a/b/c")).unwrap();
    symlink(place.directory.path().join("outside"), inside.join("tree/a/b/link")).unwrap();
    std::fs::write(inside.join("tree/file"), "").unwrap();
    place.root.remove_all(Path::new("tree")).unwrap();
    place.root.remove_all(Path::new("tree")).unwrap();
    place.root.remove_all(Path::new("missing/below")).unwrap();
    assert!(!inside.join("tree").exists() && place.directory.path().join("outside/secret").exists());
    std::fs::write(inside.join("file"), "").unwrap();
    place.root.clear().unwrap();
    assert_eq!(place.root.read_dir(Path::new("/")).unwrap(), []);
}

#[test]
fn names_that_are_no_names_are_refused() {
    let place = place();
    for path in ["/", "", ".", "..", "a/.."] {
        assert!(place.root.create(Path::new(path), 0o600).is_err(), "{path:?}");
        assert!(place.root.rmdir(Path::new(path)).is_err(), "{path:?}");
        assert!(place.root.rename(Path::new(path), Path::new("x")).is_err(), "{path:?}");
    }
}

#[test]
fn reading_is_of_regular_files_and_bounded() {
    let place = place();
    let fifo = place.directory.path().join("root/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    assert!(place.root.read_limited(Path::new("fifo"), 10).is_err());
    assert!(hako_sys::file::read_limited(&fifo, 10).is_err());
    assert!(hako_sys::file::read_limited(Path::new("/dev/zero"), 10).is_err());
    std::fs::write(place.directory.path().join("root/big"), [0; 11]).unwrap();
    assert!(place.root.read_limited(Path::new("big"), 10).is_err());
    assert_eq!(place.root.read_limited(Path::new("big"), 11).unwrap().len(), 11);
}

#[test]
fn a_directory_swapped_for_a_link_does_not_let_out() {
    let place = place();
    let inside = place.directory.path().join("root");
    std::fs::create_dir_all(inside.join("dir/deep")).unwrap();
    symlink(place.directory.path().join("outside"), inside.join("link")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                hako_sys::file::rename_exchange(&inside.join("dir"), &inside.join("link")).unwrap();
            }
        });
        for number in 0..2000 {
            let name = format!("dir/made-{number}");
            let _ = place.root.mkdir_all(Path::new(&name), 0o755);
            let _ = place.root.create(Path::new(&format!("dir/file-{number}")), 0o600);
            assert!(place.root.open_regular(Path::new("dir/secret")).is_err());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(std::fs::read_dir(place.directory.path().join("outside")).unwrap().count(), 1);
}

fn component() -> impl Strategy<Value = String> {
    prop_oneof![Just("..".to_owned()), Just(".".to_owned()), Just(String::new()), "[ab]", "link[0-3]"]
}

fn path() -> impl Strategy<Value = String> {
    (prop::bool::ANY, prop::collection::vec(component(), 0..6))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_path_over_no_links_reaches_outside(targets in prop::collection::vec(path(), 4), paths in prop::collection::vec(path(), 1..8)) {
        let place = place();
        let inside = place.directory.path().join("root");
        for (number, target) in targets.iter().enumerate().filter(|(_, target)| !target.is_empty()) {
            symlink(target, inside.join(format!("link{number}"))).unwrap();
        }
        for path in &paths {
            let path = Path::new(path);
            let _ = place.root.mkdir_all(path, 0o755);
            let _ = place.root.create(&path.join("file"), 0o600);
            let _ = place.root.symlink(OsStr::new("x"), &path.join("made"));
            let _ = place.root.rename(path, Path::new("moved"));
            let _ = place.root.remove_all(&path.join("b"));
        }
        let mut left: Vec<_> = std::fs::read_dir(place.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        prop_assert_eq!(left, ["outside", "root"]);
        prop_assert_eq!(std::fs::read(place.directory.path().join("outside/secret")).unwrap(), b"secret");
    }
}
