//! Secrets: sealed on the disk, seen in memory by who may, and nowhere else.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use crate::house::{House, await_that};

const WORD: &str = "correct-horse-battery-staple";

fn keep(house: &House, name: &str) {
    let ended = house.run_with_input(["secret", "create", name], WORD.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Files below a directory that hold the word.
fn found_in(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => waiting.push(path),
                kind if kind.is_file() => {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    if bytes.windows(WORD.len()).any(|window| window == WORD.as_bytes()) {
                        found.push(path.display().to_string());
                    }
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_secret_is_seen_by_who_may_and_nowhere_else() {
    let house = House::new();
    keep(&house, "db");
    house.ok([
        "run",
        "-d",
        "--name",
        "app",
        "--secret",
        "db",
        "--secret",
        "source=db,target=/etc/word,uid=33,mode=0400",
        "busybox",
        "sh",
        "-c",
        "echo started; sleep 600",
    ]);
    assert_eq!(house.ok(["exec", "app", "cat", "/run/secrets/db"]), WORD);
    let look = house.ok(["exec", "app", "stat", "-c", "%u %a %n", "/run/secrets/db", "/etc/word"]);
    assert_eq!(look, "0 444 /run/secrets/db\n33 400 /etc/word");
    assert!(house.fails(1, ["exec", "app", "sh", "-c", "echo x >/run/secrets/db"]).contains("Read-only"));
    assert!(house.ok(["exec", "app", "mount"]).contains("tmpfs on /run/secrets/db type tmpfs (ro"));
    assert_eq!(house.ok(["secret", "ls", "--format", "{{.Name}} {{.UsedBy}}"]), "db app");
    for text in [house.ok(["inspect", "app"]), house.ok(["secret", "inspect", "db"]), house.ok(["logs", "app"])] {
        assert!(!text.contains(WORD), "{text}");
    }
    house.ok(["commit", "app", "copied"]);
    assert_eq!(house.ok(["run", "--rm", "copied", "sh", "-c", "cat /run/secrets/db /etc/word 2>/dev/null; true"]), "");
    assert_eq!(found_in(house.path()), [] as [String; 0], "on no disk");
    assert_eq!(found_in(Path::new("/dev/shm")), [] as [String; 0], "no name on the host leads to it");
    let said = house.fails(1, ["secret", "rm", "db"]);
    assert!(said.contains("is in use by app"), "{said}");
    house.ok(["rm", "-f", "app"]);
    house.ok(["secret", "rm", "db"]);
    assert!(house.fails(125, ["run", "--rm", "--secret", "db", "busybox", "true"]).contains("secret db not found"));
}

#[test]
fn a_secret_outlives_restarts_with_and_without_a_daemon() {
    let house = House::new();
    keep(&house, "db");
    house.ok([
        "run",
        "-d",
        "--name",
        "app",
        "--secret",
        "db",
        "--restart",
        "always",
        "busybox",
        "sh",
        "-c",
        "cat /run/secrets/db >/dev/null && echo life >>/lives; sleep 600",
    ]);
    await_that("the first life", || house.ok(["exec", "app", "cat", "/lives"]).lines().count() == 1);
    let pid = house.inspect("app", "{{.State.Pid}}");
    house.kill_daemon();
    crate::house::signal(pid.parse().unwrap(), "KILL");
    await_that("a second life", || house.run(["exec", "app", "cat", "/lives"]).stdout.lines().count() == 2);
    house.ok(["restart", "-t", "0", "app"]);
    assert_eq!(house.ok(["exec", "app", "cat", "/run/secrets/db"]), WORD);
    house.ok(["update", "--restart", "no", "app"]);
}

#[test]
fn the_key_is_its_owners_alone_and_another_key_opens_nothing() {
    let house = House::new();
    keep(&house, "db");
    let key = house.path().join("secret.key");
    let meta = std::fs::metadata(&key).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.len()), (0o600, 0, 32));
    assert!(!key.starts_with(house.data()));
    let run = ["run", "--rm", "--secret", "db", "busybox", "true"];
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let said = house.run(run);
    assert!(said.code != 0 && said.stderr.contains("may be read by others"), "{}", said.stderr);
    std::fs::write(&key, [1; 32]).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let said = house.run(run);
    assert!(said.code != 0 && said.stderr.contains("cannot be opened"), "{}", said.stderr);
}

#[test]
fn dockers_own_secrets_stay_its_swarms() {
    let house = House::new();
    keep(&house, "db");
    let ended = house.docker(["secret", "ls"]);
    assert!(ended.code != 0 && !ended.stdout.contains("db"), "{}", ended.stdout);
    for name in ["", "../db", "a/b", "-x"] {
        assert_ne!(house.run_with_input(["secret", "create", name], b"x").code, 0, "{name}");
    }
    assert!(house.run_with_input(["secret", "create", "db"], b"x").stderr.contains("already exists"));
    assert!(house.run_with_input(["secret", "create", "big"], &vec![b'x'; 600 * 1024]).stderr.contains("500 KiB"));
}
