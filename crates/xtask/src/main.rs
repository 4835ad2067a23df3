//! `cargo xtask tidy`: the rules of ARCHITECTURE.md as a program. It reads the checkout and changes nothing.

mod arrows;
mod paths;
mod sizes;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What one check found: a line for each breach, ready to print.
type Breaches = Vec<String>;

/// A check: it reads the checkout below the path.
type Check = fn(&Path) -> Breaches;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(&checkout()),
        Some("sizes") => {
            print!("{}", sizes::report(&checkout()));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: cargo xtask tidy | sizes");
            ExitCode::from(2)
        }
    }
}

fn tidy(root: &Path) -> ExitCode {
    let checks: [(&str, Check); 4] =
        [("arrows", arrows::check), ("paths", paths::check), ("sizes", sizes::check), ("words", words::check)];
    let mut breaches = 0;
    for (name, check) in checks {
        for breach in check(root) {
            eprintln!("tidy: {name}: {breach}");
            breaches += 1;
        }
    }
    if breaches > 0 {
        eprintln!("tidy: {breaches} breaches; the rules stand in ARCHITECTURE.md");
        return ExitCode::FAILURE;
    }
    println!("tidy: the house is in order");
    ExitCode::SUCCESS
}

/// The checkout this program was built from.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Every Rust source file below `crates/*/DIR`, with its crate's name.
fn sources(root: &Path, dir: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut pending = vec![entry.path().join(dir)];
        while let Some(path) = pending.pop() {
            for child in std::fs::read_dir(&path).into_iter().flatten().flatten().map(|child| child.path()) {
                if child.is_dir() {
                    pending.push(child);
                } else if child.extension().is_some_and(|extension| extension == "rs") {
                    found.push((name.clone(), child));
                }
            }
        }
    }
    found.sort();
    found
}
