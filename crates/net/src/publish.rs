//! Publishing ports: elements of the table's maps, and sockets that keep the host ports from being taken. Supervisor.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use hako_model::port::{Port, PortMap, Publication};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nft::Table;

/// The container's addresses that published ports lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// One published port as it came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The host side; an unspecified address stands for every address of its family.
    pub host: SocketAddr,
    /// The container's port.
    pub container: Port,
}

/// Published ports. Dropping it closes the sockets that reserve the host ports but leaves the elements: call
/// [`Published::withdraw`].
#[derive(Debug)]
pub struct Published {
    bindings: Vec<Binding>,
}

impl Published {
    /// Publishes all of `wanted`, or nothing.
    pub fn publish(table: &Table, target: Target, wanted: &[Publication]) -> Result<Self> {
        let _ = (table, target, wanted);
        todo!()
    }

    /// What was published, random and ranged host ports decided.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// A descriptor to watch for readability, if there is anything to relay (host ports of IPv6 that lead to a
    /// container without IPv6); call [`Published::turn`] when it is readable.
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Moves what can be moved without blocking.
    pub fn turn(&mut self) {}

    /// Takes the elements out of the table and frees the host ports.
    pub fn withdraw(self) -> Result<()> {
        todo!()
    }
}

/// `NetworkSettings.Ports` for these bindings; `exposed` ports that are not published become `null`.
pub fn port_map(bindings: &[Binding], exposed: impl IntoIterator<Item = Port>) -> PortMap {
    let _ = (bindings, exposed.into_iter());
    todo!()
}

/// Every binding in the table with the address it leads to: what is true, for the engine's sweep.
pub fn list(table: &Table) -> Result<Vec<(Binding, IpAddr)>> {
    let _ = table;
    todo!()
}

/// Removes every element that leads to `address`: for containers whose supervisor was killed.
pub fn sweep(table: &Table, address: IpAddr) -> Result<()> {
    let _ = (table, address);
    todo!()
}
