//! Address-pool arithmetic: which subnet a new network gets, which address a new endpoint gets.
//!
//! Pure: the routes that must not be overlapped are passed in, leases are saved by whoever owns them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// One pool of `default-address-pools`: `base` is cut into subnets of prefix length `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The range to cut up.
    pub base: IpNet,
    /// The prefix length of each subnet.
    pub size: u8,
}

impl Pool {
    fn v4(base: [u8; 4], prefix: u8, size: u8) -> Self {
        let base = Ipv4Net::new_assert(Ipv4Addr::from(base), prefix);
        Self { base: base.into(), size }
    }

    /// The pool's subnets, lowest first; none if `size` is shorter than the base's prefix.
    fn subnets(&self) -> Box<dyn Iterator<Item = IpNet>> {
        match self.base.trunc() {
            IpNet::V4(base) => Box::new(base.subnets(self.size).into_iter().flatten().map(IpNet::V4)),
            IpNet::V6(base) => Box::new(base.subnets(self.size).into_iter().flatten().map(IpNet::V6)),
        }
    }

    /// Refuses what cannot be cut.
    pub fn check(&self) -> Result<(), PoolError> {
        let reason = match (self.size < self.base.prefix_len(), self.size > self.base.max_prefix_len()) {
            (true, _) => "the subnets would be larger than the pool",
            (_, true) => "the subnets' prefix is longer than an address",
            _ => return Ok(()),
        };
        Err(PoolError::Invalid { subnet: self.base, reason })
    }
}

/// Docker's default pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20.
pub fn defaults() -> Vec<Pool> {
    vec![
        Pool::v4([172, 17, 0, 0], 16, 16),
        Pool::v4([172, 18, 0, 0], 16, 16),
        Pool::v4([172, 19, 0, 0], 16, 16),
        Pool::v4([172, 20, 0, 0], 14, 16),
        Pool::v4([172, 24, 0, 0], 14, 16),
        Pool::v4([172, 28, 0, 0], 14, 16),
        Pool::v4([192, 168, 0, 0], 16, 20),
    ]
}

/// The first subnet of `pools`, in order, that overlaps none of `taken`.
///
/// At most some 65,000 subnets of each pool are looked at, so that an IPv6 pool of astronomical size ends, too.
pub fn choose(pools: &[Pool], taken: &[IpNet]) -> Result<IpNet, PoolError> {
    let free = |subnet: &IpNet| !taken.iter().any(|other| overlap(subnet, other));
    let mut subnets = pools.iter().flat_map(|pool| pool.subnets().take(usize::from(u16::MAX)));
    subnets.find(free).ok_or(PoolError::Exhausted)
}

/// Whether two subnets have an address in common.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// The addresses of one subnet and who has them: lowest free first, as Docker's bridge driver gives them out.
#[derive(Debug, Clone)]
pub struct Addresses {
    subnet: IpNet,
    first: u128,
    last: u128,
    leased: BTreeSet<u128>,
}

impl Addresses {
    /// All addresses of `subnet` but its first (the network) and, for IPv4, its last (broadcast); only those in
    /// `range` are given out unasked.
    pub fn new(subnet: IpNet, range: Option<IpNet>) -> Result<Self, PoolError> {
        let subnet = subnet.trunc();
        let range = range.map_or(subnet, |range| range.trunc());
        if !subnet.contains(&range) {
            return Err(PoolError::Range { range, subnet });
        }
        let (low, high) = bounds(&subnet);
        let (first, last) = (low.max(number(range.network())), high.min(number(range.broadcast())));
        if first > last {
            return Err(PoolError::Invalid { subnet, reason: "it has no room for a container" });
        }
        Ok(Self { subnet, first, last, leased: BTreeSet::new() })
    }

    /// The subnet.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// Leases the lowest free address.
    pub fn lease(&mut self) -> Result<IpAddr, PoolError> {
        let mut candidate = self.first;
        for leased in self.leased.range(self.first..=self.last) {
            if *leased != candidate {
                break;
            }
            candidate += 1;
        }
        if candidate > self.last {
            return Err(PoolError::Full { subnet: self.subnet });
        }
        self.leased.insert(candidate);
        Ok(self.address(candidate))
    }

    /// Leases this very address (the gateway, `--ip`, or a lease read back from disk).
    pub fn claim(&mut self, address: IpAddr) -> Result<(), PoolError> {
        let (low, high) = bounds(&self.subnet);
        let wanted = number(address);
        if address.is_ipv4() != self.subnet.addr().is_ipv4() || !(low..=high).contains(&wanted) {
            return Err(PoolError::Outside { address, subnet: self.subnet });
        }
        if !self.leased.insert(wanted) {
            return Err(PoolError::Taken { address });
        }
        Ok(())
    }

    /// Gives an address back; one that was not leased is ignored.
    pub fn release(&mut self, address: IpAddr) {
        self.leased.remove(&number(address));
    }

    /// How many addresses are leased.
    pub fn leased(&self) -> usize {
        self.leased.len()
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.subnet {
            IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
        }
    }
}

/// The usable addresses. A /31 or /32 (or /127, /128) has no network and broadcast address to leave out.
fn bounds(subnet: &IpNet) -> (u128, u128) {
    let (first, last) = (number(subnet.network()), number(subnet.broadcast()));
    match subnet {
        _ if last - first < 2 => (first, last),
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(_) => (first + 1, last),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An IPv6 subnet of the unique local range, fd00::/8, made of 5 random bytes as RFC 4193 asks: `fdXX:XXXX:XXXX::/64`.
pub fn unique_local(random: [u8; 5]) -> Ipv6Net {
    let mut bytes = [0_u8; 16];
    bytes[0] = 0xfd;
    bytes[1..6].copy_from_slice(&random);
    Ipv6Net::new_assert(Ipv6Addr::from(bytes), 64)
}

/// Why no subnet or address could be had; the messages are Docker's where Docker has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every subnet of every pool overlaps something.
    #[error("all predefined address pools have been fully subnetted")]
    Exhausted,
    /// The subnet has no free address left.
    #[error("no available addresses on this pool: {subnet}")]
    Full {
        /// The subnet.
        subnet: IpNet,
    },
    /// The address asked for is leased.
    #[error("Address already in use: {address}")]
    Taken {
        /// The address.
        address: IpAddr,
    },
    /// The address asked for is not in the subnet, or is its network or broadcast address.
    #[error("no configured subnet contains IP address {address}: the network is {subnet}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: IpNet,
    },
    /// A range that is not inside its subnet.
    #[error("no matching subnet for range {range}: the network is {subnet}")]
    Range {
        /// The range.
        range: IpNet,
        /// The subnet.
        subnet: IpNet,
    },
    /// A pool or subnet that makes no sense.
    #[error("invalid address pool {subnet}: {reason}")]
    Invalid {
        /// The range.
        subnet: IpNet,
        /// What is wrong with it.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests;
