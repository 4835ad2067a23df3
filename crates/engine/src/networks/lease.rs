//! Plugging containers in: what each of a container's networks gives it, and through which of them it reaches the world.

use std::net::IpAddr;

use hako_model::container::EndpointSettings;
use hako_model::network::{Driver, Exit, GatewayMode, way_out};
use hako_net::endpoint::{self, Plan, Wire};
use ipnet::IpNet;

use super::{Segment, endpoint_id, mode_network};
use crate::container::Container;
use crate::house::House;
use crate::record::Record;
use crate::{Error, Result};

/// The networks of a container in the order of its devices: the one of its mode, then the others by name.
pub(crate) fn names(record: &Record) -> Vec<String> {
    let mode = mode_network(&record.host_config.network_mode);
    let first = record.endpoints.keys().filter(|name| *name == mode);
    first.chain(record.endpoints.keys().filter(|name| *name != mode)).cloned().collect()
}

/// Leases everything a container about to be started needs. On an error nothing is leased.
pub(crate) fn lease_all(house: &House, container: &Container, record: &Record) -> Result<Vec<Plan>> {
    if record.config.network_disabled {
        return Ok(Vec::new());
    }
    let mut plans = Vec::new();
    for name in names(record) {
        let asked = record.endpoints.get(&name).cloned().unwrap_or_default();
        match lease_one(house, container, &name, &asked, &plans) {
            Ok(plan) => plans.extend(plan),
            Err(error) => {
                release(house, &plans);
                return Err(error.during("failed to set up container networking"));
            }
        }
    }
    choose_way_out(house, record, &mut plans);
    Ok(plans)
}

/// Leases what one network gives; none for `host` and `none`. `others` are the endpoints the container has already.
pub(crate) fn lease_one(
    house: &House,
    container: &Container,
    name: &str,
    asked: &EndpointSettings,
    others: &[Plan],
) -> Result<Option<Plan>> {
    let segment = house.networks.named(name)?;
    match segment.driver {
        _ if segment.record().config_only => {
            return Err(Error::forbidden("cannot create endpoint on configuration-only network"));
        }
        Driver::Host | Driver::Null => return Ok(None),
        Driver::Bridge | Driver::Macvlan | Driver::Ipvlan => {}
    }
    house.networks.settle(&segment)?;
    let (device, wire, mtu, isolated) = raise(house, &segment)?;
    let ipam = asked.ipam_config.clone().unwrap_or_default();
    let (address, address6) = lease_again(container, &segment, [&ipam.ipv4_address, &ipam.ipv6_address])?;
    let (gateway, gateway6) = gateways(&segment);
    let options = segment.bridge_options();
    let id = endpoint_id(container.id.as_str(), segment.id.as_str());
    let made_up = address.map_or_else(|| mac_from(&id), |address| endpoint::mac_of(address.addr()));
    Ok(Some(Plan {
        network: segment.id.to_string(),
        host_name: endpoint::host_name(&id),
        name: device_name(&segment, asked, others),
        bridge: device,
        wire,
        address,
        gateway,
        address6,
        gateway6,
        way_out: false,
        way_out6: false,
        mac: super::wanted_mac(asked)?.unwrap_or(made_up),
        mtu,
        isolated,
        routed: options.mode4 == GatewayMode::Routed,
        routed6: options.mode6 == GatewayMode::Routed,
        guarded: wire == Wire::Bridge && house.settings.firewall && !is_on(&segment, SPOOFING),
        large: segment.record().internal || is_on(&segment, SEGMENTS),
        more: ipam.link_local_ips.iter().flatten().filter_map(|text| local(text)).collect(),
        switches: switches(asked)?,
    }))
}

/// The addresses it had, where it is to have them again and they are free; those asked for; or any.
fn lease_again(
    container: &Container,
    segment: &Segment,
    asked: [&str; 2],
) -> Result<(Option<ipnet::Ipv4Net>, Option<ipnet::Ipv6Net>)> {
    let kept = container.inside().kept.iter().find(|plan| plan.network == segment.id.as_str()).cloned();
    if let Some(kept) = kept.filter(|_| asked.iter().all(|text| text.is_empty())) {
        let v4 = kept.address.map(|net| net.addr().to_string()).unwrap_or_default();
        let v6 = kept.address6.map(|net| net.addr().to_string()).unwrap_or_default();
        if let Ok(leased) = segment.lease(&v4, &v6) {
            return Ok(leased);
        }
    }
    segment.lease(asked[0], asked[1])
}

/// Makes what the network is made of, and tells the device, how to hang on it, its MTU and whether neighbours are apart.
fn raise(house: &House, segment: &Segment) -> Result<(String, Wire, Option<u32>, bool)> {
    if let Some(bridge) = house.networks.bridge_of(segment) {
        house.networks.fabric.raise(&bridge)?;
        return Ok((bridge.name, Wire::Bridge, bridge.mtu, !bridge.talk));
    }
    let (parent, kind, mtu) = segment.parent().ok_or_else(|| Error::system("plug in: the network has no device"))?;
    super::fabric::ensure_parent(&parent, parent == super::segment::made_up_parent(&segment.id))?;
    Ok((parent, Wire::Beside(kind), mtu, false))
}

/// The gateways a container may use: an internal network has none for it.
fn gateways(segment: &Segment) -> (Option<std::net::Ipv4Addr>, Option<std::net::Ipv6Addr>) {
    if segment.record().internal {
        return (None, None);
    }
    let (v4, v6) = segment.gateways();
    (v4.map(|net| net.addr()), v6.map(|net| net.addr()))
}

/// Whether the network's owner switched an option on.
fn is_on(segment: &Segment, option: &str) -> bool {
    segment.record().options.get(option).is_some_and(|value| matches!(value.as_str(), "true" | "1"))
}

/// Lets containers send as others: routers and virtual addresses need that.
const SPOOFING: &str = "io.hako.network.spoofing";
/// Lets containers send in large segments, although there is a way out.
const SEGMENTS: &str = "io.hako.network.large-segments";

/// `eth0` and so on, the first number that is free; or the name asked for.
fn device_name(segment: &Segment, asked: &EndpointSettings, others: &[Plan]) -> String {
    if let Some(name) = asked.driver_opts.iter().flatten().find(|(key, _)| *key == IFNAME).map(|(_, name)| name) {
        return name.clone();
    }
    let prefix = segment.bridge_options().prefix;
    let mut numbers = (0..).map(|number| format!("{prefix}{number}"));
    let free = numbers.find(|name| others.iter().all(|other| other.name != *name));
    free.unwrap_or_default()
}

const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// The switches of an endpoint: `net.ipv4.conf.IFNAME.log_martians=1`, several with commas.
pub(super) fn switches(asked: &EndpointSettings) -> Result<Vec<(String, String)>> {
    let text = asked.driver_opts.iter().flatten().find(|(key, _)| *key == SYSCTLS).map_or("", |(_, value)| value);
    let mut found = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let parts: Vec<&str> = name.split('.').collect();
        // Docker's own CLI writes everything about networks in small letters.
        let ["net", family @ ("ipv4" | "ipv6" | "mpls"), group, "IFNAME" | "ifname", switch] = parts[..] else {
            return Err(Error::invalid(format!(
                "unrecognised network interface sysctl '{pair}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', \
                 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )));
        };
        if name.contains('/') || !pair.contains('=') {
            return Err(Error::invalid(format!("invalid sysctl setting '{pair}': expected net.X.Y.IFNAME.Z=value")));
        }
        found.push((format!("net.{family}.{group}.IFNAME.{switch}"), value.to_owned()));
    }
    Ok(found)
}

fn local(text: &str) -> Option<IpNet> {
    let address: IpAddr = text.parse().ok()?;
    let prefix = if address.is_ipv4() { 16 } else { 64 };
    IpNet::new(address, prefix).ok()
}

/// A locally administered address from what is unique about the endpoint.
fn mac_from(id: &str) -> endpoint::Mac {
    let mut mac = [0x02, 0x42, 0, 0, 0, 0];
    for (byte, digits) in mac[2..].iter_mut().zip(id.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    mac
}

/// Decides through which endpoint each family's default route goes.
pub(crate) fn choose_way_out(house: &House, record: &Record, plans: &mut [Plan]) {
    let known: Vec<(String, i64)> = plans.iter().map(|plan| name_and_priority(house, record, plan)).collect();
    let best = |leads: fn(&Plan) -> bool| {
        let exits = plans.iter().zip(&known).filter(|(plan, _)| leads(plan));
        way_out(exits.map(|(_, (network, priority))| Exit { network, priority: *priority })).map(str::to_owned)
    };
    let v4 = best(|plan| plan.address.is_some() && (plan.gateway.is_some() || goes_by_device(plan)));
    let v6 = best(|plan| plan.address6.is_some() && (plan.gateway6.is_some() || goes_by_device(plan)));
    for (plan, (network, _)) in plans.iter_mut().zip(&known) {
        plan.way_out = v4.as_ref() == Some(network);
        plan.way_out6 = v6.as_ref() == Some(network);
    }
}

fn goes_by_device(plan: &Plan) -> bool {
    matches!(plan.wire, Wire::Beside(kind) if !kind.has_gateway())
}

fn name_and_priority(house: &House, record: &Record, plan: &Plan) -> (String, i64) {
    let name = house.networks.named(&plan.network).map(|segment| segment.name.clone());
    let name = name.unwrap_or_else(|_| plan.network.clone());
    let priority = record.endpoints.get(&name).map_or(0, |asked| asked.gw_priority);
    (name, priority)
}

/// Gives back what was leased.
pub(crate) fn release(house: &House, plans: &[Plan]) {
    for plan in plans {
        // A network that is gone has no addresses to give back.
        if let Ok(segment) = house.networks.named(&plan.network) {
            segment.release(plan.address.map(|net| net.addr()), plan.address6.map(|net| net.addr()));
        }
    }
}

/// Takes note of what a living container has.
pub(crate) fn claim(house: &House, plans: &[Plan]) {
    for plan in plans {
        if let Ok(segment) = house.networks.named(&plan.network) {
            segment.claim(plan.address.map(|net| net.addr()), plan.address6.map(|net| net.addr()));
        }
    }
}
