//! Volumes: names, records, content of images.

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::Store;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data")).unwrap();
    (dir, store)
}

fn named(name: &str) -> NewVolume {
    NewVolume { name: name.to_owned(), ..NewVolume::default() }
}

#[test]
fn names_follow_dockers_rule() {
    let (_dir, store) = store();
    for name in ["data", "0a", "a.b_c-d"] {
        assert_eq!(store.volumes().create(named(name)).unwrap().name, name);
    }
    for name in ["a", ".x", "-x", "a/b", "..", "a b", "ä1", &"n".repeat(256)] {
        assert!(matches!(store.volumes().create(named(name)), Err(Error::Invalid { .. })), "{name}");
        assert!(store.volumes().get(name).unwrap_err().is_not_found());
        assert!(store.volumes().remove(name).unwrap_err().is_not_found());
    }
    let anonymous = store.volumes().create(NewVolume::default()).unwrap();
    assert!(anonymous.anonymous && anonymous.name.len() == 64);
    assert_eq!(store.volumes().list().len(), 4);
}

#[test]
fn records_survive_and_damage_costs_one() {
    let (_dir, store) = store();
    let labels = Some(BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    let made = store.volumes().create(NewVolume { labels: labels.clone(), ..named("one") }).unwrap();
    store.volumes().create(named("two")).unwrap();
    let store = Store::open(store.root()).unwrap();
    assert_eq!(store.volumes().get("one").unwrap(), made);
    std::fs::write(store.root().join("volumes/two/record.json"), "garbage").unwrap();
    let list = store.volumes().list();
    assert_eq!((list.len(), list[1].damage.is_some()), (2, true));
    assert!(matches!(store.volumes().get("two"), Err(Error::Damaged { .. })));
    store.volumes().remove("two").unwrap();
    assert_eq!(store.volumes().list().len(), 1);
}

#[test]
fn options_must_make_sense_and_agree() {
    let (_dir, store) = store();
    let with = |name: &str, pairs: &[(&str, &str)]| {
        let options = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        store.volumes().create(NewVolume { options: Some(options), ..named(name) })
    };
    with("tmp", &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]).unwrap();
    with("tmp", &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]).unwrap();
    assert!(matches!(with("tmp", &[("type", "nfs"), ("device", "x")]), Err(Error::Exists { .. })));
    store.volumes().create(named("tmp")).unwrap();
    for pairs in [&[("nonsense", "1")][..], &[("type", "tmpfs")], &[("device", "/x")], &[("o", "bind")]] {
        assert!(matches!(with("bad", pairs), Err(Error::Invalid { .. })), "{pairs:?}");
    }
    let other = NewVolume { driver: "nfs".to_owned(), ..named("other") };
    assert!(matches!(store.volumes().create(other), Err(Error::Invalid { .. })));
}

#[test]
fn an_empty_volume_takes_the_images_content() {
    let (dir, store) = store();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("srv/data/sub")).unwrap();
    std::fs::write(root.join("srv/data/sub/f"), "content").unwrap();
    std::os::unix::fs::chown(root.join("srv/data"), Some(99), Some(98)).unwrap();
    symlink("/etc/passwd", root.join("srv/data/link")).unwrap();
    // The host has /etc; the image's link must not lead there.
    symlink("/../../etc", root.join("host")).unwrap();
    symlink("/srv", root.join("inside")).unwrap();
    let fd = std::fs::File::open(&root).unwrap();
    let volumes = store.volumes();
    let made = volumes.create(named("vol")).unwrap();
    assert!(!volumes.copy_up("vol", fd.as_fd(), Path::new("/host")).unwrap());
    assert!(!volumes.copy_up("vol", fd.as_fd(), Path::new("/missing")).unwrap());
    assert!(volumes.copy_up("vol", fd.as_fd(), Path::new("/inside/data")).unwrap());
    assert_eq!(std::fs::read(made.mountpoint.join("sub/f")).unwrap(), b"content");
    assert_eq!(std::fs::metadata(&made.mountpoint).unwrap().uid(), 99);
    assert_eq!(std::fs::read_link(made.mountpoint.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert!(!volumes.copy_up("vol", fd.as_fd(), Path::new("/srv")).unwrap());
    assert!(volumes.usage("vol").unwrap() > 0);
}
