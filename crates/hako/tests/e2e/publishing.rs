//! `compose publish` and projects that are read from registries: by hako, by docker compose, and each by the other.

use std::path::Path;
use std::process::Command;

use crate::compose::{Described, docker_compose};
use crate::house::{Ended, House, finish, run_tool};
use crate::registry::Registry;

const MAIN: &str = "\
name: stall
services:
  web: # the door
    image: busybox
    command: sleep 600
    network_mode: none
    stop_grace_period: 0s
    env_file:
      - path: web.env
        required: false
    labels:
      place: ${PLACE:-nowhere}
  db:
    network_mode: none
    extends:
      file: parts/db.yaml
      service: base
";
const PART: &str = "\
services:
  base:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
";

/// A project that extends another file, names a file of variables, and has an override.
fn stall(house: &House) -> Described<'_> {
    let shop = Described::new(house, MAIN);
    std::fs::create_dir_all(shop.directory.join("parts")).unwrap();
    for (name, text) in [
        ("parts/db.yaml", PART),
        ("web.env", "GOODS=apples\n"),
        ("compose.override.yaml", "services:\n  web:\n    labels:\n      over: yes\n"),
    ] {
        std::fs::write(shop.directory.join(name), text).unwrap();
    }
    shop
}

/// Another directory of the house, where the project is only known by its address.
fn elsewhere(house: &House, binary: Option<(&Path, &Path)>, args: &[&str]) -> Ended {
    answering(house, binary, args, "")
}

/// The same, with answers to what is asked.
fn answering(house: &House, binary: Option<(&Path, &Path)>, args: &[&str], answer: &str) -> Ended {
    let directory = house.path().join("elsewhere");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(".env"), "PLACE=market\n").unwrap();
    let mut command = match binary {
        None => house.command(["compose"]),
        Some((binary, trusted)) => {
            let mut command = Command::new(binary);
            command.env("SSL_CERT_FILE", trusted);
            command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
            command
        }
    };
    house.at_home(&mut command);
    let answers = house.path().join("answers");
    std::fs::write(&answers, answer).unwrap();
    command.stdin(std::fs::File::open(&answers).unwrap()).env("WHO", "root").env("PLACE", "market");
    finish(command.args(args).current_dir(&directory).output().expect("compose"))
}

fn fine(ended: &Ended) -> &str {
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    &ended.stdout
}

fn manifest(address: &str, tag: &str) -> String {
    let url = format!("https://{address}/v2/team/stall/manifests/{tag}");
    run_tool("curl", ["-skf", "-H", "Accept: application/vnd.oci.image.manifest.v1+json", &url])
}

#[test]
fn a_project_is_published_and_runs_elsewhere() {
    let house = House::new();
    let (registry, _) = Registry::start_with_tls(5000, house.path());
    let name = format!("{}/team/stall:1", registry.address());
    let shop = stall(&house);
    let refused = shop.run(&["publish", &name]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("service \"web\" has env_file declared."), "{}", refused.stderr);
    let unanswered = shop.run(&["publish", "--with-env", &name]);
    assert!(unanswered.stdout.contains("GOODS=apples"), "{}{}", unanswered.stdout, unanswered.stderr);
    let dry = shop.run(&["publish", "-y", "--with-env", "--dry-run", &name]);
    assert!(dry.stderr.contains("published"), "{}", dry.stderr);
    let none = elsewhere(&house, None, &["-f", &format!("oci://{name}"), "config"]);
    assert!(none.stderr.contains(&format!("failed to pull OCI resource \"{name}\"")), "{}", none.stderr);

    shop.ok(&["publish", "-y", "--with-env", &name]);
    let text = manifest(&registry.address(), "1");
    let start = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.docker.compose.project","config":{"mediaType":"application/vnd.oci.empty.v1+json""#;
    assert!(text.starts_with(start), "{text}");
    for note in [
        r#""com.docker.compose.file":"compose.override.yaml""#,
        r#""com.docker.compose.extends":"true""#,
        r#""com.docker.compose.envfile":""#,
    ] {
        assert!(text.contains(note), "{note} in {text}");
    }
    let address = format!("oci://{name}");
    let config = elsewhere(&house, None, &["-f", &address, "config"]);
    for line in ["name: stall", "GOODS: apples", "place: market", "over: \"yes\"", "  db:"] {
        assert!(fine(&config).contains(line), "{line} in {}", config.stdout);
    }
    let up = answering(&house, None, &["-f", &address, "up", "-d"], "y\n");
    let said = format!("Your compose stack \"{address}\" is stored in \"{}/home/.cache/", house.path().display());
    assert!(fine(&up).starts_with(&said), "{}", up.stdout);
    assert_eq!(house.ok(["exec", "stall-web-1", "sh", "-c", "echo $GOODS"]), "apples");
    fine(&elsewhere(&house, None, &["-f", &address, "down"]));
    let including = house.path().join("elsewhere/compose.yaml");
    std::fs::write(&including, format!("include: ['{address}']\nservices: {{own: {{image: busybox}}}}\n")).unwrap();
    assert_eq!(fine(&elsewhere(&house, None, &["config", "--services"])).lines().count(), 3);
    let local = elsewhere(&house, None, &["publish", "-y", &name]);
    assert_eq!(local.code, 1, "what it includes has variables: {}", local.stderr);

    shop.ok(&["publish", "-y", "--with-env", "--oci-version", "1.0", &name]);
    let text = manifest(&registry.address(), "1");
    assert!(!text.contains("artifactType") && text.contains("compose.config.empty.v1+json"), "{text}");
    assert!(shop.run(&["publish", "-y", "--oci-version", "3", &name]).stderr.contains("unsupported OCI version: 3"));
}

#[test]
fn what_comes_from_elsewhere_is_asked_about_as_docker_compose_does() {
    let house = House::new();
    let (registry, cert) = Registry::start_with_tls(5000, house.path());
    let shop = stall(&house);
    std::fs::write(shop.directory.join("web.env"), "").unwrap();
    let lines = "\n    stop_signal: ${SIGNAL:-TERM}\n    user: ${WHO:?}\n    hostname: ${HOME:+here}${NOT_SAID}";
    shop.write(&MAIN.replacen("\n    command: sleep 600", &format!("\n    command: sleep 600{lines}"), 1));
    let name = format!("{}/team/stall:1", registry.address());
    let mut publish = shop.command(&["publish", "-y", "--with-env", &name]);
    fine(&finish(publish.env("WHO", "root").output().expect("hako compose")));
    let address = format!("oci://{name}");
    let asked = |binary: Option<(&Path, &Path)>, args: &[&str], answer: &str| {
        let mut all = vec!["-f", &address];
        all.extend(args);
        answering(&house, binary, &all, answer)
    };
    let up = ["up", "-d", "web"];
    for answer in ["", "n\n", "rubbish\n"] {
        let ended = asked(None, &up, answer);
        assert_eq!(ended.code, 1, "{answer:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("operation cancelled by user"), "{}", ended.stderr);
        assert_eq!(house.ok(["ps", "-aq"]), "", "nothing is begun");
        if let Some(binary) = docker_compose() {
            let theirs = asked(Some((&binary, &cert)), &up, answer);
            assert_eq!((theirs.code, theirs.stdout), (1, ended.stdout), "{answer:?}: {}", theirs.stderr);
        }
    }
    let once = asked(None, &["run", "--rm", "-T", "web", "true"], "");
    assert!(once.code == 1 && once.stdout.contains("with these variables? [Y/n]: "), "{}{}", once.stdout, once.stderr);
    fine(&asked(None, &["create", "web"], ""));
    let ended = asked(None, &up, "y\n");
    let said = fine(&ended);
    let row = |words: &str| said.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == words);
    for words in [
        "VARIABLE VALUE SOURCE REQUIRED DEFAULT",
        "SIGNAL TERM compose file no TERM",
        "WHO root environment yes",
        "PLACE market environment no nowhere",
        "NOT_SAID <unset> none no",
    ] {
        assert!(row(words), "{words}: {said}");
    }
    let quiet = asked(None, &["up", "-d", "-y", "web"], "");
    assert!(!fine(&quiet).contains("variables"), "{}", quiet.stdout);
    // Files that are fetched by others that are fetched need more trust.
    std::fs::remove_file(shop.directory.join("compose.override.yaml")).unwrap();
    let other = format!("{}/team/stall:2", registry.address());
    shop.write("name: stall\nservices: {own: {image: busybox, network_mode: none}}\n");
    shop.ok(&["publish", "-y", &other]);
    let third = format!("{}/team/stall:3", registry.address());
    shop.write(&format!("name: stall\ninclude: ['oci://{other}']\nservices: {{more: {{image: busybox}}}}\n"));
    shop.ok(&["publish", "-y", &third]);
    let address3 = format!("oci://{third}");
    let including = ["-f", &address3, "up", "-d", "own"];
    let ended = answering(&house, None, &including, "");
    assert!(ended.code == 1, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(&format!("  - {address3}\n\nRemote includes could")), "{}", ended.stdout);
    fine(&answering(&house, None, &including, "y\n"));
    fine(&asked(None, &["down"], ""));
}

#[test]
fn what_docker_compose_publishes_hako_reads_and_the_other_way_round() {
    let Some(binary) = docker_compose() else {
        eprintln!("skipped: no docker compose here; HAKO_TEST_DOCKER_COMPOSE names one");
        return;
    };
    let house = House::new();
    house.ok(["version"]);
    let (registry, cert) = Registry::start_with_tls(5000, house.path());
    let shop = stall(&house);
    let ours = format!("{}/team/stall:ours", registry.address());
    let theirs = format!("{}/team/stall:theirs", registry.address());
    shop.ok(&["publish", "-y", "--with-env", &ours]);
    let mut command = Command::new(&binary);
    command.args(["publish", "-y", "--with-env", &theirs]).current_dir(&shop.directory).env("SSL_CERT_FILE", &cert);
    command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
    house.at_home(&mut command);
    fine(&finish(command.output().expect("docker compose")));
    let layers = |tag: &str| {
        let text = manifest(&registry.address(), tag);
        let (_, rest) = text.split_once("\"layers\":").expect("layers");
        rest.split_once("\"org.opencontainers.image.created\"").expect("a time").0.to_owned()
    };
    assert_eq!(layers("ours"), layers("theirs"), "the same files with the same names and notes");
    for tag in [&ours, &theirs] {
        let address = format!("oci://{tag}");
        let by_hako = elsewhere(&house, None, &["-f", &address, "config"]);
        let by_docker = elsewhere(&house, Some((&binary, &cert)), &["-f", &address, "config"]);
        assert_eq!(fine(&by_hako), fine(&by_docker), "{tag}");
    }
}

/// Puts a blob into the registry; gives its digest.
fn put_blob(address: &str, dir: &Path, bytes: &[u8]) -> String {
    let file = dir.join("blob");
    std::fs::write(&file, bytes).unwrap();
    let path = file.to_str().unwrap();
    let digest = run_tool("sha256sum", [path]).split(' ').next().unwrap().to_owned();
    let begun = run_tool("curl", ["-sf", "-i", "-X", "POST", &format!("http://{address}/v2/team/evil/blobs/uploads/")]);
    let line = begun.lines().find(|line| line.to_ascii_lowercase().starts_with("location:")).expect("a location");
    let place = line.split_once(' ').unwrap().1.trim();
    let url = format!("{place}&digest=sha256:{digest}");
    let kind = "Content-Type: application/octet-stream";
    run_tool("curl", ["-sf", "-X", "PUT", "-H", kind, "--data-binary", &format!("@{path}"), &url]);
    format!("sha256:{digest}")
}

#[test]
fn hostile_artifacts_are_refused() {
    let house = House::new();
    let registry = Registry::start();
    let (address, dir) = (registry.address(), house.path());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let nothing = put_blob(&address, dir, b"{}");
    let text = b"services: {a: {image: busybox}}\n";
    let file = put_blob(&address, dir, text);
    let layer = |size: usize, note: &str, name: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.docker.compose.file+yaml","digest":"{file}","size":{size},"annotations":{{"com.docker.compose.file":"{name}"{note}}}}}"#
        )
    };
    let main = layer(text.len(), "", "compose.yaml");
    let extends = r#","com.docker.compose.extends":"true""#;
    let other = |name: &str| format!("{main},{}", layer(text.len(), extends, name));
    let many = vec![main.as_str(); 300].join(",");
    let project = "application/vnd.docker.compose.project";
    for (artifact, layers, said) in [
        ("application/vnd.example", main.clone(), "is not a compose project OCI artifact, but application/vnd.example"),
        (project, other("../../escape.yaml"), "\"../../escape.yaml\" is no plain file name"),
        (project, other("/tmp/escape.yaml"), "is no plain file name"),
        (project, other("compose.yaml"), "stands in it twice"),
        (project, layer(text.len(), extends, "x.yaml"), "no compose file is in it"),
        (project, layer(1 << 40, "", "compose.yaml"), "more than 256 files or 16 MiB"),
        (project, many, "more than 256 files or 16 MiB"),
        (project, layer(text.len() - 1, "", "compose.yaml"), "failed to pull OCI resource"),
    ] {
        let whole = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","artifactType":"{artifact}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{nothing}","size":2}},"layers":[{layers}]}}"#
        );
        let body = dir.join("manifest");
        std::fs::write(&body, whole).unwrap();
        let url = format!("http://{address}/v2/team/evil/manifests/1");
        let (header, body) = (format!("Content-Type: {kind}"), format!("@{}", body.display()));
        run_tool("curl", ["-sf", "-X", "PUT", "-H", &header, "--data-binary", &body, &url]);
        let ended = elsewhere(&house, None, &["-f", &format!("oci://{address}/team/evil:1"), "config"]);
        assert!(ended.code == 1 && ended.stderr.contains(said), "{said}: {}{}", ended.stdout, ended.stderr);
    }
    let cache = dir.join("home/.cache/docker-compose");
    assert!(!cache.exists() || std::fs::read_dir(cache).unwrap().next().is_none(), "nothing of it was kept");
}
