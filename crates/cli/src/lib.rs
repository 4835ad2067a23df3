//! The command line: arguments become requests, answers become text. It keeps no state, needs no privileges of its own
//! and prepares nothing it does not use: the tables of commands and flags are constants.

mod archive;
mod command;
mod completion;
mod config;
mod creation;
mod detach;
mod failure;
mod flags;
mod help;
mod level;
mod manual;
mod output;
mod paths;
mod reconnect;
mod render;
mod scratch;
mod session;
mod stream;
mod terminal;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use flags::{Fault, Matches};
use level::Level;
use session::{GLOBALS, Session};
use tree::{Arity, Body, Command, Group, Node, Outcome};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs one command line, the program's name first.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = args.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let globals = flags::parse(&[GLOBALS], false, &words);
    let level = globals.as_ref().map_or(Level::Info, Level::wanted);
    level.begin();
    match dispatch(globals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, level);
            ExitCode::from(failure.code())
        }
    }
}

/// Says what went wrong, and what may help.
fn report(failure: &Failure, level: Level) {
    let text = failure.to_string();
    if !text.is_empty() {
        eprintln!("{text}");
    }
    if let Some(hint) = failure.hint().filter(|_| level >= Level::Info) {
        eprintln!("Hint: {hint}");
    }
}

fn dispatch(globals: Result<Matches, Fault>) -> Outcome {
    let globals = match globals {
        Ok(globals) => globals,
        Err(Fault::Help) => return output::print(help::program(command::NODES, GLOBALS, terminal::width())),
        Err(fault) => return Err(usage_failure(fault, "hako", "Usage:  hako [OPTIONS] COMMAND\n")),
    };
    if globals.on("version") {
        return output::line(format!("hako version {VERSION}"));
    }
    let words = globals.words().to_vec();
    let session = Session::new(globals);
    match words.first().map(String::as_str) {
        None => output::print(help::program(command::NODES, GLOBALS, terminal::width())),
        Some("__complete") => completion::answer(&session, &words[1..]),
        Some("completion") => completion::script(&words[1..]),
        Some("help") => help_about(&words[1..]),
        Some(_) => descend(&session, command::NODES, "hako", &words),
    }
}

/// Walks the tree by the words; flags may stand between a group and its command only as `--help`.
fn descend(session: &Session, nodes: &'static [Node], path: &str, words: &[String]) -> Outcome {
    let (word, rest) = words.split_first().ok_or_else(|| Failure::local("no command"))?;
    let Some(node) = nodes.iter().find(|node| node.is(word)) else { return Err(unknown_command(nodes, path, word)) };
    let path = format!("{path} {word}");
    match &node.body {
        Body::Absent(belongs) => Err(absent(&path, belongs)),
        Body::Command(command) => run_command(session, command, &path, rest),
        Body::Group(group) => match rest.first().map(String::as_str) {
            None => output::complain(help::group(&path, group, terminal::width())),
            Some("--help" | "-h" | "help") => output::print(help::group(&path, group, terminal::width())),
            Some(flag) if flag.starts_with('-') => match flags::parse(group.flags, false, rest) {
                Ok(found) => {
                    let rest = found.words().to_vec();
                    session.enter(found);
                    descend_group(session, group, &path, &rest)
                }
                Err(fault) => Err(usage_failure(fault, &path, &format!("Usage:  {path} COMMAND\n"))),
            },
            Some(_) => descend(session, group.nodes, &path, rest),
        },
    }
}

/// What follows a group's own flags.
fn descend_group(session: &Session, group: &'static Group, path: &str, rest: &[String]) -> Outcome {
    match rest.first() {
        None => output::complain(help::group(path, group, terminal::width())),
        Some(_) => descend(session, group.nodes, path, rest),
    }
}

fn run_command(session: &Session, command: &'static Command, path: &str, words: &[String]) -> Outcome {
    let usage = help::usage(path, command);
    let found = match flags::parse(command.flags, command.interspersed, words) {
        Ok(found) => found,
        Err(Fault::Help) => return output::print(help::command(path, command, terminal::width())),
        Err(fault) => return Err(usage_failure(fault, path, &usage)),
    };
    check_arity(command.arity, found.words().len(), path, &usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("start: {error}")))?;
    let outcome = runtime.block_on((command.run)(session, &found));
    // A thread that still waits for the keyboard must not keep the program alive.
    runtime.shutdown_background();
    outcome
}

fn help_about(words: &[String]) -> Outcome {
    let (mut nodes, mut path) = (command::NODES, "hako".to_owned());
    let mut text = help::program(nodes, GLOBALS, terminal::width());
    for word in words {
        let node = nodes.iter().find(|node| node.is(word)).ok_or_else(|| unknown_command(nodes, &path, word))?;
        path = format!("{path} {word}");
        match &node.body {
            Body::Absent(belongs) => return Err(absent(&path, belongs)),
            Body::Command(command) => {
                text = help::command(&path, command, terminal::width());
                nodes = &[];
            }
            Body::Group(group) => {
                text = help::group(&path, group, terminal::width());
                nodes = group.nodes;
            }
        }
    }
    output::print(text)
}

fn absent(path: &str, belongs: &str) -> Failure {
    let name = path.strip_prefix("hako ").unwrap_or(path);
    Failure::Refused { message: format!("'{name}' is not supported yet: {belongs}") }
}

fn unknown_command(nodes: &[Node], path: &str, word: &str) -> Failure {
    let usage = if path == "hako" { String::new() } else { format!("Usage:  {path} COMMAND\n\n") };
    let near = nodes.iter().filter(|node| !node.absent()).find(|node| completion::similar(node.name, word));
    let suggestion = near.map(|node| format!("Did you mean '{path} {}'?\n\n", node.name)).unwrap_or_default();
    let message =
        format!("hako: unknown command: {path} {word}\n\n{suggestion}{usage}Run '{path} --help' for more information");
    Failure::Usage { message, code: 1 }
}

fn usage_failure(fault: Fault, path: &str, usage: &str) -> Failure {
    match fault {
        Fault::Refused(message) => Failure::Refused { message },
        Fault::Help => Failure::status(0),
        Fault::Message(message) => Failure::Usage {
            message: format!("{message}\n\n{usage}\nRun '{path} --help' for more information"),
            // Docker's compose is a program of its own, with a code of its own.
            code: if path.starts_with("hako compose") { 1 } else { 125 },
        },
    }
}

fn check_arity(arity: Arity, count: usize, path: &str, usage: &str) -> Result<(), Failure> {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let wanted = match arity {
        Arity::None if count > 0 => "accepts no arguments".to_owned(),
        Arity::Exactly(n) if count != n => format!("requires {n} {}", plural(n)),
        Arity::AtLeast(n) if count < n => format!("requires at least {n} {}", plural(n)),
        Arity::AtMost(n) if count > n => format!("requires at most {n} {}", plural(n)),
        Arity::Between(low, high) if count < low || count > high => {
            format!("requires at least {low} and at most {high} {}", plural(high))
        }
        _ => return Ok(()),
    };
    let see = if matches!(arity, Arity::AtLeast(_)) { "See" } else { "Run" };
    let message = format!("hako: '{path}' {wanted}\n\n{usage}\n{see} '{path} --help' for more information");
    Err(Failure::Usage { message, code: 1 })
}

#[cfg(test)]
mod tests;
