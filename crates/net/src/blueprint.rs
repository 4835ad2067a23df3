//! What hako made on the host for its networks, as a file any of its processes can read, and making it so again after
//! somebody took it away: `nft flush ruleset`, a firewall's reload, a bridge deleted by hand.
//!
//! The engine writes the file. Every supervisor with an endpoint watches ([`Watch`]) and mends: whoever comes first
//! restores bridges, table and rules under a lock, and each one its own endpoints and published ports. So it needs no
//! daemon.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use hako_sys::file::{Durability, Lock, read_limited, write_atomic};
use hako_sys::netlink::{Protocol, Socket, Wanted};
use serde::{Deserialize, Serialize};

use crate::bridge::{self, Bridge};
use crate::endpoint::{Plan, Wire};
use crate::error::kernel;
use crate::nft::{Policy, Table};
use crate::{Result, annex, firewall, rtnetlink};

/// No file is longer.
const LIMIT: u64 = 16 << 20;

/// What is on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Blueprint {
    /// The instance; names the table.
    pub instance: String,
    /// Whether there are rules at all.
    pub firewall: bool,
    /// What holds for all networks.
    pub policy: Policy,
    /// The bridges that are up.
    pub bridges: Vec<Bridge>,
    /// Devices that were bridges of networks which are gone, and are to go, too.
    pub retired: Vec<String>,
}

impl Blueprint {
    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        write_atomic(path, &bytes, Durability::Process).map_err(kernel("write", path.display().to_string()))
    }

    /// Reads the file; an empty one if there is none.
    pub fn load(path: &Path) -> Self {
        read_limited(path, LIMIT).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Makes bridges and rules be there. False: another process is at it, ask again in a moment.
    pub fn mend(path: &Path) -> Result<bool> {
        let lock = path.with_extension("lock");
        let locked = Lock::try_exclusive(&lock).map_err(kernel("lock", lock.display().to_string()))?;
        let Some(_lock) = locked else { return Ok(false) };
        let wanted = Self::load(path);
        for bridge in &wanted.bridges {
            if !bridge::exists(&bridge.name)? {
                bridge::ensure(bridge)?;
            }
        }
        if wanted.firewall && !wanted.bridges.is_empty() {
            let table = Table::of(&wanted.instance);
            if !table.is_whole(wanted.policy)? {
                table.ensure(&wanted.bridges, wanted.policy)?;
            }
            wanted.bridges.iter().try_for_each(|bridge| {
                firewall::admit(&bridge.name)?;
                annex::admit(&bridge.name)
            })?;
        }
        Ok(true)
    }
}

/// Hears when rules change, or a bridge of some endpoints is taken away, or what leads there.
#[derive(Debug)]
pub struct Watch {
    rules: Socket,
    links: Socket,
    /// Each endpoint's bridge and its port there.
    ports: Vec<(String, String)>,
}

const RULES_GROUP: u32 = 7;
const LINKS_GROUP: u32 = 1;
const DELETE_LINK: u16 = 17;
/// nf_tables' messages about tables, chains and rules, made or deleted, and sets deleted: hako's own may be gone, or
/// somebody's new ones drop what they do not know. Elements, which come and go with every container, wake nobody.
const CHANGES: [u16; 7] = [10 << 8, 10 << 8 | 2, 10 << 8 | 3, 10 << 8 | 5, 10 << 8 | 6, 10 << 8 | 8, 10 << 8 | 11];

/// The bridge and the port there of each endpoint that hangs on one.
fn ports_of(endpoints: &[Plan]) -> Vec<(String, String)> {
    let bridged = endpoints.iter().filter(|plan| plan.wire == Wire::Bridge);
    bridged.map(|plan| (plan.bridge.clone(), plan.host_name.clone())).collect()
}

impl Watch {
    /// Begins to listen for endpoints, of which those that hang on no bridge are left out.
    pub fn begin(endpoints: &[Plan]) -> Result<Self> {
        let failed = || kernel("listen to", "changes of the network");
        let rules = Socket::open(Protocol::Netfilter).map_err(failed())?;
        let wanted = CHANGES.map(|kind| Wanted { kind, link: None });
        rules.hear_only(&wanted).and_then(|()| rules.subscribe(RULES_GROUP)).map_err(failed())?;
        let links = Socket::open(Protocol::Route).map_err(failed())?;
        let watch = Self { rules, links, ports: ports_of(endpoints) };
        watch.renew()?;
        watch.links.subscribe(LINKS_GROUP).map_err(failed())?;
        Ok(watch)
    }

    /// Listens for these endpoints from now on.
    pub fn follow(&mut self, endpoints: &[Plan]) -> Result<()> {
        self.ports = ports_of(endpoints);
        self.renew()
    }

    /// Listens to the devices as they are now: a device made anew has another number.
    pub fn renew(&self) -> Result<()> {
        let mut asking = rtnetlink::socket()?;
        let mut wanted = Vec::new();
        for (bridge, port) in &self.ports {
            for device in annex::way(&mut asking, bridge, port)?.iter().chain([bridge]) {
                let link = rtnetlink::index_of(asking.as_fd(), device)?;
                wanted.extend(link.map(|link| Wanted { kind: DELETE_LINK, link: Some(link) }));
            }
        }
        self.links.hear_only(&wanted).map_err(kernel("listen to", "changes of devices"))
    }

    /// Readable when something has changed.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.rules.as_fd(), self.links.as_fd()]
    }

    /// Takes note of what was heard; what it was does not matter.
    pub fn hear(&self) {
        for socket in [&self.rules, &self.links] {
            while hako_sys::poll::wait_one(socket, hako_sys::poll::Interest::Read, Some(std::time::Duration::ZERO))
                .unwrap_or(false)
            {
                // Too much at once is as good as anything.
                if socket.receive().is_err() {
                    break;
                }
            }
        }
    }
}
