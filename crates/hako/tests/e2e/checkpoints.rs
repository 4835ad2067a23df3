//! Checkpoints: a container's processes saved by CRIU, and started from there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::house::{House, await_that, finish, has_criu};

/// Serves its volume, and counts.
const COUNTS: &str = "httpd -p 80 -h /data; i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";

fn counted(house: &House) -> Vec<u32> {
    house.ok(["logs", "job"]).lines().map(|line| line.parse().unwrap()).collect()
}

fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_container_goes_on_where_its_checkpoint_was_made() {
    if !has_criu() {
        return;
    }
    let house = House::new();
    let www = house.path().join("www");
    std::fs::create_dir(&www).unwrap();
    std::fs::write(www.join("index.html"), "the page").unwrap();
    let volume = format!("{}:/data:ro", www.display());
    let options = ["--restart", "always", "-p", "127.0.0.1::80", "-v", &volume];
    house.ok(["run", "-d", "--name", "job"].into_iter().chain(options).chain(["busybox", "sh", "-c", COUNTS]));
    await_that("a count", || counted(&house).len() > 3);

    assert_eq!(house.ok(["checkpoint", "create", "--leave-running", "job", "early"]), "early");
    assert_eq!(house.inspect("job", "{{.State.Status}}"), "running");
    let early = counted(&house).len();
    await_that("the count to go on", || counted(&house).len() > early + 3);
    assert_eq!(house.ok(["checkpoint", "create", "job", "late"]), "late");
    assert_eq!(house.inspect("job", "{{.State.Status}} {{.RestartCount}}"), "exited 0", "no policy brings it back");
    assert_eq!(house.ok(["checkpoint", "ls", "job"]), "CHECKPOINT NAME\nearly\nlate");
    assert!(house.fails(1, ["checkpoint", "create", "job", "other"]).contains("is not running"));

    let late = counted(&house).len();
    house.ok(["start", "--checkpoint", "late", "job"]);
    await_that("the count to go on", || counted(&house).len() > late + 3);
    let all = counted(&house);
    assert!(all.iter().copied().eq(1..=u32::try_from(all.len()).unwrap()), "each line once: {all:?}");
    let address = house.ok(["port", "job", "80"]);
    assert!(page(&address).ends_with("the page"), "its server still serves, at a port of the new life");
    assert_eq!(house.ok(["exec", "job", "sh", "-c", "echo x 2>/dev/null >/data/x || echo read-only"]), "read-only");
    assert!(house.ok(["exec", "job", "cat", "/proc/1/status"]).contains("Seccomp:\t2"), "its filter is back, too");

    house.ok(["kill", "job"]);
    house.ok(["start", "--checkpoint", "early", "job"]);
    await_that("the count to begin again", || counted(&house).windows(2).any(|pair| pair[1] < pair[0]));
    house.ok(["checkpoint", "rm", "job", "early"]);
    assert_eq!(house.ok(["checkpoint", "ls", "job"]), "CHECKPOINT NAME\nlate");
    let wanted = ["--filter", "event=checkpoint", "--format", "{{.Action}}"];
    let told = house.ok(["events", "--since", "1", "--until", "0s"].into_iter().chain(wanted));
    assert_eq!(told, "checkpoint\ncheckpoint");
}

#[test]
fn dockers_own_client_makes_checkpoints_elsewhere() {
    if !has_criu() {
        return;
    }
    let house = House::empty();
    house.configure(r#"{"experimental": true}"#);
    house.import_busybox();
    let place = house.path().join("images").display().to_string();
    let docker = |args: &[&str]| {
        let ended = house.docker(args);
        assert_eq!(ended.code, 0, "docker {args:?}: {}", ended.stderr);
        ended.stdout.trim().to_owned()
    };
    house.ok(["run", "-d", "--name", "job", "--network", "none", "--read-only", "busybox", "sleep", "1000"]);
    assert_eq!(docker(&["checkpoint", "create", "--checkpoint-dir", &place, "job", "one"]), "one");
    assert_eq!(docker(&["checkpoint", "ls", "--checkpoint-dir", &place, "job"]), "CHECKPOINT NAME\none");
    assert_eq!(docker(&["checkpoint", "ls", "job"]), "CHECKPOINT NAME");
    docker(&["start", "--checkpoint", "one", "--checkpoint-dir", &place, "job"]);
    assert_eq!(house.inspect("job", "{{.State.Status}}"), "running");
    let ended = house.run(["exec", "job", "touch", "/x"]);
    assert!(ended.stderr.contains("Read-only file system"), "{}", ended.stderr);
    docker(&["checkpoint", "rm", "--checkpoint-dir", &place, "job", "one"]);
    assert!(!house.path().join("images/one").exists());
}

#[test]
fn what_cannot_come_back_is_not_saved() {
    if !has_criu() {
        return;
    }
    let house = House::new();
    assert_eq!(house.run_with_input(["secret", "create", "word", "-"], b"quiet").code, 0);
    let cases: [(&[&str], &str); 3] = [
        (&["--secret", "word"], "containers with secrets cannot be saved"),
        (&["--init"], "containers with --init cannot be saved"),
        (&["--ipc", "host", "--mount", "type=volume,src=data,dst=/data,volume-subpath=part"], "part of a volume"),
    ];
    house.ok(["run", "--rm", "-v", "data:/data", "busybox", "mkdir", "/data/part"]);
    for (options, wanted) in cases {
        house.ok(["run", "-d", "--name", "box"].iter().chain(options).chain(&["busybox", "sleep", "1000"]));
        let said = house.fails(1, ["checkpoint", "create", "box", "one"]);
        assert!(said.contains(wanted), "{options:?}: {said}");
        assert_eq!(house.inspect("box", "{{.State.Status}}"), "running", "{options:?}");
        assert_eq!(house.ok(["checkpoint", "ls", "box"]), "CHECKPOINT NAME");
        house.ok(["rm", "-f", "box"]);
    }
    // An image that is damaged: the start fails, the container is as it was, and starts without it.
    house.ok(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
    house.ok(["checkpoint", "create", "box", "one"]);
    let id = house.inspect("box", "{{.Id}}");
    let inventory = house.data().join("containers").join(id).join("checkpoints/one/inventory.img");
    std::fs::write(inventory, b"nonsense").unwrap();
    let said = house.fails(1, ["start", "--checkpoint", "one", "box"]);
    assert!(said.contains("checkpoint: ") && said.contains("restore.log"), "{said}");
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "exited");
    house.ok(["start", "box"]);
}

#[test]
fn checkpoints_are_refused_by_name() {
    let house = House::new();
    let hako = |args: &[&str]| {
        // Here there is no CRIU.
        let ended = finish(house.command(args).env("PATH", house.path()).output().unwrap());
        (ended.code, ended.stderr)
    };
    house.kill_daemon();
    for (name, option) in [("plain", "--read-only"), ("tty", "-t"), ("brief", "--rm")] {
        assert_eq!(hako(&["run", "-d", "--name", name, option, "busybox", "sleep", "1000"]).0, 0);
    }
    hako(&["create", "--name", "still", "busybox"]);
    let cases: [(&[&str], &str); 9] = [
        (&["create", "plain", "one"], "install it (package criu)"),
        (&["create", "plain", "../one"], "Invalid checkpoint ID (../one), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (&["create", "--checkpoint-dir", "here", "plain", "one"], "must be an absolute path"),
        (&["create", "tty", "one"], "checkpoint not supported on containers with tty"),
        (&["create", "brief", "one"], "is removed when it ends (--rm)"),
        (&["create", "still", "one"], "is not running"),
        (&["create", "nobody", "one"], "No such container: nobody"),
        (&["rm", "plain", "one"], "checkpoint one does not exist for container plain"),
        (&["rm", "plain", ".."], "checkpoint .. does not exist for container plain"),
    ];
    for (args, wanted) in cases {
        let (code, said) = hako(&[&["checkpoint"], args].concat());
        assert_eq!(code, 1, "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    let (code, said) = hako(&["start", "--checkpoint", "one", "still"]);
    assert!(code == 1 && said.contains("checkpoint one does not exist for container still"), "{said}");
    assert_eq!(hako(&["checkpoint", "ls", "plain"]), (0, String::new()));
}
