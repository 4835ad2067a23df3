//! The servers that are asked what nobody here knows: those a container names, else the host's, whatever they are now.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Where the host keeps its servers.
const HOST: &str = "/etc/resolv.conf";
/// More than this are not asked.
const MOST: usize = 6;
const PORT: u16 = 53;

/// Which servers a container's questions go to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Servers {
    /// Those it names; they are asked from within its own network. None: the host's.
    pub own: Vec<IpAddr>,
    /// Whether names without a dot are asked for, too.
    pub bare: bool,
}

/// The servers as they are now.
#[derive(Debug)]
pub(super) struct Upstream {
    own: Vec<SocketAddr>,
    host: PathBuf,
    read: Option<SystemTime>,
    found: Vec<SocketAddr>,
}

impl Upstream {
    pub(super) fn new(servers: &Servers) -> Self {
        let own = servers.own.iter().take(MOST).map(|address| SocketAddr::new(*address, PORT)).collect();
        Self { own, host: PathBuf::from(HOST), read: None, found: Vec::new() }
    }

    /// Whether they are asked from within the container's network.
    pub(super) fn is_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// All of them. The host's file is looked at again when it has changed.
    pub(super) fn servers(&mut self) -> &[SocketAddr] {
        if self.is_own() {
            return &self.own;
        }
        let changed = modified(&self.host);
        if changed.is_none() || changed != self.read {
            self.found = read(&std::fs::read_to_string(&self.host).unwrap_or_default());
            self.read = changed;
        }
        &self.found
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        address(words.next()?)
    });
    servers.take(MOST).collect()
}

/// An address, perhaps with the device it is on: `fe80::1%eth0`.
fn address(text: &str) -> Option<SocketAddr> {
    let Some((address, device)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let number = std::fs::read_to_string(format!("/sys/class/net/{device}/ifindex")).ok()?;
    Some(SocketAddrV6::new(address, PORT, 0, number.trim().parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_servers_are_read() {
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 192.0.2.1\n nameserver\t::1\nnameserver x\nnameserver fe80::1%lo\n";
        let found: Vec<String> = read(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[::1]:53", "[fe80::1%1]:53"]);
    }
}
