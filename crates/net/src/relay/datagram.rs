//! UDP: a socket towards the container for each client, so that answers find their way; forgotten when it is quiet.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use hako_model::port::Protocol;
use hako_sys::poll::{Epoll, Interest};

use super::{FACE, SESSION, token};

const MOST: usize = 256;
const QUIET: Duration = Duration::from_secs(90);
const LARGEST: usize = 65_535;
const BURST: usize = 32;

/// All relayed UDP ports of a container, and their clients.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// None once closed: the place in the list is the token.
    faces: Vec<Option<Face>>,
    sessions: HashMap<u64, Session>,
    next: u64,
}

/// A host port.
#[derive(Debug)]
struct Face {
    socket: UdpSocket,
    target: SocketAddr,
}

/// A client of a host port.
#[derive(Debug)]
struct Session {
    face: usize,
    client: SocketAddr,
    socket: UdpSocket,
    used: Instant,
}

impl Datagrams {
    pub(super) fn serve(&mut self, epoll: &Epoll, socket: UdpSocket, target: SocketAddr) -> hako_sys::Result<()> {
        epoll.add(&socket, token(FACE, self.faces.len() as u64), Interest::Read)?;
        self.faces.push(Some(Face { socket, target }));
        Ok(())
    }

    /// The sockets clients send to.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (Protocol, SocketAddr, BorrowedFd<'_>)> {
        self.faces
            .iter()
            .flatten()
            .filter_map(|face| Some((Protocol::Udp, face.socket.local_addr().ok()?, face.socket.as_fd())))
    }

    /// Takes nothing more from clients; answers still go to them.
    pub(super) fn stop_asking(&self, epoll: &Epoll) {
        for face in self.faces.iter().flatten() {
            let _ = epoll.remove(&face.socket);
        }
    }

    fn face(&self, number: usize) -> Option<&Face> {
        self.faces.get(number).and_then(Option::as_ref)
    }

    /// Lets go of a host port and its clients.
    pub(super) fn close(&mut self, host: SocketAddr) {
        for (number, face) in self.faces.iter_mut().enumerate() {
            if face.as_ref().is_some_and(|face| face.socket.local_addr().is_ok_and(|address| address == host)) {
                *face = None;
                self.sessions.retain(|_, session| session.face != number);
            }
        }
    }

    /// Takes what clients sent to a host port to the container.
    pub(super) fn ask(&mut self, epoll: &Epoll, face: u64) {
        let Ok(face) = usize::try_from(face) else { return };
        let mut datagram = vec![0; LARGEST];
        for _ in 0..BURST {
            let Some(Ok((length, client))) = self.face(face).map(|face| face.socket.recv_from(&mut datagram)) else {
                return;
            };
            // A datagram that cannot be delivered is lost, as datagrams are.
            if let Ok(session) = self.session(epoll, face, client) {
                session.used = Instant::now();
                let _ = session.socket.send(&datagram[..length]);
            }
        }
    }

    /// Takes what the container answered back to the client.
    pub(super) fn answer(&mut self, epoll: &Epoll, number: u64) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(Some(face)) = self.faces.get(session.face) else { return };
        let mut datagram = vec![0; LARGEST];
        for _ in 0..BURST {
            match session.socket.recv(&mut datagram) {
                Ok(length) => {
                    session.used = Instant::now();
                    let _ = face.socket.send_to(&datagram[..length], session.client);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Nobody listens in the container; the next question may find somebody.
                Err(_) => {
                    let _ = epoll.remove(&session.socket);
                    self.sessions.remove(&number);
                    return;
                }
            }
        }
    }

    fn session(&mut self, epoll: &Epoll, face: usize, client: SocketAddr) -> io::Result<&mut Session> {
        let known = self.sessions.iter().find(|(_, session)| session.face == face && session.client == client);
        let number = match known.map(|(number, _)| *number) {
            Some(number) => number,
            None => self.begin(epoll, face, client)?,
        };
        self.sessions.get_mut(&number).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn begin(&mut self, epoll: &Epoll, face: usize, client: SocketAddr) -> io::Result<u64> {
        self.make_room();
        let target = self.face(face).ok_or(ErrorKind::NotFound)?.target;
        let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(target)?;
        let number = self.next;
        self.next += 1;
        epoll.add(&socket, token(SESSION, number), Interest::Read).map_err(|_| ErrorKind::OutOfMemory)?;
        self.sessions.insert(number, Session { face, client, socket, used: Instant::now() });
        Ok(number)
    }

    /// Forgets clients that were quiet for long, and the quietest when there are too many.
    fn make_room(&mut self) {
        let now = Instant::now();
        self.sessions.retain(|_, session| now.duration_since(session.used) < QUIET);
        if self.sessions.len() >= MOST
            && let Some(quietest) =
                self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(number, _)| *number)
        {
            self.sessions.remove(&quietest);
        }
    }
}
