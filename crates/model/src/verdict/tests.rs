use std::time::Duration;

use super::*;
use crate::evidence::Evidence;
use crate::time::Timestamp;

fn ended_with(exit_code: i32) -> Facts {
    let status = Status { state: State::Exited, exit_code, started_at: Timestamp::from_secs(1), ..Status::default() };
    Facts { status, command: vec!["serve".into()], own_pids: true, machine: "amd64".into(), ..Facts::default() }
}

fn sent(signal: i32, verb: &str) -> Sent {
    let sender = Sender::Request { verb: verb.into(), client: "docker (pid 7, uid 0)".into() };
    Sent { at: Timestamp::from_secs(2), signal, sender }
}

fn with(exit_code: i32, evidence: Evidence) -> Facts {
    let mut facts = ended_with(exit_code);
    facts.status.evidence = evidence;
    facts
}

#[test]
fn ends() {
    let memory =
        Shortage { limit: Some(64 << 20), peak: 64 << 20, victim: "hog".into(), pid: 9, kills: 1, first: true };
    let grace = Sent { sender: Sender::Grace, ..sent(9, "") };
    let sick = Sent { sender: Sender::Health, ..sent(15, "") };
    for (facts, cause, says) in [
        (ended_with(0), "exit", "with success"),
        (ended_with(3), "exit", "exit code 3"),
        (ended_with(126), "exit", "cannot be executed"),
        (ended_with(127), "exit", "not found"),
        (ended_with(139), "child-signal", "SIGSEGV"),
        (with(139, Evidence { signal: Some(11), ..Evidence::default() }), "crash", "SIGSEGV"),
        (with(137, Evidence { signal: Some(9), ..Evidence::default() }), "signal", "not sent through hako"),
        (
            with(137, Evidence { signal: Some(9), memory: Some(memory.clone()), ..Evidence::default() }),
            "oom",
            "`hog` (pid 9)",
        ),
        (
            with(1, Evidence { memory: Some(Shortage { first: false, ..memory.clone() }), ..Evidence::default() }),
            "oom",
            "`hog`",
        ),
        (
            with(0, Evidence { memory: Some(Shortage { first: false, ..memory }), ..Evidence::default() }),
            "exit",
            "success",
        ),
        (with(0, Evidence { sent: vec![sent(15, "stop")], ..Evidence::default() }), "stopped", "docker (pid 7, uid 0)"),
        (
            with(137, Evidence { signal: Some(9), sent: vec![sent(15, "stop"), grace], ..Evidence::default() }),
            "killed-after-grace",
            "ignored SIGTERM",
        ),
        (
            with(137, Evidence { signal: Some(9), sent: vec![sent(9, "kill")], ..Evidence::default() }),
            "killed",
            "SIGKILL by docker",
        ),
        (with(1, Evidence { sent: vec![sent(1, "kill")], ..Evidence::default() }), "exit", "exit code 1"),
        (with(129, Evidence { sent: vec![sent(1, "kill")], ..Evidence::default() }), "killed", "SIGHUP"),
        (with(143, Evidence { sent: vec![sick], ..Evidence::default() }), "unhealthy", "unhealthy"),
    ] {
        let found = verdict(&facts);
        assert_eq!(found.cause, cause, "{found:?}");
        assert!(found.summary.contains(says), "{found:?}");
    }
}

#[test]
fn an_init_reports_its_childs_signal() {
    let found = verdict(&Facts { init: true, ..ended_with(139) });
    assert_eq!(found.cause, "crash");
}

#[test]
fn a_loop_is_told_and_a_running_container_remembers_its_last_end() {
    let mut facts = ended_with(3);
    facts.status.state = State::Restarting { due: Timestamp::from_secs(9) };
    (facts.status.restart_count, facts.status.restart_delay) = (4, Duration::from_secs(2));
    assert!(verdict(&facts).details.iter().any(|line| line.contains("crash loop: restarted 4 times")));
    facts.status.state = State::Running(Default::default());
    facts.status.before = Some(crate::state::Before { exit_code: 3, ..Default::default() });
    let found = verdict(&facts);
    assert!(
        found.summary.starts_with("It runs, restarted 4 times. Its last end: `serve` ended by itself with exit code 3"),
        "{found:?}"
    );
}

#[test]
fn failed_starts() {
    let failed = |error: &str, flaw| {
        let status = Status { exit_code: 127, error: error.into(), ..Status::default() };
        verdict(&Facts { status, flaw, ..ended_with(127) })
    };
    let path = || "/run.sh".to_owned();
    for (error, flaw, cause) in [
        ("x", Some(Flaw::Missing { program: "sh".into(), searched: "/bin".into() }), "missing"),
        ("x", Some(Flaw::NotExecutable { path: path(), mode: 0o644 }), "not-executable"),
        ("x", Some(Flaw::WrongMachine { path: path(), machine: "arm64".into() }), "wrong-architecture"),
        ("x", Some(Flaw::CarriageReturn { path: path(), interpreter: "/bin/sh".into() }), "carriage-return"),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", None, "port-taken"),
        ("the container's supervisor was killed", None, "supervisor-killed"),
        ("something new", None, "not-started"),
    ] {
        let found = failed(error, flaw);
        assert_eq!(found.cause, cause);
        assert!(found.details.iter().any(|line| line.contains(error)), "{found:?}");
    }
}

#[test]
fn sizes() {
    for (bytes, text) in [(512, "512 bytes"), (64 << 20, "64.0 MiB"), (1536, "1.5 KiB")] {
        assert_eq!(size(bytes), text);
    }
}
