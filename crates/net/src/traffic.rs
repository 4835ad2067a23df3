//! Counters of a network device, for `stats`.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, Stats64};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::kernel;
use crate::rtnetlink::{self, CHANGE, Requests};

/// What went through a device, in Docker's words for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Dropped instead of sent.
    pub tx_dropped: u64,
}

/// The container's traffic, read from the host side of its pair, whose transmission is the container's reception.
/// `None` if the pair is gone.
pub fn of_endpoint(host_name: &str) -> Result<Option<Traffic>> {
    let mut ask = LinkMessage::default();
    ask.attributes = vec![LinkAttribute::IfName(host_name.to_owned())];
    let mut requests = Requests::new();
    requests.push(RouteNetlinkMessage::GetLink(ask), CHANGE);
    let replies = match requests.send(&mut rtnetlink::socket()?) {
        Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => return Ok(None),
        replies => replies.map_err(kernel("read", format!("counters of {host_name}")))?,
    };
    Ok(replies.iter().find_map(counters).map(seen_from_inside))
}

fn counters(message: &RouteNetlinkMessage) -> Option<Stats64> {
    let RouteNetlinkMessage::NewLink(link) = message else { return None };
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(counters) => Some(*counters),
        _ => None,
    })
}

fn seen_from_inside(host: Stats64) -> Traffic {
    Traffic {
        rx_bytes: host.tx_bytes,
        rx_packets: host.tx_packets,
        rx_errors: host.tx_errors,
        rx_dropped: host.tx_dropped,
        tx_bytes: host.rx_bytes,
        tx_packets: host.rx_packets,
        tx_errors: host.rx_errors,
        tx_dropped: host.rx_dropped,
    }
}
