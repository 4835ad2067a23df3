//! `hako why`: twenty containers that end, or do not start, each for its own reason. The answer is a word for programs and
//! a sentence for people; at least nineteen must be right.

use std::path::Path;

use crate::house::{House, await_that, signal};

/// A container that ends, and what `why` must say.
struct Case {
    name: &'static str,
    cause: &'static str,
    says: &'static str,
}

fn case(name: &'static str, cause: &'static str, says: &'static str) -> Case {
    Case { name, cause, says }
}

/// Runs to the end, whatever that is.
fn ends(house: &House, name: &str, flags: &[&str], command: &[&str]) {
    let fixed = ["run", "--name", name];
    house.run(fixed.iter().chain(flags).chain(&["busybox"]).chain(command));
}

/// Goes on in the background.
fn goes_on(house: &House, name: &str, flags: &[&str], command: &[&str]) {
    let fixed = ["run", "-d", "--name", name];
    house.ok(fixed.iter().chain(flags).chain(&["busybox"]).chain(command));
}

fn exited(house: &House, name: &str) {
    house.await_field(name, "{{.State.Status}}", "exited");
}

/// An image whose entry point is one file.
fn image(house: &House, name: &str, content: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let dir = house.path().join(name);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("entry"), content).unwrap();
    std::fs::set_permissions(dir.join("entry"), PermissionsExt::from_mode(mode)).unwrap();
    std::fs::write(dir.join("Dockerfile"), "FROM busybox\nCOPY entry /entry\nENTRYPOINT [\"/entry\"]\n").unwrap();
    house.ok(["build", "-q", "-t", name, dir.to_str().unwrap()]);
    house.run(["run", "--name", name, name]);
}

/// An ELF program of another machine, or one whose dynamic linker is nowhere.
fn program(machine: u16, linker: &str) -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let mut bytes = busybox[..64].to_vec();
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    (bytes[32], bytes[54], bytes[56]) = (64, 56, 2);
    bytes[33..40].fill(0);
    bytes[57] = 0;
    let mut header = |kind: u8, offset: u64, length: u64| {
        let mut entry = [0; 56];
        (entry[0], entry[4]) = (kind, 5);
        entry[8..16].copy_from_slice(&offset.to_le_bytes());
        entry[32..40].copy_from_slice(&length.to_le_bytes());
        bytes.extend(entry);
    };
    header(3, 64 + 112, linker.len() as u64 + 1);
    header(1, 0, 0);
    bytes.extend(linker.as_bytes());
    bytes.push(0);
    bytes
}

fn stage_ends(house: &House) -> Vec<Case> {
    ends(house, "done", &[], &["true"]);
    ends(house, "error", &[], &["sh", "-c", "echo the disk is on fire >&2; exit 3"]);
    ends(house, "typo", &[], &["sh", "-c", "nosuchcommand"]);
    ends(house, "crash", &[], &["sh", "-c", "ulimit -c 0; kill -SEGV $$; exec sh -c 'kill -SEGV $$'"]);
    ends(house, "segv", &["--init"], &["sh", "-c", "kill -SEGV $$"]);
    let hog = "a=x; while :; do a=$a$a; done";
    ends(house, "hog", &["-m", "24m", "--memory-swap", "24m"], &["sh", "-c", hog]);
    let child = format!("sh -c '{hog}'; echo the child is gone; exit 7");
    ends(house, "hogchild", &["-m", "24m", "--memory-swap", "24m"], &["sh", "-c", &child]);
    vec![
        case("done", "exit", "with success"),
        case("error", "exit", "exit code 3"),
        case("typo", "exit", "was not found"),
        case("segv", "crash", "SIGSEGV"),
        case("hog", "oom", "for want of memory"),
        case("hogchild", "oom", "for want of memory"),
    ]
}

fn stage_signals(house: &House) -> Vec<Case> {
    goes_on(house, "stopped", &[], &["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]);
    goes_on(house, "stubborn", &[], &["sleep", "600"]);
    goes_on(house, "killed", &[], &["sleep", "600"]);
    goes_on(house, "murdered", &[], &["sleep", "600"]);
    let check =
        ["--health-cmd", "echo the queue is stuck; false", "--health-interval", "50ms", "--health-retries", "2"];
    goes_on(
        house,
        "sick",
        &[&check[..], &["--on-unhealthy", "stop", "--stop-timeout", "0"]].concat(),
        &["sleep", "600"],
    );
    house.ok(["stop", "stopped"]);
    house.docker(["stop", "-t", "0", "stubborn"]);
    house.ok(["kill", "killed"]);
    signal(house.inspect("murdered", "{{.State.Pid}}").parse().unwrap(), "KILL");
    ["murdered", "sick"].iter().for_each(|name| exited(house, name));
    vec![
        case("stopped", "stopped", "stopped by hako (pid "),
        case("stubborn", "killed-after-grace", "ignored SIGTERM"),
        case("killed", "killed", "SIGKILL by hako (pid "),
        case("murdered", "signal", "not sent through hako"),
        case("sick", "unhealthy", "2 health checks"),
    ]
}

fn stage_programs(house: &House) -> Vec<Case> {
    ends(house, "missing", &[], &["/nowhere"]);
    image(house, "plain", b"#!/bin/sh\necho hi\n", 0o644);
    image(house, "foreign", &program(if cfg!(target_arch = "x86_64") { 0xb7 } else { 0x3e }, "/lib/ld.so"), 0o755);
    let here = if cfg!(target_arch = "x86_64") { 0x3e } else { 0xb7 };
    image(house, "unlinked", &program(here, "/lib64/ld-linux-nowhere.so.2"), 0o755);
    image(house, "script", b"#!/usr/bin/python3\nprint()\n", 0o755);
    image(house, "windows", b"#!/bin/sh\r\necho hi\r\n", 0o755);
    image(house, "bare", b"echo hi\n", 0o755);
    vec![
        case("missing", "missing", "/nowhere is not in its file system"),
        case("plain", "not-executable", "no execute permission"),
        case("foreign", "wrong-architecture", "is for "),
        case("unlinked", "interpreter-missing", "dynamic linker /lib64/ld-linux-nowhere.so.2"),
        case("script", "interpreter-missing", "a script for /usr/bin/python3"),
        case("windows", "carriage-return", "carriage return"),
        case("bare", "no-format", "neither machine code nor a script"),
    ]
}

fn stage_surroundings(house: &House) -> Vec<Case> {
    let _taken = std::net::TcpListener::bind("0.0.0.0:8081").unwrap();
    ends(house, "port", &["-p", "8081:80"], &["true"]);
    ends(house, "directory", &["-w", "/etc/passwd/x"], &["true"]);
    vec![
        case("port", "port-taken", "taken by a process of the host"),
        case("directory", "no-directory", "working directory"),
    ]
}

#[test]
fn twenty_deaths_are_explained() {
    let house = House::new();
    let mut cases = stage_ends(&house);
    cases.extend(stage_signals(&house));
    cases.extend(stage_programs(&house));
    cases.extend(stage_surroundings(&house));
    assert_eq!(cases.len(), 20);
    let mut wrong = Vec::new();
    for Case { name, cause, says } in &cases {
        let json = house.ok(["why", "--format", "json", name]);
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        if told["Cause"] != *cause || !told["Summary"].as_str().unwrap().contains(says) {
            wrong.push(format!("{name}: wanted {cause}, {says:?}; told {json}"));
        }
    }
    let right = cases.len() - wrong.len();
    assert!(right >= 19, "{right} of {} right:\n{}", cases.len(), wrong.join("\n"));
    assert_eq!(wrong, [] as [String; 0], "{right} of {} right", cases.len());
    let text = house.ok(["why", "error"]);
    assert!(text.contains("| the disk is on fire"), "its last words: {text}");
    let text = house.ok(["why", "hog"]);
    assert!(text.contains("limit is 24.0 MiB"), "peak and limit: {text}");
    let text = house.ok(["why", "sick"]);
    assert!(text.contains("it said: the queue is stuck"), "what the probe said: {text}");
}

#[test]
fn what_runs_in_a_loop_says_why() {
    let house = House::new();
    let pauses = ["--restart", "always", "--restart-min-delay", "20ms", "--restart-max-delay", "40ms"];
    goes_on(&house, "loop", &pauses, &["sh", "-c", "echo no database; exit 5"]);
    await_that("a loop in ps", || house.ok(["ps", "-a", "--format", "{{.Status}}"]).contains("(crash loop: "));
    let text = house.ok(["why", "loop"]);
    assert!(text.contains("exit code 5") && text.contains("| no database"), "{text}");
    house.ok(["stop", "loop"]);
    goes_on(&house, "fine", &[], &["sleep", "600"]);
    assert!(house.ok(["why", "fine"]).contains("It runs."));
    house.ok(["create", "--name", "fresh", "busybox"]);
    assert!(house.ok(["why", "fresh"]).contains("never started"));
    assert!(house.fails(1, ["why", "nobody"]).contains("No such container"));
    assert!(Path::new("/dev/kmsg").exists());
}
