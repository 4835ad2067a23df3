//! Address messages: an address of a device with its subnet.

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

/// The message that gives `device` the address `own`.
///
/// IPv6 addresses are ours to give out, so duplicate detection, which takes a second, is left out.
pub(crate) fn of(device: u32, own: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = device;
    message.header.prefix_len = own.prefix_len();
    message.attributes = vec![AddressAttribute::Local(own.addr()), AddressAttribute::Address(own.addr())];
    match own {
        IpNet::V4(own) => {
            message.header.family = AddressFamily::Inet;
            message.attributes.push(AddressAttribute::Broadcast(own.broadcast()));
        }
        IpNet::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}
