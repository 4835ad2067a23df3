//! An attached client: its socket, what waits to be written to it, and what it may type.
//!
//! A client that reads too slowly holds the container back, as a pipe would, so that it gets every byte; but one that
//! takes nothing for [`STALL`] is given up: a terminal's loses what it missed, any other is disconnected.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hako_sys::poll::Interest;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::detach::Detacher;
use crate::log::Stream;
use crate::log::read::Reader;
use crate::protocol::{Attach, Framing};

/// A client with more than this waiting holds its container back.
const HIGH: usize = 1024 * 1024;
/// A client with less no longer does.
const LOW: usize = 256 * 1024;
/// How long a client may take nothing while it holds its container back.
const STALL: Duration = Duration::from_secs(10);

/// A client of one process's streams.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its number.
    pub number: u32,
    /// Whose streams.
    pub session: u32,
    socket: OwnedFd,
    framing: Framing,
    wants: [bool; 2],
    /// Whether what it types goes to the process.
    pub types: bool,
    /// Its detach keys.
    pub detacher: Detacher,
    waiting: Vec<u8>,
    written: usize,
    progress: Instant,
    /// What it is to get before what happens now.
    pub replay: Option<Reader>,
    /// What it had sent before it came here.
    pub unread: Vec<u8>,
    /// What its socket is watched for.
    pub interest: Interest,
    /// Whether it leaves once it has got everything.
    pub leaving: bool,
    gone: bool,
}

impl Client {
    /// A client of `session`.
    pub(crate) fn new(number: u32, session: u32, socket: OwnedFd, attach: &Attach) -> Self {
        Self {
            number,
            session,
            socket,
            framing: attach.framing,
            wants: [attach.stdout, attach.stderr],
            types: attach.stdin,
            detacher: Detacher::new(attach.detach_keys.clone()),
            waiting: Vec::new(),
            written: 0,
            progress: Instant::now(),
            replay: None,
            unread: Vec::new(),
            interest: Interest::Closed,
            leaving: false,
            gone: false,
        }
    }

    /// Gives it `bytes` of `stream`, now or when it takes them.
    pub(crate) fn deliver(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.leaving {
            self.deliver_old(stream, bytes);
        }
    }

    /// The same for what was logged before, which one that then leaves gets, too.
    pub(crate) fn deliver_old(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.wants[stream.index()] || self.gone || bytes.is_empty() {
            return;
        }
        let header = header(stream, bytes.len());
        let header: &[u8] = if self.framing == Framing::Multiplexed { &header } else { &[] };
        let sent = if self.pending() == 0 { self.send(&[IoSlice::new(header), IoSlice::new(bytes)]) } else { 0 };
        let skipped = sent.saturating_sub(header.len());
        self.waiting.extend_from_slice(&header[sent.min(header.len())..]);
        self.waiting.extend_from_slice(&bytes[skipped..]);
    }

    /// Writes what waits, as far as it is taken.
    pub(crate) fn flush(&mut self) {
        if self.pending() == 0 {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.written += self.send(&[IoSlice::new(&waiting[self.written..])]);
        self.waiting = waiting;
        if self.written == self.waiting.len() {
            self.drop_waiting();
        }
    }

    fn drop_waiting(&mut self) {
        self.waiting = Vec::new();
        self.written = 0;
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> usize {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.socket, parts, &mut SendAncillaryBuffer::default(), flags)
        });
        match sent {
            Ok(sent) => {
                self.progress = Instant::now();
                sent
            }
            Err(Errno::AGAIN) => 0,
            Err(_) => {
                self.gone = true;
                0
            }
        }
    }

    /// Bytes that wait to be taken.
    pub(crate) fn pending(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Whether it holds its container back.
    pub(crate) fn is_behind(&self) -> bool {
        !self.gone && self.pending() > HIGH
    }

    /// Whether it is near enough for its container to go on.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.gone || self.pending() < LOW
    }

    /// Gives up waiting for a client that has taken nothing for too long.
    pub(crate) fn give_up(&mut self) {
        let stalled = self.pending() > 0 && (self.leaving || self.is_behind()) && self.progress.elapsed() >= STALL;
        if stalled && (self.leaving || self.framing == Framing::Multiplexed) {
            self.gone = true;
        } else if stalled {
            self.drop_waiting();
        }
    }

    /// Reads what it typed: none, when there is nothing now; empty, when it types no more.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> Option<usize> {
        match rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.socket, &mut *room, rustix::net::RecvFlags::DONTWAIT)
        }) {
            Ok((_, read)) => Some(read),
            Err(Errno::AGAIN) => None,
            Err(_) => {
                self.gone = true;
                Some(0)
            }
        }
    }

    /// Looks whether the other side is there at all: it may have shut only its sending side.
    pub(crate) fn check(&mut self) {
        let mut fds = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::empty())];
        if rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).is_ok_and(|ready| ready > 0) {
            self.gone = true;
        }
    }

    /// The other side is gone, or given up.
    pub(crate) fn leave_now(&mut self) {
        self.gone = true;
    }

    /// Whether nothing more is to be done for it.
    pub(crate) fn is_done(&self) -> bool {
        self.gone || (self.leaving && self.pending() == 0 && self.replay.is_none())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Client {
    /// Others may hold the socket, too (the engine, for a moment): the client must see the end now.
    fn drop(&mut self) {
        // A socket whose other side is gone cannot be shut down, and need not.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// Docker's header of a piece of a multiplexed stream.
fn header(stream: Stream, length: usize) -> [u8; 8] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [stream.number(), 0, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn client(framing: Framing) -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let attach = Attach {
            stdin: false,
            stdout: true,
            stderr: true,
            logs: false,
            stream: true,
            framing,
            detach_keys: vec![],
            leftover: vec![],
        };
        (Client::new(1, 0, ours.into(), &attach), theirs)
    }

    #[test]
    fn pieces_have_dockers_header() {
        let (mut client, mut theirs) = client(Framing::Multiplexed);
        client.deliver(Stream::Stdout, b"out");
        client.deliver(Stream::Stderr, b"error");
        drop(client);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x05error");
    }

    #[test]
    fn a_slow_client_gets_every_byte() {
        let (mut client, mut theirs) = client(Framing::Raw);
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        for piece in bytes.chunks(70_000) {
            client.deliver(Stream::Stdout, piece);
        }
        assert!(client.is_behind() && !client.has_caught_up());
        let (mut got, mut room) = (Vec::new(), vec![0; 50_000]);
        while got.len() < bytes.len() {
            client.flush();
            let read = theirs.read(&mut room).unwrap();
            got.extend_from_slice(&room[..read]);
        }
        assert!(got == bytes && client.pending() == 0);
    }

    #[test]
    fn a_vanished_client_is_done() {
        let (mut client, theirs) = client(Framing::Raw);
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        client.check();
        assert!(!client.is_done(), "it still reads");
        drop(theirs);
        client.check();
        assert!(client.is_done());
    }
}
