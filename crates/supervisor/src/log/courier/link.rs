//! The way to a server: a socket that never makes anybody wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use super::tunnel::Tunnel;
use crate::log::remote::Address;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has gone.
    All,
    /// There is no room now.
    Part,
    /// It is the server's turn to say something.
    Silent,
}

/// A connected socket, or one that is about to be.
#[derive(Debug)]
pub(super) struct Link {
    socket: OwnedFd,
    streams: bool,
    tunnel: Option<Tunnel>,
    /// How much of the packet at hand has gone.
    sent: usize,
}

impl Address {
    /// Whether the server hears a stream, not packets.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Tls(..) | Self::Stream(_))
    }
}

impl Link {
    /// Begins a connection.
    pub(super) fn open(address: &Address) -> io::Result<Self> {
        let streams = address.streams();
        let place: SocketAddrAny = match address {
            Address::Udp(place) | Address::Tcp(place) | Address::Tls(place, _) => (*place).into(),
            Address::Packets(path) | Address::Stream(path) => SocketAddrUnix::new(path)?.into(),
        };
        let tunnel = match address {
            Address::Tls(_, tls) => Some(Tunnel::open(tls)?),
            _ => None,
        };
        let family = place.address_family();
        let kind = if streams { SocketType::STREAM } else { SocketType::DGRAM };
        match Self::connect(family, kind, &place) {
            // A syslog that listens for streams.
            Err(Errno::PROTOTYPE) if family == AddressFamily::UNIX => {
                let socket = Self::connect(family, SocketType::STREAM, &place)?;
                Ok(Self { socket, streams: true, tunnel, sent: 0 })
            }
            socket => Ok(Self { socket: socket?, streams, tunnel, sent: 0 }),
        }
    }

    fn connect(family: AddressFamily, kind: SocketType, place: &SocketAddrAny) -> Result<OwnedFd, Errno> {
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        match connect(&socket, place) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(errno) => Err(errno),
        }
    }

    /// The socket, to be watched.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a packet, or the rest of it.
    pub(super) fn send(&mut self, packet: &[u8]) -> io::Result<Sent> {
        if self.tunnel.is_some() {
            return self.send_sealed(packet);
        }
        loop {
            match send(&self.socket, &packet[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) if self.streams && self.sent + count < packet.len() => self.sent += count,
                Ok(_) => {
                    self.sent = 0;
                    return Ok(Sent::All);
                }
                // ENOTCONN and EALREADY: the connection is still being made.
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOTCONN | Errno::ALREADY) => return Ok(Sent::Part),
                Err(Errno::INTR) => {}
                // No server will ever take a packet of this size.
                Err(Errno::MSGSIZE) if !self.streams => return Ok(Sent::All),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    fn send_sealed(&mut self, packet: &[u8]) -> io::Result<Sent> {
        let Some(tunnel) = &mut self.tunnel else { return Ok(Sent::Part) };
        loop {
            let taken = tunnel.take(&packet[self.sent..])?;
            self.sent += taken;
            let empty = tunnel.turn(&self.socket)?;
            if empty && self.sent == packet.len() {
                self.sent = 0;
                return Ok(Sent::All);
            }
            if !empty || taken == 0 {
                return Ok(if tunnel.listens() { Sent::Silent } else { Sent::Part });
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.close(&self.socket);
        }
    }
}
