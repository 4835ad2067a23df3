//! Round trips, other tars' dialects, and broken archives.

use std::io::Cursor;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn written(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in members {
        writer.bytes(entry, content).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> crate::Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(Cursor::new(bytes));
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let content = reader.read_content(1 << 24)?;
        members.push((entry, content));
    }
    reader.finish()?;
    Ok(members)
}

prop_compose! {
    fn any_entry()(
        path in prop::collection::vec(1u8..=255, 1..300),
        kind in prop::sample::select(vec![Kind::Regular, Kind::HardLink, Kind::Symlink, Kind::Character, Kind::Directory, Kind::Fifo]),
        link in prop::collection::vec(1u8..=255, 1..300),
        mode in 0u32..0o10000, uid: u32, gid: u32, secs in -1i64 << 40..1i64 << 40, nanos in 0u32..1_000_000_000,
        content in prop::collection::vec(any::<u8>(), 0..2000),
        value in prop::collection::vec(any::<u8>(), 0..50),
        device in (0u32..4096, 0u32..1 << 20),
    ) -> (Entry, Vec<u8>) {
        let mut entry = Entry::new(path, kind);
        let content = if kind == Kind::Regular { content } else { Vec::new() };
        if kind == Kind::Regular && entry.path.last() == Some(&b'/') {
            entry.path.push(b'x');
        }
        if matches!(kind, Kind::HardLink | Kind::Symlink) { entry.link = link; }
        if kind == Kind::Character { entry.device = device; }
        entry.size = content.len() as u64;
        (entry.mode, entry.uid, entry.gid) = (mode, uid, gid);
        entry.mtime = Mtime { secs, nanos };
        entry.xattrs = vec![(b"user.x".to_vec(), value)];
        (entry, content)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_written_is_read(members in prop::collection::vec(any_entry(), 0..6)) {
        prop_assert_eq!(read(&written(&members)).unwrap(), members);
    }

    #[test]
    fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), at in 0usize..512, noise: u8) {
        let _ = read(&bytes);
        let mut entry = Entry::new("x", Kind::Regular);
        entry.size = bytes.len() as u64;
        let mut archive = written(&[(entry, std::mem::take(&mut bytes))]);
        archive[at] ^= noise;
        // A checksum that fits again lets the damaged field through to its parser.
        let sum: u64 = archive[..512].iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
        archive[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let _ = read(&archive);
    }
}

#[test]
fn every_cut_is_noticed() {
    let mut entry = Entry::new("a".repeat(300), Kind::Regular);
    entry.size = 1000;
    let archive = written(&[(entry, vec![7; 1000])]);
    // After the content the end marks are optional.
    for cut in 1..archive.len() - 1024 {
        assert!(read(&archive[..cut]).is_err(), "cut at {cut}");
    }
}

/// What GNU tar makes of a directory.
fn gnu(options: &[&str], fill: impl Fn(&std::path::Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let out = Command::new("tar")
        .arg("-C")
        .arg(dir.path())
        .args(options)
        .args(["-cf", "-", "."])
        .stderr(Stdio::inherit())
        .output();
    let out = out.unwrap();
    assert!(out.status.success());
    out.stdout
}

fn sparse_file(dir: &std::path::Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(dir.join("holes")).unwrap();
    for block in 0..40 {
        file.write_all_at(&[block as u8 + 1; 4096], block * 65536).unwrap();
    }
    file.set_len(100 << 20).unwrap();
}

#[test]
fn all_sparse_forms_are_understood() {
    for options in [
        &["-S", "--format=gnu"][..],
        &["-S", "--format=posix", "--sparse-version=0.0"],
        &["-S", "--format=posix", "--sparse-version=0.1"],
        &["-S", "--format=posix", "--sparse-version=1.0"],
    ] {
        let archive = gnu(options, sparse_file);
        let members = read(&archive).unwrap();
        let (entry, content) = members.iter().find(|(entry, _)| entry.path.ends_with(b"holes")).unwrap();
        assert_eq!(entry.path, b"./holes", "{options:?}");
        assert_eq!(entry.size, 100 << 20, "{options:?}");
        let regions = entry.sparse.as_ref().unwrap();
        assert_eq!(regions.len(), 40, "{options:?}");
        assert_eq!(regions[3], (3 * 65536, 4096), "{options:?}");
        assert_eq!(content.len(), 40 * 4096);
    }
}

#[test]
fn gnu_long_names_and_links_are_understood() {
    let long = "n".repeat(255);
    for format in ["--format=gnu", "--format=posix"] {
        let archive = gnu(&[format], |dir| {
            let deep = dir.join(&long).join(&long);
            std::fs::create_dir_all(&deep).unwrap();
            std::os::unix::fs::symlink("t".repeat(300), deep.join("link")).unwrap();
        });
        let members = read(&archive).unwrap();
        let link = &members.iter().find(|(entry, _)| entry.kind == Kind::Symlink).unwrap().0;
        assert_eq!(link.path, format!("./{long}/{long}/link").into_bytes());
        assert_eq!(link.link, "t".repeat(300).into_bytes());
    }
}

#[test]
fn base_256_numbers_are_understood() {
    assert_eq!(header::number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "x").unwrap(), 0xffff_ffff);
    assert_eq!(header::number(&[0xff; 12], "x").unwrap(), -1);
    assert_eq!(header::number(b"0000644\0", "x").unwrap(), 0o644);
    assert_eq!(header::number(b"   644 \0", "x").unwrap(), 0o644);
    assert!(header::number(b"  9\0", "x").is_err());
}

#[test]
fn global_records_hold_until_changed() {
    let record = pax::record(b"mtime", b"1234.5");
    let mut block = header::Builder::new(b'g');
    block.text(0, 100, b"pax_global_header");
    for (at, length) in [(100, 8), (108, 8), (116, 8), (136, 12)] {
        block.octal(at, length, 0);
    }
    block.octal(124, 12, record.len() as u64);
    let mut archive = block.finish().to_vec();
    archive.extend_from_slice(&record);
    archive.resize(1024, 0);
    archive.extend(written(&[(Entry::new("a", Kind::Regular), vec![]), (Entry::new("b", Kind::Regular), vec![])]));
    let members = read(&archive).unwrap();
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|(entry, _)| entry.mtime == Mtime { secs: 1234, nanos: 500_000_000 }));
}

#[test]
fn a_name_cut_at_a_slash_is_no_directory() {
    let entry = Entry::new("d".repeat(99) + "/" + &"f".repeat(200), Kind::Regular);
    assert_eq!(read(&written(&[(entry.clone(), vec![])])).unwrap(), [(entry, vec![])]);
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let mut entry = Entry::new("d/".repeat(60) + &"f".repeat(200), Kind::Regular);
    entry.mtime = Mtime { secs: 1, nanos: 5 };
    entry.uid = 4_000_000_000;
    let archive = written(&[(entry.clone(), b"hello".to_vec())]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.tar"), archive).unwrap();
    let out = Command::new("tar").current_dir(&dir).args(["--numeric-owner", "-tvf", "a.tar"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("4000000000/0") && text.contains(&"f".repeat(200)), "{text}");
}

#[test]
fn hostile_maps_and_records_are_refused() {
    assert!(sparse::check(&vec![(0, 10), (5, 10)], 100, 20).is_err());
    assert!(sparse::check(&vec![(u64::MAX - 1, 10)], u64::MAX, 10).is_err());
    assert!(sparse::check(&vec![(0, 10)], 100, 20).is_err());
    for text in ["5 a=b", "99 a=b\n", "0 a=b\n", "x a=b\n", "4 ab\n", "18446744073709551616 a=b\n"] {
        assert!(pax::Records::parse(text.as_bytes()).is_err(), "{text:?}");
    }
}
