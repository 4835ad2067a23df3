//! The one error of this crate.

use std::path::PathBuf;

/// What the verbs of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something a supervisor or its client could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Sys(#[from] hako_sys::Error),
    /// The network refused.
    #[error(transparent)]
    Net(#[from] hako_net::Error),
    /// A file of the container could not be read or written.
    #[error("{verb} {}: {source}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A message was not understood.
    #[error("decode message: {source}")]
    Message {
        /// Why not.
        source: serde_json::Error,
    },
    /// `hako supervise` was started in a wrong way.
    #[error("start supervisor: {problem}")]
    Usage {
        /// What is wrong.
        problem: String,
    },
    /// Another process holds the container's lock.
    #[error("lock container {id}: another supervisor still holds it")]
    Held {
        /// The container.
        id: String,
    },
    /// The container has no network of its own, or does not run.
    #[error("plug in container {id}: it has no network namespace of its own")]
    NotPluggable {
        /// The container.
        id: String,
    },
    /// Secrets go nowhere but into memory.
    #[error("mount secrets: {path} is not in memory, and secrets go nowhere else")]
    SecretPlace {
        /// The directory that should be.
        path: &'static str,
    },
    /// The other side speaks a protocol this one does not know.
    #[error("speak with supervisor: it talks version {version}, this hako understands {}", crate::protocol::VERSION)]
    Version {
        /// Its version.
        version: u32,
    },
}

impl Error {
    /// Names the verb and path of a failed file operation; meant for `map_err`.
    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }
}
