//! The bridge device containers are plugged into. Engine only.

use std::net::IpAddr;
use std::os::fd::AsFd;

use hako_sys::netlink::Socket;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkHeader, LinkInfo, LinkMessage};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::endpoint::mac_of;
use crate::error::kernel;
use crate::rtnetlink::{self, CHANGE, NEW, PUT, Requests};
use crate::{Error, Result, sysctl};

/// A bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bridge {
    /// The device: `hako0`.
    pub name: String,
    /// The bridge's own address in its subnet: `172.17.0.1/16`; none if the host is to have no part in it.
    pub gateway: Option<Ipv4Net>,
    /// The same for IPv6, if the network has it.
    pub gateway6: Option<Ipv6Net>,
    /// The subnets of its containers.
    pub subnets: Vec<IpNet>,
    /// The MTU of the bridge and of every endpoint; `None` leaves the kernel's 1500.
    pub mtu: Option<u32>,
    /// Which of the subnets' packets leave with the host's address.
    pub masquerade: Vec<IpNet>,
    /// Whether containers of this bridge may talk to each other directly; if not, their endpoints must be
    /// [`isolated`](crate::endpoint::Plan::isolated), too.
    pub talk: bool,
    /// Whether nothing goes from it to the world, to other networks or to services of the host, nor back.
    pub internal: bool,
    /// Whether published ports are reached at the containers' own addresses.
    pub routed: bool,
    /// Whether every port of IPv4 is reachable from outside, not only published ones.
    pub open4: bool,
    /// The same for IPv6.
    pub open6: bool,
    /// Devices of the host from which its containers may be reached directly.
    pub trusted: Vec<String>,
    /// Whether the device is somebody else's: its addresses are left alone, and it stays when the network goes.
    pub adopted: bool,
}

impl Bridge {
    fn addresses(&self) -> impl Iterator<Item = IpNet> {
        self.gateway.map(IpNet::V4).into_iter().chain(self.gateway6.map(IpNet::V6))
    }

    /// Whether the bridge has IPv6 at all.
    fn has_version_six(&self) -> bool {
        self.gateway6.is_some() || self.subnets.iter().any(|subnet| subnet.addr().is_ipv6())
    }

    /// An address of its own that stays the same: of its gateway, else of its name.
    fn mac(&self) -> crate::endpoint::Mac {
        match self.gateway {
            Some(gateway) => mac_of(gateway.addr()),
            None => {
                let sum = self
                    .name
                    .bytes()
                    .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
                let [a, b, c, d] = sum.to_be_bytes();
                [0x02, 0x43, a, b, c, d]
            }
        }
    }

    fn refused(&self, verb: &'static str) -> impl FnOnce(hako_sys::Error) -> Error {
        kernel(verb, format!("bridge {}", self.name))
    }
}

/// Makes the bridge exist, up, with its addresses and switches, and forwarding enabled. Idempotent.
pub fn ensure(bridge: &Bridge) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    if rtnetlink::index_of(socket.as_fd(), &bridge.name)?.is_none() {
        create(&mut socket, bridge)?;
    }
    let link = find(&mut socket, &bridge.name)?;
    switches(bridge)?;
    if !bridge.adopted {
        remove_other_addresses(&mut socket, bridge, link)?;
    }
    raise(&mut socket, bridge, link)?;
    forwarding(bridge)
}

/// Removes the bridge; one that is gone already is fine.
pub fn remove(name: &str) -> Result<()> {
    crate::annex::remove(name)?;
    crate::endpoint::detach(name)
}

/// The name a bridge has between [`retire`] and its removal; none if there is no such bridge, or if it has annexes, whose
/// names follow from its own.
pub fn retired_name(bridge: &Bridge) -> Result<Option<String>> {
    if crate::annex::is_there(&bridge.name)? {
        return Ok(None);
    }
    let link = rtnetlink::index_of(rtnetlink::socket()?.as_fd(), &bridge.name)?;
    Ok(link.map(|link| format!("{GONE}{link}")))
}

/// Takes a bridge out of service at once: it is down, has no address, and its own name is free. What is left of it, under
/// its [`retired_name`], is for [`remove`], for which the kernel takes some forty milliseconds.
pub fn retire(bridge: &Bridge, name: &str) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    let Some(link) = rtnetlink::index_of(socket.as_fd(), &bridge.name)? else { return Ok(()) };
    let mut down = LinkMessage::default();
    down.header = LinkHeader { index: link, change_mask: LinkFlags::Up, ..Default::default() };
    let mut renamed = LinkMessage::default();
    renamed.header.index = link;
    renamed.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::SetLink(down), CHANGE);
    requests.push(RouteNetlinkMessage::SetLink(renamed), CHANGE);
    requests.send(&mut socket).map_err(bridge.refused("retire"))?;
    // A device that is down keeps addresses, and the host would go on answering for them.
    let mut requests = Requests::new();
    for own in bridge.addresses() {
        requests.push(RouteNetlinkMessage::DelAddress(address::of(link, own)), CHANGE);
    }
    match requests.send(&mut socket) {
        // Those of IPv6 mostly went when the device went down.
        Err(error) if error.errno() != Some(rustix::io::Errno::ADDRNOTAVAIL) => Err(bridge.refused("retire")(error)),
        _ => Ok(()),
    }
}

/// How the names of retired bridges begin; no other device of hako's is called so.
const GONE: &str = "hk~";

fn create(socket: &mut Socket, bridge: &Bridge) -> Result<()> {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(bridge.name.clone()),
        // Without an address of its own a bridge takes the lowest of its ports', and changes it as containers come
        // and go: every neighbour would have to ask again.
        LinkAttribute::Address(bridge.mac().to_vec()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(link), NEW);
    match requests.send(socket) {
        // Another daemon of the same instance, or an earlier one, was faster.
        Err(error) if !error.is_exists() => Err(bridge.refused("create")(error)),
        _ => Ok(()),
    }
}

/// Whether a bridge of this name is there; an error if the name is some other device's.
pub fn exists(name: &str) -> Result<bool> {
    let mut socket = rtnetlink::socket()?;
    match rtnetlink::index_of(socket.as_fd(), name)? {
        Some(_) => find(&mut socket, name).map(|_| true),
        None => Ok(false),
    }
}

/// The device's number, if it really is a bridge.
fn find(socket: &mut Socket, name: &str) -> Result<u32> {
    let mut ask = LinkMessage::default();
    ask.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::GetLink(ask), CHANGE);
    let replies = requests.send(socket).map_err(kernel("find", format!("bridge {name}")))?;
    let is_bridge = |link: &LinkMessage| {
        link.attributes.iter().any(|attribute| {
            matches!(attribute, LinkAttribute::LinkInfo(info) if info.contains(&LinkInfo::Kind(InfoKind::Bridge)))
        })
    };
    match replies.first() {
        Some(RouteNetlinkMessage::NewLink(link)) if is_bridge(link) => Ok(link.header.index),
        _ => Err(Error::NotABridge { name: name.to_owned() }),
    }
}

/// Switches that must stand before the device is up.
fn switches(bridge: &Bridge) -> Result<()> {
    let name = &bridge.name;
    // Published ports answer on 127.0.0.1, too; the table's raw chain keeps containers from abusing it.
    sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    // A container may send router advertisements: the host must not take them.
    sysctl::set(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
    // Until its link-local address is checked for duplicates, a second or two after the first container came, the
    // bridge would ask for no neighbour.
    sysctl::set(&format!("ipv6/conf/{name}/accept_dad"), "0")?;
    let off = if bridge.has_version_six() { "0" } else { "1" };
    sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), off).map(drop)
}

/// A bridge left by an earlier configuration (`--bip`) must not answer for the old subnet.
fn remove_other_addresses(socket: &mut Socket, bridge: &Bridge, link: u32) -> Result<()> {
    let all = rtnetlink::dump(socket, RouteNetlinkMessage::GetAddress(AddressMessage::default()));
    let mut requests = Requests::new();
    for message in all.map_err(bridge.refused("read addresses of"))? {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && message.header.index == link
            && is_foreign(&message, bridge)
        {
            requests.push(RouteNetlinkMessage::DelAddress(message), CHANGE);
        }
    }
    requests.send(socket).map(drop).map_err(bridge.refused("remove addresses of"))
}

fn is_foreign(message: &AddressMessage, bridge: &Bridge) -> bool {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    address.filter(|address| !link_local(address)).is_some_and(|address| {
        !bridge.addresses().any(|own| own.addr() == address && own.prefix_len() == message.header.prefix_len)
    })
}

fn raise(socket: &mut Socket, bridge: &Bridge, link: u32) -> Result<()> {
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(up(link, bridge.mtu)), CHANGE);
    for own in bridge.addresses() {
        requests.push(RouteNetlinkMessage::NewAddress(address::of(link, own)), PUT);
    }
    requests.send(socket).map(drop).map_err(bridge.refused("raise"))
}

fn up(link: u32, mtu: Option<u32>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader { index: link, flags: LinkFlags::Up, change_mask: LinkFlags::Up, ..Default::default() };
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    message
}

/// Makes the host forward packets, as every container engine does.
fn forwarding(bridge: &Bridge) -> Result<()> {
    if bridge.internal {
        return Ok(());
    }
    sysctl::set("ipv4/ip_forward", "1")?;
    if bridge.gateway6.is_some() && !sysctl::is_on("ipv6/conf/all/forwarding") {
        keep_router_advertisements();
        sysctl::set("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// A host that forwards IPv6 ignores router advertisements unless told otherwise, and would lose its own default
/// route. Best effort: an interface may vanish meanwhile.
fn keep_router_advertisements() {
    let interfaces = std::fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    for interface in interfaces {
        let switch = format!("ipv6/conf/{}/accept_ra", interface.file_name().to_string_lossy());
        if sysctl::is_on(&switch) {
            let _ = sysctl::set(&switch, "2");
        }
    }
}
