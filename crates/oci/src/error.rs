//! Why a command failed, in words that those who call runtimes look for.

use std::io;
use std::path::{Path, PathBuf};

use hako_runtime::LaunchError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line makes no sense.
    #[error("{what} (see: hako runtime {command} --help)")]
    Usage { command: &'static str, what: String },
    /// There is no such command.
    #[error("unknown command {name:?}: see hako runtime --help")]
    Command { name: String },
    /// A container's id is not one.
    #[error("invalid container ID format: {id:?}: use letters, digits, and _ + - .")]
    Id { id: String },
    /// The id is taken.
    #[error("container with given ID already exists: {id}")]
    Exists { id: String },
    /// There is no such container.
    #[error("container does not exist: {id}")]
    Missing { id: String },
    /// The container's process has ended.
    #[error("container not running: {id}")]
    NotRunning { id: String },
    /// The container's state does not allow it.
    #[error("cannot {verb} container {id} that is {status}")]
    Status { verb: &'static str, id: String, status: &'static str },
    /// A new container's control group is in use already.
    #[error(
        "container's cgroup is not empty: {count} process(es) found in {path}; end them, or choose another linux.cgroupsPath"
    )]
    Occupied { path: String, count: usize },
    /// A control group would stop every process that is put into it.
    #[error("container's cgroup unexpectedly frozen: {path}; thaw it first")]
    Frozen { path: String },
    /// Its processes are stopped where they are, and so would be a new one.
    #[error("cannot exec in a paused container: {id} (resume it first, or use --ignore-paused)")]
    Paused { id: String },
    /// The container's description is wrong.
    #[error("{path}: {what}")]
    Config { path: String, what: String },
    /// hako, or this host, cannot do it.
    #[error("{what} is not supported: {hint}")]
    Unsupported { what: String, hint: &'static str },
    /// The container, or a process in it, could not be started.
    #[error("unable to start container process: {0}")]
    Launch(#[from] LaunchError),
    /// A limit or another detail of a running container could not be changed.
    #[error("{0}")]
    Change(LaunchError),
    /// A file could not be read or written.
    #[error("{verb} {path}: {source}")]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] hako_sys::Error),
    /// systemd did not do what was asked of it.
    #[error("--systemd-cgroup: {0}")]
    Systemd(#[from] crate::systemd::Fault),
    /// A program that was asked for help failed.
    #[error("{program}: {what}")]
    Helper { program: &'static str, what: String },
}

impl Error {
    /// Names the verb and path of a failed call; meant for `map_err`.
    pub(crate) fn file(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { verb, path, source }
    }
}

/// What commands return.
pub(crate) type Result<T> = std::result::Result<T, Error>;
