//! The network verbs. There are three networks: `bridge`, `host` and `none`.

use std::collections::BTreeMap;

use hako_model::filter::Filters;
use hako_model::id::NetworkId;
use hako_model::time::Timestamp;

use crate::Result;
pub use crate::containers::Pruned;

/// The network verbs. Cheap to clone.
#[derive(Clone)]
pub struct Networks {}

/// A container on a network.
#[derive(Debug, Clone)]
pub struct Member {
    /// The container's name.
    pub name: String,
    /// The endpoint's id.
    pub endpoint_id: String,
    /// The MAC address.
    pub mac_address: String,
    /// The IPv4 address with its prefix length.
    pub ipv4_address: String,
    /// The IPv6 address with its prefix length.
    pub ipv6_address: String,
}

/// One subnet of a network.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// The subnet.
    pub subnet: String,
    /// The addresses given out, when not all of them.
    pub ip_range: String,
    /// The gateway.
    pub gateway: String,
}

/// One network.
#[derive(Debug, Clone)]
pub struct Network {
    /// The name.
    pub name: String,
    /// The id.
    pub id: NetworkId,
    /// When it was made.
    pub created: Timestamp,
    /// `bridge`, `host`, `null`.
    pub driver: String,
    /// Whether IPv4 is on.
    pub enable_ipv4: bool,
    /// Whether IPv6 is on.
    pub enable_ipv6: bool,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
    /// Running containers by id.
    pub containers: BTreeMap<String, Member>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Networks {
    /// Lists networks. Filters: driver, id, label, name, scope, type, dangling.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Network>> {
        todo!()
    }

    /// One network, by name or id.
    pub async fn inspect(&self, name: &str) -> Result<Network> {
        todo!()
    }
}
