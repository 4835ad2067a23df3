//! Address-pool arithmetic: which subnet a new network gets, which address a new endpoint gets.
//!
//! Pure: the routes that must not be overlapped are passed in, leases are saved by whoever owns them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One pool of `default-address-pools`: `base` is cut into subnets of prefix length `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The range to cut up.
    pub base: IpNet,
    /// The prefix length of each subnet.
    pub size: u8,
}

/// Docker's default pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20.
pub fn defaults() -> Vec<Pool> {
    todo!()
}

/// The first subnet of `pools`, in order, that overlaps none of `taken`.
pub fn choose(pools: &[Pool], taken: &[IpNet]) -> Result<IpNet, PoolError> {
    let _ = (pools, taken);
    todo!()
}

/// The addresses of one subnet and who has them: lowest free first, as Docker's bridge driver gives them out.
#[derive(Debug, Clone)]
pub struct Addresses {
    subnet: IpNet,
}

impl Addresses {
    /// All addresses of `subnet` but its network and (IPv4) broadcast addresses; only those in `range` are given out
    /// unasked.
    pub fn new(subnet: IpNet, range: Option<IpNet>) -> Result<Self, PoolError> {
        let _ = range;
        Ok(Self { subnet })
    }

    /// The subnet.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// Leases the lowest free address.
    pub fn lease(&mut self) -> Result<IpAddr, PoolError> {
        todo!()
    }

    /// Leases this very address (the gateway, `--ip`, or a lease read back from disk).
    pub fn claim(&mut self, address: IpAddr) -> Result<(), PoolError> {
        let _ = address;
        todo!()
    }

    /// Gives an address back; one that was not leased is ignored.
    pub fn release(&mut self, address: IpAddr) {
        let _ = address;
        todo!()
    }
}

/// Why no subnet or address could be had; the messages are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every subnet of every pool overlaps something.
    #[error("all predefined address pools have been fully subnetted")]
    Exhausted,
    /// The subnet has no free address left.
    #[error("no available IPv4 addresses on this network's address pools: {subnet}")]
    Full {
        /// The subnet.
        subnet: IpNet,
    },
    /// The address asked for is leased.
    #[error("Address already in use")]
    Taken {
        /// The address.
        address: IpAddr,
    },
    /// The address asked for is not in the subnet.
    #[error("Requested address {address} does not belong to subnet {subnet}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: IpNet,
    },
    /// A pool, subnet or range that makes no sense.
    #[error("invalid address pool {subnet}: {reason}")]
    Invalid {
        /// The range.
        subnet: IpNet,
        /// What is wrong with it.
        reason: &'static str,
    },
}
