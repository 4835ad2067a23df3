//! The image verbs over a real store: against a real registry, and against one that misbehaves.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../../registry/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use hako_engine::images::{
    Images, ImportRequest, ListRequest, Progress, ProgressStream, PullRequest, PushRequest, Removed, SaveRequest,
    Surroundings, Usage,
};
use hako_engine::stream::ByteSource;
use hako_engine::{Error, Result, Settings};
use hako_model::digest::Digest;
use hako_model::filter::Filters;
use hako_store::{Begun, Store};
use support::hostile::{Asked, Hostile, Told};
use support::image::{INDEX, Image, MANIFEST, digest, index, tar};
use support::real::Registry;

/// The rest of an engine: which containers there are, and what was told.
#[derive(Default)]
struct Around {
    users: Mutex<Vec<Usage>>,
    told: Mutex<Vec<String>>,
}

impl Surroundings for Around {
    fn users(&self, _image: &Digest) -> Vec<Usage> {
        self.users.lock().unwrap().clone()
    }

    fn tell(&self, action: &str, id: &str, _attributes: BTreeMap<String, String>) {
        self.told.lock().unwrap().push(format!("{action} {}", id.get(..19).unwrap_or(id)));
    }
}

/// Image verbs over a store of their own.
struct House {
    images: Images,
    store: Store,
    around: Arc<Around>,
    dir: tempfile::TempDir,
}

impl House {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (images, store, around) = open(dir.path());
        Self { images, store, around, dir }
    }

    async fn pull(&self, image: &str) -> Result<Vec<String>> {
        lines(self.images.pull(pulling(image))).await
    }

    async fn push(&self, image: &str) -> Result<Vec<String>> {
        lines(self.images.push(PushRequest { image: image.to_owned(), ..PushRequest::default() })).await
    }

    async fn tags(&self) -> Vec<String> {
        let list = self.images.list(ListRequest::default()).await.unwrap();
        let mut tags: Vec<String> = list.into_iter().flat_map(|summary| summary.repo_tags).collect();
        tags.sort();
        tags
    }

    /// Nothing is there, visible or not.
    fn is_empty(&self) -> bool {
        let count = |below: &str| std::fs::read_dir(self.dir.path().join("data").join(below)).unwrap().count();
        self.store.images().list().is_empty() && count("layers") == 0 && count("tmp") == 0
    }
}

fn open(dir: &Path) -> (Images, Store, Arc<Around>) {
    let store = Store::open(&dir.join("data")).unwrap();
    let around = Arc::new(Around::default());
    let settings = Settings::new(dir.join("data"), dir.join("run"));
    (Images::open(store.clone(), &settings, around.clone()).unwrap(), store, around)
}

fn pulling(image: &str) -> PullRequest {
    PullRequest { image: image.to_owned(), ..PullRequest::default() }
}

/// All lines of a verb as `id: status`, amounts left out; or its error.
async fn lines(mut stream: ProgressStream) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(line) = stream.next().await {
        match line? {
            Progress::Status { id: None, status } => lines.push(status),
            Progress::Status { id: Some(id), status } => lines.push(format!("{id}: {status}")),
            Progress::Layer { id, status, amount: None } => lines.push(format!("{id}: {status}")),
            Progress::Stream { text } => lines.push(text.trim_end().to_owned()),
            Progress::Layer { .. } | Progress::Pushed { .. } => {}
        }
    }
    Ok(lines)
}

fn source(bytes: Vec<u8>) -> ByteSource {
    Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

async fn import(house: &House, files: &[(&str, &[u8])], name: &str) -> String {
    let request = ImportRequest {
        repository: name.to_owned(),
        changes: vec!["CMD [\"/a\"]".to_owned(), "LABEL kind=test".to_owned()],
        ..ImportRequest::default()
    };
    lines(house.images.import(source(tar(files)), request)).await.unwrap().remove(0)
}

/// A registry that holds images by tag, and whatever a test adds to it.
fn holding(images: &[(&str, &Image)]) -> BTreeMap<String, (Vec<u8>, &'static str)> {
    let mut held = BTreeMap::new();
    for (tag, image) in images {
        held.insert(format!("manifests/{tag}"), (image.manifest.clone(), MANIFEST));
        held.insert(format!("manifests/{}", digest(&image.manifest)), (image.manifest.clone(), MANIFEST));
        for blob in image.blobs() {
            held.insert(format!("blobs/{}", digest(blob)), (blob.to_vec(), "application/octet-stream"));
        }
    }
    held
}

fn answer(held: &BTreeMap<String, (Vec<u8>, &'static str)>, asked: &Asked) -> Told {
    match asked.path.strip_prefix("/v2/x/").and_then(|path| held.get(path)) {
        Some((bytes, media_type)) => Told::ok(bytes.clone()).header("Content-Type", *media_type),
        None => Told::status(404),
    }
}

fn serving(held: BTreeMap<String, (Vec<u8>, &'static str)>) -> Hostile {
    Hostile::start(move |asked| answer(&held, asked))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_to_a_registry_and_comes_back() {
    let registry = Registry::start();
    let name = format!("{}/user/app:one", registry.address());
    let (here, there) = (House::open(), House::open());
    let id = import(&here, &[("a", b"content"), ("dir/b", &[9; 200_000])], &name).await;
    let pushed = here.push(&name).await.unwrap();
    assert_eq!(pushed[0], format!("The push refers to repository [{}/user/app]", registry.address()));
    assert!(pushed.iter().any(|line| line.ends_with(": Pushed")), "{pushed:?}");
    assert!(pushed.last().unwrap().starts_with("one: digest: sha256:"), "{pushed:?}");
    let again = here.push(&name).await.unwrap();
    assert!(again.iter().any(|line| line.ends_with(": Layer already exists")), "{again:?}");
    assert_eq!(again.last(), pushed.last());

    let pulled = there.pull(&name).await.unwrap();
    assert_eq!(pulled[0], "one: Pulling from user/app");
    assert!(pulled[1].ends_with(": Pulling fs layer"), "{pulled:?}");
    assert!(pulled.iter().any(|line| line.ends_with(": Pull complete")), "{pulled:?}");
    assert_eq!(pulled.last().unwrap(), &format!("Status: Downloaded newer image for {name}"));
    let found = there.images.find(&name, "").await.unwrap();
    assert_eq!((found.id.to_string(), found.config.config.cmd), (id.clone(), Some(vec!["/a".to_owned()])));
    assert_eq!(std::fs::read(found.lowers[0].join("a")).unwrap(), b"content");
    let again = there.pull(&name).await.unwrap();
    assert_eq!(again.last().unwrap(), &format!("Status: Image is up to date for {name}"));
    let digest = again[1].strip_prefix("Digest: ").unwrap().to_owned();
    let by_digest = format!("{}/user/app@{digest}", registry.address());
    assert_eq!(there.images.inspect(&by_digest, "").await.unwrap().id.to_string(), id);
    assert_eq!(there.images.inspect(&name, "").await.unwrap().repo_digests, [by_digest]);
    let told = there.around.told.lock().unwrap().clone();
    assert!(told[0].starts_with("pull 127.0.0.1"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_mounted_and_all_tags_travel() {
    let registry = Registry::start();
    let first = format!("{}/first", registry.address());
    let second = format!("{}/second", registry.address());
    let house = House::open();
    import(&house, &[("a", b"one")], &format!("{first}:1")).await;
    import(&house, &[("a", b"two")], &format!("{first}:2")).await;
    house.push(&first).await.unwrap();
    house.images.tag(&format!("{first}:1"), &second, "1").await.unwrap();
    let pushed = house.push(&format!("{second}:1")).await.unwrap();
    assert!(pushed.iter().any(|line| line.ends_with(": Mounted from first")), "{pushed:?}");
    let other = House::open();
    other.pull(&first).await.unwrap();
    assert_eq!(other.tags().await, [format!("{first}:1"), format!("{first}:2")]);
    let error = house.push("nowhere").await.unwrap_err();
    assert_eq!(error.to_string(), "An image does not exist locally with the tag: nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_serves_the_wanted_platform() {
    let layers = || vec![tar(&[("a", b"x")])];
    let (amd, arm) = (Image::of_platform(layers(), "amd64"), Image::of_platform(layers(), "arm64"));
    let inner = index(&[(MANIFEST, "arm64", &arm.manifest)]);
    let outer = index(&[(MANIFEST, "amd64", &amd.manifest), (INDEX, "arm64", &inner)]);
    let mut held = holding(&[("amd", &amd), ("arm", &arm)]);
    held.insert(format!("manifests/{}", digest(&inner)), (inner.clone(), INDEX));
    held.insert("manifests/latest".to_owned(), (outer.clone(), INDEX));
    let hostile = serving(held);
    let house = House::open();
    for (platform, image) in [("linux/arm64", &arm), ("linux/amd64", &amd)] {
        let name = format!("{}/x:latest", hostile.address());
        let request = PullRequest { platform: platform.to_owned(), ..pulling(&name) };
        let told = lines(house.images.pull(request)).await.unwrap();
        assert!(told.contains(&format!("Digest: {}", digest(&outer))), "{told:?}");
        assert_eq!(house.images.find(&name, platform).await.unwrap().id, digest(&image.config), "{platform}");
    }
    let request =
        PullRequest { platform: "linux/s390x".to_owned(), ..pulling(&format!("{}/x:latest", hostile.address())) };
    let error = lines(house.images.pull(request)).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    assert_eq!(error.to_string(), "no matching manifest for linux/s390x in the manifest list entries");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_content_is_refused_and_leaves_nothing() {
    let good = Image::new(vec![tar(&[("a", &[1; 100_000])])]);
    let blob = format!("blobs/{}", digest(&good.layers[0]));
    let with = |path: &str, bytes: Vec<u8>, media_type: &'static str| {
        let mut held = holding(&[("latest", &good)]);
        held.insert(path.to_owned(), (bytes, media_type));
        held
    };
    let text = |image: &Image| String::from_utf8(image.manifest.clone()).unwrap();
    let loops = index(&[(INDEX, "amd64", b"")]);
    let mut wrong = good.layers[0].clone();
    wrong[600] ^= 1;
    let lying = text(&good).replace(&format!("\"size\":{}", good.config.len()), "\"size\":1");
    let twice = text(&good).replace("\"layers\":[", "\"manifests\":[],\"layers\":[");
    let chart = text(&good).replace("vnd.oci.image.config.v1+json", "vnd.cncf.helm.config.v1+json");
    let latest = "manifests/latest";
    let cases = [
        ("a layer with a wrong digest", with(&blob, wrong, MANIFEST), "digest is"),
        ("a configuration of another size", with(latest, lying.into_bytes(), MANIFEST), "bytes"),
        ("a manifest that is an index too", with(latest, twice.into_bytes(), MANIFEST), "both a manifest and an index"),
        ("an index of nothing there is", with(latest, loops, INDEX), "not found"),
        ("a chart", with(latest, chart.into_bytes(), MANIFEST), "is not an image"),
        ("a manifest of blanks", with(latest, vec![b' '; 5 << 20], MANIFEST), "more than"),
    ];
    for (what, held, part) in cases {
        let hostile = serving(held);
        let house = House::open();
        let error = house.pull(&format!("{}/x:latest", hostile.address())).await.unwrap_err();
        assert!(error.to_string().contains(part), "{what}: {error}");
        assert!(house.is_empty(), "{what}: something is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_id_that_lies_is_refused() {
    let (one, two) = (tar(&[("a", b"one")]), tar(&[("a", b"two")]));
    let mut image = Image::new(vec![one]);
    let (config, manifest) = (image.config.clone(), String::from_utf8(image.manifest.clone()).unwrap());
    let packed = gzip(&two);
    let manifest = manifest
        .replace(digest(&image.layers[0]).as_str(), digest(&packed).as_str())
        .replace(&format!("\"size\":{}", image.layers[0].len()), &format!("\"size\":{}", packed.len()));
    image = Image { layers: vec![packed], config, manifest: manifest.into_bytes() };
    let hostile = serving(holding(&[("latest", &image)]));
    let house = House::open();
    let error = house.pull(&format!("{}/x:latest", hostile.address())).await.unwrap_err();
    assert!(error.to_string().contains("digest is"), "{error}");
    assert!(house.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_a_restart() {
    let bytes: Vec<u8> = (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let image = Image::new(vec![tar(&[("a", &bytes)])]);
    let (held, layer) = (holding(&[("latest", &image)]), digest(&image.layers[0]));
    let path = format!("/v2/x/blobs/{layer}");
    let down = Arc::new(AtomicUsize::new(0));
    let calls = down.clone();
    let hostile = Hostile::start(move |asked| {
        if asked.path != path {
            return answer(&held, asked);
        }
        let from: usize = asked.header("range").trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let body = &image.layers[0][from..];
        match calls.fetch_add(1, Ordering::Relaxed) {
            // Half of it, and then a refusal that is final: this pull fails.
            0 => Told::ok(body).cut(800_000),
            1 => Told::status(400),
            _ => Told { status: if from > 0 { 206 } else { 200 }, ..Told::ok(body) },
        }
    });
    let name = format!("{}/x:latest", hostile.address());
    let dir = tempfile::tempdir().unwrap();
    let (images, _, _) = open(dir.path());
    lines(images.pull(pulling(&name))).await.unwrap_err();
    drop(images);
    let (images, _, _) = open(dir.path());
    lines(images.pull(pulling(&name))).await.unwrap();
    let asked = hostile.seen().last().unwrap().clone();
    assert_eq!(asked.header("range"), "bytes=800000-");
    let found = images.find(&name, "").await.unwrap();
    assert_eq!(std::fs::read(found.lowers[0].join("a")).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_partial_download_is_fetched_anew() {
    let image = Image::new(vec![gzip(&tar(&[("a", &[5; 300_000])]))]);
    let diff_id = digest(&tar(&[("a", &[5; 300_000])]));
    let blob = digest(&image.layers[0]);
    // The configuration names the plain layer.
    let config = String::from_utf8(image.config.clone()).unwrap().replace(blob.as_str(), diff_id.as_str());
    let manifest = String::from_utf8(image.manifest.clone()).unwrap();
    let manifest = manifest.replace(digest(&image.config).as_str(), digest(config.as_bytes()).as_str());
    let image = Image { config: config.into_bytes(), manifest: manifest.into_bytes(), ..image };
    let hostile = serving(holding(&[("latest", &image)]));
    let house = House::open();
    for spoiled in [b"not gzip at all".as_slice(), &image.layers[0][..8]] {
        let size = image.layers[0].len() as u64;
        let Begun::Ingest(mut ingest) = house.store.blobs().ingest(&blob, Some(size)).unwrap() else { break };
        ingest.write(spoiled).unwrap();
        ingest.write(b"zero pages after a crash").unwrap();
        drop(ingest);
        house.pull(&format!("{}/x:latest", hostile.address())).await.unwrap();
        let name = format!("{}/x:latest", hostile.address());
        house.images.remove(&name, false, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_pull_twice_at_once_is_one() {
    let image = Image::new(vec![tar(&[("a", &[5; 300_000])]), tar(&[("b", b"b")])]);
    let hostile = serving(holding(&[("latest", &image)]));
    let house = House::open();
    let name = format!("{}/x:latest", hostile.address());
    let pulls: Vec<_> = (0..6).map(|_| lines(house.images.pull(pulling(&name)))).collect();
    for told in futures_util::future::join_all(pulls).await {
        assert_eq!(told.unwrap().last().unwrap(), &format!("Status: Downloaded newer image for {name}"));
    }
    let layers = hostile.seen().iter().filter(|asked| asked.path.contains("/blobs/")).count();
    assert_eq!(layers, 3, "two layers and a configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_share_layers_are_pulled_side_by_side() {
    let shared = tar(&[("shared", &[3; 500_000])]);
    let images: Vec<Image> =
        (0..8_u8).map(|n| Image::new(vec![shared.clone(), tar(&[("own", &[n; 1000])]), shared.clone()])).collect();
    let tags: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
    let pairs: Vec<(&str, &Image)> = tags.iter().map(String::as_str).zip(&images).collect();
    let hostile = serving(holding(&pairs));
    let house = House::open();
    let names: Vec<String> = tags.iter().map(|tag| format!("{}/x:{tag}", hostile.address())).collect();
    let pulls: Vec<_> = names.iter().map(|name| house.pull(name)).collect();
    for told in futures_util::future::join_all(pulls).await {
        told.unwrap();
    }
    let layer = format!("/v2/x/blobs/{}", digest(&shared));
    assert_eq!(hostile.seen().iter().filter(|asked| asked.path == layer).count(), 1, "downloaded once");
    assert_eq!(house.tags().await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_its_pull() {
    let image = Image::new(vec![tar(&[("a", &[5; 300_000])])]);
    let layer = format!("/v2/x/blobs/{}", digest(&image.layers[0]));
    let held = holding(&[("latest", &image)]);
    // The layer stops half-way; only a client that waits would ever see more of it.
    let hostile = Hostile::start(move |asked| {
        let told = answer(&held, asked);
        if asked.path != layer {
            return told;
        }
        let half = told.body[..100_000].to_vec();
        let length = told.body.len().to_string();
        Told { body: half, ..told }.header("Content-Length", length)
    });
    let house = House::open();
    let mut stream = house.images.pull(pulling(&format!("{}/x:latest", hostile.address())));
    while !matches!(stream.next().await, Some(Ok(Progress::Layer { .. }))) {}
    drop(stream);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::fs::read_dir(house.dir.path().join("data/tmp")).unwrap().count() > 0 {
        assert!(std::time::Instant::now() < until, "the pull goes on");
        tokio::task::yield_now().await;
    }
    assert!(house.store.images().list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_registries_are_dockers() {
    let denied = br#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let hostile = Hostile::start(|asked| match asked.path.starts_with("/v2/secret/") {
        true => Told { status: 401, ..Told::ok(denied.to_vec()) },
        false => Told { status: 404, ..Told::ok(unknown.to_vec()) },
    });
    let (house, address) = (House::open(), hostile.address());
    let error = house.pull(&format!("{address}/secret:1")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "pull access denied for {address}/secret, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
        )
    );
    let error = house.pull(&format!("{address}/x:nosuch")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("manifest for {address}/x:nosuch not found: manifest unknown: manifest unknown")
    );
    assert!(matches!(error, Error::NotFound { .. }));
    let error = house.pull("Foo").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid reference format: repository name (library/Foo) must be lowercase");
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_needs_no_network() {
    let house = House::open();
    let error = house.images.find("hello:other", "").await.unwrap_err();
    assert_eq!(error.to_string(), "No such image: hello:other");
    let found = house.images.find("hello", "").await.unwrap();
    let program = std::fs::read(found.lowers[0].join("hello")).unwrap();
    assert!(program.starts_with(b"\x7fELF"));
    let output = std::process::Command::new(found.lowers[0].join("hello")).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("Hello from a container!"));
    assert_eq!(house.tags().await, ["hello:latest"]);
    let told = house.pull("hello:latest").await.unwrap();
    assert_eq!(told, ["latest: Pulling from library/hello", "Status: Image is up to date for hello:latest"]);
    let other = House::open();
    let told = other.pull("hello:latest").await.unwrap();
    assert_eq!(told[1], "Status: Downloaded newer image for hello:latest");
    assert_eq!(other.images.find("hello", "").await.unwrap().id, found.id, "the same id everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_one_by_one_and_the_image_with_the_last() {
    let house = House::open();
    let id = import(&house, &[("a", b"x")], "one").await;
    house.images.tag("one", "two", "").await.unwrap();
    let removed = house.images.remove("two", false, false).await.unwrap();
    assert_eq!(removed, [Removed::Untagged("two:latest".to_owned())]);
    house.images.tag(&id, "registry.example/three", "3").await.unwrap();
    let short = &id["sha256:".len()..][..12];
    let error = house.images.remove(short, false, false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories")
    );
    *house.around.users.lock().unwrap() = vec![Usage { container: "c".repeat(64), running: false }];
    house.images.remove("registry.example/three:3", false, false).await.unwrap();
    let error = house.images.remove("one", false, false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to remove repository reference \"one\" (must force) - container cccccccccccc is using its referenced image {short}"
        )
    );
    let error = house.images.remove(short, false, false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container cccccccccccc"
        )
    );
    house.around.users.lock().unwrap()[0].running = true;
    let error = house.images.remove(short, true, false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container cccccccccccc"
        )
    );
    house.around.users.lock().unwrap().clear();
    let removed = house.images.remove(short, false, false).await.unwrap();
    assert_eq!(removed[..2], [Removed::Untagged("one:latest".to_owned()), Removed::Deleted(id)]);
    assert_eq!(removed.len(), 3, "and its layer");
    assert_eq!(house.images.remove("one", false, false).await.unwrap_err().to_string(), "No such image: one:latest");
    assert!(house.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered() {
    let house = House::open();
    let one = import(&house, &[("a", b"1")], "one:1").await;
    import(&house, &[("a", b"2")], "user/two").await;
    let dangling = import(&house, &[("a", b"3")], "").await;
    let list = async |name: &str, value: &str| {
        let filters: Filters = [(name, value)].into_iter().collect();
        let request = ListRequest { filters, ..ListRequest::default() };
        let list = house.images.list(request).await?;
        let mut names: Vec<String> = list
            .into_iter()
            .map(|summary| summary.repo_tags.first().cloned().unwrap_or_else(|| summary.id.to_string()))
            .collect();
        names.sort();
        Ok::<_, Error>(names)
    };
    assert_eq!(list("dangling", "true").await.unwrap(), std::slice::from_ref(&dangling));
    assert_eq!(list("dangling", "false").await.unwrap(), ["one:1", "user/two:latest"]);
    assert_eq!(list("reference", "one").await.unwrap(), ["one:1"]);
    assert_eq!(list("reference", "*/*").await.unwrap(), ["user/two:latest"]);
    assert_eq!(list("label", "kind=test").await.unwrap().len(), 3);
    assert_eq!(list("label", "kind=other").await.unwrap().len(), 0);
    assert_eq!(list("since", &one).await.unwrap(), [dangling, "user/two:latest".to_owned()]);
    assert_eq!(list("before", "user/two").await.unwrap(), ["one:1"]);
    assert_eq!(list("until", "1h").await.unwrap().len(), 0);
    assert_eq!(list("nosuch", "1").await.unwrap_err().to_string(), "invalid filter 'nosuch'");
    assert!(list("since", "nosuch").await.is_err());
    let pruned = house.images.prune(Filters::default()).await.unwrap();
    assert!(pruned.reclaimed > 0);
    assert_eq!(house.tags().await, ["one:1", "user/two:latest"]);
    let all = house.images.prune([("dangling", "false")].into_iter().collect()).await.unwrap();
    assert!(all.removed.contains(&Removed::Untagged("one:1".to_owned())), "{all:?}");
    assert!(house.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_can_be_loaded() {
    let (here, there) = (House::open(), House::open());
    let one = import(&here, &[("a", b"1")], "one:1").await;
    let two = import(&here, &[("a", b"2")], "").await;
    let request = SaveRequest { names: vec!["one:1".to_owned(), two.clone()], ..SaveRequest::default() };
    let mut archive = Vec::new();
    let mut stream = here.images.save(request).await.unwrap();
    while let Some(piece) = stream.next().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    let told = lines(there.images.load(source(archive), false, "")).await.unwrap();
    assert!(told.contains(&"Loaded image: one:1".to_owned()), "{told:?}");
    assert!(told.contains(&format!("Loaded image ID: {two}")), "{told:?}");
    assert_eq!(there.images.inspect("one:1", "").await.unwrap().id.to_string(), one);
    assert!(there.images.inspect(&two[..19], "").await.is_ok());
    let history = there.images.history("one:1", "").await.unwrap();
    assert_eq!((history[0].id.as_str(), history[0].comment.as_str()), (one.as_str(), "Imported from -"));
    assert_eq!(history[0].tags, ["one:1"]);
    let request = SaveRequest { names: vec!["nosuch".to_owned()], ..SaveRequest::default() };
    assert_eq!(here.images.save(request).await.err().unwrap().to_string(), "No such image: nosuch");
}
