//! What can go wrong between hako and the kernel's network stack.

use std::io;
use std::net::SocketAddr;

use hako_model::port::Port;

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
        cause: hako_sys::Error,
    },
    /// A file of the kernel could not be read or written.
    #[error("{verb} {path}: {cause}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: String,
        /// Why not.
        cause: io::Error,
    },
    /// A device exists but is not what it should be.
    #[error("existing interface {name} is not a bridge")]
    NotABridge {
        /// The device.
        name: String,
    },
    /// A device that others cannot hang on.
    #[error("{reason}")]
    Parent {
        /// Why not, in Docker's words.
        reason: String,
    },
    /// A switch of the kernel that does not exist.
    #[error("set {name}: the kernel has no such switch")]
    NoSwitch {
        /// The switch.
        name: String,
    },
    /// Another container publishes this host port; Docker's text.
    #[error("Bind for {host} failed: port is already allocated")]
    PortAllocated {
        /// The host side.
        host: SocketAddr,
    },
    /// A process of the host uses this port, or it cannot be bound for another reason; Docker's text.
    #[error("failed to bind host port for {host}:{target}/{}: {}", container.protocol, said(cause))]
    PortInUse {
        /// The host side.
        host: SocketAddr,
        /// The container's address and port.
        target: SocketAddr,
        /// The container's port.
        container: Port,
        /// Why bind refused.
        cause: io::Error,
    },
    /// No port of the range, or of the ephemeral range, was free; Docker's text.
    #[error("Bind for {host} failed: all ports are allocated")]
    NoPort {
        /// The host side asked for, with the first port of the range.
        host: SocketAddr,
    },
    /// A binding no address of the container can serve.
    #[error("publish {container} on {host}: the container has no address of that family")]
    NoTarget {
        /// The container's port.
        container: Port,
        /// The host address asked for.
        host: std::net::IpAddr,
    },
    /// The host's firewall drops what it does not know, and its program refused to let us in.
    #[error("run {program}: {reason}")]
    Firewall {
        /// The program.
        program: String,
        /// What it said, or why it could not be run.
        reason: String,
    },
}

/// Names verb and object of a refusal; meant for `map_err`.
pub(crate) fn kernel(verb: &'static str, object: impl Into<String>) -> impl FnOnce(hako_sys::Error) -> Error {
    let object = object.into();
    move |cause| Error::Kernel { verb, object, cause }
}

/// Go's words for the one error people search for; Rust adds the number and a capital.
fn said(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => cause.to_string(),
    }
}
