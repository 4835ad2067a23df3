//! The client against a real registry, and against one that misbehaves.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_model::reference::Reference;
use hako_registry::credentials::Credential;
use hako_registry::{Access, Begun, Client, Error, Repository, Settings};
use support::hostile::{Asked, Hostile, Told};
use support::image::{Image, MANIFEST, descriptor, digest, tar};
use support::real::Registry;

fn client() -> Client {
    Client::new(Settings::default()).unwrap()
}

fn open(address: &str, path: &str, access: &Access) -> Repository {
    open_as(address, path, access, None)
}

fn open_as(address: &str, path: &str, access: &Access, credential: Option<&Credential>) -> Repository {
    let reference = Reference::parse(&format!("{address}/{path}")).unwrap();
    client().repository(&reference, credential, access).unwrap()
}

fn push() -> Access {
    Access::Push { sources: vec!["first".to_owned()] }
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::new("application/octet-stream", digest(bytes), bytes.len() as u64)
}

async fn send(repository: &Repository, bytes: &[u8]) {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let blob = blob(bytes);
    let Begun::Open(upload) = repository.begin(&blob.digest, None).await.unwrap() else {
        panic!("mounted from nowhere")
    };
    repository.send(upload, &blob, Arc::new(file), Arc::new(|_| {})).await.unwrap();
}

async fn whole(repository: &Repository, descriptor: &Descriptor, offset: u64) -> Result<Vec<u8>, Error> {
    let mut download = repository.blob(descriptor, offset);
    let mut bytes = Vec::new();
    while let Some(piece) = download.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_is_pushed_can_be_pulled() {
    let registry = Registry::start();
    let repository = open(&registry.address(), "first", &push());
    let image = Image::new(vec![tar(&[("a", &vec![7; 3 << 20])]), tar(&[("b", b"b")])]);
    for bytes in image.blobs() {
        assert!(!repository.has_blob(&digest(bytes)).await.unwrap());
        send(&repository, bytes).await;
        assert!(repository.has_blob(&digest(bytes)).await.unwrap());
    }
    for tag in ["one", "two", "three"] {
        repository.put_manifest(tag, MANIFEST, &image.manifest).await.unwrap();
    }
    let reading = open(&registry.address(), "first", &Access::Pull);
    let document = reading.tagged("one").await.unwrap();
    assert_eq!((document.bytes, document.digest), (image.manifest.clone(), digest(&image.manifest)));
    assert_eq!(reading.manifest(&digest(&image.manifest)).await.unwrap().media_type, MANIFEST);
    assert_eq!(reading.small_blob(&blob(&image.config)).await.unwrap(), image.config);
    assert_eq!(whole(&reading, &blob(&image.layers[0]), 0).await.unwrap(), image.layers[0]);
    assert_eq!(whole(&reading, &blob(&image.layers[0]), 99).await.unwrap(), image.layers[0][99..]);
    let mut tags = reading.tags().await.unwrap();
    tags.sort();
    assert_eq!(tags, ["one", "three", "two"]);
    let error = reading.tagged("four").await.unwrap_err();
    assert_eq!(error.code(), Some("manifest unknown"), "{error}");
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_neighbour() {
    let registry = Registry::start();
    send(&open(&registry.address(), "first", &push()), b"content").await;
    let second = open(&registry.address(), "second", &push());
    let begun = second.begin(&digest(b"content"), Some("first")).await.unwrap();
    assert!(matches!(begun, Begun::Mounted));
    assert!(second.has_blob(&digest(b"content")).await.unwrap());
    assert!(matches!(second.begin(&digest(b"other"), Some("first")).await.unwrap(), Begun::Open(_)));
}

#[tokio::test]
async fn a_name_and_a_password_are_asked_for() {
    let registry = Registry::start_with_user("user", "geheim");
    let right = Credential::new(&registry.address(), "user", "geheim");
    let wrong = Credential::new(&registry.address(), "user", "falsch");
    assert_eq!(client().login(&right).await.unwrap(), "");
    let error = client().login(&wrong).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(!format!("{error} {error:?}").contains("falsch"));
    let repository = open_as(&registry.address(), "first", &push(), Some(&right));
    send(&repository, b"content").await;
    let anonymous = open(&registry.address(), "first", &Access::Pull);
    assert_eq!(anonymous.has_blob(&digest(b"content")).await.unwrap_err().status(), Some(401));
}

#[tokio::test]
async fn a_manifest_must_be_what_its_digest_says() {
    let image = Image::new(vec![]);
    let (wanted, other) = (digest(&image.manifest), digest(b"other"));
    let told = other.to_string();
    let hostile = Hostile::start(move |asked| match asked.path.as_str() {
        "/v2/x/manifests/tagged" => Told::ok(image.manifest.clone()).header("Docker-Content-Digest", told.clone()),
        _ => Told::ok(b"{}".to_vec()),
    });
    let repository = open(&hostile.address(), "x", &Access::Pull);
    for error in [repository.tagged("tagged").await.unwrap_err(), repository.manifest(&wanted).await.unwrap_err()] {
        assert!(matches!(error, Error::Digest { .. }), "{error}");
    }
}

#[tokio::test]
async fn documents_have_limits_and_one_meaning() {
    let image = Image::new(vec![]);
    let mut both: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    both["manifests"] = serde_json::json!([descriptor(MANIFEST, b"x")]);
    let both = serde_json::to_vec(&both).unwrap();
    let hostile = Hostile::start(move |asked| match asked.path.as_str() {
        "/v2/x/manifests/both" => Told::ok(both.clone()).header("Content-Type", MANIFEST),
        "/v2/x/manifests/blank" => Told::ok(vec![b' '; 5 << 20]),
        _ => Told::ok(Vec::new()).header("Content-Length", "999999999999").cut(0),
    });
    let repository = open(&hostile.address(), "x", &Access::Pull);
    let error = repository.tagged("both").await.unwrap().parse().unwrap_err();
    assert!(error.to_string().contains("both a manifest and an index"), "{error}");
    let error = repository.tagged("blank").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

/// A registry with one blob that breaks off: `ranges` says whether it understands Range.
fn faltering(bytes: Vec<u8>, ranges: bool) -> Hostile {
    let calls = AtomicUsize::new(0);
    Hostile::start(move |asked| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let from: usize = asked.header("range").trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let from = if ranges { from } else { 0 };
        let told = Told { status: if from > 0 { 206 } else { 200 }, ..Told::ok(&bytes[from..]) };
        match call {
            0 => told.cut(1000),
            1 => Told::status(503),
            2 => told.cut(1500),
            _ => told,
        }
    })
}

#[tokio::test]
async fn a_broken_download_goes_on() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for ranges in [true, false] {
        let hostile = faltering(bytes.clone(), ranges);
        let repository = open(&hostile.address(), "x", &Access::Pull);
        assert_eq!(whole(&repository, &blob(&bytes), 0).await.unwrap(), bytes, "ranges: {ranges}");
        let asked: Vec<String> = hostile.seen().iter().map(|asked| asked.header("range").to_owned()).collect();
        assert_eq!(&asked[..3], ["", "bytes=1000-", "bytes=1000-"], "ranges: {ranges}");
    }
}

#[tokio::test]
async fn a_blob_of_another_length_is_refused() {
    let hostile = Hostile::start(|_| Told::ok(b"twelve bytes".to_vec()));
    let repository = open(&hostile.address(), "x", &Access::Pull);
    for size in [11, 13] {
        let descriptor = Descriptor { size, ..blob(b"twelve bytes") };
        let error = whole(&repository, &descriptor, 0).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
    }
    assert_eq!(hostile.seen().len(), 2, "asking again does not help");
}

#[tokio::test]
async fn foreign_layers_are_not_fetched() {
    let elsewhere = Hostile::start(|_| Told::ok(b"content".to_vec()));
    let hostile = Hostile::start(|_| Told::status(404));
    let descriptor = Descriptor { urls: vec![format!("http://{}/l", elsewhere.address())], ..blob(b"content") };
    let repository = open(&hostile.address(), "x", &Access::Pull);
    let error = whole(&repository, &descriptor, 0).await.unwrap_err();
    assert!(error.to_string().contains("foreign addresses"), "{error}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_elsewhere_carries_no_credentials() {
    let elsewhere = Hostile::start(|_| Told::ok(b"content".to_vec()));
    let target = format!("http://{}/signed?secret=1", elsewhere.address());
    let hostile = Hostile::start(move |asked| match (asked.header("authorization"), asked.path.as_str()) {
        ("", _) => Told::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        (_, path) if path.starts_with("/same") => Told::status(302).header("Location", target.clone()),
        _ => Told::status(307).header("Location", "/same/place"),
    });
    let credential = Credential::new(&hostile.address(), "user", "geheim");
    let repository = open_as(&hostile.address(), "x", &Access::Pull, Some(&credential));
    assert_eq!(whole(&repository, &blob(b"content"), 0).await.unwrap(), b"content");
    let seen = hostile.seen();
    assert!(
        seen.iter().any(|asked| asked.path == "/same/place" && asked.header("authorization").starts_with("Basic "))
    );
    assert!(elsewhere.seen().iter().all(|asked| asked.header("authorization").is_empty()));
    assert_eq!(elsewhere.seen().len(), 1);
}

#[tokio::test]
async fn a_challenge_from_a_redirect_is_not_answered() {
    let thief = Hostile::start(|_| Told::ok(br#"{"token":"t"}"#.to_vec()));
    let realm = format!("Bearer realm=\"http://{}/token\"", thief.address());
    let elsewhere = Hostile::start(move |_| Told::status(401).header("WWW-Authenticate", realm.clone()));
    let target = format!("http://{}/", elsewhere.address());
    let hostile = Hostile::start(move |_| Told::status(302).header("Location", target.clone()));
    let credential = Credential::new(&hostile.address(), "user", "geheim");
    let repository = open_as(&hostile.address(), "x", &Access::Pull, Some(&credential));
    let error = whole(&repository, &blob(b"content"), 0).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(thief.seen().iter().all(|asked| asked.header("authorization").is_empty()), "{:?}", thief.seen());
}

/// A registry with a token server; returns both.
fn with_tokens(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> (Hostile, Hostile) {
    let tokens = Hostile::start(answer);
    let challenge =
        format!("Bearer realm=\"http://{}/token\",service=\"svc\",scope=\"repository:x:pull\"", tokens.address());
    let registry = Hostile::start(move |asked| match asked.header("authorization") {
        "Bearer good" if asked.path.contains("/tags/") => Told::ok(br#"{"tags":["a"]}"#.to_vec()),
        "Bearer good" => Told::ok(Vec::new()),
        _ => Told::status(401).header("WWW-Authenticate", challenge.clone()),
    });
    (registry, tokens)
}

#[tokio::test]
async fn tokens_are_fetched_and_kept() {
    let given = AtomicUsize::new(0);
    let (registry, tokens) = with_tokens(move |_| {
        // The second one is no good: it is not asked for again and again.
        let token = if given.fetch_add(1, Ordering::Relaxed) == 1 { "stale" } else { "good" };
        Told::ok(format!(r#"{{"access_token":"{token}","expires_in":300}}"#))
    });
    let credential = Credential::new(&registry.address(), "user", "geheim");
    let repository = open_as(&registry.address(), "x", &Access::Pull, Some(&credential));
    for _ in 0..3 {
        assert_eq!(repository.tags().await.unwrap(), ["a"]);
    }
    let seen = tokens.seen();
    assert_eq!(seen.len(), 1, "one token serves all");
    assert_eq!(seen[0].path, "/token?client_id=docker&service=svc&scope=repository%3Ax%3Apull&account=user");
    assert!(seen[0].header("authorization").starts_with("Basic "));
    assert!(registry.seen().iter().all(|asked| !asked.header("authorization").starts_with("Basic ")));
    let error = open(&registry.address(), "x", &Access::Pull).tags().await.unwrap_err();
    assert_eq!(error.status(), Some(401), "{error}");
}

#[tokio::test]
async fn an_identity_token_is_used_instead_of_the_password() {
    let (registry, tokens) = with_tokens(|asked| match asked.method.as_str() {
        "POST" => Told::ok(br#"{"access_token":"good"}"#.to_vec()),
        _ => Told::ok(br#"{"token":"good","refresh_token":"identity"}"#.to_vec()),
    });
    let credential = Credential::new(&registry.address(), "user", "geheim");
    assert_eq!(client().login(&credential).await.unwrap(), "identity");
    assert!(tokens.seen()[0].path.contains("offline_token=true"));
    let credential = Credential { identitytoken: "iden+tity".to_owned(), ..Credential::default() };
    let repository = open_as(&registry.address(), "x", &Access::Pull, Some(&credential));
    assert_eq!(repository.tags().await.unwrap(), ["a"]);
    let body = String::from_utf8(tokens.seen().last().unwrap().body.clone()).unwrap();
    assert!(body.contains("grant_type=refresh%5Ftoken&refresh_token=iden%2Btity"), "{body}");
}

#[tokio::test]
async fn a_refused_token_names_no_secret() {
    let (registry, _tokens) =
        with_tokens(|_| Told { status: 401, ..Told::ok(br#"{"details":"incorrect username or password"}"#.to_vec()) });
    let credential = Credential::new(&registry.address(), "user", "geheim");
    let error = client().login(&credential).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: incorrect username or password");
}

#[tokio::test]
async fn tags_come_in_pages_that_must_end() {
    let hostile = Hostile::start(|asked| match asked.path.as_str() {
        "/v2/x/tags/list?n=1000" => {
            Told::ok(br#"{"tags":["a","b"]}"#.to_vec()).header("Link", "</v2/x/tags/list?last=b>; rel=\"next\"")
        }
        "/v2/x/tags/list?last=b" => Told::ok(br#"{"tags":["c"]}"#.to_vec()),
        _ => Told::ok(br#"{"tags":["a"]}"#.to_vec()).header("Link", format!("<{}>; rel=\"next\"", asked.path)),
    });
    assert_eq!(open(&hostile.address(), "x", &Access::Pull).tags().await.unwrap(), ["a", "b", "c"]);
    let error = open(&hostile.address(), "y", &Access::Pull).tags().await.unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[tokio::test]
async fn a_mirror_is_tried_first_and_never_told_who_one_is() {
    let image = Image::new(vec![]);
    let manifest = image.manifest.clone();
    let mirror = Hostile::start(move |asked| match asked.header("authorization") {
        "" => Told::ok(manifest.clone()).header("Content-Type", MANIFEST),
        _ => Told::status(400),
    });
    let broken = Hostile::start(|_| Told::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let settings = Settings {
        mirrors: vec![format!("http://{}", broken.address()), format!("http://{}", mirror.address())],
        ..Settings::default()
    };
    let credential = Credential::new("docker.io", "user", "geheim");
    let reference = Reference::parse("nginx").unwrap();
    let repository = Client::new(settings).unwrap().repository(&reference, Some(&credential), &Access::Pull).unwrap();
    assert_eq!(repository.tagged("latest").await.unwrap().bytes, image.manifest);
    for asked in broken.seen().iter().chain(&mirror.seen()) {
        assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/v2/library/nginx/manifests/latest", ""));
    }
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_spoken() {
    let registry = Registry::start_with_tls();
    let repository = open(&registry.address(), "first", &push());
    send(&repository, b"content").await;
    assert_eq!(repository.small_blob(&blob(b"content")).await.unwrap(), b"content");
    let error = repository.tagged("none").await.unwrap_err();
    assert_eq!(error.code(), Some("manifest unknown"), "{error}");
}

#[tokio::test]
async fn a_proxy_is_asked_and_told_its_own_password_only() {
    let image = Image::new(vec![]);
    let manifest = image.manifest.clone();
    let proxy = Hostile::start(move |asked| match asked.method.as_str() {
        "CONNECT" => Told::status(403),
        _ => Told::ok(manifest.clone()).header("Content-Type", MANIFEST),
    });
    let address = format!("http://proxy-user:geheim@{}", proxy.address());
    let settings = Settings {
        insecure: vec!["registry.example".to_owned()],
        proxies: [("http-proxy".to_owned(), address.clone()), ("https-proxy".to_owned(), address)].into(),
        ..Settings::default()
    };
    let reference = Reference::parse("registry.example/x").unwrap();
    let repository = Client::new(settings).unwrap().repository(&reference, None, &Access::Pull).unwrap();
    assert_eq!(repository.tagged("latest").await.unwrap().bytes, image.manifest);
    let seen = proxy.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("CONNECT", "registry.example:443"));
    assert_eq!(seen[1].path, "http://registry.example/v2/x/manifests/latest");
    assert!(seen.iter().all(|asked| asked.header("proxy-authorization").starts_with("Basic ")), "{seen:?}");
}

/// A registry that loses the connection in the middle of an upload, once.
fn losing(received: Arc<std::sync::Mutex<Vec<u8>>>) -> Hostile {
    let calls = AtomicUsize::new(0);
    Hostile::start(move |asked| {
        let mut received = received.lock().unwrap();
        let here = |told: Told| told.header("Location", "/v2/x/blobs/uploads/1?state=s");
        match asked.method.as_str() {
            "POST" => here(Told::status(202)),
            "PATCH" if calls.fetch_add(1, Ordering::Relaxed) == 0 => {
                received.extend_from_slice(&asked.body[..500]);
                Told::status(503)
            }
            "PATCH" => {
                assert_eq!(asked.header("content-range"), "500-1999");
                received.extend_from_slice(&asked.body);
                here(Told::status(202))
            }
            "GET" => here(Told::status(204)).header("Range", format!("0-{}", received.len() - 1)),
            "HEAD" => Told::status(404),
            _ => {
                assert!(asked.path.starts_with("/v2/x/blobs/uploads/1?state=s&digest=sha256%3A"), "{}", asked.path);
                Told::status(201)
            }
        }
    })
}

#[tokio::test]
async fn a_broken_upload_goes_on() {
    let received = Arc::default();
    let hostile = losing(Arc::clone(&received));
    let bytes: Vec<u8> = (0..2000_u32).map(|n| (n % 251) as u8).collect();
    send(&open(&hostile.address(), "x", &push()), &bytes).await;
    assert_eq!(*received.lock().unwrap(), bytes);
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let repository = open(&format!("127.0.0.1:{port}"), "x", &Access::Pull);
    let error = repository.tagged("latest").await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains(&format!("Get \"http://127.0.0.1:{port}/v2/x/manifests/latest\"")), "{error}");
    let cause = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert!(error.to_string().ends_with(&cause), "{error}");
    let unknown: Digest = digest(b"x");
    assert!(repository.has_blob(&unknown).await.is_err());
}

#[tokio::test]
async fn a_file_of_the_web_is_fetched_without_anybodys_name() {
    let web = Hostile::start(|asked| match asked.path.as_str() {
        "/moved" => Told::status(302).header("location", "/file"),
        "/file" => Told::ok("content"),
        _ => Told { body: b"no such page".to_vec(), ..Told::status(404) },
    });
    let url = |path: &str| format!("http://{}{path}", web.address());
    let mut file = client().file(&url("/moved")).await.unwrap();
    assert_eq!((file.length(), file.next().await.unwrap().unwrap().as_ref()), (Some(7), &b"content"[..]));
    assert!(file.next().await.unwrap().is_none());
    assert!(web.seen().iter().all(|asked| asked.header("authorization").is_empty()));
    let missing = client().file(&url("/none")).await.err().unwrap().to_string();
    assert_eq!(missing, format!("failed to GET {} with status 404 Not Found: no such page", url("/none")));
    for bad in ["ftp://x/y", "http://user:secret@x/y", "http:// x"] {
        assert!(matches!(client().file(bad).await, Err(Error::Setting { .. })), "{bad}");
    }
}
