//! Health checks: verdicts, time limits, pauses.

use std::time::Duration;

use hako_model::health::{HealthStatus, Probe};
use hako_supervisor::protocol::Ask;

use crate::Case;
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("a check turns healthy, then unhealthy", turns),
    ("a check that hangs is ended", hangs),
    ("a check that cannot run says why", cannot_run),
    ("a paused container is not checked", paused),
];

fn stage(check: &[&str]) -> Stage {
    let mut stage = Stage::new("sleep 1000");
    let argv = check.iter().map(|word| (*word).to_owned()).collect();
    let interval = Duration::from_millis(30);
    stage.description.probe =
        Some(Probe { interval, timeout: Duration::from_millis(300), retries: 2, ..Probe::new(argv) });
    stage
}

fn turns() {
    let stage = stage(&["sh", "-c", "echo checked; test ! -e /tmp/sick"]);
    let mut engine = stage.start();
    assert_eq!(stage.status().health.unwrap().status, HealthStatus::Starting);
    engine.until("healthy");
    std::fs::create_dir_all(stage.directory.path().join("upper/tmp")).unwrap();
    let pid = stage.status().pid();
    std::fs::write(format!("/proc/{pid}/root/tmp/sick"), "").unwrap();
    engine.until("unhealthy");
    let health = stage.status().health.unwrap();
    assert!(health.failing_streak >= 2 && health.log.len() <= 5);
    assert_eq!(health.log.last().unwrap().output, "checked\n");
    std::fs::remove_file(format!("/proc/{pid}/root/tmp/sick")).unwrap();
    engine.until("healthy");
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
    assert_eq!(stage.status().health.unwrap().status, HealthStatus::Unhealthy);
}

fn hangs() {
    let stage = stage(&["sh", "-c", "echo slow; sleep 1000"]);
    let mut engine = stage.start();
    engine.until("unhealthy");
    let health = stage.status().health.unwrap();
    assert_eq!(health.log[0].output, "Health check exceeded timeout (300ms): slow\n");
    assert_eq!(health.log[0].exit_code, -1);
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn cannot_run() {
    let stage = stage(&["no-such-check"]);
    let mut engine = stage.start();
    engine.until("unhealthy");
    let health = stage.status().health.unwrap();
    assert!(health.log[0].exit_code == -1 && health.log[0].output.contains("no-such-check"), "{health:?}");
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn paused() {
    let stage = stage(&["true"]);
    let mut engine = stage.start();
    engine.until("healthy");
    engine.ask(Ask::Pause).unwrap();
    assert_eq!(stage.status().health.unwrap().status, HealthStatus::Unhealthy);
    engine.ask(Ask::Resume).unwrap();
    engine.until("healthy");
    engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}
