//! Attending to a process in the foreground: its terminal, signals on their way to it, its end.

use std::os::fd::{AsFd, OwnedFd};

use hako_sys::poll::Signals;
use hako_sys::process::{Exit, Process};
use hako_sys::pty::{self, RawMode};
use rustix::event::{PollFd, PollFlags};
use rustix::process::WaitOptions;

use crate::error::{Error, Result};

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// What is passed on: everything that can be, but what concerns this process alone.
fn passed_on() -> Vec<i32> {
    /// SIGKILL and SIGSTOP cannot be caught; SIGSEGV and its like are about this process; SIGURG is Go's own.
    const OWN: [i32; 9] = [4, 5, 7, 8, 9, 11, 19, 23, 31];
    (1..=31).filter(|signal| !OWN.contains(signal)).collect()
}

/// A process's attendant.
pub(crate) struct Attendance {
    signals: Signals,
    terminal: Option<OwnedFd>,
    /// The process's exit code, if its end was seen among those of orphans.
    exit: Option<i32>,
    /// Restores the caller's terminal when it is dropped.
    _raw: Option<RawMode>,
}

impl Attendance {
    /// To be called before the program runs, so that no signal is lost.
    pub(crate) fn begin(terminal: Option<OwnedFd>, collect_orphans: bool) -> Result<Self> {
        if collect_orphans {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(hako_sys::Error::os("collect", "orphans"))?;
        }
        let raw = match &terminal {
            Some(terminal) if pty::is_terminal(std::io::stdin()) => {
                follow_size(terminal);
                Some(RawMode::enter(std::io::stdin().as_fd())?)
            }
            Some(terminal) => {
                pty::keep_line_feeds(terminal)?;
                None
            }
            None => None,
        };
        Ok(Self { signals: Signals::new(&passed_on())?, terminal, exit: None, _raw: raw })
    }

    /// Stays until the process has ended; returns the code a shell would give.
    pub(crate) fn attend(mut self, process: &Process) -> Result<u8> {
        let mut typing = self.terminal.is_some();
        loop {
            let ready = self.wait(process, typing)?;
            if ready.output && !self.show()? {
                self.terminal = None;
                typing = false;
            }
            if ready.input && typing {
                typing = self.type_in()?;
            }
            if ready.signal {
                self.pass_signals(process)?;
            }
            if ready.end {
                return self.end(process);
            }
        }
    }

    fn wait(&self, process: &Process, typing: bool) -> Result<Ready> {
        let stdin = std::io::stdin();
        let mut fds = vec![PollFd::new(process, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        if let Some(terminal) = &self.terminal {
            fds.push(PollFd::new(terminal, PollFlags::IN));
            if typing {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))
            .map_err(hako_sys::Error::os("wait for", "process"))?;
        let is = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready { end: is(0), signal: is(1), output: is(2), input: is(3) })
    }

    /// Shows what the terminal says; `false` when nobody holds it any more.
    fn show(&self) -> Result<bool> {
        let Some(terminal) = &self.terminal else { return Ok(false) };
        let mut buffer = [0; 8192];
        match rustix::io::read(terminal, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(false),
            Ok(count) => write_all(std::io::stdout().as_fd(), &buffer[..count]).map(|()| true),
            Err(errno) => Err(hako_sys::Error::os("read", "terminal")(errno).into()),
        }
    }

    /// Types what comes in; `false` at its end.
    fn type_in(&self) -> Result<bool> {
        let Some(terminal) = &self.terminal else { return Ok(false) };
        let mut buffer = [0; 4096];
        let count = rustix::io::read(std::io::stdin(), &mut buffer).map_err(hako_sys::Error::os("read", "input"))?;
        if count == 0 {
            // The terminal's way to say end of file.
            write_all(terminal.as_fd(), &[4])?;
            return Ok(false);
        }
        write_all(terminal.as_fd(), &buffer[..count]).map(|()| true)
    }

    fn pass_signals(&mut self, process: &Process) -> Result<()> {
        while let Some(received) = self.signals.take()? {
            match received.signal {
                SIGCHLD => self.collect(process),
                SIGWINCH => self.terminal.iter().for_each(follow_size),
                // It may just have ended.
                signal => drop(process.kill(signal)),
            }
        }
        Ok(())
    }

    fn end(&self, process: &Process) -> Result<u8> {
        while self.terminal.as_ref().is_some_and(has_more) {
            if !self.show()? {
                break;
            }
        }
        let code = self.exit.map_or_else(|| process.wait().map(Exit::code), Ok)?;
        Ok(u8::try_from(code).unwrap_or(255))
    }

    /// Collects whatever has ended: orphans, and perhaps the process itself.
    fn collect(&mut self, process: &Process) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() == process.pid() {
                let killed = || 128 + status.terminating_signal().unwrap_or(0);
                self.exit = Some(status.exit_status().unwrap_or_else(killed));
            }
        }
    }
}

struct Ready {
    end: bool,
    signal: bool,
    output: bool,
    input: bool,
}

fn has_more(terminal: &OwnedFd) -> bool {
    let now = Some(std::time::Duration::ZERO);
    hako_sys::poll::wait_one(terminal, hako_sys::poll::Interest::Read, now).unwrap_or(false)
}

fn follow_size(terminal: &OwnedFd) {
    // A terminal without a size keeps the one it has.
    if let Ok((rows, columns)) = pty::size(std::io::stdin()) {
        let _ = pty::resize(terminal, rows, columns);
    }
}

fn write_all(fd: std::os::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))
            .map_err(|errno| Error::from(hako_sys::Error::os("write", "terminal")(errno)))?;
        bytes = &bytes[count..];
    }
    Ok(())
}
