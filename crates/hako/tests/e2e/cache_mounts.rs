//! Cache mounts that travel: what steps keep beside their layers goes to caches outside where asked, and comes from there where
//! a mount is missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use serde_json::Value;

use crate::house::{Ended, House, await_that, finish, run_tool};
use crate::registry::Registry;

/// Counts in its mounts how often it was done; `DO` makes it be done again.
const FILE: &str = "FROM busybox AS seed
RUN echo seeded > /seed
FROM busybox
ARG DO
RUN --mount=type=cache,target=/c,sharing=locked --mount=type=cache,id=other,target=/d,uid=7,mode=0750 \
    --mount=type=cache,id=seeded,target=/e,from=seed --mount=type=secret,id=key,target=/c/key \
    echo $DO >> /c/count && ln -sf count /c/link && echo $DO >> /d/count && echo $DO >> /e/seed && \
    stat -c '%u %a' /d > /both && cat /c/link /d/count /e/seed >> /both
";

/// What `/both` says after these were done in the same mounts.
fn counted(done: &[&str]) -> String {
    let lines = done.join("\n");
    format!("7 750\n{lines}\n{lines}\nseeded\n{lines}")
}

fn context(house: &House, dockerfile: &str) -> PathBuf {
    let dir = house.path().join("context");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(dir.join("key"), "very-secret-word").unwrap();
    dir
}

fn build(house: &House, done: &str, flags: &[&str]) -> Ended {
    let dir = context(house, FILE);
    let (secret, argument) = (format!("id=key,src={}", dir.join("key").display()), format!("DO={done}"));
    let mut args = vec!["build", "--progress", "plain", "-t", "app", "--secret", &secret, "--build-arg", &argument];
    args.extend(flags);
    args.push(dir.to_str().unwrap());
    house.run(&args)
}

fn built(house: &House, done: &str, flags: &[&str]) -> String {
    let ended = build(house, done, flags);
    assert_eq!(ended.code, 0, "{flags:?}\n{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

fn made(house: &House) -> String {
    house.ok(["run", "--rm", "app", "cat", "/both"])
}

/// Another machine of the same network.
fn another() -> House {
    let house = House::in_this_network();
    house.import_busybox();
    house
}

fn blob(place: &Path, digest: &str) -> PathBuf {
    place.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What a cache in a directory says of itself.
fn config(place: &Path) -> Value {
    let index = json(&place.join("index.json"));
    let manifest = json(&blob(place, index["manifests"][0]["digest"].as_str().unwrap()));
    json(&blob(place, manifest["config"]["digest"].as_str().unwrap()))
}

fn mounts(place: &Path) -> Vec<String> {
    let config = config(place);
    let listed = config["io.hako.mounts"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = listed.iter().map(|mount| mount["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn go_into_a_directory_and_come_from_it() {
    let here = House::new();
    let place = here.path().join("cache");
    let to = |more: &str| format!("type=local,dest={},mode=max{more}", place.display());
    let from = format!("type=local,src={}", place.display());
    built(&here, "one", &["--cache-to", &to("")]);
    assert!(mounts(&place).is_empty(), "not unless asked, as with Docker");
    built(&here, "one", &["--cache-to", &to(",mounts=other")]);
    assert_eq!(mounts(&place), ["other"]);
    let refused = build(&here, "one", &["--cache-to", &to(",mounts=nobody")]);
    assert!(
        refused.code == 1 && refused.stderr.contains("no step of the build has a cache mount with the id \"nobody\"")
    );
    built(&here, "one", &["--cache-to", &to(",mounts=true")]);
    assert_eq!(mounts(&place), ["/c", "other", "seeded"]);
    let word = b"very-secret-word";
    for entry in std::fs::read_dir(place.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let plain = std::process::Command::new("zcat").arg("-f").arg(&path).output().unwrap().stdout;
        assert!(!plain.windows(word.len()).any(|window| window == word), "a secret in {}", path.display());
    }
    // The same files are the same bytes.
    let digest = config(&place)["layers"].to_string();
    built(&here, "one", &["--cache-to", &to(",mounts=true")]);
    assert_eq!(config(&place)["layers"].to_string(), digest);

    // The mounts of another machine that has none go on where these are.
    let there = another();
    let told = built(&there, "two", &["--cache-from", &from]);
    for id in ["/c", "other", "seeded"] {
        assert!(told.contains(&format!("importing cache mount {id} ")), "{told}");
    }
    assert_eq!(made(&there), counted(&["one", "two"]));
    // What is there is never written over.
    let told = built(&there, "three", &["--cache-from", &from]);
    assert!(!told.contains("importing cache mount"), "{told}");
    assert_eq!(made(&there), counted(&["one", "two", "three"]));

    // Steps that need not be done fetch nothing; what they would have fetched stays in the cache when it is written anew.
    let idle = another();
    let onward = idle.path().join("onward");
    let to = format!("type=local,dest={},mode=max,mounts=true", onward.display());
    let told = built(&idle, "one", &["--cache-from", &from, "--cache-to", &to]);
    assert!(told.contains("importing layer") && !told.contains("importing cache mount"), "{told}");
    assert_eq!(mounts(&onward), ["/c", "other", "seeded"]);
    let told = built(&idle, "four", &["--cache-from", &format!("type=local,src={}", onward.display())]);
    assert!(told.contains("importing cache mount /c "), "{told}");
    assert_eq!(made(&idle), counted(&["one", "four"]));
}

#[test]
fn go_into_a_registry_and_come_from_it() {
    let here = House::new();
    let registry = Registry::start();
    let name = format!("{}/app:cache", registry.address());
    let to = format!("type=registry,ref={name},mode=max,mounts=true");
    built(&here, "one", &["--cache-to", &to]);
    let there = another();
    // Nothing is done, and nothing gets lost.
    built(&there, "one", &["--cache-from", &name, "--cache-to", &to]);
    let told = built(&there, "two", &["--cache-from", &name, "--cache-to", &to]);
    assert!(told.contains("importing cache mount other "), "{told}");
    assert_eq!(made(&there), counted(&["one", "two"]));
    let third = another();
    built(&third, "three", &["--cache-from", &name]);
    assert_eq!(made(&third), counted(&["one", "two", "three"]));
    let refused = build(&here, "one", &["--cache-to", "type=inline,mounts=true"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("an inline cache lies in the image's configuration"), "{}", refused.stderr);
}

#[test]
fn go_and_come_by_the_stock_client() {
    let here = House::new();
    let Some(_) = here.clients() else { return };
    let place = here.path().join("cache");
    let docker = |house: &House, done: &str, flags: &[&str]| {
        let dir = context(house, FILE);
        let mut docker = house.clients().unwrap();
        docker.args(["buildx", "build", "--progress", "plain", "-t", "app", "--build-arg", &format!("DO={done}")]);
        finish(docker.args(flags).arg(&dir).output().expect("the docker CLI"))
    };
    let to = format!("type=local,dest={},mode=max,\"mounts=/c,other,seeded\"", place.display());
    let ended = docker(&here, "one", &["--cache-to", &to]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(mounts(&place), ["/c", "other", "seeded"]);
    let there = another();
    let ended = docker(&there, "two", &["--cache-from", &format!("type=local,src={}", place.display())]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("importing cache mount /c "), "{}", ended.stderr);
    assert_eq!(made(&there), counted(&["one", "two"]));
    let ended = docker(&here, "one", &["--cache-to", "type=inline,mounts=true"]);
    assert!(ended.code == 1 && ended.stderr.contains("cannot hold cache mounts"), "{}", ended.stderr);
}

/// Puts something else in the place of the mount `/c` of a cache in a directory: Python that fills `t`, a tar.
fn replace(place: &Path, script: &str) {
    let program = format!(
        r#"import tarfile,io,sys,json,hashlib,gzip
place=sys.argv[1]
def blob(digest): return place+'/blobs/sha256/'+digest[7:]
def put(data):
    digest='sha256:'+hashlib.sha256(data).hexdigest(); open(blob(digest),'wb').write(data); return digest
index=json.load(open(place+'/index.json'))
manifest=json.load(open(blob(index['manifests'][0]['digest'])))
config=json.load(open(blob(manifest['config']['digest'])))
out=io.BytesIO(); t=tarfile.open(fileobj=out,mode='w',format=tarfile.PAX_FORMAT)
def add(name,data=b'',**k):
    i=tarfile.TarInfo(name); i.size=len(data)
    for a,b in k.items(): setattr(i,a,b)
    t.addfile(i,io.BytesIO(data))
diff=None; cut=None
{script}
t.close(); tar=out.getvalue()
packed=gzip.compress(tar)[:cut]
number=[m['layer'] for m in config['io.hako.mounts'] if m['id']=='/c'][0]
layer=config['layers'][number]
layer['blob']=put(packed)
layer['annotations'].update(diffID=diff or 'sha256:'+hashlib.sha256(tar).hexdigest(),size=len(packed))
manifest['layers'][number].update(digest=layer['blob'],size=len(packed))
data=json.dumps(config).encode(); manifest['config'].update(digest=put(data),size=len(data))
data=json.dumps(manifest).encode(); index['manifests'][0].update(digest=put(data),size=len(data))
json.dump(index,open(place+'/index.json','w'))
"#
    );
    run_tool("python3", ["-c", &program, place.to_str().unwrap()]);
}

#[test]
fn of_an_enemy_are_left_out() {
    let here = House::new();
    let place = here.path().join("cache");
    let to = format!("type=local,dest={},mode=max,mounts=/c", place.display());
    built(&here, "one", &["--cache-to", &to]);
    let there = another();
    let canary = there.path().join("canary");
    let target = canary.to_str().unwrap().to_owned();
    let cases = [
        (format!("add('../../../../../../../../../..{target}', b'x')"), "cache mount /c: "),
        (
            format!("add('way', type=tarfile.SYMTYPE, linkname='{}'); add('way/canary', b'x')", there.path().display()),
            "cache mount /c: ",
        ),
        ("add('hard', type=tarfile.LNKTYPE, linkname='../../../../../../etc/passwd')".to_owned(), "cache mount /c: "),
        ("add('count', b'bad\\n'); diff='sha256:'+'0'*64".to_owned(), "cache mount /c: "),
        ("add('count', b'bad\\n'*100000); cut=60".to_owned(), "cache mount /c: "),
        // More than any disk holds.
        (
            "i=tarfile.TarInfo('count'); i.size=1<<60; out.write(i.tobuf(tarfile.PAX_FORMAT)+b'bad\\n'*100)".to_owned(),
            "cache mount /c: ",
        ),
    ];
    for (number, (script, said)) in cases.iter().enumerate() {
        replace(&place, script);
        let done = number.to_string();
        let told = built(&there, &done, &["--cache-from", &format!("type=local,src={}", place.display())]);
        assert!(!canary.exists(), "{script} wrote outside");
        assert!(told.contains("importing cache mount /c ") && told.contains(said), "{script}\n{told}");
        assert_eq!(made(&there), counted(&[&done]), "{script}: the mount begins empty");
        await_that("what was half done to go", || is_clean(&there));
        there.ok(["rmi", "app"]);
        there.ok(["builder", "prune", "-a", "-f"]);
    }
    // The last one's good neighbour is taken.
    replace(&place, "add('count', b'good\\n')");
    built(&there, "next", &["--cache-from", &format!("type=local,src={}", place.display())]);
    assert!(made(&there).contains("good\nnext\n"));
}

/// Whether nothing half done lies about.
fn is_clean(house: &House) -> bool {
    std::fs::read_dir(house.data().join("tmp")).unwrap().count() == 0
}

/// A registry of one cache, which sends half of one blob and then nothing any more.
struct Stalling {
    port: u16,
}

impl Stalling {
    fn start(place: PathBuf, held: String, stalled: Sender<()>) -> Stalling {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (place, held, stalled) = (place.clone(), held.clone(), stalled.clone());
                std::thread::spawn(move || answer(stream, &place, &held, &stalled));
            }
        });
        Stalling { port }
    }
}

fn answer(mut stream: TcpStream, place: &Path, held: &str, stalled: &Sender<()>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
        let index = || json(&place.join("index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let (kind, digest) = match path.rsplit('/').next() {
            Some("cache") => ("application/vnd.oci.image.manifest.v1+json", index()),
            Some(digest) if digest.starts_with("sha256:") => ("application/octet-stream", digest.to_owned()),
            _ => ("", String::new()),
        };
        let bytes = if digest.is_empty() { Vec::new() } else { std::fs::read(blob(place, &digest)).unwrap() };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", bytes.len());
        stream.write_all(head.as_bytes()).unwrap();
        if digest == held {
            stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
            stalled.send(()).unwrap();
            // Until the other side has gone.
            let _ = reader.read_to_end(&mut Vec::new());
            return;
        }
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

#[test]
fn that_came_half_way_leave_nothing() {
    let here = House::new();
    let place = here.path().join("cache");
    built(&here, "one", &["--cache-to", &format!("type=local,dest={},mode=max,mounts=true", place.display())]);
    let config = config(&place);
    let mount = config["io.hako.mounts"].as_array().unwrap().iter().find(|mount| mount["id"] == "/c").unwrap().clone();
    let held = config["layers"][mount["layer"].as_u64().unwrap() as usize]["blob"].as_str().unwrap().to_owned();
    let (send, stalled) = channel();
    let registry = Stalling::start(place.clone(), held, send);
    let name = format!("127.0.0.1:{}/app:cache", registry.port);

    let there = another();
    let dir = context(&there, FILE);
    let args = ["build", "-t", "app", "--build-arg", "DO=two", "--cache-from", &name, dir.to_str().unwrap()];
    let mut client = there.spawn(args);
    stalled.recv().unwrap();
    there.kill_daemon();
    assert!(!client.wait().unwrap().success());
    let directory =
        there.data().join("build/mounts").join(mount["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    assert!(!directory.exists(), "there is no half of it");
    // The next daemon finds nothing of it, and the next build is right.
    built(&there, "three", &["--cache-from", &format!("type=local,src={}", place.display())]);
    assert_eq!(made(&there), counted(&["one", "three"]));
    await_that("what was half done to go", || is_clean(&there));

    // A client that vanishes stops it, too.
    let last = another();
    let dir = context(&last, FILE);
    let args = ["build", "-t", "app", "--build-arg", "DO=two", "--cache-from", &name, dir.to_str().unwrap()];
    let mut client = last.spawn(args);
    stalled.recv().unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    await_that("the import to end", || is_clean(&last));
    built(&last, "two", &["--cache-from", &format!("type=local,src={}", place.display())]);
    assert_eq!(made(&last), counted(&["one", "two"]));
}
