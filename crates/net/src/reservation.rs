//! Host ports held by a bound socket, so that no process of the host takes a published port, nor hako one in use.
//!
//! The sockets live in the supervisor and carry no traffic: the table rewrites every packet's destination before it
//! would reach them. TCP sockets are bound but do not listen, so should the table be gone a client is refused at once
//! instead of hanging in a queue nobody serves.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use hako_model::port::Protocol;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// A host port, ours while this lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) host: SocketAddr,
    /// None if the kernel knows no SCTP: then nobody else can have the port either.
    pub(crate) socket: Option<OwnedFd>,
}

impl Reservation {
    /// Binds `host`; port 0 lets the kernel choose.
    pub(crate) fn take(protocol: Protocol, host: SocketAddr) -> io::Result<Self> {
        let socket = match open(protocol, host) {
            Err(rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::SOCKTNOSUPPORT)
                if protocol == Protocol::Sctp =>
            {
                return unknown_protocol(host);
            }
            socket => socket?,
        };
        if host.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, protocol, host)?;
        let bound = rustix::net::getsockname(&socket)?;
        let host = SocketAddr::try_from(bound).map_err(io::Error::from)?;
        Ok(Self { host, socket: Some(socket) })
    }
}

/// Without the protocol there is no free port to find, but a given one is free.
fn unknown_protocol(host: SocketAddr) -> io::Result<Reservation> {
    match host.port() {
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Ok(Reservation { host, socket: None }),
    }
}

fn open(protocol: Protocol, host: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(number))
}

/// Binds as a server would: connections of an earlier server that linger in TIME_WAIT are no hindrance. Afterwards the
/// sharing is taken back, or every server that asks for it, as nearly all do, could bind the same port.
fn bind(socket: &OwnedFd, protocol: Protocol, host: SocketAddr) -> rustix::io::Result<()> {
    let shared = protocol != Protocol::Udp;
    sockopt::set_socket_reuseaddr(socket.as_fd(), shared)?;
    rustix::net::bind(socket, &host)?;
    sockopt::set_socket_reuseaddr(socket.as_fd(), false)
}
