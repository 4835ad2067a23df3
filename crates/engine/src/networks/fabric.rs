//! The devices and rules of all networks on the host: which are up, and making them so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hako_net::blueprint::Blueprint;
use hako_net::bridge::{self, Bridge};
use hako_net::nft::{Policy, Table};
use hako_net::{firewall, parent};

use crate::layout::Layout;
use crate::{Error, Result};

/// What hako made on the host for its networks.
pub(crate) struct Fabric {
    table: Table,
    ground: Arc<Ground>,
}

/// What the thread that removes retired bridges knows, too.
struct Ground {
    policy: Policy,
    /// Whether rules are written at all.
    firewall: bool,
    instance: String,
    /// Where supervisors read what is to be there.
    blueprint: PathBuf,
    up: Mutex<Up>,
    /// Told when no bridge waits to be removed any more.
    clean: Condvar,
}

#[derive(Default)]
struct Up {
    /// Whether this engine made the table and nobody flushed it since.
    table: bool,
    /// The bridges this engine made sure of, by device.
    bridges: BTreeMap<String, Bridge>,
    /// Devices of networks that are gone.
    retired: Vec<String>,
    /// Whether somebody removes them.
    removing: bool,
}

impl Ground {
    fn up(&self) -> MutexGuard<'_, Up> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells supervisors, and the next engine, what is to be there.
    fn note(&self, up: &Up) -> Result<()> {
        let noted = Blueprint {
            instance: self.instance.clone(),
            firewall: self.firewall,
            policy: self.policy,
            bridges: up.bridges.values().cloned().collect(),
            retired: up.retired.clone(),
        };
        noted.save(&self.blueprint).map_err(|e| Error::io("note networks", e))
    }

    /// Removes retired bridges, one after the other. Blocks.
    fn remove_retired(&self) {
        let mut up = self.up();
        while let Some(name) = up.retired.first().cloned() {
            drop(up);
            if let Err(error) = bridge::remove(&name) {
                tracing::warn!(%error, "device of a network that is gone stays on the host");
            }
            up = self.up();
            up.retired.retain(|other| *other != name);
            // One that is noted and gone does no harm.
            let _ = self.note(&up);
        }
        up.removing = false;
        self.clean.notify_all();
    }
}

impl Fabric {
    /// Knows of the bridges an earlier engine left up for living containers, and of those it did not come to remove.
    pub(crate) fn new(layout: &Layout, policy: Policy, firewall: bool) -> Self {
        let (blueprint, instance) = (layout.blueprint(), layout.instance.clone());
        let left = Blueprint::load(&blueprint);
        let bridges = left.bridges.into_iter().map(|bridge| (bridge.name.clone(), bridge)).collect();
        let up = Mutex::new(Up { bridges, retired: left.retired, ..Up::default() });
        let ground = Arc::new(Ground { policy, firewall, instance, blueprint, up, clean: Condvar::new() });
        Self { table: Table::of(&ground.instance), ground }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Makes a bridge and its rules, unless they are there. On an error nothing new stays.
    pub(crate) fn raise(&self, wanted: &Bridge) -> Result<()> {
        let mut up = self.ground.up();
        let new = !bridge::exists(&wanted.name).map_err(|e| Error::conflict(e.to_string()))?;
        if up.table && !new && up.bridges.get(&wanted.name) == Some(wanted) {
            // A firewall that was loaded meanwhile may not know us.
            let admitted = if self.ground.firewall { firewall::admit(&wanted.name) } else { Ok(()) };
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
        self.ground.note(&up)
    }

    fn rule(&self, up: &mut Up, wanted: &Bridge) -> Result<()> {
        if !self.ground.firewall {
            return Ok(());
        }
        let failed = |e| Error::io("make firewall rules", e);
        if up.table && up.bridges.get(&wanted.name).is_none_or(|known| known == wanted) {
            self.table.join(wanted).map_err(failed)?;
        } else {
            let others = up.bridges.values().filter(|other| other.name != wanted.name).cloned();
            let all: Vec<Bridge> = others.chain([wanted.clone()]).collect();
            self.table.ensure(&all, self.ground.policy).map_err(failed)?;
            up.table = true;
        }
        firewall::admit(&wanted.name).map_err(|e| Error::io("admit bridge", e))
    }

    /// Takes a bridge out of service, and its rules off the host. The device is removed later: that takes the kernel long.
    pub(crate) fn lower(&self, gone: &Bridge) -> Result<()> {
        let failed = |e| Error::io("remove bridge", e);
        let mut up = self.ground.up();
        up.bridges.remove(&gone.name);
        let later = bridge::retired_name(gone).map_err(failed)?.filter(|_| !gone.adopted);
        // Under both names, should this engine be killed before the device has the other one.
        up.retired.extend(later.iter().cloned().chain((!gone.adopted).then(|| gone.name.clone())));
        self.ground.note(&up)?;
        let unruled = self.unrule(&up, gone);
        up.retired.retain(|name| *name != gone.name);
        unruled?;
        match later {
            _ if gone.adopted => return Ok(()),
            Some(later) => bridge::retire(gone, &later).map_err(failed)?,
            None => bridge::remove(&gone.name).map_err(failed)?,
        }
        self.begin_removing(&mut up);
        Ok(())
    }

    fn unrule(&self, up: &Up, gone: &Bridge) -> Result<()> {
        if !self.ground.firewall {
            return Ok(());
        }
        firewall::withdraw(&gone.name).map_err(|e| Error::io("withdraw bridge", e))?;
        if up.table { self.table.part(gone).map_err(|e| Error::io("remove firewall rules", e)) } else { Ok(()) }
    }

    /// Takes what an earlier engine noted off the host: bridges of no network that is `known`, and those it had retired.
    pub(crate) fn sweep(&self, known: &BTreeSet<String>) {
        let unknown: Vec<Bridge> =
            self.ground.up().bridges.values().filter(|bridge| !known.contains(&bridge.name)).cloned().collect();
        for bridge in unknown {
            if let Err(error) = self.lower(&bridge) {
                tracing::warn!(%error, bridge = bridge.name, "bridge of no network stays on the host");
            }
        }
        let mut up = self.ground.up();
        // Killed in the middle of it, that engine had perhaps not come to their rules.
        for name in up.retired.iter().filter(|_| self.ground.firewall) {
            if let Err(error) = firewall::withdraw(name) {
                tracing::warn!(%error, "rule in another's firewall stays on the host");
            }
        }
        self.begin_removing(&mut up);
    }

    fn begin_removing(&self, up: &mut Up) {
        if up.removing || up.retired.is_empty() {
            return;
        }
        let ground = Arc::clone(&self.ground);
        let begun = std::thread::Builder::new().name("bridges".to_owned()).spawn(move || ground.remove_retired());
        match begun {
            Ok(_) => up.removing = true,
            // The next one that is retired tries again.
            Err(error) => tracing::warn!(%error, "devices of networks that are gone stay on the host"),
        }
    }

    /// Waits until all retired bridges are removed.
    pub(crate) fn finish(&self) {
        let mut up = self.ground.up();
        while up.removing {
            up = self.ground.clean.wait(up).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes all of `bridges` off the host, also those an earlier engine made, and the table.
    pub(crate) fn clear(&self, bridges: &[Bridge]) {
        self.finish();
        let mut up = self.ground.up();
        *up = Up::default();
        // Nobody is there to read it.
        let _ = std::fs::remove_file(&self.ground.blueprint);
        let told = |what: &str, outcome: hako_net::Result<()>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "{what} stays on the host");
            }
        };
        for bridge in bridges {
            if self.ground.firewall {
                told("rule in another's firewall", firewall::withdraw(&bridge.name));
            }
            if !bridge.adopted {
                told("bridge", bridge::remove(&bridge.name));
            }
        }
        if self.ground.firewall {
            told("table", self.table.remove());
        }
    }

    /// Whether the rules are still there; someone may have flushed them.
    pub(crate) fn check(&self) {
        let mut up = self.ground.up();
        if up.table && matches!(self.table.is_whole(self.ground.policy), Ok(false)) {
            up.table = false;
        }
    }
}

/// Makes sure of the device a macvlan or ipvlan network hangs on. Tells whether it was made.
pub(crate) fn ensure_parent(name: &str, dummy: bool) -> Result<bool> {
    parent::ensure(name, dummy).map_err(|e| Error::system(e.to_string()))
}
