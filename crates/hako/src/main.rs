//! hako: picks a role and hands over.
//!
//! The roles are told apart before anything else is touched: a supervisor and the daemon must find their descriptors as
//! they were handed to them, and the command line must not pay for what it does not use.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("hako"));
    if is_runtime(&name) {
        return hako_oci::run(arguments);
    }
    match std::env::args_os().nth(1).as_deref().and_then(OsStr::to_str) {
        Some("supervise") => hako_supervisor::supervise::run(arguments.skip(1)),
        Some("runtime") => hako_oci::run(arguments.skip(1)),
        Some("daemon") => hako_server::daemon(arguments.skip(1)),
        _ => hako_cli::run(std::env::args_os()),
    }
}

/// Whether the binary was called as an OCI runtime, by a link of that name.
fn is_runtime(name: &OsStr) -> bool {
    std::path::Path::new(name).file_name() == Some(OsStr::new("hako-runtime"))
}
