//! Containers on the real kernel, as root. Every case runs in a process of its own, which has one thread.
//!
//! Usage: `cargo test -p hako-runtime --test kernel [-- WORD…]` runs the cases whose name contains a word.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod confinement;
mod exec;
mod launch;
mod limits;
mod mounts;
mod vessel;

use std::process::{Command, ExitCode, Stdio};

/// A named case. It fails by panicking.
type Case = (&'static str, fn());

fn cases() -> Vec<Case> {
    [launch::CASES, mounts::CASES, confinement::CASES, exec::CASES, limits::CASES].concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, name] if flag == "--case" => run_here(name),
        [flag, rest @ ..] if flag == "--bench" => bench::run(rest),
        _ => run_all(&arguments),
    }
}

fn run_here(name: &str) -> ExitCode {
    let Some((_, case)) = cases().into_iter().find(|(known, _)| *known == name) else {
        eprintln!("no case {name}");
        return ExitCode::FAILURE;
    };
    case();
    ExitCode::SUCCESS
}

fn run_all(arguments: &[String]) -> ExitCode {
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut waiting: Vec<&str> = cases().iter().map(|(name, _)| *name).filter(|name| chosen(name)).collect();
    waiting.reverse();
    if arguments.iter().any(|argument| argument == "--list") {
        waiting.iter().rev().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let own = std::env::current_exe().expect("own path");
    let (total, mut failed) = (waiting.len(), 0);
    let mut running = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < 4
            && let Some(name) = waiting.pop()
        {
            let mut case = Command::new(&own);
            case.args(["--case", name]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            running.push((name, case.spawn().expect("start case")));
        }
        let (name, case) = running.remove(0);
        let output = case.wait_with_output().expect("wait for case");
        let verdict = if output.status.success() { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict}");
        if !output.status.success() {
            failed += 1;
            println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
    }
    println!("\ntest result: {} passed; {failed} failed\n", total - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
