//! The host's devices that macvlan and ipvlan networks hang on: found, or made (a VLAN of a device, or a dummy). Engine.

use std::os::fd::AsFd;

use hako_model::network::ParentKind;
use hako_sys::netlink::Socket;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};

use crate::endpoint::info;
use crate::error::kernel;
use crate::rtnetlink::{self, CHANGE, NEW, Requests};
use crate::{Error, Result};

/// Makes sure that `name` is a device others can hang on. One that does not exist is made: `eth0.10` as that VLAN of
/// `eth0`, anything else as a dummy if `dummy` says so. Tells whether it was made.
pub fn ensure(name: &str, dummy: bool) -> Result<bool> {
    let mut socket = rtnetlink::socket()?;
    if name == "lo" {
        return Err(Error::Parent { reason: "loopback interface is not a valid macvlan parent link".to_owned() });
    }
    if rtnetlink::index_of(socket.as_fd(), name)?.is_some() {
        return Ok(false);
    }
    let kind = if dummy { vec![LinkInfo::Kind(InfoKind::Dummy)] } else { Vec::new() };
    let mut message = named(name);
    if dummy {
        message.attributes.push(LinkAttribute::LinkInfo(kind));
    } else {
        vlan(&socket, name, &mut message)?;
    }
    create(&mut socket, name, message)?;
    Ok(true)
}

/// Makes `message` the VLAN that `name` means.
fn vlan(socket: &Socket, name: &str, message: &mut LinkMessage) -> Result<()> {
    let invalid =
        || Error::Parent { reason: format!("invalid subinterface vlan name {name}, example formatting is eth0.10") };
    let (parent, number) = name.rsplit_once('.').ok_or_else(invalid)?;
    let index = rtnetlink::index_of(socket.as_fd(), parent)?
        .ok_or_else(|| Error::Parent { reason: format!("-o parent interface was not found on the host: {parent}") })?;
    let number: u16 = number.parse().ok().filter(|number| (1..4095).contains(number)).ok_or_else(invalid)?;
    message.attributes.push(LinkAttribute::Link(index));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Vlan),
        LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(number)])),
    ]));
    Ok(())
}

fn create(socket: &mut Socket, name: &str, message: LinkMessage) -> Result<()> {
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(message), NEW);
    let mut up = named(name);
    up.header.flags = LinkFlags::Up;
    up.header.change_mask = LinkFlags::Up;
    requests.push(RouteNetlinkMessage::SetLink(up), CHANGE);
    requests.send(socket).map(drop).map_err(kernel("create", format!("device {name}")))
}

/// Refuses a kind of devices the kernel does not have, by making one beside `parent` for a moment.
pub fn probe(parent: &str, kind: ParentKind, name: &str) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    let refused = || kernel("make", format!("device beside {parent}"));
    let Some(index) = rtnetlink::index_of(socket.as_fd(), parent)? else {
        return Err(refused()(hako_sys::Error::os("look up", parent)(rustix::io::Errno::NODEV)));
    };
    let mut message = named(name);
    message.attributes.extend([LinkAttribute::Link(index), LinkAttribute::LinkInfo(info(kind))]);
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(message), NEW);
    requests.send(&mut socket).map_err(refused())?;
    crate::endpoint::detach(name)
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    message
}
