//! A network's address configuration in Docker's JSON, and whether it makes sense.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::NetworkError;

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

impl IpamConfig {
    /// The subnet, if it is one.
    pub fn net(&self) -> Option<IpNet> {
        self.subnet.parse().ok()
    }

    /// The range, if there is one.
    pub fn range(&self) -> Option<IpNet> {
        self.ip_range.parse().ok()
    }

    /// The gateway, if there is one.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway.parse().ok()
    }

    /// The addresses used by others.
    pub fn auxiliary(&self) -> impl Iterator<Item = IpAddr> {
        self.auxiliary_addresses.iter().flatten().filter_map(|(_, address)| address.parse().ok())
    }
}

/// Refuses contradictions, all of them at once.
pub fn check(config: &[IpamConfig]) -> Result<(), NetworkError> {
    let problems: Vec<String> = config.iter().flat_map(problems).collect();
    if problems.is_empty() { Ok(()) } else { Err(NetworkError::Ipam { problems }) }
}

fn problems(config: &IpamConfig) -> Vec<String> {
    let text = &config.subnet;
    let Ok(subnet) = text.parse::<IpNet>() else {
        return vec![format!("invalid subnet {text}: invalid CIDR block notation")];
    };
    if subnet != subnet.trunc() {
        return vec![format!("invalid subnet {text}: it should be {}", subnet.trunc())];
    }
    let mut found = Vec::new();
    found.extend(range_problem(subnet, &config.ip_range));
    if !config.gateway.is_empty() {
        found.extend(
            address_problem(subnet, &config.gateway).map(|why| format!("invalid gateway {}: {why}", config.gateway)),
        );
    }
    for (name, address) in config.auxiliary_addresses.iter().flatten() {
        found.extend(address_problem(subnet, address).map(|why| format!("invalid auxiliary address {name}: {why}")));
    }
    found
}

fn range_problem(subnet: IpNet, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let problem = |why: String| Some(format!("invalid ip-range {text}: {why}"));
    let Ok(range) = text.parse::<IpNet>() else { return problem("invalid CIDR block notation".to_owned()) };
    if let Some(why) = family_problem(subnet, range.addr()) {
        return problem(why);
    }
    if range.prefix_len() < subnet.prefix_len() {
        return problem(format!("CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.trunc() {
        return problem(format!("it should be {}", range.trunc()));
    }
    if subnet.contains(&range) { None } else { problem(format!("parent subnet {subnet} doesn't contain ip-range")) }
}

fn address_problem(subnet: IpNet, text: &str) -> Option<String> {
    let Ok(address) = text.parse::<IpAddr>() else { return Some("invalid address".to_owned()) };
    family_problem(subnet, address).or_else(|| {
        (!subnet.contains(&address)).then(|| format!("parent subnet {subnet} doesn't contain this address"))
    })
}

fn family_problem(subnet: IpNet, address: IpAddr) -> Option<String> {
    match (subnet.addr().is_ipv4(), address.is_ipv4()) {
        (true, false) => Some("parent subnet is an IPv4 block".to_owned()),
        (false, true) => Some("parent subnet is an IPv6 block".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(subnet: &str, range: &str, gateway: &str, auxiliary: &[(&str, &str)]) -> String {
        let config = IpamConfig {
            subnet: subnet.to_owned(),
            ip_range: range.to_owned(),
            gateway: gateway.to_owned(),
            auxiliary_addresses: Some(auxiliary.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()),
        };
        check(&[config]).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn contradictions_are_told_in_dockers_words() {
        for (subnet, range, gateway, expect) in [
            ("10.1.0.0/33", "", "", "invalid subnet 10.1.0.0/33: invalid CIDR block notation"),
            ("10.2.0.1/24", "", "", "invalid subnet 10.2.0.1/24: it should be 10.2.0.0/24"),
            ("", "", "10.2.0.1", "invalid subnet : invalid CIDR block notation"),
            (
                "10.2.0.0/24",
                "",
                "10.3.0.1",
                "invalid gateway 10.3.0.1: parent subnet 10.2.0.0/24 doesn't contain this address",
            ),
            ("10.2.0.0/24", "", "fe::1", "invalid gateway fe::1: parent subnet is an IPv4 block"),
            ("10.2.0.0/24", "", "foo", "invalid gateway foo: invalid address"),
            (
                "10.2.0.0/24",
                "10.3.0.0/24",
                "",
                "invalid ip-range 10.3.0.0/24: parent subnet 10.2.0.0/24 doesn't contain ip-range",
            ),
            (
                "10.2.0.0/24",
                "10.2.0.0/16",
                "",
                "invalid ip-range 10.2.0.0/16: CIDR block is bigger than its parent subnet 10.2.0.0/24",
            ),
            ("10.2.0.0/24", "10.2.0.5/28", "", "invalid ip-range 10.2.0.5/28: it should be 10.2.0.0/28"),
            ("10.2.0.0/24", "foo", "", "invalid ip-range foo: invalid CIDR block notation"),
        ] {
            assert_eq!(said(subnet, range, gateway, &[]), format!("invalid network config:\n{expect}"));
        }
        assert_eq!(
            said("10.2.0.0/24", "", "", &[("a", "10.9.0.1"), ("b", "foo")]),
            "invalid network config:\n* invalid auxiliary address a: parent subnet 10.2.0.0/24 doesn't contain this \
             address\n* invalid auxiliary address b: invalid address"
        );
        assert_eq!(said("10.2.0.0/24", "10.2.0.128/25", "10.2.0.254", &[("a", "10.2.0.9")]), "");
    }
}
