//! The devices and rules of all networks on the host: which are up, and making them so.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hako_net::blueprint::Blueprint;
use hako_net::bridge::{self, Bridge};
use hako_net::nft::{Policy, Table};
use hako_net::{firewall, parent};

use crate::layout::Layout;
use crate::{Error, Result};

/// What hako made on the host for its networks.
pub(crate) struct Fabric {
    table: Table,
    policy: Policy,
    /// Whether rules are written at all.
    firewall: bool,
    instance: String,
    /// Where supervisors read what is to be there.
    blueprint: PathBuf,
    up: Mutex<Up>,
}

#[derive(Default)]
struct Up {
    /// Whether this engine made the table and nobody flushed it since.
    table: bool,
    /// The bridges this engine made sure of, by device.
    bridges: BTreeMap<String, Bridge>,
}

impl Fabric {
    /// Knows of the bridges an earlier engine left up for living containers.
    pub(crate) fn new(layout: &Layout, policy: Policy, firewall: bool) -> Self {
        let (blueprint, instance) = (layout.blueprint(), layout.instance.clone());
        let left = Blueprint::load(&blueprint).bridges;
        let bridges = left.into_iter().map(|bridge| (bridge.name.clone(), bridge)).collect();
        let up = Mutex::new(Up { table: false, bridges });
        Self { table: Table::of(&instance), policy, firewall, instance, blueprint, up }
    }

    /// Tells supervisors what is to be there.
    fn note(&self, up: &Up) -> Result<()> {
        let noted = Blueprint {
            instance: self.instance.clone(),
            firewall: self.firewall,
            policy: self.policy,
            bridges: up.bridges.values().cloned().collect(),
        };
        noted.save(&self.blueprint).map_err(|e| Error::io("note networks", e))
    }

    fn up(&self) -> MutexGuard<'_, Up> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Makes a bridge and its rules, unless they are there. On an error nothing new stays.
    pub(crate) fn raise(&self, wanted: &Bridge) -> Result<()> {
        let mut up = self.up();
        let new = !bridge::exists(&wanted.name).map_err(|e| Error::conflict(e.to_string()))?;
        if up.table && !new && up.bridges.get(&wanted.name) == Some(wanted) {
            // A firewall that was loaded meanwhile may not know us.
            let admitted = if self.firewall { firewall::admit(&wanted.name) } else { Ok(()) };
            return admitted.map_err(|e| Error::io("admit bridge", e));
        }
        let raised = bridge::ensure(wanted).map_err(|e| Error::io("make bridge", e));
        let ruled = raised.and_then(|()| self.rule(&mut up, wanted));
        if ruled.is_err() && new {
            // The first error is the one to tell.
            let _ = bridge::remove(&wanted.name);
        }
        ruled?;
        up.bridges.insert(wanted.name.clone(), wanted.clone());
        self.note(&up)
    }

    fn rule(&self, up: &mut Up, wanted: &Bridge) -> Result<()> {
        if !self.firewall {
            return Ok(());
        }
        let failed = |e| Error::io("make firewall rules", e);
        if up.table && up.bridges.get(&wanted.name).is_none_or(|known| known == wanted) {
            self.table.join(wanted).map_err(failed)?;
        } else {
            let others = up.bridges.values().filter(|other| other.name != wanted.name).cloned();
            let all: Vec<Bridge> = others.chain([wanted.clone()]).collect();
            self.table.ensure(&all, self.policy).map_err(failed)?;
            up.table = true;
        }
        firewall::admit(&wanted.name).map_err(|e| Error::io("admit bridge", e))
    }

    /// Takes a bridge and its rules off the host.
    pub(crate) fn lower(&self, gone: &Bridge) -> Result<()> {
        let mut up = self.up();
        up.bridges.remove(&gone.name);
        self.note(&up)?;
        if self.firewall {
            firewall::withdraw(&gone.name).map_err(|e| Error::io("withdraw bridge", e))?;
            if up.table {
                self.table.part(gone).map_err(|e| Error::io("remove firewall rules", e))?;
            }
        }
        if gone.adopted {
            return Ok(());
        }
        bridge::remove(&gone.name).map_err(|e| Error::io("remove bridge", e))
    }

    /// Takes all of `bridges` off the host, also those an earlier engine made, and the table.
    pub(crate) fn clear(&self, bridges: &[Bridge]) {
        let mut up = self.up();
        *up = Up::default();
        // Nobody is there to read it.
        let _ = std::fs::remove_file(&self.blueprint);
        let told = |what: &str, outcome: hako_net::Result<()>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "{what} stays on the host");
            }
        };
        for bridge in bridges {
            if self.firewall {
                told("rule in another's firewall", firewall::withdraw(&bridge.name));
            }
            if !bridge.adopted {
                told("bridge", bridge::remove(&bridge.name));
            }
        }
        if self.firewall {
            told("table", self.table.remove());
        }
    }

    /// Whether the rules are still there; someone may have flushed them.
    pub(crate) fn check(&self) {
        let mut up = self.up();
        if up.table && matches!(self.table.is_whole(), Ok(false)) {
            up.table = false;
        }
    }
}

/// Makes sure of the device a macvlan or ipvlan network hangs on. Tells whether it was made.
pub(crate) fn ensure_parent(name: &str, dummy: bool) -> Result<bool> {
    parent::ensure(name, dummy).map_err(|e| Error::system(e.to_string()))
}
