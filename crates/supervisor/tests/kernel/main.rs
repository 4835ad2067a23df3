//! Supervisors on the real kernel, as root: the test binary starts itself as `supervise` and plays the engine.
//!
//! Usage: `cargo test -p hako-supervisor --test kernel [-- WORD…]` runs the cases whose name contains a word.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod attach;
mod bench;
mod exec;
mod health;
mod life;
mod logs;
mod network;
mod stage;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;

/// A named case. It fails by panicking.
type Case = (&'static str, fn());

fn cases() -> Vec<Case> {
    [life::CASES, attach::CASES, exec::CASES, health::CASES, logs::CASES, network::CASES].concat()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|word| word == "supervise").is_some() {
        return hako_supervisor::supervise::run(arguments);
    }
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    if words.first().is_some_and(|word| word == "--bench") {
        bench::run(&words[1..]);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--list") {
        cases().iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run_all(&words)
}

fn run_all(words: &[String]) -> ExitCode {
    let words: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let waiting: Vec<Case> = cases().into_iter().filter(|(name, _)| chosen(name)).rev().collect();
    let (total, waiting, failed) = (waiting.len(), Mutex::new(waiting), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, case)) = { waiting.lock().unwrap().pop() } {
                    let passed = catch_unwind(case).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    *failed.lock().unwrap() += usize::from(!passed);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("\ntest result: {} passed; {failed} failed\n", total - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
