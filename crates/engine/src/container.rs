//! A container in memory: what it was told, what it is, and the door to its supervisor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_model::id::{ContainerId, ExecId};
use hako_model::mount::Origin;
use hako_model::state::Status;
use hako_model::time::Timestamp;
use hako_net::endpoint;
use hako_net::publish::Binding;
use hako_store::LayerPin;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::containers::{ExecRequest, Sample};
use crate::life::Link;
use crate::record::Record;
use crate::{Error, Result};

/// One container.
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) dir: PathBuf,
    /// Why its record cannot be read; then all that can be done is to remove it.
    pub(crate) damage: Option<String>,
    /// Where it stands; waiters watch it.
    pub(crate) phase: watch::Sender<Phase>,
    /// Held by verbs that must not meet: start, remove, rename, update.
    pub(crate) verbs: tokio::sync::Mutex<()>,
    /// Shared by clients whose streams are on their way to the supervisor, so that a start that was asked for after them
    /// comes after them.
    pub(crate) attaching: Arc<tokio::sync::RwLock<()>>,
    /// Shared by streams the daemon itself passes on to clients, so that who waits for the end hears of it after them.
    pub(crate) relays: Arc<tokio::sync::RwLock<()>>,
    inside: Mutex<Inside>,
}

/// Where a container stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase {
    pub(crate) status: Arc<Status>,
    /// How many times it has ended since the engine knows it.
    pub(crate) exits: u64,
    /// Whether some supervisor holds resources for it.
    pub(crate) held: bool,
    /// Whether its record is gone.
    pub(crate) removed: bool,
}

/// What changes in a container. Held for moments only.
pub(crate) struct Inside {
    pub(crate) record: Arc<Record>,
    /// Its supervisor: assigned (by attach or start) or living.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) run: Run,
    pub(crate) execs: BTreeMap<ExecId, Exec>,
    /// Keep its layers from collection, and those of images mounted in it.
    pub(crate) pins: Vec<LayerPin>,
    /// Whether an end is to remove it even though nobody asks.
    pub(crate) removing: bool,
    /// The addresses the next start is to have again, where they are free.
    pub(crate) kept: Vec<endpoint::Plan>,
    /// What was last seen of its use, for all who watch.
    pub(crate) sampled: Option<Box<(Instant, Sample)>>,
}

/// What a start gave it: `run.json`, so that a later engine knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    /// Its control group, from the root of every hierarchy.
    pub(crate) cgroup: String,
    /// What each network gave it, in the order of its devices.
    pub(crate) endpoints: Vec<endpoint::Plan>,
    pub(crate) ports: Vec<Binding>,
    /// Whether it runs beside another container, so that neither ports nor names lead to it.
    pub(crate) aside: bool,
}

/// An exec instance.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    pub(crate) request: ExecRequest,
    /// When it ended.
    pub(crate) ended: Option<Timestamp>,
    pub(crate) started: bool,
    pub(crate) exit_code: Option<i64>,
    pub(crate) pid: i64,
}

impl Container {
    pub(crate) fn new(record: Record, dir: PathBuf, status: Status) -> Self {
        let phase = Phase { status: Arc::new(status), ..Phase::default() };
        let inside = Inside {
            link: None,
            run: Run::default(),
            execs: BTreeMap::new(),
            pins: Vec::new(),
            removing: false,
            kept: Vec::new(),
            sampled: None,
            record: Arc::new(record),
        };
        Self {
            id: inside.record.id.clone(),
            dir,
            damage: None,
            phase: watch::Sender::new(phase),
            verbs: tokio::sync::Mutex::default(),
            attaching: Arc::default(),
            relays: Arc::default(),
            inside: Mutex::new(inside),
        }
    }

    /// Its changing parts; never to be held across an await.
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        // A panic elsewhere cannot leave this half-changed: every change is one assignment.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.inside().record)
    }

    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.phase.borrow().status)
    }

    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.inside().link.clone()
    }

    /// The link of a container that runs.
    pub(crate) fn live_link(&self) -> Result<Arc<Link>> {
        let live = self.status().state.is_running();
        let link = if live { self.link() } else { None };
        link.ok_or_else(|| self.not_running())
    }

    /// Docker's text for verbs that need a running container.
    pub(crate) fn not_running(&self) -> Error {
        Error::conflict(format!("container {} is not running", self.id))
    }

    /// Changes the phase and wakes whoever watches.
    pub(crate) fn turn(&self, change: impl FnOnce(&mut Phase)) {
        self.phase.send_modify(change);
    }

    /// Replaces the status.
    pub(crate) fn set_status(&self, status: Status) {
        self.turn(|phase| phase.status = Arc::new(status));
    }

    /// Whether the record names the volume.
    pub(crate) fn uses_volume(&self, name: &str) -> bool {
        let record = self.record();
        record.mounts.iter().any(|mount| matches!(&mount.origin, Origin::Volume(volume) if volume.name == name))
    }

    /// The attributes of its events: labels, image and name.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let record = self.record();
        let mut attributes = record.labels();
        attributes.insert("image".to_owned(), record.config.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        attributes
    }
}
