//! The bridge device containers are plugged into. Engine only.

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The device: `hako0`.
    pub name: String,
    /// The bridge's own address in its subnet: `172.17.0.1/16`.
    pub gateway: Ipv4Net,
    /// The same for IPv6, if the network has it.
    pub gateway6: Option<Ipv6Net>,
    /// The MTU of the bridge and of every endpoint; `None` leaves the kernel's 1500.
    pub mtu: Option<u32>,
    /// Whether packets of containers leave with the host's address.
    pub masquerade: bool,
    /// Whether containers of this bridge may talk to each other directly.
    pub talk: bool,
}

/// Makes the bridge exist, up, with its addresses and switches, and forwarding enabled. Idempotent.
pub fn ensure(bridge: &Bridge) -> Result<()> {
    let _ = bridge;
    todo!()
}

/// Removes the bridge; one that is gone already is fine.
pub fn remove(name: &str) -> Result<()> {
    let _ = name;
    todo!()
}
