//! Requests to the kernel's links, addresses and routes, several in one go.

use std::os::fd::BorrowedFd;

use hako_sys::netlink::{Protocol, Socket};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;

use crate::Result;
use crate::error::kernel;

/// Make it; fail if it exists.
pub(crate) const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// Make it, or make it so.
pub(crate) const PUT: u16 = NLM_F_CREATE | NLM_F_REPLACE;
/// Change what exists.
pub(crate) const CHANGE: u16 = 0;

/// Requests that are sent together; the kernel answers each by itself.
#[derive(Debug, Default)]
pub(crate) struct Requests(Vec<u8>);

impl Requests {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, message: RouteNetlinkMessage, flags: u16) {
        self.append(message, NLM_F_REQUEST | NLM_F_ACK | flags);
    }

    fn append(&mut self, message: RouteNetlinkMessage, flags: u16) {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        let mut whole = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        whole.finalize();
        let start = self.0.len();
        self.0.resize(start + whole.buffer_len().next_multiple_of(4), 0);
        whole.serialize(&mut self.0[start..]);
    }

    /// Sends them. The first refusal is the error; the rest are tried all the same.
    pub(crate) fn send(&self, socket: &mut Socket) -> hako_sys::Result<Vec<RouteNetlinkMessage>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        Ok(socket.request(&self.0)?.iter().filter_map(|reply| decode(reply)).collect())
    }
}

/// All objects of the kind `message` asks for.
pub(crate) fn dump(socket: &mut Socket, message: RouteNetlinkMessage) -> hako_sys::Result<Vec<RouteNetlinkMessage>> {
    let mut requests = Requests::new();
    requests.append(message, NLM_F_REQUEST | NLM_F_DUMP);
    requests.send(socket)
}

fn decode(reply: &[u8]) -> Option<RouteNetlinkMessage> {
    match NetlinkMessage::deserialize(reply).ok()?.payload {
        NetlinkPayload::InnerMessage(message) => Some(message),
        _ => None,
    }
}

/// A socket in the caller's network namespace.
pub(crate) fn socket() -> Result<Socket> {
    Socket::open(Protocol::Route).map_err(kernel("open", "rtnetlink socket"))
}

/// The number of a device, by its name, in the namespace of the socket; `None` if there is no such device.
pub(crate) fn index_of(socket: BorrowedFd<'_>, name: &str) -> Result<Option<u32>> {
    match rustix::net::netdevice::name_to_index(socket, name) {
        Ok(index) => Ok(Some(index)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(errno) => Err(kernel("find", format!("device {name}"))(hako_sys::Error::os("look up", name)(errno))),
    }
}
