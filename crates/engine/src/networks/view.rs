//! What network verbs answer.

use std::collections::BTreeMap;

use hako_model::id::NetworkId;
use hako_model::network::Ipam;
use hako_model::time::Timestamp;
use hako_net::endpoint;

use super::{Segment, endpoint_id, members};
use crate::Result;
use crate::container::Container;
use crate::house::House;

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

/// One network.
#[derive(Debug, Clone)]
pub struct Network {
    /// The name.
    pub name: String,
    /// The id.
    pub id: NetworkId,
    /// When it was made.
    pub created: Timestamp,
    /// `bridge`, `host`, `null`, `macvlan`, `ipvlan`.
    pub driver: String,
    /// Whether IPv4 is on.
    pub enable_ipv4: bool,
    /// Whether IPv6 is on.
    pub enable_ipv6: bool,
    /// Its subnets.
    pub ipam: Ipam,
    /// Whether it is cut off from the world.
    pub internal: bool,
    /// Swarm only; kept as it was given.
    pub attachable: bool,
    /// The network that holds its configuration.
    pub config_from: String,
    /// Whether it only holds a configuration for others.
    pub config_only: bool,
    /// Running containers by id.
    pub containers: BTreeMap<String, Member>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A network as it is now.
pub(super) fn network(house: &House, segment: &Segment) -> Result<Network> {
    house.networks.settle(segment)?;
    let record = segment.record();
    let on_it = members(house, segment);
    Ok(Network {
        name: record.name,
        id: record.id,
        created: record.created,
        driver: record.driver.as_str().to_owned(),
        enable_ipv4: record.enable_ipv4,
        enable_ipv6: record.enable_ipv6,
        ipam: record.ipam,
        internal: record.internal,
        attachable: record.attachable,
        config_from: record.config_from,
        config_only: record.config_only,
        containers: on_it.iter().map(|container| (container.id.to_string(), member(container, segment))).collect(),
        options: record.options,
        labels: record.labels,
    })
}

fn member(container: &Container, segment: &Segment) -> Member {
    let plans = container.inside().run.endpoints.clone();
    let plan = plans.iter().find(|plan| plan.network == segment.id.as_str());
    let text = |address: Option<String>| address.unwrap_or_default();
    Member {
        name: container.record().name.clone(),
        endpoint_id: endpoint_id(container.id.as_str(), segment.id.as_str()),
        mac_address: text(plan.map(|plan| endpoint::mac_text(plan.mac))),
        ipv4_address: text(plan.and_then(|plan| plan.address).map(|net| net.to_string())),
        ipv6_address: text(plan.and_then(|plan| plan.address6).map(|net| net.to_string())),
    }
}
