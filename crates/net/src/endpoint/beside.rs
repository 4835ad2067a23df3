//! Devices beside one of the host's: macvlan and ipvlan. They are born in the container and have no host side.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use hako_model::network::{IpvlanMode, MacvlanMode, ParentKind};
use hako_sys::netlink::Socket;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanMode, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode,
};

use super::{Plan, no_device};
use crate::Result;
use crate::rtnetlink::{self, NEW, Requests};

/// Makes the device in the container's namespace under its final name.
pub(super) fn make(socket: &mut Socket, netns: BorrowedFd<'_>, plan: &Plan, kind: ParentKind) -> Result<()> {
    let parent = rtnetlink::index_of(socket.as_fd(), &plan.bridge)?;
    let parent = parent.ok_or_else(|| plan.refused("find parent of")(no_device(&plan.bridge)))?;
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::NewLink(device(netns, plan, kind, parent)), NEW);
    requests.send(socket).map(drop).map_err(plan.refused("create"))
}

fn device(netns: BorrowedFd<'_>, plan: &Plan, kind: ParentKind, parent: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(plan.name.clone()),
        LinkAttribute::Link(parent),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
        LinkAttribute::LinkInfo(info(kind)),
    ];
    if matches!(kind, ParentKind::Macvlan(_)) {
        message.attributes.push(LinkAttribute::Address(plan.mac.to_vec()));
    }
    message.attributes.extend(plan.mtu.map(LinkAttribute::Mtu));
    message
}

/// What the kernel is told about the kind.
pub(crate) fn info(kind: ParentKind) -> Vec<LinkInfo> {
    match kind {
        ParentKind::Macvlan(mode) => {
            let mode = match mode {
                MacvlanMode::Bridge => MacVlanMode::Bridge,
                MacvlanMode::Vepa => MacVlanMode::Vepa,
                MacvlanMode::Private => MacVlanMode::Private,
                MacvlanMode::Passthru => MacVlanMode::Passthrough,
            };
            vec![LinkInfo::Kind(InfoKind::MacVlan), LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)]))]
        }
        ParentKind::Ipvlan(mode) => {
            let mode = match mode {
                IpvlanMode::L2 => IpVlanMode::L2,
                IpvlanMode::L3 => IpVlanMode::L3,
                IpvlanMode::L3s => IpVlanMode::L3S,
            };
            vec![LinkInfo::Kind(InfoKind::IpVlan), LinkInfo::Data(InfoData::IpVlan(vec![InfoIpVlan::Mode(mode)]))]
        }
    }
}
