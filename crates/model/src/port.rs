//! Ports: what `-p`, `--publish` and `--expose` say, and Docker's JSON for it.
//!
//! Leaves out everything that asks the kernel: which host port is free is `net`'s question.

mod change;
mod spec;

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::container::{PortBinding, PortMap};
pub use change::Change;
pub use spec::{condense, parse_expose, parse_publish, publish, wanted};

/// A transport protocol a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The word Docker uses: `tcp`, `udp` or `sctp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(PortError::Protocol { protocol: text.to_owned() }),
        }
    }
}

/// A port of a container: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self { number, protocol: Protocol::Tcp }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self { number, protocol: Protocol::Udp }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for Port {
    type Err = PortError;

    /// Reads `80/tcp`, and `80` as `80/tcp`.
    fn from_str(text: &str) -> Result<Self, PortError> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { number, protocol: protocol.parse()? }),
            _ => Err(PortError::ContainerPort { port: number.to_owned() }),
        }
    }
}

/// By number, then protocol: the order people read ports in.
impl Ord for Port {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.number, self.protocol.number()).cmp(&(other.number, other.protocol.number()))
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What one binding asks of the host: decoded, checked, and small enough to send to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Publication {
    /// The container's port.
    pub container: Port,
    /// The host address asked for; `None` is every address.
    pub host: Option<IpAddr>,
    /// The host ports to choose from; `None` lets the kernel choose.
    pub ports: Option<RangeInclusive<u16>>,
    /// How many further ports follow, each on the host port of its own number; see [`condense`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u16,
}

/// Whether nothing follows.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(more: &u16) -> bool {
    *more == 0
}

impl Publication {
    /// Its ports, one by one.
    pub fn singles(&self) -> impl Iterator<Item = Self> {
        let (first, ports) = (self.container.number, self.ports.clone().filter(|_| self.more == 0));
        (first..=first.saturating_add(self.more)).map(move |number| Self {
            container: Port { number, ..self.container },
            host: self.host,
            ports: if self.more == 0 { ports.clone() } else { Some(number..=number) },
            more: 0,
        })
    }

    /// Whether a port that came to be published is this one's, which is a single one.
    pub fn has(&self, container: Port, host: SocketAddr) -> bool {
        self.container == container
            && self.host.is_none_or(|address| address == host.ip())
            && self.ports.as_ref().is_none_or(|ports| ports.contains(&host.port()))
    }
}

/// Why a port text was refused; the messages are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// `80/foo`.
    #[error("invalid proto: {protocol}")]
    Protocol {
        /// The offending word.
        protocol: String,
    },
    /// A container port that is no number in 1..=65535 and no range of them.
    #[error("invalid containerPort: {port}")]
    ContainerPort {
        /// The offending text.
        port: String,
    },
    /// A host port that is no number in 0..=65535 and no range of them.
    #[error("invalid hostPort: {port}")]
    HostPort {
        /// The offending text.
        port: String,
    },
    /// A host address that is none; names are not looked up.
    #[error("invalid IP address: {address}")]
    Address {
        /// The offending text.
        address: String,
    },
    /// Nothing where the container port belongs.
    #[error("no port specified: {spec}<empty>")]
    Missing {
        /// The whole value.
        spec: String,
    },
    /// Ranges of different lengths.
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    Ranges {
        /// The container's.
        container: String,
        /// The host's.
        host: String,
    },
    /// `--publish target=80,oops`.
    #[error("invalid publish opts format (should be name=value but got '{parameter}')")]
    Parameter {
        /// The offending part.
        parameter: String,
    },
    /// `--publish target=80,colour=red`.
    #[error("invalid publish option '{name}': only target, published, protocol and mode are known")]
    ParameterName {
        /// The offending name.
        name: String,
    },
    /// `--expose 80:80`.
    #[error("invalid port format for --expose: {spec}")]
    Expose {
        /// The whole value.
        spec: String,
    },
    /// `--expose x`.
    #[error("invalid range format for --expose: {spec}, error: {cause}")]
    ExposeRange {
        /// The whole value.
        spec: String,
        /// What is wrong with the range.
        cause: RangeError,
    },
    /// A binding the API received that makes no sense.
    #[error("invalid port specification: {spec:?}")]
    Specification {
        /// The offending text.
        spec: String,
    },
}

/// Why a text is no port and no range of ports; the messages are those of Go, which Docker shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Nothing at all.
    #[error("empty string specified for ports")]
    Empty,
    /// Not a number.
    #[error("strconv.ParseUint: parsing {text:?}: invalid syntax")]
    Syntax {
        /// The offending text.
        text: String,
    },
    /// A number above 65535.
    #[error("strconv.ParseUint: parsing {text:?}: value out of range")]
    TooLarge {
        /// The offending text.
        text: String,
    },
    /// `90-80`.
    #[error("invalid range specified for port: {text}")]
    Backwards {
        /// The offending text.
        text: String,
    },
}

#[cfg(test)]
mod tests;
