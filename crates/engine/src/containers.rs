//! The container verbs.

mod archive;
mod attach;
mod checkpoint;
mod commit;
mod create;
mod edit;
mod exec;
mod graves;
mod inspect;
mod lifecycle;
mod list;
mod logs;
mod merge;
mod mounts;
mod prune;
mod recreate;
mod remote;
mod remove;
mod sample;
mod sources;
mod start;
mod state_text;
mod stats;
mod succession;
mod top;
mod update;
mod validate;
mod view;
mod wait;
mod why;

use std::sync::Arc;

pub use attach::{Attachment, Relay};
pub use checkpoint::CheckpointOptions;
pub(crate) use create::{complete_host, new_id};
pub(crate) use graves::Graves;
pub use logs::{Channel, Logs, Mark, Piece as LogPiece};
pub(crate) use mounts::check_driver;
pub(crate) use remove::{buried, erase, remove_anonymous_volumes};
pub use sample::{BlockSample, CpuSample, InterfaceSample, MemorySample, Sample};
pub(crate) use start::remember_run;
pub use stats::Stats;
pub(crate) use stats::machine_memory;
pub use view::*;
pub use wait::Waiting;

use crate::house::House;

/// The container verbs. Names are what people type: a name, an id or the beginning of one. Cheap to clone.
#[derive(Clone)]
pub struct Containers {
    pub(crate) house: Arc<House>,
}
