//! The streams of one process: the container's first, an exec's or a probe's. Nothing here blocks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_runtime::stdio::Streams;
use hako_sys::poll::{Epoll, Interest};
use hako_sys::process::{Exit, Process};
use rustix::io::Errno;

use crate::Result;
use crate::log::Stream;
use crate::token::Token;

/// A process with more than this waiting for it is not given more.
const FULL: usize = 64 * 1024;
/// The size asked for its pipes: fewer, larger reads.
const PIPE: usize = 1024 * 1024;

/// A process and our ends of its streams.
#[derive(Debug)]
pub(crate) struct Session {
    number: u32,
    /// The process.
    pub process: Process,
    /// Whether its streams are a terminal: then `outputs[0]` is its other side, for both directions.
    pub terminal: bool,
    outputs: [Option<OwnedFd>; 2],
    input: Option<OwnedFd>,
    waiting: Vec<u8>,
    /// Whether its input closes when nothing waits any more.
    closing: bool,
    /// Whether the loop waits for room in its input.
    awaits_room: bool,
    /// Whether its output is left in the kernel because a client is behind.
    pub held: bool,
    /// How it ended.
    pub exit: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Session {
    /// Takes over a process and watches it and its streams.
    pub(crate) fn new(number: u32, process: Process, streams: Streams, epoll: &Epoll) -> Result<Self> {
        let terminal = streams.terminal.is_some();
        let outputs = [streams.terminal.or(streams.stdout), streams.stderr];
        let session = Self {
            number,
            process,
            terminal,
            outputs,
            input: streams.stdin,
            waiting: Vec::new(),
            closing: false,
            awaits_room: false,
            held: false,
            exit: None,
            signal: None,
        };
        for fd in session.outputs.iter().flatten().chain(&session.input) {
            rustix::io::ioctl_fionbio(fd, true).map_err(hako_sys::Error::os("configure", "stream"))?;
            // A terminal has no such size, and a host may not allow it: smaller reads, then.
            let _ = rustix::pipe::fcntl_setpipe_size(fd, PIPE);
        }
        epoll.add(&session.process, Token::Exit(number).pack(), Interest::Read)?;
        session.watch_outputs(epoll)?;
        Ok(session)
    }

    /// Our ends of its streams: input, output, error.
    pub(crate) fn ends(&self) -> [Option<BorrowedFd<'_>>; 3] {
        let [output, error] = &self.outputs;
        [&self.input, output, error].map(|end| end.as_ref().map(AsFd::as_fd))
    }

    fn watch_outputs(&self, epoll: &Epoll) -> Result<()> {
        for (fd, stream) in self.outputs.iter().zip([Stream::Stdout, Stream::Stderr]) {
            if let Some(fd) = fd {
                epoll.add(fd, Token::Output(self.number, stream).pack(), Interest::Read)?;
            }
        }
        Ok(())
    }

    /// Leaves output where it is until [`Session::release`].
    pub(crate) fn hold(&mut self, epoll: &Epoll) {
        if !self.held {
            self.held = true;
            self.outputs.iter().flatten().for_each(|fd| unwatch(epoll, fd));
        }
    }

    /// Takes output again.
    pub(crate) fn release(&mut self, epoll: &Epoll) -> Result<()> {
        if std::mem::take(&mut self.held) {
            self.watch_outputs(epoll)?;
            self.awaits_room = false;
            self.flush_input(epoll);
        }
        Ok(())
    }

    /// Reads output of `stream`.
    pub(crate) fn read(&self, stream: Stream, room: &mut [u8]) -> Read {
        let Some(fd) = &self.outputs[stream.index()] else { return Read::Nothing };
        match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *room)) {
            Ok(0) => Read::End,
            Ok(read) => Read::Bytes(read),
            Err(Errno::AGAIN) => Read::Nothing,
            // EIO is how a terminal ends.
            Err(_) => Read::End,
        }
    }

    /// `stream` has ended.
    pub(crate) fn end_output(&mut self, stream: Stream, epoll: &Epoll) {
        if let Some(fd) = self.outputs[stream.index()].take()
            && !self.held
        {
            unwatch(epoll, &fd);
        }
    }

    /// Whether all output has been read to its end.
    pub(crate) fn is_drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Whether it is not to be given more for now.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    /// Gives it `bytes` as input. A process without input ignores them.
    pub(crate) fn type_in(&mut self, bytes: &[u8], epoll: &Epoll) {
        if (self.terminal || self.input.is_some()) && !self.closing {
            self.waiting.extend_from_slice(bytes);
            self.flush_input(epoll);
        }
    }

    /// Closes its input once it has taken what waits. A terminal's stays open.
    pub(crate) fn close_input(&mut self, epoll: &Epoll) {
        if !self.terminal {
            self.closing = true;
            self.flush_input(epoll);
        }
    }

    /// Writes what waits, as far as it is taken.
    pub(crate) fn flush_input(&mut self, epoll: &Epoll) {
        let fd = if self.terminal { &self.outputs[0] } else { &self.input };
        let Some(fd) = fd else { return };
        let mut written = 0;
        while written < self.waiting.len() {
            match rustix::io::retry_on_intr(|| rustix::io::write(fd, &self.waiting[written..])) {
                Ok(count) => written += count,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    // Nobody reads any more.
                    written = self.waiting.len();
                    self.closing = true;
                }
            }
        }
        self.waiting.drain(..written);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        self.after_input(epoll);
    }

    /// Waits for room, or no longer; closes the input if that is due.
    fn after_input(&mut self, epoll: &Epoll) {
        let needs_room = !self.waiting.is_empty();
        if needs_room != self.awaits_room && !self.held {
            self.awaits_room = needs_room;
            self.watch_room(needs_room, epoll);
        }
        if self.closing && !needs_room && !self.terminal {
            self.input = None;
        }
    }

    /// A failure here would mean a closed descriptor, whose process is gone.
    fn watch_room(&self, wanted: bool, epoll: &Epoll) {
        let _ = match (&self.outputs[0], &self.input) {
            (Some(terminal), _) if self.terminal => {
                let interest = if wanted { Interest::Both } else { Interest::Read };
                epoll.modify(terminal, Token::Output(self.number, Stream::Stdout).pack(), interest)
            }
            (_, Some(input)) if wanted => epoll.add(input, Token::Input(self.number).pack(), Interest::Write),
            (_, Some(input)) => epoll.remove(input),
            _ => Ok(()),
        };
    }

    /// Sets its terminal's size; false if that is gone. Without a terminal there is nothing to do, as in Docker.
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> bool {
        let set = |fd: &OwnedFd| hako_sys::pty::resize(fd, rows, columns).is_ok();
        !self.terminal || self.outputs[0].as_ref().is_some_and(set)
    }

    /// Reaps the process if it has ended; true the first time.
    pub(crate) fn reap(&mut self, epoll: &Epoll) -> bool {
        if self.exit.is_some() {
            return false;
        }
        self.exit = match self.process.try_wait() {
            Ok(exit) => {
                if let Some(Exit::Signal(signal)) = exit {
                    self.signal = Some(signal);
                }
                exit.map(Exit::code)
            }
            // Somebody else's child, or reaped by somebody else: its code is lost.
            Err(_) => Some(255),
        };
        if self.exit.is_some() {
            unwatch(epoll, &self.process);
        }
        self.exit.is_some()
    }
}

/// Fails only for what is not watched.
fn unwatch(epoll: &Epoll, fd: impl AsFd) {
    let _ = epoll.remove(fd);
}
