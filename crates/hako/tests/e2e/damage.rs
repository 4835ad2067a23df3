//! Damaged files: whatever single file of the store is torn or overwritten, everything else works on, and what it
//! belonged to is still listed and can be removed.

use std::path::{Path, PathBuf};

use crate::house::{House, busybox_tar};
use crate::registry::Registry;

/// What becomes of a file.
const DAMAGES: [&[u8]; 3] = [b"", b"{", b"\xff\xfe\0 not what was here \n\n"];

/// A house with one of everything, and what can be damaged in it.
fn furnished() -> (House, Vec<PathBuf>) {
    let house = House::new();
    house.ok(["import", busybox_tar().to_str().unwrap(), "spare"]);
    house.ok(["volume", "create", "store"]);
    house.ok(["network", "create", "lane"]);
    house.fails(3, ["run", "--name", "ended", "-v", "store:/s", "--network", "lane", "spare", "sh", "-c", "exit 3"]);
    house.ok(["create", "--name", "made", "spare", "true"]);
    house.kill_daemon();
    let data = house.data();
    let mut files = Vec::new();
    for place in ["containers", "images", "network", "volumes", "blobs", "layers", "build"] {
        collect(&data.join(place), &mut files);
    }
    files.extend(["events", "engine-id", "boot"].map(|name| data.join(name)));
    // What containers and images are made of is theirs to damage.
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "diff" || part.as_os_str() == "_data"));
    files.retain(|file| file.is_file());
    (house, files)
}

fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), files),
            _ => files.push(entry.path()),
        }
    }
}

#[test]
fn any_one_file_costs_one_object() {
    let (house, files) = furnished();
    let busybox = house.inspect("busybox", "{{.Id}}");
    house.kill_daemon();
    assert!(files.len() > 10, "{files:?}");
    for (number, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).unwrap();
        std::fs::write(file, DAMAGES[number % DAMAGES.len()]).unwrap();
        let told = file.strip_prefix(house.data()).unwrap().display().to_string();
        let containers = house.run(["ps", "-a", "--format", "{{.Names}}"]);
        assert_eq!(containers.code, 0, "{told}: {}", containers.stderr);
        assert_eq!(containers.stdout.lines().count(), 2, "{told}: {}", containers.stdout);
        for list in [["images"].as_slice(), &["volume", "ls"], &["network", "ls"], &["system", "df"]] {
            let ended = house.run(list);
            assert_eq!(ended.code, 0, "{told}: {list:?}: {}", ended.stderr);
        }
        let of_busybox = told.contains(busybox.trim_start_matches("sha256:"));
        let ran = house.run(["run", "--rm", "--network", "none", "busybox", "echo", "fine"]);
        let concerns = of_busybox || told.starts_with("layers/") || told.contains("busybox");
        assert!(ran.stdout == "fine\n" || concerns, "{told}: {}", ran.stderr);
        assert!(ran.code == 0 || !ran.stderr.contains("panicked"), "{told}: {}", ran.stderr);
        house.kill_daemon();
        std::fs::write(file, whole).unwrap();
    }
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
}

#[test]
fn what_is_damaged_can_be_removed() {
    let (house, _) = furnished();
    let ended = house.inspect("ended", "{{.Id}}");
    let spare = house.inspect("spare", "{{.Id}}");
    let made = house.inspect("made", "{{.Id}}");
    house.kill_daemon();
    let data = house.data();
    let hex = spare.trim_start_matches("sha256:");
    std::fs::write(data.join("containers").join(&ended).join("record.json"), "{").unwrap();
    std::fs::write(data.join("containers").join(&made).join("status.json"), "\0\0").unwrap();
    std::fs::write(data.join("blobs/sha256").join(hex), "[]").unwrap();
    std::fs::write(data.join("volumes/store/record.json"), "?").unwrap();
    let said = house.fails(1, ["start", &ended]);
    assert!(said.contains("damaged"), "{said}");
    house.ok(["rm", "-f", &ended, &made]);
    assert_eq!(house.ok(["ps", "-aq"]), "");
    assert!(house.ok(["images", "--no-trunc", "-q"]).contains(hex), "a damaged image is listed");
    house.ok(["rmi", "-f", &spare]);
    assert!(house.ok(["volume", "ls", "-q"]).contains("store"));
    house.ok(["volume", "rm", "store"]);
    house.ok(["import", busybox_tar().to_str().unwrap(), "spare"]);
    assert_eq!(house.ok(["run", "--rm", "spare", "echo", "fine"]), "fine");
}

#[test]
fn flipped_bits_are_never_passed_on() {
    let house = House::empty();
    let registry = Registry::start();
    house.import_busybox();
    let name = format!("{}/app", registry.address());
    house.ok(["tag", "busybox", &name]);
    house.ok(["push", "-q", &name]);
    house.ok(["rmi", "busybox", &name]);
    house.ok(["pull", "-q", &name]);
    house.kill_daemon();
    let mut blobs = Vec::new();
    collect(&house.data().join("blobs/sha256"), &mut blobs);
    let largest = blobs.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(largest, &bytes).unwrap();
    let archive = house.path().join("app.tar");
    let saved = house.run(["save", "-o", archive.to_str().unwrap(), &name]);
    let digest = largest.file_name().unwrap().to_str().unwrap();
    assert_ne!(saved.code, 0, "a spoilt archive is no archive");
    assert!(saved.stderr.contains("verify stored blob") && saved.stderr.contains(digest), "{}", saved.stderr);
    // Of a stream the client only sees that it breaks off.
    assert_ne!(house.command(["save", &name]).output().unwrap().status.code(), Some(0));
    let log = std::fs::read_to_string(house.path().join("run/daemon.log")).unwrap();
    assert!(log.contains("verify stored blob") && log.contains(digest), "{log}");
    assert!(!archive.exists(), "nothing that looks like an archive is left");
    assert_eq!(house.ok(["run", "--rm", &name, "echo", "unpacked"]), "unpacked");
    house.ok(["rmi", "-f", &name]);
    house.ok(["pull", "-q", &name]);
    assert_eq!(house.ok(["run", "--rm", &name, "echo", "fine"]), "fine");
}
