//! Writing to the caller. A reader that went away (`hako ps | head -1`) ends the command quietly, as it ends other
//! programs, instead of with an error.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// What a process killed by SIGPIPE leaves behind.
const PIPE: u8 = 141;

/// Writes to standard output.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    wrote(out.write_all(text.as_ref()).and_then(|()| out.flush()))
}

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    print(format!("{}\n", text.as_ref()))
}

/// Writes to standard error.
pub(crate) fn complain(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    wrote(io::stderr().lock().write_all(text.as_ref()))
}

/// What an outcome of writing means for the command.
pub(crate) fn wrote(outcome: io::Result<()>) -> Result<(), Failure> {
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::status(PIPE),
        _ => Failure::local(format!("write: {}", crate::failure::go_cause(&error))),
    })
}

/// Whether standard output is a terminal.
pub(crate) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}
