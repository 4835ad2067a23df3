//! A container's endpoint: a veth pair, one end in the bridge, the other born in the container; or a device beside one
//! of the host's. Supervisor.

mod beside;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use hako_model::network::ParentKind;
use hako_sys::netlink::Socket;
use hako_sys::netns;
use hako_sys::process::SingleThreaded;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind,
    InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use crate::error::kernel;
use crate::rtnetlink::{self, CHANGE, NEW, PUT, Requests};
use crate::{Error, Result, address, annex, sysctl};

pub(crate) use beside::info;

/// A MAC address.
pub type Mac = [u8; 6];

/// What the container's device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// One end of a pair whose other end is a port of a bridge.
    #[default]
    Bridge,
    /// A device beside one of the host's.
    Beside(ParentKind),
}

/// All that is needed to plug a container into a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The network's id; tells the endpoints of one container apart.
    #[serde(default)]
    pub network: String,
    /// The host side's name, at most 15 bytes; see [`host_name`].
    pub host_name: String,
    /// The container side's name: `eth0`.
    pub name: String,
    /// The bridge, or the device beside which the container's is made.
    pub bridge: String,
    /// What the device is.
    #[serde(default)]
    pub wire: Wire,
    /// The container's address with its subnet's prefix length.
    pub address: Option<Ipv4Net>,
    /// The network's gateway; `None` for a network without a way out.
    pub gateway: Option<Ipv4Addr>,
    /// The same for IPv6. Without an address IPv6 is switched off on the container's device.
    pub address6: Option<Ipv6Net>,
    /// The same for IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// Whether the container's default route goes through this network.
    #[serde(default = "yes")]
    pub way_out: bool,
    /// The same for IPv6.
    #[serde(default = "yes")]
    pub way_out6: bool,
    /// The container side's MAC address; see [`mac_of`].
    pub mac: Mac,
    /// The MTU, as the bridge's.
    pub mtu: Option<u32>,
    /// Whether the endpoint may talk only to the host and the world, not to its neighbours on the bridge.
    pub isolated: bool,
    /// Whether published ports are reached at the container's own address instead of the host's.
    #[serde(default)]
    pub routed: bool,
    /// The same for IPv6.
    #[serde(default)]
    pub routed6: bool,
    /// Whether the endpoint may send only with its own MAC address and addresses; see [`crate::nft::Table::guard`].
    #[serde(default)]
    pub guarded: bool,
    /// Whether it may send in larger segments than usual; see [`segments`].
    #[serde(default)]
    pub large: bool,
    /// Further addresses of the device.
    #[serde(default)]
    pub more: Vec<IpNet>,
    /// Switches of the device below `net.`, with `IFNAME` for its name: `net.ipv4.conf.IFNAME.log_martians`.
    #[serde(default)]
    pub switches: Vec<(String, String)>,
}

fn yes() -> bool {
    true
}

impl Plan {
    fn refused(&self, verb: &'static str) -> impl FnOnce(hako_sys::Error) -> Error {
        kernel(verb, format!("endpoint {} on {}", self.host_name, self.bridge))
    }

    /// Every address of the device.
    fn addresses(&self) -> impl Iterator<Item = IpNet> {
        let leased = self.address.map(IpNet::V4).into_iter().chain(self.address6.map(IpNet::V6));
        leased.chain(self.more.iter().copied())
    }

    fn has_version_six(&self) -> bool {
        self.addresses().any(|address| address.addr().is_ipv6())
    }

    /// Where the default routes go, as far as they go through this endpoint.
    fn routes(&self, device: u32) -> Vec<RouteMessage> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let mut routes = Vec::new();
        let by_device = matches!(self.wire, Wire::Beside(kind) if !kind.has_gateway());
        if self.way_out && (self.gateway.is_some() || (by_device && self.address.is_some())) {
            routes.push(default_route(v4, self.gateway.map(IpAddr::V4), device));
        }
        if self.way_out6 && (self.gateway6.is_some() || (by_device && self.address6.is_some())) {
            routes.push(default_route(v6, self.gateway6.map(IpAddr::V6), device));
        }
        routes
    }
}

/// The host side's name for a container: `hk` and eleven digits of its id; unique enough for one host, and short.
pub fn host_name(container_id: &str) -> String {
    format!("hk{}", container_id.get(..11).unwrap_or(container_id))
}

/// Docker's MAC address for an IPv4 address: `02:42` and the four bytes.
pub fn mac_of(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// `02:42:ac:11:00:02`.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Plugs the container whose network namespace is `netns` into the bridge. On an error nothing is left behind.
pub fn attach(netns: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
    attach_with(netns, plan, |inside| netns::within(netns, inside))
}

/// [`attach`] without a helper thread, for a process that must stay single-threaded; faster, too.
pub fn attach_here(witness: SingleThreaded, netns: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
    attach_with(netns, plan, |inside| netns::within_here(witness, netns, inside))
}

fn attach_with<'a>(
    netns: BorrowedFd<'a>,
    plan: &'a Plan,
    within: impl FnOnce(Box<dyn FnOnce() -> Result<()> + Send + 'a>) -> hako_sys::Result<Result<()>>,
) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    let home = match plan.wire {
        Wire::Bridge => {
            let home = annex::home(&mut socket, plan)?;
            make_pair(&mut socket, netns, plan, &home)?;
            home
        }
        Wire::Beside(kind) => {
            beside::make(&mut socket, netns, plan, kind)?;
            String::new()
        }
    };
    let raised = within(Box::new(|| raise_inside(plan))).map_err(plan.refused("raise")).flatten();
    let done = raised.and_then(|()| settle(&mut socket, plan, &home));
    if done.is_err() {
        // The first error is the one to tell. A device without a host side goes with the namespace.
        let _ = detach(&plan.host_name);
    }
    done
}

/// Makes the pair, its far end in the container's namespace under its final name. A retired pair of the same name,
/// still on its way out, is waited for.
fn make_pair(socket: &mut Socket, netns: BorrowedFd<'_>, plan: &Plan, home: &str) -> Result<()> {
    let bridge = rtnetlink::index_of(socket.as_fd(), home)?;
    let bridge = bridge.ok_or_else(|| plan.refused("find bridge of")(no_device(home)))?;
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(pair(netns, plan, bridge)), NEW);
    // What the kernel does not take at birth.
    requests.push(RouteNetlinkMessage::NewLink(port(plan, home)), CHANGE);
    requests.push(RouteNetlinkMessage::SetLink(named(&plan.host_name, LinkFlags::Up)), CHANGE);
    let mut made = requests.send(socket);
    if made.as_ref().is_err_and(hako_sys::Error::is_exists) && gives_way(socket, &plan.host_name) {
        detach(&plan.host_name)?;
        made = requests.send(socket);
    }
    if made.as_ref().is_err_and(|error| !error.is_exists()) {
        // Where the name was taken the device is not ours to remove.
        let _ = detach(&plan.host_name);
    }
    made.map(drop).map_err(plan.refused("create"))
}

/// Plugs the host side into its bridge again, after the bridge was deleted and made anew, or something between an annex
/// and the bridge.
pub fn rejoin(plan: &Plan) -> Result<()> {
    if plan.wire != Wire::Bridge {
        return Ok(());
    }
    let mut socket = rtnetlink::socket()?;
    let home = annex::regain(&mut socket, plan)?;
    let bridge = rtnetlink::index_of(socket.as_fd(), &home)?;
    let bridge = bridge.ok_or_else(|| plan.refused("find bridge of")(no_device(&home)))?;
    let mut joined = named(&plan.host_name, LinkFlags::empty());
    joined.attributes.push(LinkAttribute::Controller(bridge));
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::SetLink(joined), CHANGE);
    requests.push(RouteNetlinkMessage::NewLink(port(plan, &home)), CHANGE);
    requests.push(RouteNetlinkMessage::SetLink(named(&plan.host_name, LinkFlags::Up)), CHANGE);
    requests.send(&mut socket).map(drop).map_err(plan.refused("plug in again"))?;
    settle(&mut socket, plan, &home)
}

/// Waits until packets get through; opens an annex when the bridge is nearly full.
fn settle(socket: &mut Socket, plan: &Plan, home: &str) -> Result<()> {
    if plan.wire != Wire::Bridge {
        return Ok(());
    }
    let replies = await_up(socket, &[&plan.host_name, home]).map_err(plan.refused("look at"))?;
    let number = replies.iter().find_map(port_number).unwrap_or(0);
    if home == plan.bridge { annex::prepare(socket, plan, number) } else { Ok(()) }
}

/// Waits until packets get through devices. The kernel's link watch makes the bridge use a port, and the host use a bridge
/// that had no port, some time after both ends are up; until then packets are lost, and a TCP client tries again only
/// after a second.
///
/// Kernels since 6.8 do that work at once when they are asked for the state of the link; older ones are asked a few
/// times, which gives the link watch a chance.
pub(crate) fn await_up(socket: &mut Socket, devices: &[&str]) -> hako_sys::Result<Vec<RouteNetlinkMessage>> {
    let mut requests = Requests::new();
    for device in devices {
        requests.push(RouteNetlinkMessage::GetLink(named(device, LinkFlags::empty())), CHANGE);
    }
    let is_up = |reply: &RouteNetlinkMessage| match reply {
        RouteNetlinkMessage::NewLink(link) => link.attributes.contains(&LinkAttribute::OperState(State::Up)),
        _ => false,
    };
    let mut replies = requests.send(socket)?;
    for _ in 1..SETTLING {
        if replies.iter().all(is_up) {
            break;
        }
        std::thread::yield_now();
        replies = requests.send(socket)?;
    }
    Ok(replies)
}

/// The number of a bridge's port.
fn port_number(reply: &RouteNetlinkMessage) -> Option<u16> {
    let RouteNetlinkMessage::NewLink(link) = reply else { return None };
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let data = infos.flatten().filter_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(settings)) => Some(settings),
        _ => None,
    });
    data.flatten().find_map(|setting| match setting {
        InfoBridgePort::PortNumber(number) => Some(*number),
        _ => None,
    })
}

const SETTLING: usize = 20;

/// A message about the device of this name; it changes the flags given.
fn named(name: &str, flags: LinkFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = flags;
    message.header.change_mask = flags;
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    message
}

fn no_device(name: &str) -> hako_sys::Error {
    hako_sys::Error::os("look up", name)(rustix::io::Errno::NODEV)
}

fn pair(netns: BorrowedFd<'_>, plan: &Plan, bridge: u32) -> LinkMessage {
    let mut far = LinkMessage::default();
    far.attributes = vec![
        LinkAttribute::IfName(plan.name.clone()),
        LinkAttribute::Address(plan.mac.to_vec()),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    far.attributes.extend(plan.mtu.map(LinkAttribute::Mtu));
    far.attributes.extend(segments(plan));
    let mut near = LinkMessage::default();
    near.attributes = vec![
        LinkAttribute::IfName(plan.host_name.clone()),
        LinkAttribute::Controller(bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]),
    ];
    near.attributes.extend(plan.mtu.map(LinkAttribute::Mtu));
    near.attributes.extend(segments(plan));
    near
}

/// How much TCP hands on at once. Where packets stay on the host three times the usual 64 KiB double the throughput; on
/// their way to a real device they would have to be cut by the processor, so only networks without a way out have them, and
/// those whose owner says so. Kernels before 6.3 do not know these attributes and pass over them.
pub(crate) fn segments(plan: &Plan) -> impl Iterator<Item = LinkAttribute> {
    const LARGE: u32 = 3 << 16;
    let both = [LinkAttribute::GsoIpv4MaxSize(LARGE), LinkAttribute::GroIpv4MaxSize(LARGE)];
    both.into_iter().filter(|_| plan.large)
}

fn port(plan: &Plan, home: &str) -> LinkMessage {
    // Where bridged packets pass through IP's hooks (br_netfilter), a container's packet to its own published port is
    // turned around inside the bridge and must leave by the port it came from.
    let hairpin = sysctl::is_on("bridge/bridge-nf-call-iptables");
    // There the table's forward chain keeps neighbours apart; the bridge would also stop what a published port turned
    // around. No chain knows of annexes.
    let isolated = plan.isolated && (!hairpin || home != plan.bridge);
    let settings = vec![InfoBridgePort::HairpinMode(hairpin), InfoBridgePort::Isolated(isolated)];
    let mut message = named(&plan.host_name, LinkFlags::empty());
    message.attributes.extend([
        // A bridge port needs no address of its own, and its making would cost timers and multicasts.
        LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)])]),
        port_data(settings),
    ]);
    message
}

fn port_data(settings: Vec<InfoBridgePort>) -> LinkAttribute {
    LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(settings)),
    ])
}

/// Runs in the container's namespace.
fn raise_inside(plan: &Plan) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    let device = rtnetlink::index_of(socket.as_fd(), &plan.name)?;
    let device = device.ok_or_else(|| plan.refused("find")(no_device(&plan.name)))?;
    version_six(plan)?;
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::SetLink(up(device)), CHANGE);
    for own in plan.addresses() {
        requests.push(RouteNetlinkMessage::NewAddress(address::of(device, own)), NEW);
    }
    for route in plan.routes(device) {
        requests.push(RouteNetlinkMessage::NewRoute(route), NEW);
    }
    requests.send(&mut socket).map(drop).map_err(plan.refused("raise"))?;
    set_switches(plan)
}

/// The switches a container's owner wants on its device.
fn set_switches(plan: &Plan) -> Result<()> {
    for (switch, value) in &plan.switches {
        let path = switch.replace("IFNAME", &plan.name).replace('.', "/");
        let path = path.strip_prefix("net/").unwrap_or(&path);
        if !sysctl::set(path, value)? {
            return Err(Error::NoSwitch { name: switch.clone() });
        }
    }
    Ok(())
}

/// Lets the default routes of a living container go where these plans say, after an endpoint came or went.
pub fn redirect_here(witness: SingleThreaded, netns: BorrowedFd<'_>, plans: &[Plan]) -> Result<()> {
    let redirected = netns::within_here(witness, netns, || redirect(plans));
    redirected.map_err(kernel("enter", "network namespace of the container"))?
}

fn redirect(plans: &[Plan]) -> Result<()> {
    let mut socket = rtnetlink::socket()?;
    let mut routes = Vec::new();
    for plan in plans {
        if let Some(device) = rtnetlink::index_of(socket.as_fd(), &plan.name)? {
            routes.extend(plan.routes(device));
        }
    }
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        remove_default_routes(&mut socket, family)?;
    }
    let mut requests = Requests::new();
    for route in routes {
        requests.push(RouteNetlinkMessage::NewRoute(route), PUT);
    }
    requests.send(&mut socket).map(drop).map_err(kernel("set", "default route"))
}

fn remove_default_routes(socket: &mut Socket, family: AddressFamily) -> Result<()> {
    let mut ask = RouteMessage::default();
    ask.header.address_family = family;
    let found = rtnetlink::dump(socket, RouteNetlinkMessage::GetRoute(ask)).map_err(kernel("read", "routes"))?;
    let mut requests = Requests::new();
    for message in found {
        if let RouteNetlinkMessage::NewRoute(route) = message
            && route.header.destination_prefix_length == 0
            && route.header.table == netlink_packet_route::route::RouteHeader::RT_TABLE_MAIN
            && route.header.kind == RouteType::Unicast
        {
            requests.push(RouteNetlinkMessage::DelRoute(route), CHANGE);
        }
    }
    requests.send(socket).map(drop).map_err(kernel("remove", "default route"))
}

/// Switches IPv6 off, or lets it begin without the seconds of waiting for duplicates of addresses we gave out.
fn version_six(plan: &Plan) -> Result<()> {
    let (switch, value) = if plan.has_version_six() { ("accept_dad", "0") } else { ("disable_ipv6", "1") };
    sysctl::set(&format!("ipv6/conf/{}/{switch}", plan.name), value).map(drop)
}

fn up(device: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = device;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// The default route of the family of `any`.
fn default_route(any: IpAddr, gateway: Option<IpAddr>, device: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.table = netlink_packet_route::route::RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = RouteType::Unicast;
    message.header.address_family = if any.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    if gateway.is_none() && any.is_ipv4() {
        message.header.scope = netlink_packet_route::route::RouteScope::Link;
    }
    message.attributes = vec![RouteAttribute::Oif(device)];
    message.attributes.extend(gateway.map(|gateway| match gateway {
        IpAddr::V4(gateway) => RouteAttribute::Gateway(RouteAddress::Inet(gateway)),
        IpAddr::V6(gateway) => RouteAttribute::Gateway(RouteAddress::Inet6(gateway)),
    }));
    message
}

/// Unplugs a container that is gone, at once: the bridge forgets its addresses, so that they can be leased again. The
/// kernel removes the pair when the container's namespace goes. One that is gone already is fine.
///
/// [`detach`] waits for the removal, which takes the kernel ten milliseconds and more.
pub fn retire(host_name: &str) -> Result<()> {
    let mut message = named(host_name, LinkFlags::empty());
    // Not the port's state: the bridge enables it again at the next change of the device.
    let settings = vec![
        InfoBridgePort::Learning(false),
        InfoBridgePort::UnicastFlood(false),
        InfoBridgePort::MulticastFlood(false),
        InfoBridgePort::BroadcastFlood(false),
        InfoBridgePort::Flush,
    ];
    message.attributes.extend([
        // The name may be taken over, should the same container start before the pair is gone.
        LinkAttribute::IfAlias(RETIRED.to_owned()),
        port_data(settings),
    ]);
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(message), CHANGE);
    unless_gone(requests.send(&mut rtnetlink::socket()?), kernel("retire", format!("device {host_name}")))
}

const RETIRED: &str = "retired by hako";

/// Whether a device that was in the way is retired, or gone by now.
fn gives_way(socket: &mut Socket, host_name: &str) -> bool {
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::GetLink(named(host_name, LinkFlags::empty())), CHANGE);
    let retired = LinkAttribute::IfAlias(RETIRED.to_owned());
    match requests.send(socket) {
        Err(error) => error.errno() == Some(rustix::io::Errno::NODEV),
        Ok(replies) => replies.iter().any(|reply| match reply {
            RouteNetlinkMessage::NewLink(link) => link.attributes.contains(&retired),
            _ => false,
        }),
    }
}

/// Cuts a living container off a network at once: nothing gets through its device any more, and its addresses can be
/// leased again. The device itself is for [`unplug_here`], for which the kernel takes ten milliseconds and more.
pub fn part_here(witness: SingleThreaded, netns: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
    let lower = || {
        let mut requests = Requests::new();
        let mut down = named(&plan.name, LinkFlags::empty());
        down.header.change_mask = LinkFlags::Up;
        requests.push(RouteNetlinkMessage::SetLink(down), CHANGE);
        unless_gone(requests.send(&mut rtnetlink::socket()?), plan.refused("lower"))
    };
    let lowered = netns::within_here(witness, netns, lower);
    lowered.map_err(kernel("enter", "network namespace of the container"))??;
    if plan.wire == Wire::Bridge { retire(&plan.host_name) } else { Ok(()) }
}

/// Takes a living container's device away: the pair goes with its inner end.
pub fn unplug_here(witness: SingleThreaded, netns: BorrowedFd<'_>, plan: &Plan) -> Result<()> {
    let removed = netns::within_here(witness, netns, || detach(&plan.name));
    removed.map_err(kernel("enter", "network namespace of the container"))?
}

/// Removes the pair by its host side; one that is gone already is fine.
pub fn detach(host_name: &str) -> Result<()> {
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::DelLink(named(host_name, LinkFlags::empty())), CHANGE);
    unless_gone(requests.send(&mut rtnetlink::socket()?), kernel("remove", format!("device {host_name}")))
}

fn unless_gone<T>(done: hako_sys::Result<T>, refused: impl FnOnce(hako_sys::Error) -> Error) -> Result<()> {
    match done {
        Err(error) if error.errno() != Some(rustix::io::Errno::NODEV) => Err(refused(error)),
        _ => Ok(()),
    }
}

/// Brings the loopback device of a namespace up.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<()> {
    let raise = || {
        let mut requests = Requests::new();
        // The loopback device is number one in every namespace.
        requests.push(RouteNetlinkMessage::SetLink(up(1)), CHANGE);
        requests.send(&mut rtnetlink::socket()?).map(drop).map_err(kernel("raise", "loopback device"))
    };
    netns::within(netns, raise).map_err(kernel("raise", "loopback device"))?
}
