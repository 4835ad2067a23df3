//! Bodies about networks.

use std::collections::BTreeMap;

use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: String,
    /// Always `local`.
    pub scope: String,
    /// Its driver.
    pub driver: String,
    /// It has IPv4.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// It has IPv6.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Its addresses.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// It does not reach the outside.
    pub internal: bool,
    /// Swarm only.
    pub attachable: bool,
    /// Swarm only.
    pub ingress: bool,
    /// Where its configuration comes from.
    pub config_from: ConfigReference,
    /// It is a configuration for others.
    pub config_only: bool,
    /// Endpoints by container; always empty in lists.
    #[serde(deserialize_with = "nullable")]
    pub containers: BTreeMap<String, EndpointResource>,
    /// The driver's options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A network's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ipam {
    /// Always `default`.
    pub driver: String,
    /// The driver's options.
    pub options: Option<BTreeMap<String, String>>,
    /// Its subnets.
    pub config: Option<Vec<IpamConfig>>,
}

/// A subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IpamConfig {
    /// The subnet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    /// The part of it addresses are taken from.
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    pub ip_range: String,
    /// The gateway.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Addresses used by others, by name.
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Option::is_none")]
    pub auxiliary_addresses: Option<BTreeMap<String, String>>,
}

/// Where a network's configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ConfigReference {
    /// The network that holds it.
    pub network: String,
}

/// A container on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EndpointResource {
    /// The container's name.
    pub name: String,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Its MAC address.
    pub mac_address: String,
    /// Its IPv4 address with prefix length.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// Its IPv6 address with prefix length.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// The answer to prune.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Pruned {
    /// What went; `null` when nothing did.
    pub networks_deleted: Option<Vec<String>>,
}
