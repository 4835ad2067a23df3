//! Forgetting connections that connection tracking remembers wrongly.
//!
//! UDP has no connections, so the kernel goes on sending a talkative client's packets where the first one went: to
//! nobody, if it came before the port was published, or to a container that is gone. TCP clients notice and reconnect.
//!
//! Kernels before 6.8 know no such filter and refuse; then the entries time out by themselves within two minutes.

use std::net::{IpAddr, SocketAddr};

use hako_model::port::Protocol;
use hako_sys::netlink::Socket;

use crate::netfilter::{Attributes, message};
use crate::nft::element::Element;

const DELETE: u16 = 1 << 8 | 2;
const REQUEST_ACK: u16 = 0x5;

const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;

const BY_SOURCE: u32 = 1;
const BY_DESTINATION: u32 = 1 << 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_SOURCE_PORT: u32 = 1 << 4;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// Forgets what clients sent to these host ports so far; for elements just added or about to be removed.
pub(crate) fn forget(socket: &mut Socket, elements: &[Element]) {
    for element in elements.iter().filter(|element| element.protocol == Protocol::Udp) {
        // A refusal only means that the entries live until they time out.
        let _ = socket.request(&to_host(element.host));
        let _ = socket.request(&from_container(element.target));
    }
}

fn to_host(host: SocketAddr) -> Vec<u8> {
    let mut flags = BY_PROTOCOL | BY_DESTINATION_PORT;
    let mut ip = Attributes::new();
    if !host.ip().is_unspecified() {
        flags |= BY_DESTINATION;
        ip = address(ip, host.ip(), 2);
    }
    let tuple = Attributes::new().nest(1, &ip).nest(2, &udp(3, host.port()));
    delete(host, ORIGINAL, &tuple, flags)
}

fn from_container(container: SocketAddr) -> Vec<u8> {
    let ip = address(Attributes::new(), container.ip(), 1);
    let tuple = Attributes::new().nest(1, &ip).nest(2, &udp(2, container.port()));
    delete(container, REPLY, &tuple, BY_PROTOCOL | BY_SOURCE | BY_SOURCE_PORT)
}

/// The tuple is part of the request even where it is mostly empty: a kernel that does not know the filter then looks
/// for that very tuple, finds nothing, and does not take the request for "delete all".
fn delete(address: SocketAddr, direction: u16, tuple: &Attributes, flags: u32) -> Vec<u8> {
    let filter = Attributes::new().bytes(direction, &flags.to_ne_bytes());
    let body = Attributes::new().nest(direction, tuple).nest(FILTER, &filter);
    let family = if address.is_ipv4() { 2 } else { 10 };
    let mut request = Vec::new();
    message(&mut request, DELETE, REQUEST_ACK, family, 0, &body.0);
    request
}

/// An address attribute; `which` is 1 for the source, 2 for the destination.
fn address(attributes: Attributes, address: IpAddr, which: u16) -> Attributes {
    match address {
        IpAddr::V4(address) => attributes.bytes(which, &address.octets()),
        IpAddr::V6(address) => attributes.bytes(which + 2, &address.octets()),
    }
}

fn udp(which_port: u16, port: u16) -> Attributes {
    Attributes::new().bytes(1, &[Protocol::Udp.number()]).bytes(which_port, &port.to_be_bytes())
}
