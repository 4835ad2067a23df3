//! What network verbs answer.

use std::collections::BTreeMap;

use hako_model::id::NetworkId;
use hako_model::time::Timestamp;
use hako_net::endpoint;
use ipnet::Ipv4Net;

use super::{Bridge, endpoint_id};
use crate::container::Container;

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

pub(super) fn subnet(gateway: &Ipv4Net) -> Subnet {
    let gateway_text = gateway.addr().to_string();
    Subnet { subnet: gateway.trunc().to_string(), ip_range: String::new(), gateway: gateway_text }
}

pub(super) fn options(bridge: &Bridge) -> BTreeMap<String, String> {
    let pairs = [
        ("com.docker.network.bridge.default_bridge", "true".to_owned()),
        ("com.docker.network.bridge.enable_icc", bridge.talk().to_string()),
        ("com.docker.network.bridge.enable_ip_masquerade", "true".to_owned()),
        ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0".to_owned()),
        ("com.docker.network.bridge.name", bridge.device().to_owned()),
        ("com.docker.network.driver.mtu", bridge.mtu().unwrap_or(1500).to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn member(container: &Container) -> Member {
    let record = container.record();
    let plan = container.inside().run.endpoint.clone();
    Member {
        name: record.name.clone(),
        endpoint_id: endpoint_id(container.id.as_str(), &record.host_config.network_mode),
        mac_address: plan.as_ref().map(|plan| endpoint::mac_text(plan.mac)).unwrap_or_default(),
        ipv4_address: plan.as_ref().map(|plan| plan.address.to_string()).unwrap_or_default(),
        ipv6_address: String::new(),
    }
}
