//! The runtime's command line killed in the middle of its commands: what it left can be deleted, and nothing stays.

use std::time::Duration;

use crate::house::{alive, await_that, processes};
use crate::runtime::{Bundle, field};

use super::chance::{self, Chance};
use super::{Told, number};

/// Rounds when nobody says how many.
const ROUNDS: u64 = 40;

#[test]
fn a_killed_runtime_leaves_nothing_that_cannot_be_deleted() {
    let seed = number("HAKO_KILL_SEED").unwrap_or_else(chance::of_the_day);
    let bundle = Bundle::new(&["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.01; done"], &[]);
    bundle.leave(&["run", "-d", "steady"]);
    let steady = field(&bundle.ok(&["state", "steady"]), "pid");
    let other = Bundle::new(&["sleep", "600"], &[]);
    for round in 0..number("HAKO_KILL_ROUNDS").unwrap_or(ROUNDS) {
        let told = Told(format!("HAKO_KILL_SEED={seed} repeats it; this was round {round}"));
        play(&other, &mut Chance::new(seed.wrapping_add(round)));
        assert_eq!(field(&bundle.ok(&["state", "steady"]), "pid"), steady);
        assert_eq!(bundle.status("steady"), "running");
        drop(told);
    }
}

/// What must exist before the command, and the command.
const COMMANDS: [(&[&str], &[&str]); 8] = [
    (&[], &["create", "box"]),
    (&[], &["run", "-d", "box"]),
    (&["create"], &["start", "box"]),
    (&["create", "start"], &["exec", "box", "sleep", "0.05"]),
    (&["create", "start"], &["delete", "--force", "box"]),
    (&["create", "start"], &["pause", "box"]),
    (&["create", "start"], &["update", "--pids-limit", "50", "box"]),
    (&["create"], &["delete", "--force", "box"]),
];

fn play(bundle: &Bundle, chance: &mut Chance) {
    let (before, command) = *chance.pick(&COMMANDS);
    let most = *chance.pick(&[3_000, 15_000, 60_000]);
    let delay = Duration::from_micros(chance.below(most));
    before.iter().for_each(|verb| bundle.leave(&[verb, "box"]));
    let mut client = bundle.begin(command);
    // The point is meant to be anywhere: there is nothing to wait for.
    std::thread::park_timeout(delay);
    client.kill().unwrap();
    client.wait().unwrap();
    let said = bundle.run(&["state", "box"]);
    let status = field(&said.stdout, "status");
    let known = ["creating", "created", "running", "paused", "stopped"].contains(&status.as_str());
    assert!(known || said.stderr.contains("container does not exist"), "{command:?}: {status} {}", said.stderr);
    // It is listed exactly if there is a state.
    assert_eq!(bundle.ok(&["list", "-q"]).contains("box"), known, "{command:?}");
    bundle.ok(&["delete", "--force", "box"]);
    assert_eq!(bundle.ok(&["list", "-q"]), "", "{command:?}");
    let files = || std::fs::read_dir(bundle.path("state")).map_or(0, Iterator::count);
    assert_eq!(files(), 0, "{command:?}");
    let place = bundle.path("").display().to_string();
    await_that("its processes to be gone", || {
        processes().iter().all(|(pid, command)| !command.contains(&place) || !alive(*pid))
    });
    let group = hako_sys::cgroup::Group::open(&bundle.cgroup()).unwrap();
    assert!(!group.exists(), "{command:?} left its control group");
    // And the name is free.
    bundle.leave(&["run", "-d", "box"]);
    bundle.ok(&["delete", "--force", "box"]);
}
