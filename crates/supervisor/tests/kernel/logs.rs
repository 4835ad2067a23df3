//! What the supervisor logs, and looking at it while it grows.

use hako_supervisor::log::config::{Driver, LogConfig};
use hako_supervisor::log::watch::Watch;
use hako_sys::poll::{Interest, wait_one};

use crate::Case;
use crate::stage::{ENOUGH, Stage};

pub(crate) const CASES: &[Case] = &[
    ("files are turned over and compressed, and no line is lost", turned_over),
    ("the driver none logs nothing", none),
    ("the driver local logs", local),
];

/// Waits until the log is as `check` wants it.
pub(crate) fn wait_until(stage: &Stage, mut check: impl FnMut(&[String]) -> bool) {
    let watch = Watch::new().unwrap();
    watch.add(&stage.description.log).unwrap();
    while !check(&stage.log()) {
        assert!(wait_one(&watch, Interest::Read, Some(ENOUGH)).unwrap(), "nothing more is logged");
        watch.hear(drop);
    }
}

pub(crate) fn wait_for_line(stage: &Stage, line: &str) {
    wait_until(stage, |lines| lines.iter().any(|logged| logged == line));
}

fn turned_over() {
    let mut stage = Stage::new("seq 20000; sleep 1000");
    let log = &mut stage.description.log;
    (log.max_size, log.max_file) = (Some(300_000), 20);
    let mut engine = stage.start();
    wait_for_line(&stage, "stdout: 20000");
    // Compression begins when no file has become full for a while, with the oldest.
    let compressed = stage.path("c-json.log.1.gz");
    let watch = Watch::new().unwrap();
    watch.add(&stage.description.log).unwrap();
    while !compressed.exists() {
        assert!(wait_one(&watch, Interest::Read, Some(ENOUGH)).unwrap(), "nothing is compressed");
        watch.hear(drop);
    }
    let want: Vec<String> = (1..=20_000).map(|number| format!("stdout: {number}")).collect();
    assert!(stage.log() == want);
    engine.ask(hako_supervisor::protocol::Ask::Kill { signal: 9, sender: None }).unwrap();
    engine.finish();
}

fn none() {
    let mut stage = Stage::new("echo nothing");
    let path = stage.description.log.path.clone();
    stage.description.log = LogConfig { driver: Driver::None, ..LogConfig::json_file(path.clone()) };
    assert_eq!(stage.start().finish(), 0);
    assert!(!path.exists() && stage.log().is_empty());
}

fn local() {
    let mut stage = Stage::new("echo one; printf two");
    let path = stage.path("local-logs/container.log");
    stage.description.log = LogConfig { driver: Driver::Local, ..LogConfig::json_file(path) };
    assert_eq!(stage.start().finish(), 0);
    assert_eq!(stage.log(), ["stdout: one", "stdout: two"]);
}
