//! Pseudo terminals and terminal modes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::{Error, Result};

/// Both sides of a pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side a supervisor reads and writes.
    pub master: OwnedFd,
    /// The side that is a process's terminal.
    pub slave: OwnedFd,
}

impl Pty {
    /// A pseudo terminal of the devpts mounted at `/dev/pts` of the caller's root (`/dev/ptmx` must belong to it).
    pub fn open() -> Result<Self> {
        Self::open_at(CWD, "/dev/pts/ptmx")
    }

    /// A pseudo terminal by the `ptmx` node of a certain devpts.
    pub fn open_at(directory: BorrowedFd<'_>, ptmx: &str) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::openat(directory, ptmx, flags, Mode::empty()).map_err(Error::os("open", ptmx))?;
        rustix::pty::unlockpt(&master).map_err(Error::os("unlock", "terminal"))?;
        // By descriptor, not by name: no path of the container is looked up.
        let slave =
            rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
                .map_err(Error::os("open", "terminal"))?;
        Ok(Self { master, slave })
    }

    /// The slave's number in its devpts.
    pub fn number(&self) -> Result<u32> {
        let name = rustix::pty::ptsname(&self.master, Vec::new()).map_err(Error::os("name", "terminal"))?;
        let text = name.to_string_lossy();
        let number = text.rsplit('/').next().and_then(|number| number.parse().ok());
        number.ok_or(Error::Malformed { object: "terminal name".into(), what: text.into_owned() })
    }
}

/// Sets a terminal's size in characters; the foreground processes get `SIGWINCH`.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).map_err(Error::os("resize", "terminal"))
}

/// A terminal's size: rows and columns.
pub fn size(terminal: impl AsFd) -> Result<(u16, u16)> {
    rustix::termios::tcgetwinsize(terminal)
        .map(|size| (size.ws_row, size.ws_col))
        .map_err(Error::os("measure", "terminal"))
}

/// Lets line feeds pass as they are, without a carriage return before them: for output that no terminal shows.
pub fn keep_line_feeds(terminal: impl AsFd) -> Result<()> {
    let mut mode = rustix::termios::tcgetattr(&terminal).map_err(Error::os("read mode of", "terminal"))?;
    mode.output_modes.remove(rustix::termios::OutputModes::ONLCR);
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &mode).map_err(Error::os("set mode of", "terminal"))
}

/// Makes a terminal the controlling one of the calling session leader.
pub fn control(terminal: impl AsFd) -> Result<()> {
    rustix::process::ioctl_tiocsctty(terminal).map_err(Error::os("control", "terminal"))
}

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// A terminal in raw mode: every byte passes as it is. The former mode is restored when this value is dropped.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    former: Termios,
}

impl RawMode {
    /// Makes a terminal raw.
    pub fn enter(terminal: BorrowedFd<'_>) -> Result<Self> {
        let terminal = terminal.try_clone_to_owned().map_err(Error::os("duplicate", "terminal"))?;
        let former = rustix::termios::tcgetattr(&terminal).map_err(Error::os("read mode of", "terminal"))?;
        let mut raw = former.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Drain, &raw)
            .map_err(Error::os("set mode of", "terminal"))?;
        Ok(Self { terminal, former })
    }

    /// Restores the former mode now.
    pub fn leave(&self) -> Result<()> {
        rustix::termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.former)
            .map_err(Error::os("set mode of", "terminal"))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nobody is left to tell; the terminal may be gone.
        let _ = self.leave();
    }
}
