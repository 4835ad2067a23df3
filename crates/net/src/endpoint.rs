//! A container's endpoint: a veth pair, one end in the bridge, the other born in the container. Supervisor.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A MAC address.
pub type Mac = [u8; 6];

/// All that is needed to plug a container into a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The host side's name, at most 15 bytes; see [`host_name`].
    pub host_name: String,
    /// The container side's name: `eth0`.
    pub name: String,
    /// The bridge.
    pub bridge: String,
    /// The container's address with its subnet's prefix length.
    pub address: Ipv4Net,
    /// Where its default route points; `None` for a network without a way out.
    pub gateway: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub address6: Option<Ipv6Net>,
    /// The same for IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// The container side's MAC address; see [`mac_of`].
    pub mac: Mac,
    /// The MTU, as the bridge's.
    pub mtu: Option<u32>,
}

/// The host side's name for a container: `hk` and eleven digits of its id; unique enough for one host, and short.
pub fn host_name(container_id: &str) -> String {
    format!("hk{}", container_id.get(..11).unwrap_or(container_id))
}

/// Docker's MAC address for an IPv4 address: `02:42` and the four bytes.
pub fn mac_of(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// `02:42:ac:11:00:02`.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Plugs the container whose network namespace is `netns` into the bridge. On an error nothing is left behind.
pub fn attach(netns: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
    let _ = (netns, plan);
    todo!()
}

/// Removes the pair by its host side; one that is gone already is fine.
pub fn detach(host_name: &str) -> Result<()> {
    let _ = host_name;
    todo!()
}

/// Brings the loopback device of a namespace up.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<()> {
    let _ = netns;
    todo!()
}
