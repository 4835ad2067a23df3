//! Clients that ask by TCP: each message has its length before it.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hako_sys::poll::{Epoll, Interest};

use super::{CLIENT, token};

/// More than these at a time are turned away.
const MOST: usize = 128;
const QUIET: Duration = Duration::from_secs(10);
/// What a client may have asked without taking the answers.
const BACKLOG: usize = 256 * 1024;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    list: HashMap<u64, Client>,
    count: u64,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
    waiting: Vec<u8>,
    used: Instant,
}

impl Clients {
    pub(super) fn accept(&mut self, epoll: &Epoll, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.list.len() >= MOST || stream.set_nonblocking(true).is_err() {
                continue;
            }
            self.count += 1;
            if epoll.add(&stream, token(CLIENT, self.count), Interest::Read).is_ok() {
                let client = Client { stream, heard: Vec::new(), waiting: Vec::new(), used: Instant::now() };
                self.list.insert(self.count, client);
            }
        }
    }

    /// The whole questions a client has sent; one that has gone is forgotten.
    pub(super) fn read(&mut self, epoll: &Epoll, number: u64) -> Vec<Vec<u8>> {
        let Some(client) = self.list.get_mut(&number) else { return Vec::new() };
        client.used = Instant::now();
        let gone = client.flush().is_err() || client.hear().is_err() || client.waiting.len() > BACKLOG;
        let questions = client.questions();
        if gone {
            self.forget(epoll, number);
        } else {
            self.watch(epoll, number);
        }
        questions
    }

    /// Answers a client, now or when it takes it.
    pub(super) fn answer(&mut self, epoll: &Epoll, number: u64, answer: &[u8]) {
        let Some(client) = self.list.get_mut(&number) else { return };
        client.waiting.extend_from_slice(&u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes());
        client.waiting.extend_from_slice(&answer[..answer.len().min(usize::from(u16::MAX))]);
        if client.flush().is_err() {
            return self.forget(epoll, number);
        }
        self.watch(epoll, number);
    }

    fn watch(&self, epoll: &Epoll, number: u64) {
        let Some(client) = self.list.get(&number) else { return };
        let interest = if client.waiting.is_empty() { Interest::Read } else { Interest::Both };
        let _ = epoll.modify(&client.stream, token(CLIENT, number), interest);
    }

    fn forget(&mut self, epoll: &Epoll, number: u64) {
        if let Some(client) = self.list.remove(&number) {
            let _ = epoll.remove(&client.stream);
        }
    }

    /// When the next one has been quiet for too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.list.values().map(|client| client.used + QUIET).min()
    }

    pub(super) fn expire(&mut self, epoll: &Epoll) {
        let quiet: Vec<u64> =
            self.list.iter().filter(|(_, client)| client.used.elapsed() >= QUIET).map(|(number, _)| *number).collect();
        quiet.into_iter().for_each(|number| self.forget(epoll, number));
    }
}

impl Client {
    fn hear(&mut self) -> std::io::Result<()> {
        let mut room = [0; 4096];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.heard.extend_from_slice(&room[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.heard.len() > BACKLOG {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    fn questions(&mut self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let [high, low, rest @ ..] = self.heard.as_slice() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(question) = rest.get(..length) else { break };
            found.push(question.to_vec());
            self.heard.drain(..length + 2);
        }
        found
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
