//! Measurements: `cargo test -p hako-supervisor --release --test kernel -- --bench`.

use std::time::Instant;

use hako_supervisor::log::read::{Query, Reader};
use hako_supervisor::protocol::Ask;

use crate::stage::Stage;

/// 2 million lines of 100 bytes.
const LINES: &str = "yes 012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678 \
                     | head -n 2000000";

pub(crate) fn run(words: &[String]) {
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    if chosen("memory") {
        memory();
    }
    if chosen("log") {
        log();
    }
    if chosen("start") {
        start();
    }
}

/// Memory of idle supervisors.
fn memory() {
    let stages: Vec<Stage> = (0..20).map(|_| Stage::new("echo hello; sleep 1000")).collect();
    let mut engines: Vec<_> = stages.iter().map(Stage::start).collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let sizes: Vec<u64> = engines.iter().map(|engine| pss(engine.handle.process().unwrap().pid())).collect();
    println!("memory: PSS of an idle supervisor among {}: {} KiB", sizes.len(), sizes.iter().sum::<u64>() / 20);
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", engines[0].handle.process().unwrap().pid()));
    println!("{}", rollup.unwrap());
    for engine in &mut engines {
        engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
    }
}

fn pss(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// User and system time in ticks.
fn ticks(pid: i32) -> [u64; 2] {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    [11, 12].map(|index| words[index].parse().unwrap())
}

/// A container that writes 200 MB, against the same generator into a pipe; and reading that log.
fn log() {
    let began = Instant::now();
    let command = format!("{LINES} | cat > /dev/null");
    std::process::Command::new("busybox").args(["sh", "-c", &command]).status().unwrap();
    let generator = began.elapsed();
    let mut stage = Stage::new(LINES);
    stage.description.log.max_file = 100;
    let engine = stage.engine();
    let mut engine = engine;
    let began = Instant::now();
    engine.start(&stage).unwrap();
    engine.until("die 0");
    let logged = began.elapsed();
    let ticks = ticks(engine.handle.process().unwrap().pid());
    println!("log: generator {generator:?}, logged {logged:?}, supervisor's user and system time {ticks:?} x 10 ms");
    let began = Instant::now();
    let mut reader = Reader::open(&stage.description.log, Query::ALL).unwrap();
    let (mut bytes, mut lines) = (0_usize, 0);
    while let Some(entry) = reader.next().unwrap() {
        bytes += entry.line.len();
        lines += 1;
    }
    let read = began.elapsed();
    println!("log: read {lines} lines, {:.0} MB/s of text in {read:?}", bytes as f64 / 1e6 / read.as_secs_f64());
    let began = Instant::now();
    let tail = Query { tail: Some(10), ..Query::ALL };
    let mut reader = Reader::open(&stage.description.log, tail).unwrap();
    while reader.next().unwrap().is_some() {}
    println!("log: tail of 10 in {:?}", began.elapsed());
}

/// From Start to Started, and from Kill to Ended.
fn start() {
    let (mut starts, mut kills) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let stage = Stage::new("sleep 1000");
        let mut engine = stage.engine();
        let _ = engine.ask(Ask::Hello { since: None }).unwrap();
        let began = Instant::now();
        engine.start(&stage).unwrap();
        starts.push(began.elapsed());
        let began = Instant::now();
        engine.ask(Ask::Kill { signal: 9, sender: None }).unwrap();
        kills.push(began.elapsed());
        engine.finish();
    }
    starts.sort();
    kills.sort();
    println!("start: median {:?}, kill: median {:?}", starts[15], kills[15]);
}
