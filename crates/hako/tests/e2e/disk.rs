//! A disk that cannot silently fill: the budget, and sizes that are true.

use std::path::{Path, PathBuf};

use crate::house::{House, await_that, run_tool};

const MIB: usize = 1 << 20;

/// An image of so many MiB that nothing compresses.
fn heavy(house: &House, name: &str, size: usize, change: &str) {
    let dir = house.path().join(name);
    std::fs::create_dir(&dir).unwrap();
    let random = format!("head -c {} /dev/urandom >{}", size * MIB, dir.join("data").display());
    run_tool("sh", ["-c", &random]);
    std::fs::copy("/bin/busybox", dir.join("busybox")).unwrap();
    let tar = house.path().join(format!("{name}.tar"));
    run_tool("tar", ["-C", dir.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    std::fs::remove_dir_all(&dir).unwrap();
    house.ok(["import", "--change", "CMD [\"/busybox\",\"true\"]", "--change", change, tar.to_str().unwrap(), name]);
    std::fs::remove_file(tar).unwrap();
}

fn images(house: &House) -> Vec<String> {
    let mut names: Vec<String> =
        house.ok(["images", "--format", "{{.Repository}}"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Makes an image look as if it was used last so many hours ago.
fn age(house: &House, name: &str, hours: u64) {
    let id = house.ok(["images", "-q", "--no-trunc", name]);
    let record: PathBuf =
        house.data().join("images/records").join(format!("{}.json", id.trim_start_matches("sha256:")));
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
    std::fs::File::options().write(true).open(record).unwrap().set_modified(then).unwrap();
}

#[test]
fn the_budget_is_kept_oldest_first_and_what_is_in_use_or_kept_stays() {
    let house = House::empty();
    house.configure(r#"{"disk-budget": "54MB:46MB"}"#);
    for (name, hours, change) in [
        ("oldest", 50, "LABEL a=b"),
        ("kept", 60, "LABEL io.hako.keep=true"),
        ("used", 40, "LABEL a=b"),
        ("older", 30, "LABEL a=b"),
    ] {
        heavy(&house, name, 8, change);
        age(&house, name, hours);
    }
    house.ok(["run", "-d", "--name", "app", "used", "/busybox", "sleep", "600"]);
    age(&house, "used", 40);
    assert_eq!(images(&house), ["kept", "older", "oldest", "used"], "below the high mark nothing goes");
    heavy(&house, "newest", 24, "LABEL a=b");
    await_that("the oldest to go", || !images(&house).contains(&"oldest".to_owned()));
    await_that("enough to be gone", || images(&house) == ["kept", "newest", "used"]);
    assert_eq!(house.inspect("app", "{{.State.Running}}"), "true");
    // Told once what is left has been measured, which is after the last image went.
    let told = || house.ok(["events", "--since", "1h", "--until", "0s", "--filter", "event=budget"]);
    await_that("the event", || told().contains("budget") && told().contains("reclaimed="));
}

#[test]
fn stopped_containers_go_but_their_volumes_stay() {
    let house = House::new();
    let fill = |name: &str| {
        let write = "head -c 12582912 /dev/urandom >/junk; echo kept >/data/file";
        house.ok(["run", "--name", name, "-v", &format!("{name}:/data"), "busybox", "sh", "-c", write]);
    };
    fill("first");
    fill("second");
    house.ok(["run", "--name", "third", "--label", "io.hako.keep=1", "busybox", "true"]);
    house.kill_daemon();
    house.configure(r#"{"disk-budget": "25MB:20MB"}"#);
    house.ok(["version"]);
    await_that("one of them to go", || house.ok(["ps", "-aq"]).lines().count() == 2);
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}}"]), "third\nsecond");
    assert_eq!(house.ok(["volume", "ls", "-q"]), "first\nsecond");
    house.ok(["rm", "second", "third"]);
    house.ok(["volume", "rm", "first", "second"]);
}

#[test]
fn without_a_budget_nothing_goes_and_nonsense_is_refused() {
    let house = House::empty();
    heavy(&house, "one", 4, "LABEL a=b");
    house.kill_daemon();
    house.ok(["version"]);
    assert_eq!(images(&house), ["one"]);
    house.kill_daemon();
    house.configure(r#"{"disk-budget": "much"}"#);
    assert_ne!(house.run(["ps"]).code, 0);
    let said = std::fs::read_to_string(house.path().join("run/daemon.log")).unwrap();
    assert!(said.contains("disk-budget") && said.contains("want HIGH or HIGH:LOW"), "{said}");
    house.configure("{}");
}

/// The bytes `du` counts.
fn du(path: &Path) -> f64 {
    let said = run_tool("du", ["-s", "-B1", path.to_str().unwrap()]);
    said.split_whitespace().next().unwrap().parse().unwrap()
}

/// `12.5MB` in bytes.
fn bytes(text: &str) -> f64 {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let power = ["B", "kB", "MB", "GB"].iter().position(|unit| *unit == &text[at..]).unwrap();
    text[..at].parse::<f64>().unwrap() * 1000_f64.powi(i32::try_from(power).unwrap())
}

#[test]
fn df_agrees_with_du() {
    let house = House::new();
    heavy(&house, "heavy", 24, "LABEL a=b");
    house.ok([
        "run",
        "--name",
        "writer",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        "head -c 8388608 /dev/urandom >/junk; head -c 4194304 /dev/urandom >/data/junk",
    ]);
    let dir = house.path().join("build");
    std::fs::create_dir(&dir).unwrap();
    let cached = "FROM busybox\nRUN head -c 6291456 /dev/urandom >/cached\nRUN echo $RANDOM >/dev/null\n";
    std::fs::write(dir.join("Dockerfile"), cached).unwrap();
    house.ok(["build", "-q", "-t", "built", dir.to_str().unwrap()]);
    let sizes = house.ok(["system", "df", "--format", "{{.Type}}={{.Size}}"]);
    let said: f64 = sizes.lines().map(|line| bytes(line.split_once('=').unwrap().1)).sum();
    let taken = du(&house.data());
    let difference = (said - taken).abs();
    assert!(difference < taken * 0.05, "df says {said}, du {taken}:\n{sizes}");
    house.ok(["rm", "-v", "writer"]);
    house.ok(["rmi", "-f", "heavy", "built"]);
    house.ok(["builder", "prune", "-af"]);
    let sizes = house.ok(["system", "df", "--format", "{{.Type}}={{.Size}}"]);
    let said: f64 = sizes.lines().map(|line| bytes(line.split_once('=').unwrap().1)).sum();
    await_that("what was removed to be gone", || du(&house.data()) < 12.0 * MIB as f64);
    assert!(said < 12.0 * MIB as f64, "{sizes}");
    house.ok(["volume", "rm", "data"]);
}
