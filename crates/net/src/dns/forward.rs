//! Passing questions on: to all servers at once, by the transport they came by; the first good answer wins.
//!
//! An answer counts as good if the server knows the name or knows that there is none. Others are kept: if no server
//! does better they are what the client gets.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hako_sys::netns;
use hako_sys::poll::{Epoll, Interest};
use hako_sys::process::SingleThreaded;

use super::message::{self, Code, Question};
use super::upstream::{Servers, Upstream};
use super::{LARGEST, UPSTREAM, token};

/// More questions than this do not wait at a time.
const MOST: usize = 1024;
/// How long servers have; less than the five seconds after which most clients ask again.
const PATIENCE: Duration = Duration::from_secs(4);
/// A datagram that is not answered for so long is sent once more.
const AGAIN: Duration = Duration::from_secs(1);
/// Ways of one question; they share its number.
const WAYS: u64 = 16;

/// Who is to get an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Datagram(SocketAddr),
    Stream(u64),
}

/// An answer for somebody.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) asker: Asker,
    pub(super) answer: Vec<u8>,
}

/// All questions that wait for servers.
#[derive(Debug)]
pub(super) struct Forwarder {
    witness: SingleThreaded,
    netns: OwnedFd,
    upstream: Upstream,
    bare: bool,
    pending: HashMap<u64, Pending>,
    count: u64,
}

#[derive(Debug)]
struct Pending {
    asker: Asker,
    /// The client's number for it.
    id: [u8; 2],
    /// As it is passed on, with a number nobody can guess.
    query: Vec<u8>,
    question: Question,
    ways: Vec<Option<Way>>,
    /// The best of the answers that were not good.
    poor: Option<Vec<u8>>,
    due: Instant,
    again: Option<Instant>,
}

#[derive(Debug)]
enum Way {
    Datagram(UdpSocket),
    Stream { stream: TcpStream, unsent: Vec<u8>, heard: Vec<u8> },
}

/// What a look at one way came to.
enum Heard {
    Nothing,
    Answer(Vec<u8>),
    Gone,
}

impl Forwarder {
    pub(super) fn new(witness: SingleThreaded, netns: OwnedFd, servers: &Servers) -> Self {
        let (upstream, pending) = (Upstream::new(servers), HashMap::new());
        Self { witness, netns, upstream, bare: servers.bare, pending, count: 0 }
    }

    /// Whether names without a dot are passed on.
    pub(super) fn asks_bare(&self) -> bool {
        self.bare
    }

    /// Passes a question on. The answer comes at once only if nobody can be asked.
    pub(super) fn ask(&mut self, epoll: &Epoll, asker: Asker, query: &[u8], question: &Question) -> Option<Done> {
        let refused = |code| Some(Done { asker, answer: question.answer(query, code, &[], LARGEST) });
        if self.pending.len() >= MOST {
            return refused(Code::Refused);
        }
        let mut query = query.to_vec();
        let id = [query[0], query[1]];
        if hako_sys::random::fill(&mut query[..2]).is_err() {
            return refused(Code::Failed);
        }
        self.count += 1;
        let ways = self.open(matches!(asker, Asker::Stream(_)), &query);
        let mut watched = Vec::new();
        for (index, way) in (0..WAYS).zip(ways) {
            let interest = if matches!(way, Way::Stream { .. }) { Interest::Both } else { Interest::Read };
            let added = epoll.add(way.as_fd(), token(UPSTREAM, self.count * WAYS + index), interest);
            watched.push(Some(way).filter(|_| added.is_ok()));
        }
        if watched.iter().all(Option::is_none) {
            return refused(Code::Failed);
        }
        let now = Instant::now();
        let again = matches!(asker, Asker::Datagram(_)).then(|| now + AGAIN);
        let question = question.clone();
        let pending = Pending { asker, id, query, question, ways: watched, poor: None, due: now + PATIENCE, again };
        self.pending.insert(self.count, pending);
        None
    }

    /// Opens a way to every server and sends the question; servers without a way are left out.
    fn open(&mut self, by_stream: bool, query: &[u8]) -> Vec<Way> {
        let servers = self.upstream.servers().to_vec();
        let open = || servers.iter().filter_map(|server| Way::open(*server, by_stream, query).ok()).collect();
        if self.upstream.is_own() {
            return netns::within_here(self.witness, self.netns.as_fd(), open).unwrap_or_default();
        }
        open()
    }

    /// Looks at a way that became ready.
    pub(super) fn hear(&mut self, epoll: &Epoll, number: u64) -> Option<Done> {
        let (question, index) = (number / WAYS, usize::try_from(number % WAYS).ok()?);
        let pending = self.pending.get_mut(&question)?;
        let way = pending.ways.get_mut(index)?.as_mut()?;
        match way.hear(epoll, token(UPSTREAM, number)) {
            Heard::Nothing => return None,
            Heard::Gone => pending.close(epoll, index),
            Heard::Answer(answer) => {
                let id = u16::from_be_bytes([pending.query[0], pending.query[1]]);
                match message::code_of(&answer, id, &pending.query, pending.question.end()) {
                    // Somebody else's, or made up.
                    None => return None,
                    Some(code) if code == Code::Good as u8 || code == Code::NoSuchName as u8 => {
                        return self.finish(epoll, question, Some(answer));
                    }
                    Some(_) => {
                        pending.poor.get_or_insert(answer);
                        pending.close(epoll, index);
                    }
                }
            }
        }
        let over = self.pending.get(&question)?.ways.iter().all(Option::is_none);
        if over { self.finish(epoll, question, None) } else { None }
    }

    fn finish(&mut self, epoll: &Epoll, number: u64, answer: Option<Vec<u8>>) -> Option<Done> {
        let mut pending = self.pending.remove(&number)?;
        (0..pending.ways.len()).for_each(|index| pending.close(epoll, index));
        let failed = || pending.question.answer(&pending.query, Code::Failed, &[], LARGEST);
        let mut answer = answer.or(pending.poor.take()).unwrap_or_else(failed);
        answer[..2].copy_from_slice(&pending.id);
        Some(Done { asker: pending.asker, answer })
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.again.unwrap_or(pending.due).min(pending.due)).min()
    }

    /// Sends again what was not answered, and gives up what never will be.
    pub(super) fn expire(&mut self, epoll: &Epoll) -> Vec<Done> {
        let now = Instant::now();
        for pending in self.pending.values_mut().filter(|pending| pending.again.is_some_and(|again| again <= now)) {
            pending.again = None;
            for way in pending.ways.iter().flatten() {
                if let Way::Datagram(socket) = way {
                    let _ = socket.send(&pending.query);
                }
            }
        }
        let over: Vec<u64> =
            self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(number, _)| *number).collect();
        over.into_iter().filter_map(|number| self.finish(epoll, number, None)).collect()
    }

    /// All servers, and whether they are asked from within the container's network.
    pub(super) fn servers(&mut self) -> (Vec<SocketAddr>, bool) {
        (self.upstream.servers().to_vec(), self.upstream.is_own())
    }
}

impl Pending {
    fn close(&mut self, epoll: &Epoll, index: usize) {
        if let Some(way) = self.ways.get_mut(index).and_then(Option::take) {
            let _ = epoll.remove(way.as_fd());
        }
    }
}

impl Way {
    fn open(server: SocketAddr, by_stream: bool, query: &[u8]) -> std::io::Result<Self> {
        if by_stream {
            let stream = super::super::relay::connect(server)?;
            let length = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes();
            return Ok(Self::Stream { stream, unsent: [&length[..], query].concat(), heard: Vec::new() });
        }
        let socket = UdpSocket::bind(any_for(server))?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        socket.send(query)?;
        Ok(Self::Datagram(socket))
    }

    fn hear(&mut self, epoll: &Epoll, token: u64) -> Heard {
        match self {
            Self::Datagram(socket) => {
                let mut room = vec![0; LARGEST];
                match socket.recv(&mut room) {
                    Ok(length) => {
                        room.truncate(length);
                        Heard::Answer(room)
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
                    Err(_) => Heard::Gone,
                }
            }
            Self::Stream { stream, unsent, heard } => {
                let sent = send(stream, unsent);
                if unsent.is_empty() {
                    let _ = epoll.modify(&*stream, token, Interest::Read);
                }
                if sent.is_err() { Heard::Gone } else { whole(stream, heard) }
            }
        }
    }
}

impl AsFd for Way {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagram(socket) => socket.as_fd(),
            Self::Stream { stream, .. } => stream.as_fd(),
        }
    }
}

fn send(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> std::io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(written) => drop(unsent.drain(..written)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The answer, once all of it is there.
fn whole(stream: &mut TcpStream, heard: &mut Vec<u8>) -> Heard {
    let mut room = [0; 8192];
    loop {
        if let [high, low, rest @ ..] = heard.as_slice()
            && let Some(answer) = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
        {
            return Heard::Answer(answer.to_vec());
        }
        match stream.read(&mut room) {
            Ok(0) => return Heard::Gone,
            Ok(length) => heard.extend_from_slice(&room[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                return Heard::Nothing;
            }
            Err(_) => return Heard::Gone,
        }
    }
}

fn any_for(server: SocketAddr) -> SocketAddr {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(any, 0)
}

/// How long a server has when a person asks.
const MOMENT: Duration = Duration::from_secs(1);

/// Asks one server and waits for what it says.
pub(super) fn ask_once(server: SocketAddr, name: &str) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(any_for(server))?;
    socket.set_read_timeout(Some(MOMENT))?;
    socket.connect(server)?;
    socket.send(&message::query(name))?;
    let mut room = vec![0; LARGEST];
    let length = socket.recv(&mut room)?;
    room.truncate(length);
    Ok(room)
}
