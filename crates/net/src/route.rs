//! What the host's routing already knows: input to the choice of a subnet.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::Result;
use crate::error::kernel;
use crate::rtnetlink;

/// Every subnet the host routes (but default routes) or has an address in, and its name servers: what a new network
/// must not overlap.
pub fn taken() -> Result<Vec<IpNet>> {
    let mut socket = rtnetlink::socket()?;
    let routes = rtnetlink::dump(&mut socket, RouteNetlinkMessage::GetRoute(RouteMessage::default()));
    let subnets = routes.map_err(kernel("read", "routes"))?.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewRoute(route) => destination(&route),
        _ => None,
    });
    let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    Ok(subnets.chain(name_servers(&resolvers)).collect())
}

fn destination(route: &RouteMessage) -> Option<IpNet> {
    if !matches!(
        route.header.kind,
        RouteType::Unicast | RouteType::Local | RouteType::BlackHole | RouteType::Unreachable
    ) {
        return None;
    }
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok().filter(|subnet| subnet.prefix_len() > 0)
}

/// A name server beyond the default route must not come to lie inside a container network.
fn name_servers(text: &str) -> Vec<IpNet> {
    let addresses = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    addresses.filter_map(|address| address.trim().parse::<IpAddr>().ok()).map(IpNet::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read() {
        let text =
            "# nameserver 9.9.9.9\nsearch x\nnameserver 192.168.0.1\n nameserver\tfe80::1%eth0\nnameserver ::1\n";
        assert_eq!(name_servers(text), ["192.168.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()]);
    }
}
