//! Archives in and out, and what hostile ones get.

use std::io::Cursor;

use hako_model::image::media::{self, Compression};
use hako_model::image::{Descriptor, Index, Manifest};
use proptest::prelude::*;

use super::*;
use crate::images::tests::config;
use crate::layers::tests::{Fixture, fixture, gzipped, tar};
use crate::tar::{Entry, Kind};
use crate::{Error, Hasher};

fn file(name: &str) -> Entry {
    Entry { mode: 0o644, ..Entry::new(name, Kind::Regular) }
}

fn layer(name: &str) -> Vec<u8> {
    tar(&[(file(name), name.as_bytes())])
}

/// Loads an archive as a stream; as a file it must come to the same.
fn attempt(fixture: &Fixture, bytes: &[u8]) -> Result<Vec<Loaded>> {
    let streamed = load(&fixture.store, Cursor::new(bytes), &Load::default(), &mut ());
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let other = self::fixture();
    match (load_file(&other.store, &file, &Load::default(), &mut ()), &streamed) {
        (Ok(loaded), Ok(streamed)) => {
            assert_eq!(loaded, *streamed);
            let layers = |fixture: &Fixture| {
                loaded.iter().flat_map(|l| fixture.store.images().get(&l.id).unwrap().layers).collect::<Vec<_>>()
            };
            assert_eq!(layers(&other), layers(fixture));
        }
        (Err(_), Err(_)) => assert_nothing(&other, "from a file"),
        (one, other) => panic!("{one:?} from a file, {other:?} as a stream"),
    }
    streamed
}

/// Nothing of a refused archive stays.
fn assert_nothing(fixture: &Fixture, what: &str) {
    assert!(fixture.store.images().list().is_empty(), "{what}");
    for place in ["layers", "blobs/sha256", "tmp"] {
        assert_eq!(std::fs::read_dir(fixture.store.root().join(place)).unwrap().count(), 0, "{what}: {place}");
    }
}

/// The members of a docker-archive as old dockers wrote it.
fn docker(layers: &[(&str, Vec<u8>)], tags: &str) -> Vec<(Entry, Vec<u8>)> {
    let ids: Vec<Digest> = layers.iter().map(|(_, bytes)| Hasher::digest(bytes)).collect();
    let config = config(&ids, "");
    let config_name = format!("{}.json", Hasher::digest(&config).hex());
    let names: Vec<String> = layers.iter().map(|(name, _)| format!("{name:?}")).collect();
    let manifest = format!(r#"[{{"Config":"{config_name}","RepoTags":{tags},"Layers":[{}]}}]"#, names.join(","));
    let mut members: Vec<(Entry, Vec<u8>)> = layers.iter().map(|(name, bytes)| (file(name), bytes.clone())).collect();
    members.push((file(&config_name), config));
    members.push((file("manifest.json"), manifest.into_bytes()));
    members
}

fn packed(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    tar(&members.iter().map(|(entry, bytes)| (entry.clone(), bytes.as_slice())).collect::<Vec<_>>())
}

#[test]
fn a_docker_archive_loads_in_any_order() {
    let mut members = docker(&[("1/layer.tar", layer("a")), ("2/layer.tar", layer("b"))], r#"["x:1","x:2"]"#);
    for _ in 0..members.len() {
        members.rotate_left(1);
        let fixture = fixture();
        let loaded = attempt(&fixture, &packed(&members)).unwrap();
        assert_eq!(loaded[0].references, ["x:1", "x:2"]);
        let lowers = fixture.store.images().lowers(&loaded[0].id).unwrap();
        assert!(lowers[0].join("b").is_file() && lowers[1].join("a").is_file());
        // Once more is harmless, and compressed as a whole it is the same.
        assert_eq!(attempt(&fixture, &gzipped(&packed(&members))).unwrap(), loaded);
    }
}

#[test]
fn layers_that_are_links_to_other_members_load() {
    let mut members = docker(&[("1/layer.tar", layer("a")), ("2/layer.tar", layer("a"))], "null");
    members[1] = (Entry { link: b"../1/layer.tar".to_vec(), ..Entry::new("2/layer.tar", Kind::Symlink) }, vec![]);
    let fixture = fixture();
    let loaded = attempt(&fixture, &packed(&members)).unwrap();
    assert_eq!(fixture.store.images().lowers(&loaded[0].id).unwrap().len(), 2);
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let good = || docker(&[("1/layer.tar", layer("a")), ("2/layer.tar", layer("b"))], r#"["x:1"]"#);
    let link = |target: &str| Entry { link: target.as_bytes().to_vec(), ..Entry::new("2/layer.tar", Kind::Symlink) };
    let replaced = |at: usize, entry: Entry, bytes: Vec<u8>| {
        let mut members = good();
        members[at] = (entry, bytes);
        packed(&members)
    };
    let manifest = |text: &str| replaced(3, file("manifest.json"), text.as_bytes().to_vec());
    let mut wrong_config = good();
    wrong_config[2].1.push(b' ');
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a layer that is a link to the host", replaced(1, link("/etc/passwd"), vec![])),
        ("a layer that is a link out", replaced(1, link("../../../etc/passwd"), vec![])),
        ("a layer that is a link to itself", replaced(1, link("layer.tar"), vec![])),
        ("a layer that is a pipe", replaced(1, Entry::new("2/layer.tar", Kind::Fifo), vec![])),
        ("a layer that is a device", replaced(1, Entry::new("2/layer.tar", Kind::Character), vec![])),
        ("a layer that is a directory", replaced(1, Entry::new("2/layer.tar/", Kind::Directory), vec![])),
        ("a layer with other content", replaced(1, file("2/layer.tar"), layer("c"))),
        ("a name that leads out", replaced(1, file("../2/layer.tar"), layer("b"))),
        ("a configuration with other content", packed(&wrong_config)),
        ("no manifest", packed(&good()[..3])),
        ("a manifest of blanks", manifest(&" ".repeat(5 << 20))),
        ("a manifest that is no list", manifest("{}")),
        ("a manifest with a missing configuration", manifest(r#"[{"Config":"x.json","Layers":[]}]"#)),
        ("a manifest with a configuration outside", manifest(r#"[{"Config":"../../etc/passwd","Layers":[]}]"#)),
        (
            "a manifest whose layers are too few",
            manifest(&String::from_utf8(good()[3].1.clone()).unwrap().replace(",\"2/layer.tar\"", "")),
        ),
        ("cut short", {
            let all = packed(&good());
            all[..all.len() - 3000].to_vec()
        }),
        ("no archive", b"hello".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in cases {
        let fixture = fixture();
        assert!(attempt(&fixture, &bytes).is_err(), "{what}");
        assert_nothing(&fixture, what);
    }
}

/// An OCI layout of one gzip layer; `wrong` names the blob whose content is changed.
fn layout(wrong: &str) -> Vec<u8> {
    let plain = layer("a");
    let blob = gzipped(&plain);
    let config = config(&[Hasher::digest(&plain)], "");
    let descriptor = |kind: &str, bytes: &[u8]| Descriptor::new(kind, Hasher::digest(bytes), bytes.len() as u64);
    let layers = vec![descriptor(media::OCI_LAYER_GZIP, &blob)];
    let manifest = Manifest::new(media::OCI_MANIFEST, descriptor(media::OCI_CONFIG, &config), layers);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut top = descriptor(media::OCI_MANIFEST, &manifest);
    top.annotations.insert("io.containerd.image.name".to_owned(), "docker.io/library/x:1".to_owned());
    let index = serde_json::to_vec(&Index::new(media::OCI_INDEX, vec![top])).unwrap();
    let mut members = vec![(file("index.json"), index)];
    for (name, mut bytes) in [("layer", blob), ("config", config), ("manifest", manifest)] {
        let at = format!("blobs/sha256/{}", Hasher::digest(&bytes).hex());
        if name == wrong {
            // A different gzip header field changes the digest but not what comes out.
            if name == "layer" { bytes[4] ^= 1 } else { bytes.push(b' ') }
        }
        members.push((file(&at), bytes));
    }
    packed(&members)
}

#[test]
fn an_oci_layout_loads_and_keeps_its_blobs() {
    let fixture = fixture();
    let loaded = attempt(&fixture, &layout("")).unwrap();
    assert_eq!(loaded[0].references, ["docker.io/library/x:1"]);
    let image = fixture.store.images().get(&loaded[0].id).unwrap();
    assert!(image.manifest.is_some());
    let layer = fixture.store.layers().get(&image.layers[0]).unwrap();
    assert!(layer.blob(Compression::Gzip).is_some());
    assert!(!fixture.store.layers().diff_dir(&layer.chain_id).with_file_name("skeleton").exists());
}

#[test]
fn wrong_digests_in_an_oci_layout_are_refused() {
    for wrong in ["layer", "config", "manifest"] {
        let fixture = fixture();
        assert!(matches!(attempt(&fixture, &layout(wrong)), Err(Error::DigestMismatch { .. })), "{wrong}");
        assert_nothing(&fixture, wrong);
    }
}

#[test]
fn indexes_that_name_each_other_end() {
    let mut inner = serde_json::to_vec(&Index::new(media::OCI_INDEX, Vec::new())).unwrap();
    let mut members = Vec::new();
    for _ in 0..20 {
        members.push((file(&format!("blobs/sha256/{}", Hasher::digest(&inner).hex())), inner.clone()));
        let down = Descriptor::new(media::OCI_INDEX, Hasher::digest(&inner), inner.len() as u64);
        inner = serde_json::to_vec(&Index::new(media::OCI_INDEX, vec![down])).unwrap();
    }
    members.push((file("index.json"), inner));
    let fixture = fixture();
    let refused = attempt(&fixture, &packed(&members)).unwrap_err();
    assert!(refused.to_string().contains("too deep"), "{refused}");
}

#[test]
fn what_is_saved_loads_elsewhere() {
    let here = fixture();
    let plain =
        attempt(&here, &packed(&docker(&[("1/layer.tar", layer("a")), ("2/layer.tar", layer("b"))], "null"))).unwrap();
    let oci = attempt(&here, &layout("")).unwrap();
    let images = [
        Saved { id: plain[0].id.clone(), references: vec!["p:1".to_owned(), "p:2".to_owned()], bundle: None },
        Saved { id: oci[0].id.clone(), references: Vec::new(), bundle: None },
    ];
    let mut archive = Vec::new();
    save(&here.store, &images, &mut archive).unwrap();
    let there = fixture();
    let loaded = attempt(&there, &archive).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!((&loaded[0].id, &loaded[0].references[..]), (&plain[0].id, &["p:1".to_owned(), "p:2".to_owned()][..]));
    assert_eq!(loaded[1], Loaded { id: oci[0].id.clone(), references: vec![], named: vec![] });
    let mut again = Vec::new();
    save(&there.store, &images, &mut again).unwrap();
    assert!(archive == again);
    let text = String::from_utf8_lossy(&archive);
    assert!(text.contains("io.containerd.image.name\":\"docker.io/library/p:1") && text.contains("imageLayoutVersion"));
}

#[test]
fn one_layer_above_two_parents_is_two_layers() {
    let fixture = fixture();
    attempt(&fixture, &packed(&docker(&[("1/layer.tar", layer("a")), ("2/layer.tar", layer("b"))], "null"))).unwrap();
    attempt(&fixture, &packed(&docker(&[("2/layer.tar", layer("b")), ("1/layer.tar", layer("a"))], "null"))).unwrap();
    assert_eq!(fixture.store.layers().list().len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn noise_in_an_archive_never_panics(at in any::<prop::sample::Index>(), noise: u8) {
        let fixture = fixture();
        let mut bytes = layout("");
        let at = at.index(bytes.len());
        bytes[at] ^= noise;
        let _ = attempt(&fixture, &bytes);
    }
}

/// The other half of the next test, in a process of its own: loads from standard input, to be killed.
fn load_standard_input(root: &std::ffi::OsStr) {
    let store = Store::open(std::path::Path::new(root)).unwrap();
    load(&store, std::io::stdin(), &Load::default(), &mut ()).unwrap();
}

#[test]
fn killed_at_any_moment_a_load_leaves_nothing() {
    if let Some(root) = std::env::var_os("STORE_TO_BE_KILLED") {
        return load_standard_input(&root);
    }
    let big = |byte: u8| tar(&[(file("big"), &vec![byte; 400_000]), (file("more"), &vec![byte; 400_000])]);
    let archive = packed(&docker(&[("1/layer.tar", big(1)), ("2/layer.tar", big(2))], r#"["x:1"]"#));
    let fixture = fixture();
    let root = fixture.store.root().to_owned();
    drop(fixture.store);
    for cut in [300_000, 900_000, 1_300_000, archive.len() - 700] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "archive::tests::killed_at_any_moment_a_load_leaves_nothing"])
            .env("STORE_TO_BE_KILLED", &root)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The pipe holds 64 KiB, so when this returns the child is in the middle of its work, and waits for more.
        let stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut &stdin, &archive[..cut]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&root).unwrap();
        assert!(store.images().list().is_empty(), "cut at {cut}");
        store.collect().unwrap();
        for place in ["layers", "blobs/sha256", "tmp", "ingest"] {
            assert_eq!(std::fs::read_dir(root.join(place)).unwrap().count(), 0, "cut at {cut}: {place}");
        }
    }
    let store = Store::open(&root).unwrap();
    assert_eq!(load(&store, Cursor::new(&archive), &Load::default(), &mut ()).unwrap().len(), 1);
}
