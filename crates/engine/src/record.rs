//! What a container was told to be: `record.json`, one per container, in Docker's words where Docker has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hako_model::container::{Config, EndpointSettings, HostConfig, RestartName};
use hako_model::digest::Digest;
use hako_model::id::ContainerId;
use hako_model::mount::{Origin, Plan};
use hako_model::restart::{Backoff, Policy};
use hako_model::state::Status;
use hako_model::time::Timestamp;
use hako_store::{LayerPin, Store};
use hako_sys::file::{Durability, read_limited, write_atomic};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// No record is longer.
const LIMIT: u64 = 16 << 20;

/// A container as it was told to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    #[serde(rename = "ID")]
    pub(crate) id: ContainerId,
    /// Without a slash.
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    /// The image's id; none for a record whose image could not be read.
    pub(crate) image: Digest,
    /// The topmost layer.
    #[serde(default)]
    pub(crate) layer: Option<Digest>,
    /// The platform's OS.
    pub(crate) os: String,
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
    /// What each network was asked for, by network name.
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<String, EndpointSettings>,
    /// Everything to be mounted, volumes named.
    #[serde(default)]
    pub(crate) mounts: Vec<Plan>,
}

impl Record {
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        Self::load_aside(&dir.join("record.json"))
    }

    /// The record that is put aside while another is on trial.
    pub(crate) fn load_aside(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, LIMIT).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
        serde_json::from_slice(&bytes).map_err(|e| Error::io(format!("parse {}", path.display()), e))
    }

    /// Containers that go with their end need not survive power loss, so nothing waits for the disk.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::io("encode record", e))?;
        let durability = if self.host_config.auto_remove { Durability::Process } else { Durability::Power };
        let path = dir.join("record.json");
        write_atomic(&path, &bytes, durability).map_err(|e| Error::io(format!("save {}", path.display()), e))
    }

    /// The program and its arguments: the entry point, then the command.
    pub(crate) fn command(&self) -> Vec<String> {
        let entrypoint = self.config.entrypoint.iter().flatten();
        entrypoint.chain(self.config.cmd.iter().flatten()).cloned().collect()
    }

    /// Whether it was made from an image, or mounts it.
    pub(crate) fn uses(&self, image: &Digest) -> bool {
        let mut mounted = self.mounts.iter().filter_map(|plan| match &plan.origin {
            Origin::Image(files) => files.id.as_ref(),
            _ => None,
        });
        self.image == *image || mounted.any(|id| id == image)
    }

    /// The topmost layers of all images it needs, kept from collection.
    pub(crate) fn pins(&self, store: &Store) -> impl Iterator<Item = hako_store::Result<LayerPin>> {
        let mounted = self.mounts.iter().filter_map(|plan| match &plan.origin {
            Origin::Image(files) => files.layer.as_ref(),
            _ => None,
        });
        self.layer.iter().chain(mounted).map(|layer| store.layers().pin(layer))
    }

    pub(crate) fn restart(&self) -> Policy {
        let policy = self.host_config.restart_policy;
        let max = u32::try_from(policy.maximum_retry_count).unwrap_or(0);
        match policy.name {
            RestartName::Unset | RestartName::No => Policy::No,
            RestartName::Always => Policy::Always,
            RestartName::OnFailure => Policy::OnFailure { max },
            RestartName::UnlessStopped => Policy::UnlessStopped,
        }
    }

    /// The pauses before its restarts.
    pub(crate) fn backoff(&self) -> Backoff {
        let policy = self.host_config.restart_policy;
        let or = |nanos: i64, default: Duration| match u64::try_from(nanos) {
            Ok(0) | Err(_) => default,
            Ok(nanos) => Duration::from_nanos(nanos),
        };
        let default = Backoff::default();
        Backoff {
            first: or(policy.minimum_delay, default.first),
            longest: or(policy.maximum_delay, default.longest),
            settled: or(policy.reset_after, default.settled),
        }
    }

    /// The labels, empty when there are none.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.config.labels.clone().unwrap_or_default()
    }
}

/// What is, as the supervisor (or the engine, when there is none) last wrote it.
pub(crate) fn load_status(dir: &Path) -> Status {
    let bytes = read_limited(&dir.join("status.json"), LIMIT).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Saves what is. Only for containers without a supervisor.
pub(crate) fn save_status(dir: &Path, status: &Status) -> Result<()> {
    let path: PathBuf = dir.join("status.json");
    let bytes = serde_json::to_vec(status).map_err(|e| Error::io("encode status", e))?;
    write_atomic(&path, &bytes, Durability::Process).map_err(|e| Error::io(format!("save {}", path.display()), e))
}
