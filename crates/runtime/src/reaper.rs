//! `--init`: a process 1 that does nothing but start the program, pass signals on and collect orphans.
//!
//! It is the stage itself, which stays instead of executing: already as confined as the program, hidden from it, and
//! without descriptors.

use std::os::fd::AsFd;

use hako_sys::fdpass::Channel;
use hako_sys::own;
use hako_sys::process::{ForkOptions, SingleThreaded};
use rustix::process::{WaitOptions, WaitStatus};

use crate::LaunchError;
use crate::program::Start;

const SIGCHLD: i32 = 17;
/// Signals that stop the whole process if it uses the terminal from the background.
const TERMINAL_STOPS: [i32; 2] = [21, 22];

/// Starts the program as a child and stays until it has ended; then exits with its code. Returns only on failure.
pub(crate) fn run(witness: SingleThreaded, channel: &Channel, start: Start<'_>) -> Result<i32, LaunchError> {
    let has_terminal = start.standard.terminal.is_some();
    let arguments = start.process.args.clone();
    let found = start.take_on()?;
    start.seal(&found, channel)?;
    let signals = own::Awaited::all()?;
    let child = hako_sys::process::fork(witness, &ForkOptions::default(), || {
        // In this order: with signals blocked, taking the terminal does not stop a background process.
        own::lead_group(has_terminal);
        own::reset_signals();
        crate::init::report(channel, found.execute(&arguments));
        127
    })?;
    own::set_name("init");
    let shown: Vec<&str> = ["init", "--"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    // Otherwise the container would see the supervisor's arguments; they are no secret.
    let _ = own::show_arguments(start.procfs.as_fd(), &shown);
    own::close_from_standard()?;
    // Nothing that owned a descriptor may be dropped any more.
    own::exit(serve(&signals, child.pid()))
}

/// Passes signals on and collects the dead, until the child is among them.
fn serve(signals: &own::Awaited, child: i32) -> i32 {
    loop {
        match signals.next() {
            Ok(SIGCHLD) => {
                if let Some(code) = collect(child) {
                    return code;
                }
            }
            Ok(signal) if TERMINAL_STOPS.contains(&signal) => {}
            Ok(signal) => {
                // Tini sends to the child alone unless told otherwise. The child may just have ended.
                let _ = own::signal(child, signal);
            }
            Err(_) => return 70,
        }
    }
}

fn collect(child: i32) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == child {
            code = Some(code_of(status));
        }
    }
    code
}

fn code_of(status: WaitStatus) -> i32 {
    let killed = || 128 + status.terminating_signal().unwrap_or(0);
    status.exit_status().unwrap_or_else(killed)
}
