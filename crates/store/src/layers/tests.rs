//! Layers on a real file system, as root: what is kept, what is refused, what is contained.

use std::ffi::OsStr;
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Store;
use crate::tar::{Entry, Kind, Mtime, Writer};

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    Fixture { store: Store::open(&dir.path().join("data")).unwrap(), dir }
}

/// One member by its parts.
fn member(path: &str, kind: Kind, mode: u32) -> Entry {
    let mut entry = Entry::new(path, kind);
    (entry.mode, entry.mtime) = (mode, Mtime { secs: 1_000_000, nanos: 0 });
    entry
}

fn file(path: &str) -> Entry {
    member(path, Kind::Regular, 0o644)
}

fn linked(path: &str, kind: Kind, target: &str) -> Entry {
    Entry { link: target.as_bytes().to_vec(), ..member(path, kind, 0o777) }
}

pub(crate) fn tar(members: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in members {
        writer.bytes(entry, content).unwrap();
    }
    writer.finish().unwrap()
}

fn empty(entries: Vec<Entry>) -> Vec<u8> {
    tar(&entries.into_iter().map(|entry| (entry, &b""[..])).collect::<Vec<_>>())
}

fn skeleton() -> Unpack {
    Unpack { skeleton: true, ..Unpack::default() }
}

impl Fixture {
    fn unpack(&self, bytes: &[u8]) -> Result<Staged> {
        self.store.layers().unpack(Cursor::new(bytes), &skeleton())
    }

    pub(crate) fn layer(&self, bytes: &[u8], parent: Option<&ChainId>) -> Layer {
        self.unpack(bytes).unwrap().place(parent, None).unwrap()
    }

    fn diff(&self, layer: &Layer) -> std::path::PathBuf {
        self.store.layers().diff_dir(&layer.chain_id)
    }

    /// Nothing half-done lies about, and nothing is outside the store.
    fn assert_clean(&self) {
        assert_eq!(std::fs::read_dir(self.store.root().join("tmp")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(self.store.root().join("layers")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 1);
    }
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn everything_about_a_file_is_kept() {
    let fixture = fixture();
    let capability = [1u8, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut ping = member("bin/ping", Kind::Regular, 0o4755);
    ping.xattrs = vec![
        (b"security.capability".to_vec(), capability.to_vec()),
        (b"user.note".to_vec(), b"x".to_vec()),
        (b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec()),
        (b"user.overlay.opaque".to_vec(), b"y".to_vec()),
    ];
    (ping.uid, ping.gid) = (1234, 5678);
    let mut null = member("dev/null", Kind::Character, 0o666);
    null.device = (1, 3);
    let long = "n".repeat(255);
    let raw = Entry::new(b"raw\xff\xfe".to_vec(), Kind::Regular);
    let mut link = linked("bin/sh", Kind::Symlink, "/bin/busybox");
    link.uid = 7;
    let bytes = tar(&[
        (member("bin/", Kind::Directory, 0o1777), b""),
        (ping, b"ping"),
        (linked("bin/ping6", Kind::HardLink, "bin/ping"), b""),
        (link, b""),
        (null, b""),
        (member("run/pipe", Kind::Fifo, 0o622), b""),
        (file(&long), b"long"),
        (raw, b"raw"),
    ]);
    let layer = fixture.layer(&bytes, None);
    let root = fixture.diff(&layer);
    let stat = |name: &str| std::fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!(stat("bin").mode() & 0o7777, 0o1777);
    assert_eq!(stat("bin").mtime(), 1_000_000);
    let ping = stat("bin/ping");
    assert_eq!((ping.mode() & 0o7777, ping.uid(), ping.gid(), ping.mtime()), (0o4755, 1234, 5678, 1_000_000));
    assert_eq!(xattr(&root.join("bin/ping"), "security.capability").unwrap(), capability);
    assert_eq!(xattr(&root.join("bin/ping"), "user.note").unwrap(), b"x");
    assert_eq!(xattr(&root.join("bin/ping"), "trusted.overlay.redirect"), None);
    assert_eq!(xattr(&root.join("bin/ping"), "user.overlay.opaque"), None);
    assert_eq!(stat("bin/ping6").ino(), ping.ino());
    assert_eq!(std::fs::read_link(root.join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
    assert_eq!((stat("bin/sh").uid(), stat("bin/sh").mtime()), (7, 1_000_000));
    assert_eq!((stat("dev/null").rdev(), stat("dev/null").mode() & 0o777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(stat("run/pipe").file_type().is_fifo());
    assert_eq!(stat("run/pipe").mode() & 0o777, 0o622);
    assert_eq!(std::fs::read(root.join(&long)).unwrap(), b"long");
    assert_eq!(std::fs::read(root.join(OsStr::from_bytes(b"raw\xff\xfe"))).unwrap(), b"raw");
    assert_eq!(layer.size, 11);
}

#[test]
fn whiteouts_become_overlays() {
    let fixture = fixture();
    let layer = fixture.layer(
        &empty(vec![
            file("etc/.wh.passwd"),
            file("var/.wh..wh..opq"),
            file("var/kept"),
            file(".wh..wh.plnk/12.34"),
            file(".wh.again"),
            member("again/", Kind::Directory, 0o755),
            member("later/", Kind::Directory, 0o755),
            file(".wh.later"),
            file(".wh.replaced"),
            file("replaced"),
        ]),
        None,
    );
    let root = fixture.diff(&layer);
    let hidden = std::fs::symlink_metadata(root.join("etc/passwd")).unwrap();
    assert!(hidden.file_type().is_char_device() && hidden.rdev() == 0);
    for opaque in ["var", "again", "later"] {
        assert_eq!(xattr(&root.join(opaque), "trusted.overlay.opaque").unwrap(), b"y", "{opaque}");
    }
    assert!(root.join("var/kept").is_file() && root.join("replaced").is_file());
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 5);
}

/// Each hostile layer is refused, and nothing of it stays.
#[test]
fn hostile_layers_are_refused() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("traversal", empty(vec![file("../evil")])),
        ("traversal inside", empty(vec![file("a/../../evil")])),
        ("a link, then a file through it", empty(vec![linked("l", Kind::Symlink, "/tmp"), file("l/evil")])),
        ("a relative link out", empty(vec![linked("l", Kind::Symlink, "../../.."), file("l/evil")])),
        (
            "a link inside, then a file through it",
            empty(vec![member("d/", Kind::Directory, 0o755), linked("l", Kind::Symlink, "d"), file("l/evil")]),
        ),
        ("a hard link out", empty(vec![linked("h", Kind::HardLink, "../../../etc/passwd")])),
        ("a hard link to a host path", empty(vec![linked("h", Kind::HardLink, "/etc/passwd")])),
        (
            "a hard link through a link",
            empty(vec![linked("l", Kind::Symlink, "/etc"), linked("h", Kind::HardLink, "l/passwd")]),
        ),
        ("a hard link to the root", empty(vec![linked("h", Kind::HardLink, "/")])),
        ("a whiteout through a link", empty(vec![linked("l", Kind::Symlink, "/"), file("l/.wh.etc")])),
        ("a whiteout of the parent", empty(vec![file("a/.wh...")])),
        ("a whiteout of itself", empty(vec![file("a/.wh..")])),
        ("a whiteout of nothing", empty(vec![file("a/.wh.")])),
        ("a file below a file", empty(vec![file("f"), file("f/evil")])),
        (
            "a root that is a file",
            empty(
                vec![file("./")]
                    .into_iter()
                    .map(|mut e| {
                        e.path = b".".to_vec();
                        e
                    })
                    .collect(),
            ),
        ),
        ("cut short", tar(&[(file("f"), &[7; 5000])])[..3000].to_vec()),
        ("no tar", vec![b'x'; 2000]),
        ("a name of 256 bytes", empty(vec![file(&"n".repeat(256))])),
    ];
    for (what, bytes) in cases {
        let fixture = fixture();
        let refused = fixture.unpack(&bytes);
        assert!(refused.is_err(), "{what}");
        drop(refused);
        fixture.assert_clean();
    }
}

#[test]
fn broken_compression_is_refused() {
    let bytes = tar(&[(file("f"), &[7; 500_000])]);
    for packed in [gzipped(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
        let fixture = fixture();
        assert!(fixture.unpack(&packed[..packed.len() - 5]).is_err());
        let mut flipped = packed.clone();
        let middle = packed.len() / 2;
        flipped[middle..middle + 8].fill(0xff);
        assert!(fixture.unpack(&flipped).is_err());
        fixture.assert_clean();
        assert_eq!(*fixture.unpack(&packed).unwrap().diff_id(), Hasher::digest(&bytes));
    }
}

#[test]
fn bombs_are_stopped_before_the_disk_is_full() {
    let fixture = fixture();
    let zeros = vec![0; 4 << 20];
    let bomb = gzipped(&tar(&[(file("zeros"), &zeros)]));
    let limits = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    let bombed = fixture.store.layers().unpack(Cursor::new(&bomb), &Unpack { limits, ..Unpack::default() });
    assert!(matches!(bombed, Err(Error::LimitExceeded { .. })));
    let limits = Limits { free_space: u64::MAX / 2, ..Limits::default() };
    let full = fixture.store.layers().unpack(Cursor::new(&bomb), &Unpack { limits, ..Unpack::default() });
    assert!(full.is_err_and(|error| error.is_disk_full()));
    let limits = Limits { entries: 10, ..Limits::default() };
    let many = empty((0..11).map(|n| file(&format!("f{n}"))).collect());
    let many = fixture.store.layers().unpack(Cursor::new(&many), &Unpack { limits, ..Unpack::default() });
    assert!(matches!(many, Err(Error::LimitExceeded { .. })));
    fixture.assert_clean();
}

#[test]
fn a_promised_size_does_not_fill_the_disk() {
    let fixture = fixture();
    let mut huge = Entry::new("huge", Kind::Regular);
    huge.size = 1 << 60;
    let mut writer = Writer::new(Vec::new());
    writer.header(&huge).unwrap();
    let bytes = writer.finish().unwrap();
    assert!(fixture.unpack(&bytes).is_err_and(|error| error.is_disk_full()));
    fixture.assert_clean();
}

#[test]
fn holes_stay_holes() {
    let fixture = fixture();
    let dir = tempfile::tempdir().unwrap();
    let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (1 << 40) - 3).unwrap();
    let out = std::process::Command::new("tar")
        .arg("-C")
        .arg(dir.path())
        .args(["-S", "-cf", "-", "sparse"])
        .output()
        .unwrap();
    let layer = fixture.layer(&out.stdout, None);
    let stat = std::fs::metadata(fixture.diff(&layer).join("sparse")).unwrap();
    assert_eq!(stat.len(), 1 << 40);
    assert!(stat.blocks() < 64);
    check_skeleton(&fixture, &out.stdout);
}

#[test]
fn a_wrong_diff_id_is_refused() {
    let fixture = fixture();
    let options = Unpack { diff_id: Some(Hasher::digest(b"other")), ..Unpack::default() };
    let refused = fixture.store.layers().unpack(Cursor::new(empty(vec![file("f")])), &options);
    assert!(matches!(refused, Err(Error::DigestMismatch { .. })));
    fixture.assert_clean();
}

#[test]
fn implied_directories_look_like_the_lower_ones() {
    let fixture = fixture();
    let mut private = member("private/", Kind::Directory, 0o700);
    private.uid = 42;
    let mut root = member("./", Kind::Directory, 0o711);
    root.gid = 9;
    let hidden = member("hidden/", Kind::Directory, 0o700);
    let base = fixture.layer(&empty(vec![root, private, hidden]), None);
    let middle = fixture.layer(&empty(vec![file(".wh.hidden")]), Some(&base.chain_id));
    let top = fixture.layer(&empty(vec![file("private/f"), file("hidden/f"), file("new/f")]), Some(&middle.chain_id));
    let stat = |name: &str| std::fs::metadata(fixture.diff(&top).join(name)).unwrap();
    let private = stat("private");
    assert_eq!((private.mode() & 0o7777, private.uid(), private.mtime()), (0o700, 42, 1_000_000));
    assert_eq!((stat("").mode() & 0o7777, stat("").gid()), (0o711, 9));
    assert_eq!(stat("hidden").mode() & 0o7777, 0o755);
    assert_eq!(stat("new").mode() & 0o7777, 0o755);
    let lowers = fixture.store.layers().lowers(&top.chain_id).unwrap();
    assert_eq!(lowers.len(), 3);
    assert_eq!(lowers[0], fixture.diff(&top));
}

#[test]
fn chain_ids_are_dockers() {
    let ids: Vec<Digest> = ["a", "b"].iter().map(|text| Hasher::digest(text.as_bytes())).collect();
    let chain = chain_ids(&ids);
    assert_eq!(chain[0], ids[0]);
    assert_eq!(chain[1], Hasher::digest(format!("{} {}", ids[0], ids[1]).as_bytes()));
}

#[test]
fn a_layer_is_made_once() {
    let fixture = fixture();
    let bytes = empty(vec![file("f")]);
    let chain = Hasher::digest(&bytes);
    let layers = fixture.store.layers();
    let Claim::Free(claim) = layers.claim(&chain).unwrap() else { panic!() };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| matches!(layers.claim(&chain).unwrap(), Claim::Present(_)));
        fixture.layer(&bytes, None);
        drop(claim);
        assert!(other.join().unwrap());
    });
    // Placing it once more is harmless.
    fixture.layer(&bytes, None);
    assert_eq!(layers.list().len(), 1);
}

#[test]
fn a_hundred_and_twenty_eight_layers_stand() {
    let fixture = fixture();
    let mut parent = None;
    for n in 0..128 {
        parent = Some(fixture.layer(&empty(vec![file(&format!("f{n}"))]), parent.as_ref()).chain_id);
    }
    let lowers = fixture.store.layers().lowers(&parent.unwrap()).unwrap();
    assert_eq!(lowers.len(), 128);
    let rootfs = fixture.store.rootfs(&lowers).unwrap();
    for n in [0, 64, 127] {
        rustix::fs::statat(&rootfs, format!("f{n}"), rustix::fs::AtFlags::empty()).unwrap();
    }
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn check_skeleton(fixture: &Fixture, bytes: &[u8]) {
    let layer = fixture.layer(bytes, None);
    let mut again = Vec::new();
    fixture.store.layers().tar(&layer.chain_id).unwrap().read_to_end(&mut again).unwrap();
    assert!(again == bytes, "{} bytes became {}", bytes.len(), again.len());
}

#[test]
fn replaced_files_are_still_in_the_skeleton() {
    let fixture = fixture();
    let bytes = tar(&[
        (file("f"), b"first"),
        (linked("h", Kind::HardLink, "f"), b""),
        (file("f"), b"second"),
        (file("d/a"), b"in a directory"),
        (linked("d", Kind::Symlink, "f"), b""),
        (file(".wh.x"), b"content in a whiteout"),
        (file("f"), b"third"),
    ]);
    let mut padded = bytes.clone();
    padded.extend_from_slice(&[0; 10240]);
    padded.extend_from_slice(b"trailing noise");
    check_skeleton(&fixture, &padded);
    let layer = fixture.store.layers().list().remove(0);
    assert_eq!(std::fs::read(fixture.diff(&layer).join("f")).unwrap(), b"third");
    assert_eq!(std::fs::read(fixture.diff(&layer).join("h")).unwrap(), b"first");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_skeleton_gives_the_exact_tar_back(members in prop::collection::vec(
        (0usize..6, prop::sample::select(vec!["a", "b", "c/d", "c/e", "c"]), prop::collection::vec(any::<u8>(), 0..1500)), 0..12)
    ) {
        let fixture = fixture();
        let mut list: Vec<(Entry, &[u8])> = Vec::new();
        for (kind, path, content) in &members {
            list.push(match kind {
                0..=3 => (file(path), content.as_slice()),
                4 => (member(&format!("{path}/"), Kind::Directory, 0o755), b""),
                _ => (linked(path, Kind::Symlink, "x"), b""),
            });
        }
        let bytes = tar(&list);
        // A file below a file is refused; everything else must come back.
        if fixture.unpack(&bytes).is_ok() {
            check_skeleton(&fixture, &bytes);
        }
    }
}

#[test]
fn layers_are_compressed_once_for_pushing() {
    let fixture = fixture();
    let content: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let bytes = tar(&[(file("numbers"), &content)]);
    let layer = fixture.layer(&bytes, None);
    let layers = fixture.store.layers();
    let (descriptor, mut packed) = layers.compressed(&layer.chain_id, Compression::Gzip).unwrap();
    let mut compressed = Vec::new();
    packed.read_to_end(&mut compressed).unwrap();
    assert_eq!(Hasher::digest(&compressed), descriptor.digest);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut plain).unwrap();
    assert!(plain == bytes);
    assert_eq!(layers.compressed(&layer.chain_id, Compression::Gzip).unwrap().0, descriptor);
    let reopened = Store::open(fixture.store.root()).unwrap();
    assert_eq!(reopened.layers().get(&layer.chain_id).unwrap().blobs, [descriptor]);
}

#[test]
fn every_compression_unpacks_to_the_same() {
    let fixture = fixture();
    let bytes = tar(&[(file("f"), &[1; 700_000]), (file("g"), &[2; 700_000])]);
    // Several members and several frames in one stream are one stream.
    let half = bytes.len() / 2;
    let split = |pack: fn(&[u8]) -> Vec<u8>| [pack(&bytes[..half]), pack(&bytes[half..])].concat();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for packed in [bytes.clone(), gzipped(&bytes), split(gzipped), zstd(&bytes), split(zstd)] {
        assert_eq!(*fixture.unpack(&packed).unwrap().diff_id(), Hasher::digest(&bytes));
    }
}

#[test]
fn half_done_work_is_swept_and_damage_costs_one_layer() {
    let fixture = fixture();
    let layer = fixture.layer(&empty(vec![file("f")]), None);
    let other = fixture.layer(&empty(vec![file("g")]), None);
    let root = fixture.store.root().to_owned();
    std::fs::create_dir_all(root.join("tmp/123-0/diff/deep")).unwrap();
    std::fs::set_permissions(root.join("tmp/123-0/diff"), PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::write(root.join("layers").join(layer.chain_id.hex()).join("layer.json"), "{broken").unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    assert!(store.layers().get(&layer.chain_id).is_none());
    assert!(store.layers().get(&other.chain_id).is_some());
    // Making it again takes the damaged one's place.
    let staged = store.layers().unpack(Cursor::new(empty(vec![file("f")])), &skeleton()).unwrap();
    staged.place(None, None).unwrap();
    assert!(store.layers().get(&layer.chain_id).is_some());
}
