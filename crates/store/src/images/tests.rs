//! Images, references and what removal takes away.

use super::*;
use crate::Store;
use crate::layers::tests::{Fixture, fixture, tar};
use crate::tar::{Entry, Kind};

fn layer(fixture: &Fixture, name: &str, parent: Option<&ChainId>) -> crate::Layer {
    let entry = Entry { mode: 0o644, ..Entry::new(name, Kind::Regular) };
    fixture.layer(&tar(&[(entry, &[7; 5000])]), parent)
}

pub(crate) fn config(diff_ids: &[Digest], comment: &str) -> Vec<u8> {
    let ids: Vec<String> = diff_ids.iter().map(|id| format!("{:?}", id.as_str())).collect();
    format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","comment":{comment:?},"config":{{}},
        "rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    )
    .into_bytes()
}

fn image(fixture: &Fixture, diff_ids: &[Digest], comment: &str, parent: Option<Digest>) -> Image {
    let new = NewImage { config: config(diff_ids, comment), manifest: None, parent };
    fixture.store.images().add(new).unwrap()
}

#[test]
fn an_image_survives_reopening() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    let top = layer(&fixture, "b", Some(&base.chain_id));
    let manifest = Some((br#"{"schemaVersion":2}"#.to_vec(), "application/x".to_owned()));
    let ids = [base.diff_id, top.diff_id];
    let images = fixture.store.images();
    let added = images.add(NewImage { config: config(&ids, ""), manifest, parent: None }).unwrap();
    assert_eq!(images.tag("docker.io/library/x:1", &added.id).unwrap(), None);
    assert_eq!(images.tag(&format!("r/x@{}", added.id), &added.id).unwrap(), None);
    let store = Store::open(fixture.store.root()).unwrap();
    let image = store.images().by_reference("docker.io/library/x:1").unwrap();
    assert_eq!((image.size, image.tags.len(), image.digests.len()), (10_000, 1, 1));
    assert_eq!(image.created.to_string(), "2024-01-02T03:04:05Z");
    assert_eq!(store.images().manifest_bytes(&image.id).unwrap().unwrap().1, "application/x");
    assert_eq!(store.images().lowers(&image.id).unwrap().len(), 2);
    assert_eq!(store.images().by_prefix(image.id.short()).unwrap().id, image.id);
    assert!(store.images().by_prefix("").unwrap_err().is_not_found());
    assert!(image.damage.is_none());
}

#[test]
fn a_tag_said_again_is_not_written_again_but_its_time_is_kept() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    let image = image(&fixture, &[base.diff_id], "", None);
    let path = fixture.store.root().join("images/references/x.json");
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    let tagged = |store: &Store| store.images().by_reference("x").unwrap().tagged;
    fixture.store.images().tag("x", &image.id).unwrap();
    let (file, first) = (inode(), tagged(&fixture.store));
    assert_eq!(tagged(&Store::open(fixture.store.root()).unwrap()), first, "a new daemon says the same");
    fixture.store.images().tag("x", &image.id).unwrap();
    let second = tagged(&fixture.store);
    assert!(second > first);
    assert_eq!(inode(), file);
    assert_eq!(tagged(&Store::open(fixture.store.root()).unwrap()), second);
}

#[test]
fn an_image_without_its_layers_is_refused() {
    let fixture = fixture();
    let refused =
        fixture.store.images().add(NewImage { config: config(&[Hasher::digest(b"x")], ""), ..NewImage::default() });
    assert!(refused.unwrap_err().is_not_found());
    assert!(fixture.store.images().list().is_empty());
}

#[test]
fn a_tag_moves_and_leaves_a_dangling_image() {
    let fixture = fixture();
    let ids = [layer(&fixture, "a", None).diff_id];
    let (one, two) = (image(&fixture, &ids, "1", None), image(&fixture, &ids, "2", None));
    let images = fixture.store.images();
    images.tag("x:1", &one.id).unwrap();
    assert_eq!(images.tag("x:1", &two.id).unwrap(), Some(one.id.clone()));
    assert!(images.get(&one.id).unwrap().tags.is_empty());
    assert_eq!(images.untag("x:1").unwrap(), two.id);
    assert!(images.untag("x:1").unwrap_err().is_not_found());
    assert_eq!(Store::open(fixture.store.root()).unwrap().images().list().len(), 2);
}

#[test]
fn removal_takes_only_what_nobody_needs() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    let top = layer(&fixture, "b", Some(&base.chain_id));
    let one = image(&fixture, std::slice::from_ref(&base.diff_id), "1", None);
    let two = image(&fixture, &[base.diff_id.clone(), top.diff_id], "2", None);
    let images = fixture.store.images();
    images.tag("x:2", &two.id).unwrap();
    let usage = fixture.store.usage().unwrap();
    assert!(usage.images.iter().all(|image| image.shared > 0 && image.shared_size == 5000));
    let pin = fixture.store.layers().pin(&top.chain_id).unwrap();
    let deleted = images.delete(&two.id, true).unwrap();
    assert_eq!((deleted.untagged, deleted.images), (vec!["x:2".to_owned()], vec![two.id]));
    assert!(deleted.layers.is_empty());
    drop(pin);
    let collected = fixture.store.collect().unwrap();
    assert_eq!(collected.layers, [top.chain_id]);
    assert!(collected.reclaimed >= 8192);
    let deleted = images.delete(&one.id, true).unwrap();
    assert_eq!(deleted.layers, [base.chain_id]);
    for place in ["layers", "blobs/sha256", "tmp", "images/records", "images/references"] {
        assert_eq!(std::fs::read_dir(fixture.store.root().join(place)).unwrap().count(), 0, "{place}");
    }
}

#[test]
fn loose_parents_go_with_the_last_child() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    let ids = [base.diff_id];
    let grandparent = image(&fixture, &ids, "1", None);
    let parent = image(&fixture, &ids, "2", Some(grandparent.id.clone()));
    let child = image(&fixture, &ids, "3", Some(parent.id.clone()));
    let images = fixture.store.images();
    images.tag("keep:1", &grandparent.id).unwrap();
    assert_eq!(images.children(&parent.id), std::slice::from_ref(&child.id));
    assert_eq!(images.delete(&child.id, true).unwrap().images, [child.id, parent.id]);
    assert_eq!(images.list().len(), 1);
}

#[test]
fn a_hold_keeps_what_is_not_yet_an_image() {
    let fixture = fixture();
    let hold = fixture.store.hold();
    let layer = layer(&fixture, "a", None);
    let blob = fixture.store.blobs().put(b"blob").unwrap();
    assert!(fixture.store.collect().unwrap().layers.is_empty());
    assert!(fixture.store.blobs().contains(&blob));
    drop(hold);
    assert_eq!(fixture.store.collect().unwrap().layers, [layer.chain_id]);
    assert!(!fixture.store.blobs().contains(&blob));
}

#[test]
fn a_damaged_record_costs_one_image_that_can_be_removed() {
    let fixture = fixture();
    let ids = [layer(&fixture, "a", None).diff_id];
    let (one, two) = (image(&fixture, &ids, "1", None), image(&fixture, &ids, "2", None));
    fixture.store.images().tag("x:1", &one.id).unwrap();
    let root = fixture.store.root();
    std::fs::write(root.join(format!("images/records/{}.json", one.id.hex())), "garbage").unwrap();
    std::fs::write(root.join("images/references/garbage.json"), "garbage").unwrap();
    std::fs::write(root.join("images/references/.half.tmp"), "garbage").unwrap();
    let store = Store::open(root).unwrap();
    let images = store.images();
    assert_eq!(images.list().len(), 2);
    assert!(images.get(&one.id).unwrap().damage.is_some());
    assert!(images.get(&two.id).unwrap().damage.is_none());
    images.delete(&one.id, true).unwrap();
    assert_eq!(images.list().len(), 1);
    assert!(images.lowers(&two.id).unwrap()[0].join("a").is_file());
}

#[test]
fn a_power_cut_costs_only_what_was_not_promised() {
    let fixture = fixture();
    let (kept, lost) = (layer(&fixture, "a", None), layer(&fixture, "b", None));
    image(&fixture, std::slice::from_ref(&kept.diff_id), "", None);
    let blob = fixture.store.blobs().put(b"blob").unwrap();
    let root = fixture.store.root();
    let path = root.join("layers").join(lost.chain_id.hex()).join("layer.json");
    let record = std::fs::read_to_string(&path).unwrap().replace(&crate::store::boot(), "an earlier one");
    std::fs::write(&path, record).unwrap();
    std::fs::write(root.join("boot"), "an earlier one").unwrap();
    let store = Store::open(root).unwrap();
    assert!(store.layers().get(&kept.chain_id).is_some());
    assert!(store.layers().get(&lost.chain_id).is_none());
    assert!(!store.blobs().contains(&blob));
    assert_eq!(store.images().list().len(), 1);
}

#[test]
fn usage_agrees_with_du() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    image(&fixture, &[base.diff_id], "", None);
    fixture.store.volumes().create(crate::NewVolume { name: "vol".to_owned(), ..Default::default() }).unwrap();
    let usage = fixture.store.usage().unwrap();
    let sum = usage.layers + usage.blobs + usage.ingest + usage.volumes + usage.records;
    let out = std::process::Command::new("du").args(["-s", "-B1"]).arg(fixture.store.root()).output().unwrap();
    let du: u64 = String::from_utf8(out.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    // The root, tmp/ and the boot mark are nobody's.
    assert!(du.abs_diff(sum) <= 3 * 4096, "du {du}, usage {sum}");
}

#[test]
fn long_references_have_files_too() {
    let fixture = fixture();
    let base = layer(&fixture, "a", None);
    let image = image(&fixture, &[base.diff_id], "", None);
    let long = format!("host:5000/{}:{}", "a/".repeat(120), "t".repeat(128));
    fixture.store.images().tag(&long, &image.id).unwrap();
    assert_eq!(Store::open(fixture.store.root()).unwrap().images().by_reference(&long).unwrap().id, image.id);
    fixture.store.images().untag(&long).unwrap();
}

use crate::Hasher;

#[test]
fn an_index_keeps_what_is_in_it_as_long_as_its_name() {
    let fixture = fixture();
    let ids = [layer(&fixture, "a", None).diff_id];
    let (one, two) = (image(&fixture, &ids, "1", None), image(&fixture, &ids, "2", None));
    let images = fixture.store.images();
    let (index, blob) = (fixture.store.blobs().put(b"index").unwrap(), fixture.store.blobs().put(b"more").unwrap());
    let index = Descriptor::new("application/x", index, 5);
    let bundle = Bundle { index, images: vec![one.id.clone(), two.id.clone()], blobs: vec![blob.clone()] };
    images.tag_bundle("x:1", &one.id, Some(bundle.clone())).unwrap();
    images.keep_bundle(&one.id, bundle.clone()).unwrap();
    let store = Store::open(fixture.store.root()).unwrap();
    store.collect().unwrap();
    let images = store.images();
    assert!(store.blobs().contains(&blob) && store.blobs().contains(&bundle.index.digest));
    let found = images.by_reference("x:1").unwrap();
    assert_eq!((found.bundle, found.member, found.digests), (Some(bundle), false, Vec::new()));
    assert!(images.get(&two.id).unwrap().member);
    assert_eq!(images.kin(&one.id), std::slice::from_ref(&two.id));
    assert_eq!(images.references(), [("x:1".to_owned(), one.id.clone())]);
    images.delete(&one.id, false).unwrap();
    assert!(!images.get(&two.id).unwrap().member && !store.blobs().contains(&blob));
}

#[test]
fn a_name_may_have_a_manifest_of_its_own() {
    let fixture = fixture();
    let ids = [layer(&fixture, "a", None).diff_id];
    let images = fixture.store.images();
    let described = |text: &str| {
        let digest = fixture.store.blobs().put(text.as_bytes()).unwrap();
        Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest, text.len() as u64)
    };
    let manifest = Some((b"first".to_vec(), "application/x".to_owned()));
    let image = images.add(NewImage { config: config(&ids, ""), manifest, parent: None }).unwrap();
    let own = described("own");
    let bundle = Bundle { index: own.clone(), images: vec![image.id.clone()], blobs: Vec::new() };
    images.tag("x:plain", &image.id).unwrap();
    images.tag_bundle("x:own", &image.id, Some(bundle)).unwrap();
    let store = Store::open(fixture.store.root()).unwrap();
    store.collect().unwrap();
    let images = store.images();
    assert_eq!(images.by_reference("x:own").unwrap().manifest, Some(own.clone()));
    assert_eq!(images.by_reference("x:plain").unwrap().manifest, image.manifest);
    assert_eq!(images.manifest(&image.id).unwrap(), image.manifest);
    assert!(store.blobs().contains(&own.digest));
    images.untag("x:own").unwrap();
    store.collect().unwrap();
    assert!(!store.blobs().contains(&own.digest));
}
