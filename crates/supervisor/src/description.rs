//! All a supervisor must know of its container: what the engine sends with Start. Nothing is looked up later.

use std::path::PathBuf;
use std::time::Duration;

use hako_model::health::{Probe, Remedy};
use hako_model::id::ContainerId;
use hako_model::port::Publication;
use hako_model::restart::{Backoff, Policy};
use hako_model::state::Rules;
use hako_net::dns::Servers;
use hako_net::endpoint;
use hako_runtime::checkpoint::Image;
use hako_runtime::spec::Spec;
use serde::{Deserialize, Serialize};

pub use hako_runtime::launch::RootfsPlan;

use crate::log::config::LogConfig;

/// One container, ready to be started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a slash.
    pub name: String,
    /// The daemon's instance word; names the nft table.
    pub instance: String,
    /// What to run and how confined: namespaces, mounts, capabilities, limits, the cgroup, whether with a terminal.
    pub spec: Spec,
    /// Its root filesystem.
    pub rootfs: RootfsPlan,
    /// Its network.
    pub network: Network,
    /// Where its output goes.
    pub log: LogConfig,
    /// What happens after its end.
    pub restart: Policy,
    /// Its health check.
    pub probe: Option<Probe>,
    /// What is done when it is unhealthy.
    #[serde(default)]
    pub remedy: Option<Remedy>,
    /// The pauses before restarts.
    #[serde(default)]
    pub backoff: Backoff,
    /// Secrets it may read.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// What its first life goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Image>,
    /// The signal that ends it in good order.
    pub stop_signal: i32,
    /// Seconds between that signal and SIGKILL; negative waits for ever.
    pub stop_timeout: i64,
    /// Whether its stdin is open.
    pub open_stdin: bool,
    /// Whether its stdin closes with the first client that fed it.
    pub stdin_once: bool,
    /// Whether an init that reaps orphans runs as process 1.
    pub init: bool,
    /// `containers/ID`: where `lock`, `status.json` and `journal` are.
    pub directory: PathBuf,
    /// Where later engines find this supervisor: `exec-root/supervisors/ID.sock`.
    pub socket: PathBuf,
}

impl Description {
    /// Whether the first process has a terminal.
    pub fn terminal(&self) -> bool {
        self.spec.process.as_ref().is_some_and(|process| process.terminal)
    }

    /// What the state machine must know.
    pub fn rules(&self) -> Rules {
        Rules {
            restart: self.restart,
            stop_signal: self.stop_signal,
            probe: self.probe.clone(),
            remedy: self.remedy,
            backoff: self.backoff,
            grace: grace(self.stop_timeout),
        }
    }
}

/// Nobody means a longer grace, in seconds; and it fits a timer.
const LONGEST_GRACE: u64 = 100 * 365 * 86_400;

/// The grace that many seconds are; a negative number waits for ever.
pub(crate) fn grace(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds.min(LONGEST_GRACE)))
}

/// A secret as the container sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Where: an absolute path.
    pub target: String,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// What it says.
    pub content: Hidden,
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden(pub Vec<u8>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "({} bytes)", self.0.len())
    }
}

/// What connects the container. Host networking and another container's namespace stand in the spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The bridges it is plugged into; none for `none`, `host` and `container:`.
    pub endpoints: Vec<endpoint::Plan>,
    /// Its published ports.
    pub ports: Vec<Publication>,
    /// What it and others are called; none for containers that ask the host's servers themselves.
    #[serde(default)]
    pub naming: Option<Naming>,
    /// Whether the host's input rules decide who reaches published ports.
    #[serde(default)]
    pub by_input: bool,
    /// Whether it runs beside the container it is to replace: neither published ports nor names lead to it.
    #[serde(default)]
    pub aside: bool,
    /// The file that says what is on the host for all networks: what to restore should somebody take it away.
    #[serde(default)]
    pub blueprint: Option<PathBuf>,
}

/// Names on the container's networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Naming {
    /// Who is asked what nobody on them knows.
    pub servers: Servers,
    /// The networks, in the order they are asked.
    pub networks: Vec<Called>,
}

/// Names on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Called {
    /// The network's id.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// Its names directory.
    pub directory: PathBuf,
    /// What the container is called there, its own name first.
    pub names: Vec<String>,
    /// What it alone calls others there: alias and name.
    pub links: Vec<(String, String)>,
}
