//! What can go wrong between hako and the kernel's network stack.

use std::io;
use std::net::SocketAddr;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a request.
    #[error("{verb} {object}: {cause}")]
    Kernel {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Another container publishes this host port; Docker's text.
    #[error("Bind for {host} failed: port is already allocated")]
    PortAllocated {
        /// The host side.
        host: SocketAddr,
    },
    /// A process of the host uses this port; Docker's text.
    #[error("failed to bind host port for {host}:{container}: {cause}")]
    PortInUse {
        /// The host side.
        host: SocketAddr,
        /// The container side, `172.17.0.2:80/tcp`.
        container: String,
        /// `address already in use`, or why else bind refused.
        cause: io::Error,
    },
    /// No port of the range, or of the ephemeral range, was free; Docker's text.
    #[error("all ports are allocated")]
    NoPort,
}
