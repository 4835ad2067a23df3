//! Both ends of a transfer against each other, and a receiver against clients that lie.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hako_sys::confined::Root;

use super::*;
use crate::Error;
use crate::wire::client::{PacketKind, Stat};

const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;

/// One end of a line between threads.
struct End {
    send: SyncSender<Packet>,
    receive: Receiver<Packet>,
}

impl Line for End {
    fn hear(&mut self) -> Result<Option<Packet>> {
        Ok(self.receive.recv().ok())
    }

    fn say(&mut self, packet: Packet) -> Result<()> {
        self.send.send(packet).map_err(|_| Error::Gone)
    }
}

fn line() -> (End, End) {
    let ((one, there), (two, back)) = (sync_channel(1024), sync_channel(1024));
    (End { send: one, receive: back }, End { send: two, receive: there })
}

/// Copies one directory into another by the protocol.
fn transfer(from: &Path, to: &Path) -> Received {
    transfer_into(from, "", to)
}

/// The same into a folder.
fn transfer_into(from: &Path, folder: &'static str, to: &Path) -> Received {
    let (mut ours, mut theirs) = line();
    let from = Root::open(from).unwrap();
    let sending = std::thread::spawn(move || send(&from, folder, &mut theirs));
    let received = receive(&Root::open(to).unwrap(), &mut ours, &mut |_| {}).unwrap();
    sending.join().unwrap().unwrap();
    received
}

/// What a client that only lists these, and sends these bytes for whatever is asked, leads to.
fn told(to: &Path, stats: Vec<Stat>) -> Result<Received> {
    let (mut ours, theirs) = line();
    for stat in stats {
        theirs.send.send(Packet { stat: Some(stat), ..Packet::default() }).unwrap();
    }
    theirs.send.send(Packet::default()).unwrap();
    let End { send, receive: asked } = theirs;
    let answering = std::thread::spawn(move || {
        while let Ok(packet) = asked.recv() {
            let data = |data: &[u8]| Packet {
                kind: PacketKind::Data.into(),
                id: packet.id,
                data: data.to_vec(),
                ..Packet::default()
            };
            let answers = match packet.kind() {
                PacketKind::Req => vec![data(b"owned"), data(b"")],
                _ => vec![Packet { kind: PacketKind::Fin.into(), ..Packet::default() }],
            };
            for answer in answers {
                // The receiver may have given up.
                let _ = send.send(answer);
            }
        }
    });
    let outcome = receive(&Root::open(to).unwrap(), &mut ours, &mut |_| {});
    drop(ours);
    answering.join().unwrap();
    outcome
}

fn stat(path: &str, mode: u32) -> Stat {
    Stat { path: path.to_owned(), mode, mod_time: 1_700_000_000_000_000_000, ..Stat::default() }
}

#[test]
fn what_arrives_is_what_was_sent_and_only_changes_travel() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, target) = (from.path(), to.path());
    std::fs::create_dir_all(source.join("a/b")).unwrap();
    std::fs::write(source.join("a/b/big"), vec![7; 200_000]).unwrap();
    std::fs::write(source.join("a-x"), "x").unwrap();
    std::fs::write(source.join("empty"), "").unwrap();
    std::fs::hard_link(source.join("a-x"), source.join("z-again")).unwrap();
    symlink("../outside", source.join("link")).unwrap();
    std::fs::set_permissions(source.join("a-x"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(source.join("a"), PermissionsExt::from_mode(0o700)).unwrap();

    let first = transfer(source, target);
    assert_eq!((first.entries, first.files, first.bytes), (7, 3, 200_001));
    assert_eq!(std::fs::read(target.join("a/b/big")).unwrap(), vec![7; 200_000]);
    assert_eq!(std::fs::read_link(target.join("link")).unwrap(), Path::new("../outside"));
    assert_eq!(target.join("a-x").metadata().unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(target.join("a").metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(target.join("a-x").metadata().unwrap().ino(), target.join("z-again").metadata().unwrap().ino());
    for name in ["a/b/big", "a-x", "a", "empty"] {
        let time = |root: &Path| root.join(name).metadata().unwrap().modified().unwrap();
        assert_eq!(time(source), time(target), "{name}");
    }

    // A file with two names is sent again: what it has in common here need not be so there.
    let inode = |name: &str| target.join(name).metadata().unwrap().ino();
    let before = inode("a/b/big");
    assert_eq!(transfer(source, target).bytes, 1);
    assert_eq!(inode("a/b/big"), before);

    std::fs::remove_dir_all(source.join("a")).unwrap();
    std::fs::write(source.join("a"), "now a file").unwrap();
    std::fs::remove_file(source.join("link")).unwrap();
    std::fs::create_dir(source.join("link")).unwrap();
    std::fs::remove_file(source.join("empty")).unwrap();
    transfer(source, target);
    assert_eq!(std::fs::read_to_string(target.join("a")).unwrap(), "now a file");
    assert!(target.join("link").symlink_metadata().unwrap().is_dir());
    assert!(!target.join("empty").exists());
}

#[test]
fn a_client_that_lies_writes_nothing_outside() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().to_str().unwrap();
    let lies: Vec<(&str, Vec<Stat>)> = vec![
        ("up", vec![stat("../escaped", 0o644)]),
        ("up from a folder", vec![stat("d", DIRECTORY | 0o755), stat("d/../../escaped", 0o644)]),
        ("absolute", vec![stat(&format!("{path}/escaped"), 0o644)]),
        ("empty", vec![stat("", 0o644)]),
        ("dot", vec![stat(".", DIRECTORY | 0o755)]),
        ("no folder", vec![stat("d/escaped", 0o644)]),
        (
            "through a link",
            vec![Stat { linkname: path.to_owned(), ..stat("l", SYMLINK | 0o777) }, stat("l/escaped", 0o644)],
        ),
        (
            "a link first, then a folder of its name",
            vec![
                Stat { linkname: path.to_owned(), ..stat("l", SYMLINK | 0o777) },
                stat("l", DIRECTORY | 0o755),
                stat("l/escaped", 0o644),
            ],
        ),
        ("another name of something outside", vec![Stat { linkname: format!("{path}/secret"), ..stat("h", 0o644) }]),
        (
            "another name through a link",
            vec![
                Stat { linkname: path.to_owned(), ..stat("l", SYMLINK | 0o777) },
                Stat { linkname: "l/secret".to_owned(), ..stat("m", 0o644) },
            ],
        ),
        ("a device", vec![Stat { devmajor: 1, devminor: 3, ..stat("null", 1 << 26 | 1 << 21 | 0o666) }]),
        ("twice", vec![stat("f", 0o644), stat("f", 0o644)]),
        ("no type", vec![stat("f", 1 << 19 | 0o644)]),
    ];
    for (name, stats) in lies {
        let inside = tempfile::tempdir().unwrap();
        assert!(told(inside.path(), stats).is_err(), "{name}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{name}");
        assert!(!inside.path().parent().unwrap().join("escaped").exists(), "{name}");
    }
}

#[test]
fn links_of_an_earlier_transfer_are_not_followed() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = Stat { linkname: outside.path().to_str().unwrap().to_owned(), ..stat("l", SYMLINK | 0o777) };
    told(inside.path(), vec![link]).unwrap();
    told(inside.path(), vec![stat("l", DIRECTORY | 0o755), stat("l/f", 0o644)]).unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(inside.path().join("l/f")).unwrap(), "owned");
}

#[test]
fn bytes_that_nobody_asked_for_are_an_error() {
    let inside = tempfile::tempdir().unwrap();
    let (mut ours, theirs) = line();
    let data = Packet { kind: PacketKind::Data.into(), id: 7, data: b"x".to_vec(), ..Packet::default() };
    for packet in [Packet { stat: Some(stat("f", 0o644)), ..Packet::default() }, Packet::default(), data] {
        theirs.send.send(packet).unwrap();
    }
    let error = receive(&Root::open(inside.path()).unwrap(), &mut ours, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "read the build context: bytes came for file 7, which nobody asked for");
}

proptest::proptest! {
    #[test]
    fn modes_survive_the_way_there_and_back(permissions in 0_u32..0o10000, kind in 0_usize..5) {
        let kinds = [0o100_000, 0o040_000, 0o120_000, 0o020_000, 0o060_000];
        let go = mode::of(kinds[kind] | permissions);
        proptest::prop_assert_eq!(mode::permissions(go), permissions);
        proptest::prop_assert_eq!(mode::kind(go), rustix::fs::FileType::from_raw_mode(kinds[kind]));
    }
}

#[test]
fn a_folder_of_its_own_holds_everything() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(from.path().join("deep")).unwrap();
    std::fs::write(from.path().join("deep/one"), "1").unwrap();
    std::fs::hard_link(from.path().join("deep/one"), from.path().join("two")).unwrap();
    transfer_into(from.path(), "linux_arm64", to.path());
    let read = |name: &str| std::fs::read_to_string(to.path().join(name)).unwrap();
    assert_eq!((read("linux_arm64/deep/one"), read("linux_arm64/two")), ("1".to_owned(), "1".to_owned()));
    let number = |name: &str| std::os::unix::fs::MetadataExt::ino(&to.path().join(name).metadata().unwrap());
    assert_eq!(number("linux_arm64/deep/one"), number("linux_arm64/two"));
}
