//! Counters of a network device, for `stats`.

use serde::{Deserialize, Serialize};

use crate::Result;

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

/// The container's traffic, read from the host side of its pair (whose transmission is the container's reception).
pub fn of_endpoint(host_name: &str) -> Result<Traffic> {
    let _ = host_name;
    todo!()
}
