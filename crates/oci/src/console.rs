//! What is handed to the engine: the terminal's other side, a pidfd, the process number.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_sys::fdpass::Channel;

use crate::arguments::Parsed;
use crate::error::{Error, Result};

/// Where the terminal's other side goes.
#[derive(Debug)]
pub(crate) struct Console(Option<PathBuf>);

impl Console {
    /// For a process that this one does not wait for: a terminal needs a socket, and the other way round.
    pub(crate) fn of_detached(command: &'static str, parsed: &Parsed, terminal: bool) -> Result<Self> {
        match (terminal, socket(parsed)) {
            (true, None) => {
                let what = "a terminal of a detached process needs --console-socket".into();
                Err(Error::Usage { command, what })
            }
            (false, Some(_)) => {
                let what = "--console-socket is given, but the process asks for no terminal".into();
                Err(Error::Usage { command, what })
            }
            (_, socket) => Ok(Self(socket)),
        }
    }

    /// For a process that this one waits for, and whose terminal it relays itself.
    pub(crate) fn of_attached(command: &'static str, parsed: &Parsed, terminal: bool) -> Result<Self> {
        match socket(parsed) {
            Some(_) if !terminal => Self::of_detached(command, parsed, terminal),
            Some(_) => {
                let what = "--console-socket is for detached processes".into();
                Err(Error::Usage { command, what })
            }
            None => Ok(Self(None)),
        }
    }

    /// For a process that this one waits for, while somebody else may have its terminal.
    pub(crate) fn of_attached_or_sent(parsed: &Parsed) -> Self {
        Self(socket(parsed))
    }

    /// Whether somebody else has the terminal.
    pub(crate) fn is_sent(&self) -> bool {
        self.0.is_some()
    }

    /// Sends the terminal's other side.
    pub(crate) fn send(&self, terminal: Option<&OwnedFd>) -> Result<()> {
        let (Some(path), Some(terminal)) = (&self.0, terminal) else { return Ok(()) };
        Ok(Channel::connect_stream(path)?.send(b"/dev/ptmx", &[terminal.as_fd()])?)
    }
}

fn socket(parsed: &Parsed) -> Option<PathBuf> {
    parsed.value("console-socket").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Sends a descriptor of the process to those who asked for it.
pub(crate) fn send_pidfd(parsed: &Parsed, pidfd: BorrowedFd<'_>) -> Result<()> {
    let Some(path) = parsed.value("pidfd-socket").filter(|path| !path.is_empty()) else { return Ok(()) };
    Ok(Channel::connect_stream(Path::new(path))?.send(b"pidfd", &[pidfd])?)
}

/// Writes the process number for those who asked for it, in one step: they may be waiting for the file.
pub(crate) fn write_pid_file(parsed: &Parsed, pid: i32) -> Result<()> {
    let Some(path) = parsed.value("pid-file").filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(()) };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let temporary = path.with_file_name(name);
    let mut file = std::fs::File::create(&temporary).map_err(Error::file("create", &temporary))?;
    write!(file, "{pid}").map_err(Error::file("write", &temporary))?;
    std::fs::rename(&temporary, &path).map_err(Error::file("rename", &path))
}
