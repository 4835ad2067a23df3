//! Bodies about networks.

use std::collections::BTreeMap;

use hako_model::container::EndpointSettings;
use hako_model::image::nullable;
pub use hako_model::network::{Ipam, IpamConfig};
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

/// What a new network is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateBody {
    /// Its name.
    pub name: String,
    /// Its driver; empty for `bridge`.
    pub driver: String,
    /// `local`, or nothing.
    pub scope: String,
    /// It has IPv4.
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// It has IPv6.
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Its addresses.
    #[serde(rename = "IPAM")]
    pub ipam: Option<Ipam>,
    /// It does not reach the outside.
    pub internal: bool,
    /// Swarm only.
    pub attachable: bool,
    /// Swarm only.
    pub ingress: bool,
    /// It is a configuration for others.
    pub config_only: bool,
    /// Where its configuration comes from.
    pub config_from: Option<ConfigReference>,
    /// The driver's options.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A network that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What is to be thought of.
    pub warning: String,
}

/// A container to be plugged in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ConnectBody {
    /// The container.
    pub container: String,
    /// What it asks for.
    pub endpoint_config: Option<EndpointSettings>,
}

/// A container to be plugged out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DisconnectBody {
    /// The container.
    pub container: String,
    /// Even if something is wrong with it.
    pub force: bool,
}

/// The answer to prune.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Pruned {
    /// What went; `null` when nothing did.
    pub networks_deleted: Option<Vec<String>>,
}

/// How a container's question about a name is answered; hako's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Traced {
    /// The container.
    pub container: String,
    /// Everybody who was asked, in order.
    pub steps: Vec<TraceStep>,
}

/// What one of them said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TraceStep {
    /// `network front`, `server 192.0.2.53:53`.
    pub who: String,
    /// Its answer.
    pub said: String,
    /// How long it took.
    pub micros: u64,
    /// It is what the container gets.
    pub counts: bool,
}

/// Who reaches a published port; hako's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Reach {
    /// The container's port.
    pub port: String,
    /// The host's side.
    pub host: String,
    /// Who gets there.
    pub who: String,
    /// What decides it.
    pub by: Vec<String>,
}
