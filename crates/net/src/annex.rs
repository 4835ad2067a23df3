//! Annexes: further bridges of a network whose own is nearly full. Supervisor.
//!
//! Linux gives a bridge at most 1,023 ports. Before a network's bridge is full, a *hub* is joined to it by a pair of
//! devices, and bridges of the same kind, the annexes, to the hub; containers that come later are plugged into those. To
//! them and to the host it is one network: the same segment, the same gateway, and packets to the host come in by the
//! network's own bridge. The rules know hub and annexes by how their names begin: nothing is tracked there a second time
//! where bridged packets pass through IP's hooks, and nothing gets from them to the host.

use std::os::fd::AsFd;

use hako_sys::netlink::Socket;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData,
    InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::endpoint::{Plan, await_up, detach, segments};
use crate::error::kernel;
use crate::rtnetlink::{self, CHANGE, NEW, Requests};
use crate::{Result, firewall, sysctl};

/// A bridge with so many ports gets no more; those that are left are for containers that come at the same moment, and for
/// the way to the hub.
const ROOM: usize = 960;
/// How many annexes a hub can have: more containers than a /12 has addresses.
const MOST: usize = 960;

/// So many annexes may be missing at once before the rest is not looked for.
const GAPS: usize = 8;

/// How the names of hubs and annexes begin; no other device of hako's is called so.
pub(crate) const PREFIX: &str = "hk.";

/// The devices' names; a bridge's own may fill all that a name may be.
struct Names(u32);

impl Names {
    fn of(bridge: &str) -> Self {
        let step = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        Self(bridge.bytes().fold(0x811c_9dc5, step))
    }

    fn hub(&self) -> String {
        format!("{PREFIX}{:08x}h", self.0)
    }

    fn annex(&self, number: usize) -> String {
        format!("{PREFIX}{:08x}.{number}", self.0)
    }

    /// Which annex a bridge is, if it is one.
    fn number(&self, bridge: &str) -> Option<usize> {
        bridge.strip_prefix(&format!("{PREFIX}{:08x}.", self.0))?.parse().ok()
    }

    /// The pair that joins annex `number` to the hub, the hub's end first; number zero joins the hub to the network's bridge.
    fn pair(&self, number: usize) -> [String; 2] {
        [format!("hk_{:08x}u{number}", self.0), format!("hk_{:08x}d{number}", self.0)]
    }
}

/// The bridge that an endpoint is to be plugged into: the network's own while there is room.
pub(crate) fn home(socket: &mut Socket, plan: &Plan) -> Result<String> {
    let names = Names::of(&plan.bridge);
    if rtnetlink::index_of(socket.as_fd(), &names.hub())?.is_none() || ports(socket, &plan.bridge)? < ROOM {
        return Ok(plan.bridge.clone());
    }
    vacant(socket, &names, plan)
}

/// The bridge an endpoint belongs in after somebody took something away: where it still is, or where there is room. The way
/// from an annex to the network's bridge is made anew.
pub(crate) fn regain(socket: &mut Socket, plan: &Plan) -> Result<String> {
    let names = Names::of(&plan.bridge);
    let home = match master(socket, &plan.host_name)? {
        Some(home) if home == plan.bridge || names.number(&home).is_some() => home,
        _ => {
            forget(socket, &names, &plan.bridge)?;
            if ports(socket, &plan.bridge)? < ROOM { plan.bridge.clone() } else { vacant(socket, &names, plan)? }
        }
    };
    if let Some(number) = names.number(&home) {
        make(socket, &names.hub(), plan)?;
        join(socket, plan, names.pair(number), [&names.hub(), &home], false)?;
        join(socket, plan, names.pair(0), [&plan.bridge, &names.hub()], plan.isolated)?;
    }
    Ok(home)
}

/// The devices without which a port of an annex has no way to its network's bridge; none for a port of that bridge.
pub(crate) fn way(socket: &mut Socket, bridge: &str, port: &str) -> Result<Vec<String>> {
    let names = Names::of(bridge);
    if rtnetlink::index_of(socket.as_fd(), &names.hub())?.is_none() {
        return Ok(Vec::new());
    }
    let home = master(socket, port)?.and_then(|home| Some((names.number(&home)?, home)));
    let ends = |number| names.pair(number).into_iter().next();
    Ok(home.map_or_else(Vec::new, |(number, home)| {
        [home, names.hub()].into_iter().chain(ends(number)).chain(ends(0)).collect()
    }))
}

/// Hub and annexes, as far as they are there. They are numbered as they were made: behind a few that were taken away come
/// only those that never were.
fn present(socket: &Socket, names: &Names) -> Result<Vec<String>> {
    let (mut found, mut missing) = (Vec::new(), 0);
    for name in std::iter::once(names.hub()).chain((1..=MOST).map(|number| names.annex(number))) {
        match rtnetlink::index_of(socket.as_fd(), &name)? {
            Some(_) => found.push(name),
            None => missing += 1,
        }
        if missing > GAPS {
            break;
        }
    }
    Ok(found)
}

/// Lets the bridges forget behind which of their ports they saw whom: somebody will be found elsewhere, and would be missed
/// for as long as he says nothing himself.
fn forget(socket: &mut Socket, names: &Names, bridge: &str) -> Result<()> {
    for name in present(socket, names)?.iter().map(String::as_str).chain([bridge]) {
        let mut flush = LinkMessage::default();
        flush.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::FdbFlush])),
            ]),
        ];
        let mut requests = Requests::new();
        requests.push(RouteNetlinkMessage::NewLink(flush), CHANGE);
        requests.send(socket).map_err(refused("refresh", name))?;
    }
    Ok(())
}

/// Lets packets of a bridge's hub and annexes through other firewalls again.
pub(crate) fn admit(bridge: &str) -> Result<()> {
    let names = Names::of(bridge);
    let socket = rtnetlink::socket()?;
    if rtnetlink::index_of(socket.as_fd(), &names.hub())?.is_none() {
        return Ok(());
    }
    present(&socket, &names)?.iter().try_for_each(|name| firewall::admit(name))
}

/// The first annex with room; it may be a new one.
fn vacant(socket: &mut Socket, names: &Names, plan: &Plan) -> Result<String> {
    make(socket, &names.hub(), plan)?;
    for number in 1..=MOST {
        let annex = names.annex(number);
        if rtnetlink::index_of(socket.as_fd(), &annex)?.is_none() {
            make(socket, &annex, plan)?;
            join(socket, plan, names.pair(number), [&names.hub(), &annex], false)?;
        }
        if ports(socket, &annex)? < ROOM {
            return Ok(annex);
        }
    }
    Err(refused("plug into", &plan.bridge)(hako_sys::Error::os("plug into", "full bridge")(rustix::io::Errno::XFULL)))
}

/// Joins a hub to the network's bridge once that is nearly full, or made anew. `port` is the number of its newest port.
pub(crate) fn prepare(socket: &mut Socket, plan: &Plan, port: u16) -> Result<()> {
    let names = Names::of(&plan.bridge);
    let known = rtnetlink::index_of(socket.as_fd(), &names.hub())?.is_some();
    if usize::from(port) < ROOM && !known {
        return Ok(());
    }
    if !known {
        make(socket, &names.hub(), plan)?;
    }
    // Neighbours that must not talk to each other must not do so by way of the hub either.
    join(socket, plan, names.pair(0), [&plan.bridge, &names.hub()], plan.isolated)
}

/// Whether there is anything beside a network's bridge.
pub(crate) fn is_there(bridge: &str) -> Result<bool> {
    let names = Names::of(bridge);
    let socket = rtnetlink::socket()?;
    let there = |name: &str| rtnetlink::index_of(socket.as_fd(), name).map(|index| index.is_some());
    Ok(there(&names.hub())? || there(&names.annex(1))?)
}

/// Removes what there is beside a network's bridge.
pub(crate) fn remove(bridge: &str) -> Result<()> {
    if !is_there(bridge)? {
        return Ok(());
    }
    let names = Names::of(bridge);
    let socket = rtnetlink::socket()?;
    let there = |name: &str| rtnetlink::index_of(socket.as_fd(), name).map(|index| index.is_some());
    let mut missing = 0;
    for number in 1..=MOST {
        // What joined an annex that was taken away may be there still.
        detach(&names.pair(number)[0])?;
        missing += usize::from(!there(&names.annex(number))?);
        if missing > GAPS {
            break;
        }
        take_away(&names.annex(number))?;
    }
    detach(&names.pair(0)[0])?;
    take_away(&names.hub())
}

fn take_away(bridge: &str) -> Result<()> {
    firewall::withdraw(bridge)?;
    detach(bridge)
}

/// How many ports a bridge has; none if there is no such bridge.
fn ports(socket: &mut Socket, bridge: &str) -> Result<usize> {
    let Some(index) = rtnetlink::index_of(socket.as_fd(), bridge)? else { return Ok(0) };
    let mut ask = LinkMessage::default();
    // Asked as a bridge the kernel tells of ports only, and little of each: of a container's device it would look up the
    // other end's namespace among all there are, every time.
    ask.header.interface_family = AddressFamily::Bridge;
    let found =
        rtnetlink::dump(socket, RouteNetlinkMessage::GetLink(ask)).map_err(refused("count ports of", bridge))?;
    let is_port = |message: &RouteNetlinkMessage| match message {
        RouteNetlinkMessage::NewLink(link) => link.attributes.contains(&LinkAttribute::Controller(index)),
        _ => false,
    };
    Ok(found.iter().filter(|message| is_port(message)).count())
}

/// The bridge a device is a port of.
fn master(socket: &mut Socket, port: &str) -> Result<Option<String>> {
    let mut requests = Requests::new();
    let mut ask = LinkMessage::default();
    ask.attributes = vec![LinkAttribute::IfName(port.to_owned())];
    requests.push(RouteNetlinkMessage::GetLink(ask), CHANGE);
    let found = requests.send(socket).map_err(refused("look at port of", port))?;
    let index = found.iter().find_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Controller(index) => Some(*index),
            _ => None,
        }),
        _ => None,
    });
    // Gone since: then it is none.
    Ok(index.and_then(|index| rustix::net::netdevice::index_to_name(socket.as_fd(), index).ok()))
}

/// Makes a bridge in which the host has no part.
fn make(socket: &mut Socket, name: &str, plan: &Plan) -> Result<()> {
    let mut link = LinkMessage::default();
    link.attributes =
        vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)])];
    link.attributes.extend(plan.mtu.map(LinkAttribute::Mtu));
    if once(socket, RouteNetlinkMessage::NewLink(link), NEW).map_err(refused("create", name))? {
        sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
        // Or the host would answer for the gateway by this device's address.
        sysctl::set(&format!("ipv4/conf/{name}/arp_ignore"), "8")?;
    }
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::SetLink(up(name)), CHANGE);
    requests.send(socket).map_err(refused("raise", name))?;
    firewall::admit(name)
}

/// Joins two bridges by a pair of devices, one end in each. Another container's supervisor may be at it as well.
fn join(socket: &mut Socket, plan: &Plan, [near, far]: [String; 2], bridges: [&str; 2], isolated: bool) -> Result<()> {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![LinkAttribute::IfName(far.clone())];
    peer.attributes.extend(plan.mtu.map(LinkAttribute::Mtu).into_iter().chain(segments(plan)));
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(near.clone()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    link.attributes.extend(plan.mtu.map(LinkAttribute::Mtu).into_iter().chain(segments(plan)));
    once(socket, RouteNetlinkMessage::NewLink(link), NEW).map_err(refused("join to its hub", &plan.bridge))?;
    let mut requests = Requests::new();
    for (place, (device, bridge)) in [&near, &far].into_iter().zip(bridges).enumerate() {
        let Some(index) = rtnetlink::index_of(socket.as_fd(), bridge)? else { continue };
        let mut port = up(device);
        port.attributes.push(LinkAttribute::Controller(index));
        requests.push(RouteNetlinkMessage::SetLink(port), CHANGE);
        let mut settings = LinkMessage::default();
        let apart = vec![InfoBridgePort::Isolated(isolated && place == 0)];
        settings.attributes = vec![
            LinkAttribute::IfName(device.clone()),
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::PortKind(InfoPortKind::Bridge),
                LinkInfo::PortData(InfoPortData::BridgePort(apart)),
            ]),
        ];
        requests.push(RouteNetlinkMessage::NewLink(settings), CHANGE);
    }
    requests.send(socket).map_err(refused("join to its hub", &plan.bridge))?;
    let all = [&near, &far, bridges[0], bridges[1]];
    await_up(socket, &all).map(drop).map_err(refused("look at annex of", &plan.bridge))
}

/// Whether it was this request that made the device.
fn once(socket: &mut Socket, message: RouteNetlinkMessage, flags: u16) -> hako_sys::Result<bool> {
    let mut requests = Requests::new();
    requests.push(message, flags);
    match requests.send(socket) {
        Err(error) if error.is_exists() => Ok(false),
        done => done.map(|_| true),
    }
}

fn up(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    message
}

fn refused(verb: &'static str, bridge: &str) -> impl FnOnce(hako_sys::Error) -> crate::Error {
    kernel(verb, format!("bridge {bridge}"))
}
