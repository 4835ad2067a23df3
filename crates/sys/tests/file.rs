//! Atomic writing, locks, attributes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::AsFd;

use hako_sys::file::{self, Durability, Lock};

#[test]
fn writing_replaces_whole_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record");
    for (content, durability) in [("one", Durability::Process), ("two", Durability::Power)] {
        file::write_atomic(&path, content.as_bytes(), durability).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    assert_eq!(rustix::fs::stat(&path).unwrap().st_mode & 0o777, 0o600);
    assert!(file::write_atomic(&directory.path().join("no/such"), b"", Durability::Process).is_err());
    std::fs::create_dir(directory.path().join("taken")).unwrap();
    assert!(file::write_atomic(&directory.path().join("taken"), b"", Durability::Process).is_err());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn renaming_does_not_replace() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    std::fs::write(&one, "1").unwrap();
    std::fs::write(&two, "2").unwrap();
    assert!(file::rename_noreplace(&one, &two).unwrap_err().is_exists());
    file::rename_exchange(&one, &two).unwrap();
    assert_eq!(std::fs::read_to_string(&one).unwrap(), "2");
    file::remove_if_present(&one).unwrap();
    file::remove_if_present(&one).unwrap();
}

#[test]
fn locks_are_held_by_their_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lock");
    assert!(!Lock::is_held(&path).unwrap());
    let lock = Lock::exclusive(&path).unwrap();
    assert!(Lock::is_held(&path).unwrap() && Lock::try_exclusive(&path).unwrap().is_none());
    let passed = lock.as_fd().try_clone_to_owned().unwrap();
    drop(lock);
    assert!(Lock::is_held(&path).unwrap(), "a duplicate holds it");
    drop(Lock::from_fd(passed));
    assert!(Lock::try_exclusive(&path).unwrap().is_some());
}

#[test]
fn attributes_of_links_and_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("link");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
    let link = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    let large = vec![b'x'; 3000];
    file::set_xattr(link.as_fd(), b"trusted.test", &large).unwrap();
    assert_eq!(file::xattrs(link.as_fd()).unwrap(), [(b"trusted.test".to_vec(), large)]);
}
