//! The devices and rules of all networks on the host: which are up, and making them so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hako_net::bridge::{self, Bridge};
use hako_net::nft::{Policy, Table};
use hako_net::{firewall, parent};

use crate::{Error, Result};

/// What hako made on the host for its networks.
pub(crate) struct Fabric {
    table: Table,
    policy: Policy,
    /// Whether rules are written at all.
    firewall: bool,
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
    pub(crate) fn new(table: Table, policy: Policy, firewall: bool) -> Self {
        Self { table, policy, firewall, up: Mutex::default() }
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
        if up.table && up.bridges.get(&wanted.name) == Some(wanted) {
            return Ok(());
        }
        let new = !bridge::exists(&wanted.name).map_err(|e| Error::conflict(e.to_string()))?;
        let raised = bridge::ensure(wanted).map_err(|e| Error::io("make bridge", e));
        let ruled = raised.and_then(|()| self.rule(&mut up, wanted));
        if ruled.is_err() && new {
            // The first error is the one to tell.
            let _ = bridge::remove(&wanted.name);
        }
        ruled?;
        up.bridges.insert(wanted.name.clone(), wanted.clone());
        Ok(())
    }

    fn rule(&self, up: &mut Up, wanted: &Bridge) -> Result<()> {
        if !self.firewall {
            return Ok(());
        }
        let failed = |e| Error::io("make firewall rules", e);
        if up.table && !up.bridges.contains_key(&wanted.name) {
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
        *self.up() = Up::default();
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
        if up.table && matches!(self.table.exists(), Ok(false)) {
            up.table = false;
        }
    }
}

/// Makes sure of the device a macvlan or ipvlan network hangs on. Tells whether it was made.
pub(crate) fn ensure_parent(name: &str, dummy: bool) -> Result<bool> {
    parent::ensure(name, dummy).map_err(|e| Error::system(e.to_string()))
}
