//! What is known of how a container's last life ended, beside its exit code: what `why` is answered from.
//! Leaves out drawing conclusions.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Signals that are remembered of one life.
const REMEMBERED: usize = 8;

/// Evidence about the last life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The signal that ended its first process, as the kernel tells.
    pub signal: Option<i32>,
    /// Signals sent through hako, oldest first.
    pub sent: Vec<Sent>,
    /// What the kernel killed for want of memory.
    pub memory: Option<Shortage>,
}

/// A signal sent through hako.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub signal: i32,
    /// On whose behalf.
    pub sender: Sender,
}

/// On whose behalf a signal was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// A request: its verb, and who asked, as far as that is known.
    Request {
        /// `stop`, `kill`, `restart`, …
        verb: String,
        /// The client's process and user; empty if it came over the network.
        client: String,
    },
    /// It did not end within the grace of a stop.
    Grace,
    /// It was unhealthy.
    Health,
}

/// A want of memory that made the kernel kill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Shortage {
    /// The most the control group ever used, bytes; 0 if the kernel does not say.
    pub peak: u64,
    /// Its limit, bytes; none if the host itself ran out.
    pub limit: Option<u64>,
    /// The name of the process killed last; empty if the kernel's log does not say.
    pub victim: String,
    /// Its number on the host, 0 if unknown.
    pub pid: u32,
    /// Whether it was the container's first process.
    pub first: bool,
    /// How many processes were killed.
    pub kills: u64,
}

impl Evidence {
    /// Takes note of a signal.
    pub fn note(&mut self, sent: Sent) {
        if self.sent.len() >= REMEMBERED {
            self.sent.remove(0);
        }
        self.sent.push(sent);
    }
}
