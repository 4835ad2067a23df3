//! Build caches outside of the daemon: what one build put there another one takes, on what could be another machine.

use std::path::{Path, PathBuf};

use crate::house::{House, finish};
use crate::registry::Registry;

/// What a step makes here is never made twice.
const FILE: &str = "FROM busybox AS make
COPY word /word
RUN head -c 16 /dev/urandom | od -An -tx1 > /made
FROM busybox
COPY --from=make /made /word /
RUN cat /made /word > /both
";

fn context(house: &House, dockerfile: &str) -> PathBuf {
    let dir = house.path().join("context");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(dir.join("word"), "hello\n").unwrap();
    dir
}

/// Builds the image `name`; gives what was said.
fn build(house: &House, dir: &Path, name: &str, flags: &[&str]) -> String {
    let mut args = vec!["build", "--progress", "plain", "-t", name];
    args.extend(flags);
    args.push(dir.to_str().unwrap());
    let ended = house.run(&args);
    assert_eq!(ended.code, 0, "hako {args:?}\n{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

/// Forgets the image and all that builds made, as if this were another machine.
fn forget(house: &House, name: &str) {
    house.ok(["rmi", name]);
    house.ok(["builder", "prune", "-a", "-f"]);
}

fn made(house: &House, name: &str) -> String {
    house.ok(["run", "--rm", name, "cat", "/both"])
}

#[test]
fn a_directory_holds_a_cache() {
    let house = House::new();
    let dir = context(&house, FILE);
    let place = house.path().join("cache");
    let to = format!("type=local,dest={},mode=max", place.display());
    let from = format!("type=local,src={}", place.display());
    let first = build(&house, &dir, "app", &["--cache-from", &from, "--cache-to", &to]);
    assert!(!first.contains("CACHED"), "{first}");
    let before = made(&house, "app");
    let index = std::fs::read_to_string(place.join("index.json")).unwrap();
    assert!(index.contains("application/vnd.oci.image.manifest.v1+json") && place.join("oci-layout").exists());

    forget(&house, "app");
    let taken = build(&house, &dir, "app", &["--cache-from", &from]);
    assert_eq!(taken.matches("CACHED").count(), 4, "{taken}");
    assert!(taken.contains("importing layer"), "{taken}");
    assert_eq!(made(&house, "app"), before);
    assert_eq!(house.inspect("app", "{{len .RootFS.Layers}}"), "3");

    // What is damaged is done anew.
    forget(&house, "app");
    for entry in std::fs::read_dir(place.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.starts_with(b"\x1f\x8b") {
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let anew = build(&house, &dir, "app", &["--cache-from", &from]);
    assert!(!anew.contains("CACHED"), "{anew}");
    assert_ne!(made(&house, "app"), before);

    forget(&house, "app");
    std::fs::write(place.join("index.json"), "{").unwrap();
    let told = build(&house, &dir, "app", &["--cache-from", &from]);
    assert!(told.contains("cache a local directory cannot be read") && !told.contains("CACHED"), "{told}");
}

#[test]
fn a_registry_holds_a_cache() {
    let house = House::new();
    let registry = Registry::start();
    let dir = context(&house, FILE);
    let place = format!("{}/app:cache", registry.address());
    let to = format!("type=registry,ref={place},mode=max");
    build(&house, &dir, "app", &["--cache-to", &to]);
    let before = made(&house, "app");
    forget(&house, "app");
    let taken = build(&house, &dir, "app", &["--cache-from", &place]);
    assert_eq!(taken.matches("CACHED").count(), 4, "{taken}");
    assert_eq!(made(&house, "app"), before);

    // The result's own layers are not enough where another stage has to be made.
    forget(&house, "app");
    build(&house, &dir, "app", &["--cache-to", &format!("type=registry,ref={place}")]);
    forget(&house, "app");
    let less = build(&house, &dir, "app", &["--cache-from", &place]);
    assert!(!less.contains("CACHED"), "{less}");
}

#[test]
fn an_image_holds_its_own_cache_for_docker_too() {
    let house = House::new();
    let registry = Registry::start();
    let dir = context(&house, "FROM busybox\nCOPY word /word\nRUN od -An -N16 -tx1 /dev/urandom > /both\n");
    let name = format!("{}/app:1", registry.address());
    build(&house, &dir, &name, &["--cache-to", "type=inline"]);
    let before = made(&house, &name);
    house.ok(["push", &name]);
    forget(&house, &name);
    let taken = build(&house, &dir, &name, &["--cache-from", &name]);
    assert_eq!(taken.matches("CACHED").count(), 2, "{taken}");
    assert_eq!(made(&house, &name), before);

    // The stock client, as it is.
    forget(&house, &name);
    let Some(mut docker) = house.clients() else { return };
    docker.args(["buildx", "build", "--progress", "plain", "-t", &name, "--cache-to", "type=inline"]);
    docker.args(["--cache-from", &format!("type=registry,ref={name}")]).arg(&dir);
    let ended = finish(docker.output().expect("the docker CLI"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("CACHED").count(), 2, "{}", ended.stderr);
    assert_eq!(made(&house, &name), before);
}

/// Runs the docker CLI on the context; none when there is no such CLI.
fn docker(house: &House, dir: &Path, args: &[&str]) -> Option<String> {
    let ended = finish(house.clients()?.args(args).arg(dir).output().expect("the docker CLI"));
    assert_eq!(ended.code, 0, "docker {args:?}\n{}{}", ended.stdout, ended.stderr);
    Some(ended.stdout + &ended.stderr)
}

#[test]
fn buildx_keeps_a_cache_in_a_directory_of_its_own() {
    let house = House::new();
    let dir = context(&house, FILE);
    let place = house.path().join("cache");
    let to = format!("type=local,dest={},mode=max", place.display());
    let from = format!("type=local,src={}", place.display());
    let build = ["buildx", "build", "--progress", "plain", "-t", "app"];
    if docker(&house, &dir, &[&build[..], &["--cache-to", &to]].concat()).is_none() {
        return;
    }
    let before = made(&house, "app");
    let index = std::fs::read_to_string(place.join("index.json")).unwrap();
    assert!(index.contains("\"latest\""), "{index}");
    forget(&house, "app");
    let taken = docker(&house, &dir, &[&build[..], &["--cache-from", &from]].concat()).unwrap();
    assert_eq!(taken.matches("CACHED").count(), 4, "{taken}");
    assert_eq!(made(&house, "app"), before);
    // Another one is written over it, with what is there already.
    docker(&house, &dir, &[&build[..], &["--cache-to", &to]].concat());
    forget(&house, "app");
    let taken = docker(&house, &dir, &[&build[..], &["--cache-from", &from]].concat()).unwrap();
    assert_eq!(taken.matches("CACHED").count(), 4, "{taken}");
    // hako's own client reads the same directory.
    forget(&house, "app");
    let own = self::build(&house, &dir, "app", &["--cache-from", &from]);
    assert_eq!(own.matches("CACHED").count(), 4, "{own}");
    assert_eq!(made(&house, "app"), before);
}

#[test]
fn the_classic_builder_takes_from_an_image_that_is_here() {
    let house = House::new();
    let dir = context(&house, "FROM busybox\nCOPY word /word\nRUN od -An -N16 -tx1 /dev/urandom > /both\n");
    build(&house, &dir, "app", &["--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    let before = made(&house, "app");
    // All that is left of the build is the image.
    house.ok(["builder", "prune", "-a", "-f"]);
    let classic = |name: &str, from: &str| {
        let mut docker = house.clients()?;
        docker.env("DOCKER_BUILDKIT", "0").args(["build", "-t", name, "--cache-from", from]).arg(&dir);
        let ended = finish(docker.output().expect("the docker CLI"));
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
        Some(ended.stdout)
    };
    let Some(told) = classic("again", "app") else { return };
    assert_eq!(told.matches("Using cache").count(), 2, "{told}");
    assert_eq!(made(&house, "again"), before);
    let told = classic("anew", "no/such").unwrap();
    assert!(!told.contains("Using cache"), "{told}");
    assert_ne!(made(&house, "anew"), before);
}

#[test]
fn a_prune_with_bounds_leaves_what_is_within_them() {
    let house = House::new();
    let step = |name: &str| format!("RUN head -c 1000000 /dev/urandom > /{name}\n");
    let dir = context(&house, &format!("FROM busybox\n{}{}{}", step("a"), step("b"), step("c")));
    house.ok(["build", "-o", "type=cacheonly", dir.to_str().unwrap()]);
    let gone = |flags: &[&str]| {
        let told = house.ok(["builder", "prune", "-f"].iter().chain(flags));
        told.lines().filter(|line| line.len() == 64).count()
    };
    assert_eq!(gone(&["--reserved-space", "100mb"]), 0, "all of it is reserved");
    assert_eq!(gone(&["--max-used-space", "2500000"]), 1, "one is too much");
    assert_eq!(gone(&["--max-used-space", "2500000"]), 0, "two are not");
    let again = house.run(["build", "--progress", "plain", "-o", "type=cacheonly", dir.to_str().unwrap()]).stderr;
    assert_eq!(again.matches("CACHED").count(), 2, "the lower ones are still of use: {again}");
    assert_eq!(gone(&[]), 3);
}
