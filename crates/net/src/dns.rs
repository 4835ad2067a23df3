//! The answerer of names at 127.0.0.11 inside a container. Supervisor.
//!
//! Names of containers on the same networks are answered from the names directories (`directory`), written by the
//! supervisors themselves; everything else is passed on to the servers of the host or of the container (`upstream`), to
//! all of them at once, and the first good answer wins. What passes through is not read beyond its question, so
//! extensions, large answers and truncation stay what they were. No daemon is needed.

pub mod directory;
mod forward;
mod message;
mod stream;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hako_sys::netlink::Socket;
use hako_sys::netns;
use hako_sys::poll::{Epoll, Event, Interest, Timer};
use hako_sys::process::SingleThreaded;
use serde::{Deserialize, Serialize};

use crate::error::kernel;
use crate::nft::answerer;
use crate::{Error, Result};
use directory::Directory;
use forward::{Asker, Forwarder};
use message::{A, AAAA, ANY, Code, Data, PTR, Question};
use stream::Clients;
pub use upstream::Servers;

/// Where a container finds it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// A kind of descriptor; it stands in the top bits of the token.
const KIND: u64 = 60;
const DATAGRAMS: u64 = 0;
const LISTENER: u64 = 1;
const CLIENT: u64 = 2;
const UPSTREAM: u64 = 3;
const TIMER: u64 = 4;

/// How many rounds of events one turn takes before the supervisor may look after its other business.
const ROUNDS: usize = 16;
const BURST: usize = 64;
const LARGEST: usize = 65_535;
/// No question by UDP is longer.
const QUESTION: usize = 4096;

/// What the answerer of one container knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// The container's networks, in the order they are asked.
    pub networks: Vec<Network>,
    /// Whether there is a way out, so that what nobody here knows may be asked outside.
    pub outside: bool,
}

/// A network whose names are known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name: `web.front` is `web` on `front`.
    pub name: String,
    /// Its names directory.
    pub directory: PathBuf,
    /// What this container alone calls others here (`--link other:alias`): alias and name.
    pub links: Vec<(String, String)>,
}

/// What one place said about a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `network front`, or `server 192.0.2.53:53`.
    pub who: String,
    /// Its answer, or why there is none.
    pub said: String,
    /// How long it took.
    pub micros: u64,
    /// Whether this is what the container gets.
    pub counts: bool,
}

/// The answerer.
#[derive(Debug)]
pub struct Answerer {
    epoll: Epoll,
    timer: Timer,
    datagrams: UdpSocket,
    listener: TcpListener,
    /// Made the way here. Not closed at once, for which the kernel takes some ten milliseconds if an older way was removed.
    _redirection: Socket,
    networks: Vec<Known>,
    outside: bool,
    servers: Servers,
    forwarder: Forwarder,
    clients: Clients,
    /// Counts answers, so that several addresses take turns.
    turn: usize,
}

#[derive(Debug)]
struct Known {
    name: String,
    directory: Directory,
    links: Vec<(String, String)>,
}

/// What a question came to.
enum Outcome {
    Said(Vec<u8>),
    /// To be asked elsewhere.
    Pass(Question),
    /// Not worth an answer.
    Nothing,
}

impl Answerer {
    /// Begins to answer inside the container whose network namespace is `netns`.
    pub fn begin(witness: SingleThreaded, netns: BorrowedFd<'_>, servers: &Servers) -> Result<Self> {
        let opened = netns::within_here(witness, netns, open);
        let (datagrams, listener, redirection) =
            opened.map_err(kernel("enter", "network namespace of the container"))??;
        let failed = || kernel("watch", "answerer of names");
        let (epoll, timer) = (Epoll::new().map_err(failed())?, Timer::new().map_err(failed())?);
        epoll.add(&datagrams, token(DATAGRAMS, 0), Interest::Read).map_err(failed())?;
        epoll.add(&listener, token(LISTENER, 0), Interest::Read).map_err(failed())?;
        epoll.add(&timer, token(TIMER, 0), Interest::Read).map_err(failed())?;
        let kept = netns.try_clone_to_owned().map_err(|_| no_answerer("keep the network namespace"))?;
        Ok(Self {
            epoll,
            timer,
            datagrams,
            listener,
            _redirection: redirection,
            networks: Vec::new(),
            outside: false,
            servers: servers.clone(),
            forwarder: Forwarder::new(witness, kept, servers),
            clients: Clients::default(),
            turn: 0,
        })
    }

    /// Whether these are the servers it hands on to what it does not know.
    pub fn asks(&self, servers: &Servers) -> bool {
        self.servers == *servers
    }

    /// Knows this from now on.
    pub fn learn(&mut self, knowledge: &Knowledge) {
        let known = |network: &Network| Known {
            name: network.name.to_ascii_lowercase(),
            directory: Directory::new(network.directory.clone()),
            links: network
                .links
                .iter()
                .map(|(alias, name)| (alias.to_ascii_lowercase(), name.to_ascii_lowercase()))
                .collect(),
        };
        self.networks = knowledge.networks.iter().map(known).collect();
        self.outside = knowledge.outside;
    }

    /// Readable when there is something to do.
    pub fn watch(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Does what can be done without blocking.
    pub fn turn(&mut self) {
        let mut events = Vec::new();
        for _ in 0..ROUNDS {
            events.clear();
            if self.epoll.wait(&mut events, Some(Duration::ZERO)).is_err() || events.is_empty() {
                break;
            }
            events.iter().for_each(|event| self.handle(*event));
        }
        // Two lists of deadlines, one timer. A timer that cannot be set leaves clients to their own patience.
        let due = [self.forwarder.due(), self.clients.due()].into_iter().flatten().min();
        let _ = self.timer.set(due.map(|due| due.saturating_duration_since(Instant::now())));
    }

    fn handle(&mut self, event: Event) {
        let number = event.token & ((1 << KIND) - 1);
        match event.token >> KIND {
            DATAGRAMS => self.hear_datagrams(),
            LISTENER => self.clients.accept(&self.epoll, &self.listener),
            CLIENT => {
                for query in self.clients.read(&self.epoll, number) {
                    self.ask(Asker::Stream(number), &query);
                }
            }
            UPSTREAM => {
                if let Some(done) = self.forwarder.hear(&self.epoll, number) {
                    self.reply(&done.asker, &done.answer);
                }
            }
            _ => {
                let _ = self.timer.take();
                for done in self.forwarder.expire(&self.epoll) {
                    self.reply(&done.asker, &done.answer);
                }
                self.clients.expire(&self.epoll);
            }
        }
    }

    fn hear_datagrams(&mut self) {
        let mut room = [0; QUESTION];
        for _ in 0..BURST {
            let Ok((length, from)) = self.datagrams.recv_from(&mut room) else { break };
            self.ask(Asker::Datagram(from), &room[..length]);
        }
    }

    fn ask(&mut self, asker: Asker, query: &[u8]) {
        let limited = matches!(asker, Asker::Datagram(_));
        match self.decide(query, limited) {
            Outcome::Said(answer) => self.reply(&asker, &answer),
            Outcome::Pass(question) => {
                if let Some(done) = self.forwarder.ask(&self.epoll, asker, query, &question) {
                    self.reply(&done.asker, &done.answer);
                }
            }
            Outcome::Nothing => {}
        }
    }

    fn reply(&mut self, asker: &Asker, answer: &[u8]) {
        match asker {
            // A datagram that cannot be sent is lost, as datagrams are.
            Asker::Datagram(to) => drop(self.datagrams.send_to(answer, to)),
            Asker::Stream(number) => self.clients.answer(&self.epoll, *number, answer),
        }
    }

    fn decide(&mut self, query: &[u8], limited: bool) -> Outcome {
        let question = match Question::read(query) {
            Ok(question) => question,
            Err(Some(code)) => return Outcome::Said(message::refusal(query, code)),
            Err(None) => return Outcome::Nothing,
        };
        let room = if limited { question.room() } else { LARGEST };
        if let Some((records, _)) = self.look_up(&question) {
            return Outcome::Said(question.answer(query, Code::Good, &records, room));
        }
        if !question.name.contains('.') && !self.forwarder.asks_bare() {
            return Outcome::Said(question.answer(query, Code::Good, &[], room));
        }
        if self.outside {
            Outcome::Pass(question)
        } else {
            Outcome::Said(question.answer(query, Code::Failed, &[], room))
        }
    }

    /// What the container's networks know, and which of them; a known name without the kind of record asked for has an
    /// empty answer.
    fn look_up(&mut self, question: &Question) -> Option<(Vec<Data>, String)> {
        if !question.is_internet() {
            return None;
        }
        if question.kind == PTR {
            let address = message::reversed(&question.name)?;
            let found = self.networks.iter_mut().find_map(|network| {
                let name = network.directory.name_of(address)?;
                Some((vec![Data::Name(format!("{name}.{}", network.name))], network.name.clone()))
            });
            return found;
        }
        let (addresses, network) = self.networks.iter_mut().find_map(|network| network.find(&question.name))?;
        let wanted = |address: &IpAddr| match question.kind {
            A => address.is_ipv4(),
            AAAA => address.is_ipv6(),
            kind => kind == ANY,
        };
        let mut wanted: Vec<IpAddr> = addresses.into_iter().filter(wanted).collect();
        if wanted.len() > 1 {
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % wanted.len();
            wanted.rotate_left(first);
        }
        Some((wanted.into_iter().map(Data::Address).collect(), network))
    }

    /// What the container's networks say about `name`, and the servers that would be asked if none knows it.
    pub fn trace(&mut self, name: &str) -> Trace {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let mut steps = Vec::new();
        for network in &mut self.networks {
            let began = Instant::now();
            let found = network.find(&name);
            let said = match &found {
                Some((addresses, _)) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                None => "no such name".to_owned(),
            };
            let counts = found.is_some() && steps.iter().all(|step: &Step| !step.counts);
            steps.push(Step { who: format!("network {}", network.name), said, micros: micros(began), counts });
        }
        let passed =
            self.outside && steps.iter().all(|step| !step.counts) && (name.contains('.') || self.forwarder.asks_bare());
        let (servers, inside) = self.forwarder.servers();
        Trace { steps, servers: if passed { servers } else { Vec::new() }, inside, outside: self.outside }
    }
}

/// Where a question about a name goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// What the networks said, in the order they are asked.
    pub steps: Vec<Step>,
    /// Who is asked next; nobody if a network knows the name.
    pub servers: Vec<SocketAddr>,
    /// Whether they are asked from within the container's network.
    pub inside: bool,
    /// Whether the container has a way out at all.
    pub outside: bool,
}

/// Asks a server for the addresses of a name. Waits for at most a second: a person asked for it.
pub fn ask(server: SocketAddr, name: &str) -> Step {
    let began = Instant::now();
    let answer = forward::ask_once(server, name);
    let (said, counts) = match answer {
        Ok(answer) => message::describe(&answer),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            ("no answer within a second".to_owned(), false)
        }
        Err(error) => (error.to_string(), false),
    };
    Step { who: format!("server {server}"), said, micros: micros(began), counts }
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Known {
    /// The addresses of a name, which may be followed by the network's, and the network's name.
    fn find(&mut self, name: &str) -> Option<(Vec<IpAddr>, String)> {
        let bare = name.strip_suffix(&self.name).and_then(|rest| rest.strip_suffix('.')).unwrap_or(name);
        let linked = self.links.iter().find(|(alias, _)| alias == bare).map(|(_, target)| target.clone());
        let looked_for = linked.as_deref().unwrap_or(bare);
        let mut found = self.directory.find(looked_for);
        if found.is_empty() && bare != name {
            found = self.directory.find(name);
        }
        if found.is_empty() {
            return None;
        }
        let addresses =
            found.iter().flat_map(|entry| entry.v4.map(IpAddr::V4).into_iter().chain(entry.v6.map(IpAddr::V6)));
        Some((addresses.collect(), self.name.clone()))
    }
}

/// Opens the sockets on ports of the kernel's choice and lets port 53 lead to them.
fn open() -> Result<(UdpSocket, TcpListener, Socket)> {
    let any = SocketAddr::new(ADDRESS.into(), 0);
    let failed = |_| no_answerer("bind 127.0.0.11");
    let datagrams = match UdpSocket::bind(any) {
        // A container that was not made ahead may not have come to it yet.
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            hako_sys::own::loopback_up().map_err(kernel("raise", "loopback device"))?;
            UdpSocket::bind(any)
        }
        bound => bound,
    };
    let datagrams = datagrams.map_err(failed)?;
    let listener = TcpListener::bind(any).map_err(failed)?;
    datagrams.set_nonblocking(true).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let port = |address: std::io::Result<SocketAddr>| address.map(|address| address.port()).map_err(failed);
    let (udp, tcp) = (port(datagrams.local_addr())?, port(listener.local_addr())?);
    let redirection =
        answerer::install(udp, tcp).map_err(kernel("redirect port 53 by", "nft table ip hako of the container"))?;
    Ok((datagrams, listener, redirection))
}

fn no_answerer(verb: &'static str) -> Error {
    Error::Kernel {
        verb,
        object: "for the answerer of names".to_owned(),
        cause: hako_sys::Error::os("open", "socket")(std::io::Error::last_os_error()),
    }
}

fn token(kind: u64, number: u64) -> u64 {
    kind << KIND | number
}
