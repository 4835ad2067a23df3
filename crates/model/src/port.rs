//! Ports: what `-p`, `--publish` and `--expose` say, and Docker's JSON for it.
//!
//! Leaves out everything that asks the kernel: which host port is free is `net`'s question.

mod spec;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use spec::{exposed, parse_expose, parse_publish, published};

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
        let number = number.parse().map_err(|_| PortError::ContainerPort { port: number.to_owned() })?;
        Ok(Self { number, protocol: protocol.parse()? })
    }
}

/// Docker's JSON sorts its maps by the text of the key, so `443/tcp` stands before `80/tcp`.
impl Ord for Port {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_string().cmp(&other.to_string())
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

/// One host side of a published port, in Docker's words: empty texts mean "any address" and "choose a port".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortBinding {
    /// The host address, or empty.
    pub host_ip: String,
    /// The host port, a range `8000-8010`, or empty.
    pub host_port: String,
}

/// Docker's `nat.PortMap`: `null` stands for a port that is exposed but not published.
pub type PortMap = BTreeMap<Port, Option<Vec<PortBinding>>>;

/// Docker's `nat.PortSet`.
pub type PortSet = BTreeMap<Port, Empty>;

/// The `{}` of Docker's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Empty {}

/// What one binding asks of the host: decoded, checked, and small enough to send to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The container's port.
    pub container: Port,
    /// The host address asked for; `None` is every address.
    pub host: Option<IpAddr>,
    /// The host ports to choose from; `None` lets the kernel choose.
    pub ports: Option<RangeInclusive<u16>>,
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
    /// Not a number in 0..=65535.
    #[error("invalid containerPort: {port}")]
    ContainerPort {
        /// The offending text.
        port: String,
    },
}
