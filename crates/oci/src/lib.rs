//! The OCI runtime command line: runc's commands and options over `hako_runtime`, the code the supervisor runs
//! containers with.
//!
//! A command is one short-lived process with one thread. What it must remember for the next one lies in the container's
//! directory below `--root`: [`record`]. A created container waits behind a socket there until it is started.

mod arguments;
mod bundle;
mod calendar;
mod checkpoint;
mod command;
mod console;
mod creation;
mod ending;
mod error;
mod events;
mod execution;
mod features;
mod host;
mod limits;
mod listing;
mod place;
mod record;
mod relay;
mod report;
mod signal;
mod systemd;
mod template;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Parsed;
use error::Error;
use record::Store;
use report::Report;

/// What holds for every command.
pub(crate) struct Session {
    /// Where containers are remembered.
    pub(crate) store: Store,
    /// Whether control groups are asked of systemd.
    pub(crate) systemd: bool,
    /// Where complaints go.
    pub(crate) report: Report,
}

/// Runs one command of the runtime; the arguments begin behind the program's name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match arguments::texts(arguments).and_then(dispatch) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            Report::default().error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Vec<String>) -> Result<u8, Error> {
    let (global, rest) = arguments::parse_first(command::GLOBAL, &arguments)?;
    if global.on("version") {
        print!("{}", command::version());
        return Ok(0);
    }
    let Some((name, rest)) = rest.split_first().filter(|(name, _)| !global.on("help") && *name != "help") else {
        print!("{}", command::help());
        return Ok(0);
    };
    let command = command::find(name)?;
    let session = open_session(&global)?;
    let outcome = arguments::parse(command, rest).and_then(|parsed| {
        if parsed.on("help") {
            print!("{}", command.help());
            return Ok(0);
        }
        command.expect_count(&parsed)?;
        let code = (command.run)(&session, &parsed)?;
        session.report.debug(&format!("{} {} succeeded", command.name, parsed.words.join(" ")));
        Ok(code)
    });
    outcome.or_else(|error| {
        session.report.error(&error);
        Ok(command.failure)
    })
}

fn open_session(global: &Parsed) -> Result<Session, Error> {
    let report = Report::open(global.value("log"), global.value("log-format"), global.on("debug"))?;
    match global.value("rootless") {
        None | Some("auto" | "false") => {}
        Some(other) => {
            let what = format!("--rootless {other}");
            return Err(Error::Unsupported { what, hint: "run it as root" });
        }
    }
    Ok(Session {
        store: Store::at(global.value("root").unwrap_or(record::DEFAULT_ROOT)),
        systemd: global.on("systemd-cgroup"),
        report,
    })
}
