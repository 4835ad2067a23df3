//! Host ports of IPv6 that lead to a container without IPv6, and `[::1]`, which the kernel cannot redirect.
//!
//! Docker serves them by one process a port; here the supervisor moves the bytes, when there are any. Everything is
//! non-blocking and hangs on one epoll, which the supervisor watches among its own descriptors. As with Docker the
//! container sees the host as its client. What a client may cost is bounded: connections, sessions and buffers.

mod datagram;
mod stream;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hako_model::port::Protocol;
use hako_sys::poll::{Epoll, Event, Interest};

use datagram::Datagrams;
use stream::Streams;

/// A kind of descriptor; it stands in the top bits of the token.
const KIND: u64 = 62;
const LISTENER: u64 = 0;
const STREAM: u64 = 1;
const FACE: u64 = 2;
const SESSION: u64 = 3;

/// How many rounds of events one turn takes before the supervisor may look after its other business.
const ROUNDS: usize = 8;

/// All relayed ports of one container.
#[derive(Debug)]
pub(crate) struct Relay {
    epoll: Epoll,
    /// None once closed: the place in the list is the token.
    listeners: Vec<Option<(TcpListener, SocketAddr)>>,
    streams: Streams,
    datagrams: Datagrams,
}

impl Relay {
    pub(crate) fn new() -> hako_sys::Result<Self> {
        let (epoll, listeners) = (Epoll::new()?, Vec::new());
        Ok(Self { epoll, listeners, streams: Streams::default(), datagrams: Datagrams::default() })
    }

    /// Relays what comes to a bound socket; SCTP cannot be relayed.
    pub(crate) fn serve(&mut self, protocol: Protocol, socket: OwnedFd, target: SocketAddr) -> hako_sys::Result<()> {
        match protocol {
            Protocol::Udp => self.datagrams.serve(&self.epoll, UdpSocket::from(socket), target),
            Protocol::Tcp | Protocol::Sctp => {
                // As every server: neither what lingers of connections to the one before is a hindrance, nor what will of
                // these to the next. Nobody else can have the address of one that listens.
                rustix::net::sockopt::set_socket_reuseaddr(&socket, true)
                    .map_err(hako_sys::Error::os("share", "relayed port"))?;
                rustix::net::listen(&socket, 128).map_err(hako_sys::Error::os("listen on", "relayed port"))?;
                self.epoll.add(&socket, token(LISTENER, self.listeners.len() as u64), Interest::Read)?;
                self.listeners.push(Some((TcpListener::from(socket), target)));
                Ok(())
            }
        }
    }

    /// The sockets clients come to.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (Protocol, SocketAddr, BorrowedFd<'_>)> {
        let streams = self
            .listeners
            .iter()
            .flatten()
            .filter_map(|(listener, _)| Some((Protocol::Tcp, listener.local_addr().ok()?, listener.as_fd())));
        streams.chain(self.datagrams.sockets())
    }

    /// Takes no new clients; those it has are served until they leave.
    pub(crate) fn stop_accepting(&mut self) {
        for (listener, _) in self.listeners.drain(..).flatten() {
            // The successor has a duplicate, which would keep the socket watched here.
            let _ = self.epoll.remove(&listener);
        }
        self.datagrams.stop_asking(&self.epoll);
    }

    /// Lets go of a host port. Connections that were made go on.
    pub(crate) fn close(&mut self, protocol: Protocol, host: SocketAddr) {
        if protocol == Protocol::Udp {
            return self.datagrams.close(host);
        }
        let is_its = |listener: &Option<(TcpListener, SocketAddr)>| {
            listener.as_ref().is_some_and(|(socket, _)| socket.local_addr().is_ok_and(|address| address == host))
        };
        // A descriptor that is closed leaves the epoll with it.
        self.listeners.iter_mut().filter(|listener| is_its(listener)).for_each(|listener| *listener = None);
    }

    /// Readable when there is something to do.
    pub(crate) fn watch(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Does what can be done without blocking.
    pub(crate) fn turn(&mut self) {
        let mut events = Vec::new();
        for _ in 0..ROUNDS {
            events.clear();
            if self.epoll.wait(&mut events, Some(Duration::ZERO)).is_err() || events.is_empty() {
                break;
            }
            events.iter().for_each(|event| self.handle(*event));
        }
    }

    fn handle(&mut self, event: Event) {
        let number = event.token & ((1 << KIND) - 1);
        match event.token >> KIND {
            LISTENER => self.accept(number),
            STREAM => self.streams.turn(&self.epoll, number),
            FACE => self.datagrams.ask(&self.epoll, number),
            _ => self.datagrams.answer(&self.epoll, number),
        }
    }

    fn accept(&mut self, listener: u64) {
        let listener = usize::try_from(listener).ok().and_then(|index| self.listeners.get(index));
        let Some((listener, target)) = listener.and_then(Option::as_ref) else { return };
        while let Ok((client, _)) = listener.accept() {
            // One that cannot be served is closed; so is one too many.
            if let Ok(container) = connect(*target) {
                self.streams.begin(&self.epoll, client, container);
            }
        }
    }
}

/// Begins to connect; the outcome shows when the stream is used.
pub(crate) fn connect(target: SocketAddr) -> rustix::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(errno),
    }
}

fn token(kind: u64, number: u64) -> u64 {
    kind << KIND | number
}
