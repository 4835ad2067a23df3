//! `network create`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hako_api::network::{ConfigReference, CreateBody, Ipam, IpamConfig};
use ipnet::IpNet;

use crate::creation::{check_label, environment};
use crate::failure::Failure;
use crate::flags::{Matches, csv, list, map, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static CREATE: Command = Command {
    usage: &["[OPTIONS] NETWORK"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("attachable", "Enable manual container attachment"),
        map("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        text("config-from", "The network from which to copy the configuration"),
        switch("config-only", "Create a configuration only network"),
        text("driver", "Driver to manage the Network").short('d').default("bridge"),
        csv("gateway", "IPv4 or IPv6 Gateway for the master subnet"),
        switch("ingress", "Create swarm routing-mesh network").refused("swarm mode is not part of hako"),
        switch("internal", "Restrict external access to the network"),
        csv("ip-range", "Allocate container ip from a sub-range"),
        text("ipam-driver", "IP Address Management Driver").default("default"),
        map("ipam-opt", "Set IPAM driver specific options"),
        switch("ipv4", "Enable or disable IPv4 address assignment").default("true"),
        switch("ipv6", "Enable or disable IPv6 address assignment"),
        list("label", "Set metadata on a network").check(check_label),
        map("opt", "Set driver specific options").short('o'),
        text("scope", "Control the network's scope"),
        csv("subnet", "Subnet in CIDR format that represents a network segment"),
    ]],
    examples: &[
        ("hako network create front", "A network whose containers find each other by name"),
        ("hako network create --internal --subnet 10.9.0.0/24 vault", "One without a way out"),
        ("hako network create --ipv6 both", "One with IPv4 and IPv6"),
    ],
    ..Command::new("Create a network", run!(create))
};

async fn create(session: &Session, found: &Matches) -> Outcome {
    let options = environment::pairs(found.list("ipam-opt").into_iter());
    let config = subnets(found).map_err(Failure::local)?;
    let body = CreateBody {
        name: found.word(0).to_owned(),
        driver: found.text("driver").to_owned(),
        scope: found.text("scope").to_owned(),
        enable_ipv4: found.switch_given("ipv4"),
        enable_ipv6: found.switch_given("ipv6"),
        ipam: Some(Ipam { driver: found.text("ipam-driver").to_owned(), options: Some(options), config: Some(config) }),
        internal: found.on("internal"),
        attachable: found.on("attachable"),
        ingress: false,
        config_only: found.on("config-only"),
        config_from: found.text_given("config-from").map(|name| ConfigReference { network: name.to_owned() }),
        options: Some(environment::pairs(found.list("opt").into_iter())),
        labels: Some(environment::labels(&[], &found.list("label"))?),
    };
    output::line(session.client()?.networks().create(&body).await?.id)
}

/// The subnets, each with the range, gateway and auxiliary addresses that lie in it.
fn subnets(found: &Matches) -> Result<Vec<IpamConfig>, String> {
    let (ranges, gateways) = (found.list("ip-range"), found.list("gateway"));
    let subnets = found.list("subnet");
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut all: Vec<IpamConfig> = Vec::new();
    for subnet in subnets {
        let overlapping = |other: &IpamConfig| match (subnet.parse::<IpNet>(), other.net()) {
            (Ok(net), Some(other)) => hako_model::pool::overlap(&net, &other),
            _ => false,
        };
        if all.iter().any(overlapping) {
            return Err("multiple overlapping subnet configuration is not supported".to_owned());
        }
        all.push(IpamConfig { subnet: subnet.to_owned(), ..IpamConfig::default() });
    }
    for range in ranges {
        let net: IpNet = range.parse().map_err(|_| format!("invalid CIDR address: {range}"))?;
        let config = place(&mut all, net.addr()).ok_or_else(|| format!("no matching subnet for range {range}"))?;
        if !config.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                config.ip_range, config.subnet
            ));
        }
        range.clone_into(&mut config.ip_range);
    }
    for gateway in gateways {
        let config = at(&mut all, gateway).ok_or_else(|| format!("no matching subnet for gateway {gateway}"))?;
        if !config.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                config.gateway, config.subnet
            ));
        }
        gateway.clone_into(&mut config.gateway);
    }
    place_auxiliary(&mut all, environment::pairs(found.list("aux-address").into_iter()))?;
    Ok(all)
}

fn place_auxiliary(all: &mut [IpamConfig], addresses: BTreeMap<String, String>) -> Result<(), String> {
    for (name, address) in addresses {
        let config = at(all, &address).ok_or_else(|| format!("no matching subnet for aux-address {address}"))?;
        config.auxiliary_addresses.get_or_insert_default().insert(name, address);
    }
    Ok(())
}

fn at<'a>(all: &'a mut [IpamConfig], address: &str) -> Option<&'a mut IpamConfig> {
    place(all, address.parse().ok()?)
}

fn place(all: &mut [IpamConfig], address: IpAddr) -> Option<&mut IpamConfig> {
    all.iter_mut().find(|config| config.net().is_some_and(|net| net.contains(&address)))
}
