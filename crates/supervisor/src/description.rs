//! All a supervisor must know of its container: what the engine sends with Start. Nothing is looked up later.

use std::path::PathBuf;

use hako_model::health::Probe;
use hako_model::id::ContainerId;
use hako_model::port::Publication;
use hako_model::restart::Policy;
use hako_model::state::Rules;
use hako_net::endpoint;
use serde::{Deserialize, Serialize};

use crate::log::config::LogConfig;

/// An OCI runtime specification.
pub type Spec = serde_json::Value;

/// One container, ready to be started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a slash.
    pub name: String,
    /// The daemon's instance word; names the nft table.
    pub instance: String,
    /// What to run and how confined: namespaces, mounts, capabilities, limits.
    pub spec: Spec,
    /// Its root filesystem.
    pub rootfs: Rootfs,
    /// Its cgroup below each hierarchy's root, e.g. `/hako/ID`.
    pub cgroup: String,
    /// Its network.
    pub network: Network,
    /// Where its output goes.
    pub log: LogConfig,
    /// What happens after its end.
    pub restart: Policy,
    /// Its health check.
    pub probe: Option<Probe>,
    /// The signal that ends it in good order.
    pub stop_signal: i32,
    /// Seconds between that signal and SIGKILL; negative waits for ever.
    pub stop_timeout: i64,
    /// Whether its first process has a terminal.
    pub terminal: bool,
    /// Whether its stdin is open.
    pub open_stdin: bool,
    /// Whether its stdin closes with the first client that fed it.
    pub stdin_once: bool,
    /// Whether an init that reaps orphans runs as process 1.
    pub init: bool,
    /// The terminal's first size, rows and columns.
    pub console_size: Option<(u16, u16)>,
    /// `containers/ID`: where `lock`, `status.json` and `journal` are.
    pub directory: PathBuf,
    /// Where later engines find this supervisor: `exec-root/supervisors/ID.sock`.
    pub socket: PathBuf,
}

impl Description {
    /// What the state machine must know.
    pub fn rules(&self) -> Rules {
        Rules { restart: self.restart, stop_signal: self.stop_signal, probe: self.probe.clone() }
    }
}

/// A root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// Layers below a writable one.
    Overlay {
        /// The read-only layers, topmost first.
        lowers: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlay's work directory, on the same filesystem.
        work: PathBuf,
        /// Whether the writable layer may be lost with the machine (`--rm`): ten times faster copy-up.
        volatile: bool,
    },
    /// A directory as it is.
    Directory {
        /// The directory.
        path: PathBuf,
    },
}

/// What connects the container. Host networking and another container's namespace stand in the spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The bridges it is plugged into; none for `none`, `host` and `container:`.
    pub endpoints: Vec<endpoint::Plan>,
    /// Its published ports.
    pub ports: Vec<Publication>,
}
