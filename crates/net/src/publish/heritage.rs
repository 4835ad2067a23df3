//! What a container that is replaced leaves to its successor: the sockets that hold or serve its host ports, passed from
//! one supervisor to the other, and its elements of the table's maps.
//!
//! So a port is never free in between, and a client that waits in a socket's queue is served by the successor.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use hako_model::port::{Port, Protocol};
use hako_sys::fdpass::{Channel, MAX_FDS};
use serde::{Deserialize, Serialize};

use super::read;
use crate::error::kernel;
use crate::nft::Table;
use crate::nft::element::Element;
use crate::reservation::Reservation;
use crate::{Error, Result};

/// More sockets than this are no container's: each of at most 512 ports has two.
const MOST: usize = 4096;

/// What there is to inherit.
#[derive(Debug, Default)]
pub struct Heritage {
    held: Vec<Held>,
    pub(super) elements: Vec<Element>,
}

/// A host port's socket.
#[derive(Debug)]
struct Held {
    protocol: Protocol,
    host: SocketAddr,
    socket: OwnedFd,
}

/// What is said beside a socket.
#[derive(Debug, Serialize, Deserialize)]
struct Name {
    protocol: Protocol,
    host: SocketAddr,
}

impl Heritage {
    /// Takes what a predecessor at these addresses has sent. It ends with an empty list: the channel's own end may be long
    /// in coming, for a process that is just being made has duplicates of all descriptors.
    pub fn receive(channel: &Channel, table: &Table, addresses: &[IpAddr]) -> Result<Self> {
        let failed = || kernel("inherit", "sockets of published ports");
        channel.set_nonblocking(true).map_err(failed())?;
        let mut held = Vec::new();
        while let Some(message) = channel.recv().map_err(failed())? {
            let names: Vec<Name> = serde_json::from_slice(&message.bytes).unwrap_or_default();
            if names.is_empty() {
                break;
            }
            let pairs = names.into_iter().zip(message.fds);
            held.extend(pairs.map(|(name, socket)| Held { protocol: name.protocol, host: name.host, socket }));
            if held.len() > MOST {
                break;
            }
        }
        let theirs = |element: &Element| addresses.contains(&element.target.ip());
        let elements = read(table)?.into_iter().filter(theirs).collect();
        Ok(Self { held, elements })
    }

    /// Says to a successor that there is nothing to inherit.
    pub fn deny(channel: &Channel) -> Result<()> {
        send(channel, &[])
    }

    /// A duplicate of the socket of a host port, if it was left.
    pub(super) fn reservation(&self, protocol: Protocol, host: SocketAddr) -> Option<Reservation> {
        let held = self.held.iter().find(|held| held.protocol == protocol && held.host == host)?;
        Some(Reservation { host, socket: Some(held.socket.try_clone().ok()?) })
    }

    /// The host port that led to this port of the predecessor.
    pub(super) fn port(&self, host: IpAddr, container: Port) -> Option<u16> {
        let is_its = |element: &&Element| element.host.ip() == host && element.container() == container;
        self.elements.iter().find(is_its).map(|element| element.host.port())
    }
}

/// Sends sockets to a successor.
pub(super) fn send(channel: &Channel, held: &[(Protocol, SocketAddr, BorrowedFd<'_>)]) -> Result<(), Error> {
    for some in held.chunks(MAX_FDS).chain([&[][..]]) {
        let names: Vec<Name> =
            some.iter().map(|(protocol, host, _)| Name { protocol: *protocol, host: *host }).collect();
        let sockets: Vec<BorrowedFd<'_>> = some.iter().map(|(_, _, socket)| *socket).collect();
        let bytes = serde_json::to_vec(&names).unwrap_or_default();
        channel.send(&bytes, &sockets).map_err(kernel("hand over", "sockets of published ports"))?;
    }
    Ok(())
}
