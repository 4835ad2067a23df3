//! A program inside the default container notes what it sees and may do; the notes are compared with those it made in
//! Docker 28's default container (`probe/docker-28.txt`): equal, or stricter for a reason.

use std::collections::BTreeMap;

use crate::house::{House, run_tool};

const DOCKER: &str = include_str!("probe/docker-28.txt");

/// What hako refuses and Docker 28 does not, and why.
const STRICTER: &[(&str, &str)] = &[
    (
        "call 41",
        "socket: Docker names the families it refuses, hako those it allows, so one that does not exist is refused",
    ),
    ("mount /sys/fs/cgroup", "the directory of the hierarchies is read-only, as nobody has a reason to write there"),
    ("mount /sys/fs/cgroup/systemd", "no process is placed in it, so it would show the host's"),
];

/// The facts of a kind: everything up to the last of `words` words is the name.
fn facts(notes: &str, kind: &str, words: usize) -> BTreeMap<String, String> {
    let of_kind = notes.lines().filter(|line| line.split(' ').next() == Some(kind));
    of_kind
        .map(|line| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let at = words.min(parts.len());
            (parts[..at].join(" "), parts[at..].join(" "))
        })
        .collect()
}

fn notes(house: &House) -> String {
    let root = house.path().join("probe");
    std::fs::create_dir_all(&root).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/probe/probe.c");
    run_tool("cc", ["-O1", "-static", "-o", root.join("probe").to_str().unwrap(), source]);
    let tar = house.path().join("probe.tar");
    run_tool("tar", ["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    house.ok(["import", tar.to_str().unwrap(), "probe"]);
    house.ok(["run", "--rm", "--network", "none", "probe", "/probe"])
}

fn is_excused(name: &str) -> bool {
    STRICTER.iter().any(|(known, _)| *known == name)
}

#[test]
fn the_default_container_is_dockers_or_stricter() {
    let house = House::empty();
    let ours = notes(&house);
    let mut wrong = Vec::new();
    for (kind, words) in
        [("status", 2), ("dev", 2), ("dumpable", 1), ("keyring", 1), ("sysctl", 2), ("map", 2), ("oom", 1)]
    {
        let (mine, theirs) = (facts(&ours, kind, words), facts(DOCKER, kind, words));
        if mine != theirs {
            wrong.push(format!("{kind}: {mine:?} instead of {theirs:?}"));
        }
    }
    wrong.extend(refusals(&ours));
    wrong.extend(mounts(&ours));
    let fds = facts(&ours, "fd", 2);
    if fds.len() != facts(DOCKER, "fd", 2).len() {
        wrong.push(format!("descriptors: {fds:?}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What Docker refuses is refused; what it allows is, unless excused.
fn refusals(ours: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (kind, strict) in [("call", "refused"), ("path", "empty protected")] {
        let mine = facts(ours, kind, 2);
        for (name, verdict) in facts(DOCKER, kind, 2) {
            let Some(own) = mine.get(&name) else { continue };
            // A file that this kernel lacks, or lacked there, says nothing.
            let comparable = own != "missing" && verdict != "missing";
            if comparable && *own != verdict && !(own == strict && is_excused(&name)) {
                wrong.push(format!("{name}: {own} instead of {verdict}"));
            }
        }
    }
    wrong
}

/// Every mount has at least the restricting options Docker gives it.
fn mounts(ours: &str) -> Vec<String> {
    let mine = facts(ours, "mount", 2);
    let mut wrong = Vec::new();
    for (name, options) in facts(DOCKER, "mount", 2) {
        let Some(own) = mine.get(&name) else {
            // A mount is missed only where the machine has what it lies over.
            let there = std::path::Path::new(name.trim_start_matches("mount ")).exists();
            if there && !is_excused(&name) {
                wrong.push(format!("{name} is missing"));
            }
            continue;
        };
        let has = |text: &str, option: &str| text.split([' ', ',']).any(|word| word == option);
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            if has(&options, option) && !has(own, option) {
                wrong.push(format!("{name}: {own} lacks {option}"));
            }
        }
    }
    wrong
}
