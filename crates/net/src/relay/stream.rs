//! TCP connections: bytes from either side to the other, each end of a direction passed on by itself.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use hako_sys::poll::{Epoll, Interest};

use super::{STREAM, token};

const MOST: usize = 256;
const CHUNK: usize = 64 * 1024;
/// How many chunks one direction may move before others get their turn.
const BURST: usize = 8;

/// All connections of a container.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pairs: HashMap<u64, Pair>,
    next: u64,
}

impl Streams {
    pub(super) fn begin(&mut self, epoll: &Epoll, client: TcpStream, container: TcpStream) {
        if self.pairs.len() >= MOST || client.set_nonblocking(true).is_err() {
            return;
        }
        let _ = client.set_nodelay(true).and_then(|()| container.set_nodelay(true));
        let number = self.next;
        self.next += 1;
        self.pairs.insert(number, Pair { client: Side::new(client), container: Side::new(container) });
        self.turn(epoll, number << 1);
    }

    /// Moves what can be moved; the lowest bit of the number says which side woke us, and does not matter.
    pub(super) fn turn(&mut self, epoll: &Epoll, number: u64) {
        let number = number >> 1;
        let Some(pair) = self.pairs.get_mut(&number) else { return };
        if pair.pump().is_err() || pair.is_over() || pair.watch(epoll, number).is_err() {
            self.pairs.remove(&number);
        }
    }
}

/// One connection: the client's and the container's half.
#[derive(Debug)]
struct Pair {
    client: Side,
    container: Side,
}

impl Pair {
    fn pump(&mut self) -> std::io::Result<()> {
        flow(&mut self.client, &mut self.container)?;
        flow(&mut self.container, &mut self.client)
    }

    fn is_over(&self) -> bool {
        self.client.shut && self.container.shut
    }

    fn watch(&mut self, epoll: &Epoll, number: u64) -> hako_sys::Result<()> {
        let (client, container) = (self.client.interest(&self.container), self.container.interest(&self.client));
        self.client.watch(epoll, token(STREAM, number << 1), client)?;
        self.container.watch(epoll, token(STREAM, number << 1 | 1), container)
    }
}

#[derive(Debug)]
struct Side {
    stream: TcpStream,
    /// Read from the other side, not yet written here.
    pending: Vec<u8>,
    /// Nothing more will be read.
    ended: bool,
    /// Nothing more will be written.
    shut: bool,
    watched: Option<Interest>,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        Self { stream, pending: Vec::new(), ended: false, shut: false, watched: None }
    }

    fn interest(&self, other: &Self) -> Option<Interest> {
        match (!self.ended && other.pending.is_empty(), !self.pending.is_empty()) {
            (true, true) => Some(Interest::Both),
            (true, false) => Some(Interest::Read),
            (false, true) => Some(Interest::Write),
            (false, false) => None,
        }
    }

    /// A side nobody waits for is not watched at all: a connection that is gone would wake us for ever.
    fn watch(&mut self, epoll: &Epoll, token: u64, interest: Option<Interest>) -> hako_sys::Result<()> {
        match (self.watched, interest) {
            (before, now) if before == now => return Ok(()),
            (None, Some(now)) => epoll.add(&self.stream, token, now)?,
            (Some(_), Some(now)) => epoll.modify(&self.stream, token, now)?,
            (_, None) => epoll.remove(&self.stream)?,
        }
        self.watched = interest;
        Ok(())
    }

    /// Writes what is pending; whether all of it went.
    fn flush(&mut self) -> std::io::Result<bool> {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending = Vec::new();
        Ok(true)
    }
}

fn flow(from: &mut Side, to: &mut Side) -> std::io::Result<()> {
    for _ in 0..BURST {
        if from.ended || !to.flush()? {
            break;
        }
        let mut chunk = vec![0; CHUNK];
        match from.stream.read(&mut chunk) {
            Ok(0) => from.ended = true,
            Ok(length) => {
                chunk.truncate(length);
                to.pending = chunk;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Here, not in the loop: the end may be the last thing a burst reads, and nothing would wake us for it again.
    if to.flush()? && from.ended && !to.shut {
        to.shut = true;
        // The other end may be gone already.
        let _ = to.stream.shutdown(Shutdown::Write);
    }
    Ok(())
}
