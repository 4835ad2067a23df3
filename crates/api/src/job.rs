//! Jobs: containers that run at given times; hako's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A job: `GET /hako/jobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Job {
    /// Its container.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// The container's labels.
    pub labels: BTreeMap<String, String>,
    /// When it runs, in words.
    pub schedule: String,
    /// When it runs next, in RFC 3339; empty if never.
    pub next: String,
    /// Its runs, the latest last.
    pub runs: Vec<Run>,
}

/// A run of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Run {
    /// When it was due.
    pub due: String,
    /// When it ended; empty while it goes on.
    pub finished: String,
    /// `running`, `succeeded`, `failed`, `timed out`, `skipped`, or why it could not be started.
    pub outcome: String,
    /// Its exit code, if it ran.
    pub exit_code: Option<i32>,
}
