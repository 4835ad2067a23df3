//! Why a process could not be started.

use serde::{Deserialize, Serialize};

/// A process that could not be started, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program in the container: exit code 127.
    #[error("exec: \"{program}\": {cause}")]
    NotFound {
        /// What was to be executed.
        program: String,
        /// The reason, e.g. `executable file not found in $PATH`.
        cause: String,
    },
    /// The program is there but cannot be executed: exit code 126.
    #[error("exec: \"{program}\": {cause}")]
    NotExecutable {
        /// What was to be executed.
        program: String,
        /// The reason, e.g. `permission denied`.
        cause: String,
    },
    /// The container could not be set up.
    #[error("{step}: {cause}")]
    Setup {
        /// What was being done, e.g. `error mounting "a" to rootfs at "b"`.
        step: String,
        /// The reason.
        cause: String,
    },
    /// The process ended before it could say why.
    #[error("container init ended before it started the program")]
    Vanished,
}

impl LaunchError {
    /// The exit code `run` reports.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            // Docker tells these by their texts, too.
            Self::Setup { cause, .. } if cause.contains("no such file or directory") => 127,
            Self::Setup { cause, .. } if cause.contains("permission denied") || cause.contains("is a directory") => 126,
            // What Docker reports for a container its runtime could not create.
            Self::Setup { .. } | Self::Vanished => 128,
        }
    }

    /// A failed set-up step.
    pub fn setup(step: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Setup { step: step.into(), cause: cause.to_string() }
    }
}

impl From<hako_sys::Error> for LaunchError {
    fn from(error: hako_sys::Error) -> Self {
        match &error {
            hako_sys::Error::Os { verb, object, source } => Self::setup(format!("{verb} {object}"), source),
            _ => Self::setup("set up container", error),
        }
    }
}
