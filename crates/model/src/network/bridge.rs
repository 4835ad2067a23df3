//! The options of Docker's bridge driver.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{NetworkError, mtu, switch};

const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const BARE: &str = "com.docker.network.bridge.inhibit_ipv4";
const MODE4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";

/// How a bridge network reaches the world, and the world it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// By the host's address; only published ports are reachable.
    #[default]
    Nat,
    /// By the host's address; every port is reachable at the container's.
    NatUnprotected,
    /// By the containers' own addresses; published ports are reachable there.
    Routed,
    /// Not at all: the host has no address in it either.
    Isolated,
}

impl GatewayMode {
    fn parse(option: &str, value: &str) -> Result<Self, NetworkError> {
        match value {
            "nat" => Ok(Self::Nat),
            "nat-unprotected" => Ok(Self::NatUnprotected),
            "routed" => Ok(Self::Routed),
            "isolated" => Ok(Self::Isolated),
            _ => {
                let reason = format!("unknown gateway mode {value}");
                Err(NetworkError::Option { option: option.to_owned(), value: value.to_owned(), reason })
            }
        }
    }
}

/// The bridge driver's options, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeOptions {
    /// The device's name; made up when absent.
    pub name: Option<String>,
    /// Whether containers talk to one another.
    pub icc: bool,
    /// Whether they leave with the host's address.
    pub masquerade: bool,
    /// The host address `-p` means when it names none.
    pub binding: Option<IpAddr>,
    /// Whether the bridge goes without an IPv4 address.
    pub bare: bool,
    /// The way of IPv4.
    pub mode4: GatewayMode,
    /// The way of IPv6.
    pub mode6: GatewayMode,
    /// Devices of the host from which containers may be reached directly.
    pub trusted: Vec<String>,
    /// The MTU.
    pub mtu: Option<u32>,
    /// What the containers' devices are called, before the number.
    pub prefix: String,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            name: None,
            icc: true,
            masquerade: true,
            binding: None,
            bare: false,
            mode4: GatewayMode::Nat,
            mode6: GatewayMode::Nat,
            trusted: Vec::new(),
            mtu: None,
            prefix: "eth".to_owned(),
        }
    }
}

impl BridgeOptions {
    /// Reads the options of a network. Unknown ones are kept and mean nothing, as with Docker.
    pub fn read(options: &BTreeMap<String, String>, internal: bool) -> Result<Self, NetworkError> {
        let mut read = Self::default();
        for (option, value) in options {
            match option.as_str() {
                NAME => read.name = Some(value.clone()).filter(|name| !name.is_empty()),
                ICC => read.icc = switch(option, value)?,
                MASQUERADE => read.masquerade = switch(option, value)?,
                BARE => read.bare = switch(option, value)?,
                BINDING => read.binding = Some(binding(value)?),
                MODE4 => read.mode4 = GatewayMode::parse(option, value)?,
                MODE6 => read.mode6 = GatewayMode::parse(option, value)?,
                TRUSTED => read.trusted = value.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
                MTU => read.mtu = Some(mtu(option, value)?).filter(|mtu| *mtu > 0),
                PREFIX => read.prefix = Some(value.clone()).filter(|text| !text.is_empty()).unwrap_or(read.prefix),
                _ => {}
            }
        }
        let isolated = [read.mode4, read.mode6].contains(&GatewayMode::Isolated);
        if isolated && !internal { Err(NetworkError::Isolated) } else { Ok(read) }
    }
}

fn binding(value: &str) -> Result<IpAddr, NetworkError> {
    value.parse().map_err(|_| NetworkError::Option {
        option: BINDING.to_owned(),
        value: value.to_owned(),
        reason: "nil ip".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(option: &str, value: &str) -> Result<BridgeOptions, String> {
        let options = BTreeMap::from([(option.to_owned(), value.to_owned())]);
        BridgeOptions::read(&options, false).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read("foo", "bar").unwrap(), BridgeOptions::default());
        assert!(!read(ICC, "0").unwrap().icc);
        assert_eq!(read(MTU, "1400").unwrap().mtu, Some(1400));
        assert_eq!(read(MODE4, "routed").unwrap().mode4, GatewayMode::Routed);
        assert_eq!(read(TRUSTED, "vxlan.1:eth3").unwrap().trusted, ["vxlan.1", "eth3"]);
        let isolated = BTreeMap::from([(MODE4.to_owned(), "isolated".to_owned())]);
        assert_eq!(BridgeOptions::read(&isolated, true).unwrap().mode4, GatewayMode::Isolated);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_dockers_words() {
        for (option, value, expect) in [
            (
                ICC,
                "maybe",
                "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": \
                 invalid syntax)",
            ),
            (
                MODE4,
                "foo",
                "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: foo (unknown gateway mode foo)",
            ),
            (
                MTU,
                "foo",
                "failed to parse com.docker.network.driver.mtu value: foo (strconv.Atoi: parsing \"foo\": invalid syntax)",
            ),
            (MTU, "-5", "invalid MTU number: -5"),
            (BINDING, "foo", "failed to parse com.docker.network.bridge.host_binding_ipv4 value: foo (nil ip)"),
            (MODE6, "isolated", "gateway mode 'isolated' can only be used for an internal network"),
        ] {
            assert_eq!(read(option, value).unwrap_err(), expect);
        }
    }
}
