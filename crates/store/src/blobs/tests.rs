//! Receiving, resuming, following.

use super::*;
use crate::{Hasher, Store};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn begin(store: &Store, digest: &Digest, size: Option<u64>) -> Ingest {
    match store.blobs().ingest(digest, size).unwrap() {
        Begun::Ingest(ingest) => ingest,
        Begun::Present(_) => panic!("the blob is here already"),
    }
}

#[test]
fn a_blob_appears_once_it_is_verified() {
    let (_dir, store) = store();
    let digest = Hasher::digest(b"hello world");
    let mut ingest = begin(&store, &digest, Some(11));
    ingest.write(b"hello ").unwrap();
    assert!(!store.blobs().contains(&digest));
    ingest.write(b"world").unwrap();
    assert_eq!(ingest.commit().unwrap(), 11);
    assert_eq!(store.blobs().read(&digest, 100).unwrap(), b"hello world");
    assert!(store.blobs().read(&digest, 5).is_err());
    assert!(matches!(store.blobs().ingest(&digest, None).unwrap(), Begun::Present(11)));
}

#[test]
fn a_broken_download_resumes_after_a_restart() {
    let (dir, store) = store();
    let digest = Hasher::digest(b"hello world");
    let mut ingest = begin(&store, &digest, Some(11));
    ingest.write(b"hello ").unwrap();
    drop((ingest, store));
    let store = Store::open(dir.path()).unwrap();
    let mut ingest = begin(&store, &digest, Some(11));
    assert_eq!(ingest.offset(), 6);
    ingest.write(b"world").unwrap();
    ingest.commit().unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
}

#[test]
fn wrong_content_is_never_visible() {
    let (dir, store) = store();
    let digest = Hasher::digest(b"hello world");
    let mut ingest = begin(&store, &digest, Some(11));
    assert!(matches!(ingest.write(b"hello world!"), Err(Error::SizeMismatch { .. })));
    ingest.write(b"hello w0rld").unwrap();
    assert!(matches!(ingest.commit(), Err(Error::DigestMismatch { .. })));
    assert!(!store.blobs().contains(&digest));
    assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
    let mut short = begin(&store, &digest, Some(11));
    short.write(b"hello").unwrap();
    assert!(matches!(short.commit(), Err(Error::SizeMismatch { .. })));
}

#[test]
fn followers_see_everything_and_learn_of_the_end() {
    let (_dir, store) = store();
    let digest = Hasher::digest(&[7; 300_000]);
    let mut ingest = begin(&store, &digest, None);
    let mut follower = ingest.follow().unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut bytes = Vec::new();
            follower.read_to_end(&mut bytes).map(|_| bytes)
        });
        for _ in 0..3 {
            ingest.write(&[7; 100_000]).unwrap();
        }
        ingest.commit().unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), [7; 300_000]);
    });
}

#[test]
fn followers_fail_when_the_download_is_given_up() {
    let (_dir, store) = store();
    let mut ingest = begin(&store, &Hasher::digest(b"x"), None);
    ingest.write(&[1; 300_000]).unwrap();
    let mut follower = ingest.follow().unwrap();
    let mut restarted = ingest.follow().unwrap();
    let mut start = [0; 2];
    restarted.read_exact(&mut start).unwrap();
    ingest.restart().unwrap();
    assert!(restarted.read(&mut start).is_err());
    ingest.write(&[b'x'; 300_000]).unwrap();
    follower.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"xx");
    drop(ingest);
    let mut rest = Vec::new();
    assert!(follower.read_to_end(&mut rest).is_err());
    assert_eq!(rest.len(), 299_998);
}

#[test]
fn the_same_blob_is_received_once() {
    let (_dir, store) = store();
    let digest = Hasher::digest(b"shared");
    let mut ingest = begin(&store, &digest, None);
    assert!(store.blobs().ingest_within(&digest, None, Duration::ZERO).unwrap().is_none());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| matches!(store.blobs().ingest(&digest, None).unwrap(), Begun::Present(6)));
        ingest.write(b"shared").unwrap();
        ingest.commit().unwrap();
        assert!(other.join().unwrap());
    });
}
