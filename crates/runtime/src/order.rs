//! What a stage is told and what it answers: JSON messages with descriptors over a private channel.
//!
//! Supervisor and stage are the same binary, forked one from the other, so these messages need no versions.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_sys::fdpass::{Channel, Message};
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::hook::Identity;
use crate::spec::{self, ConsoleSize, NamespaceKind, Spec};

/// To a future process 1.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// There is a control group for the process.
    Placed {
        /// The group's doors, to go in by; none if the process was born there.
        doors: Vec<usize>,
        /// Whether it will wait for its container, and can prepare for an ordinary one meanwhile.
        ahead: bool,
        /// What a process is given that has been told its container already.
        fittings: Fittings,
    },
    /// Become this container's first process, up to but not including execution.
    Become(Box<Container>),
    /// The hooks of the host's side have run.
    Proceed,
    /// Execute the program.
    Go,
    /// Start a further process (to a stage for `exec`).
    Execute(Box<Addition>),
}

/// The answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The stage waits for an order.
    Waiting,
    /// The root is furnished, and hooks may look at it before it is changed to.
    Furnished,
    /// All is set up; the terminal's other side comes along if one was asked for.
    Ready,
    /// The filter is in force; what its notifications are read from comes along.
    Filtered,
    /// A further process was forked: its number; its descriptor comes along.
    Forked(i32),
    /// It could not be done.
    Failed(LaunchError),
}

/// A container's first process. Numbers are indexes into the descriptors of the message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) spec: Spec,
    /// Whether process 1 is a reaper with the program as its child.
    pub(crate) init: bool,
    /// The detached root mount.
    pub(crate) root: usize,
    pub(crate) stdio: Standard,
    /// Namespaces to join.
    pub(crate) joined: Vec<(NamespaceKind, usize)>,
    /// What comes from outside, if the process is placed already.
    pub(crate) fittings: Fittings,
    /// What its hooks are told, and its number on the host, if it has any.
    pub(crate) hooked: Option<(Identity, i32)>,
    /// Set if it does not live and die with the process that launches it.
    pub(crate) apart: Option<Apart>,
}

/// What a process is told that waits, without its launcher, to be started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Apart {
    /// The listening socket at which it is started.
    pub(crate) door: usize,
    /// Descriptors behind the standard streams that the program inherits.
    pub(crate) inherited: u32,
    /// The root is not exchanged but only changed to.
    pub(crate) no_pivot: bool,
    /// The caller's session keyring stays.
    pub(crate) keep_keyring: bool,
}

/// A further process in a container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Addition {
    pub(crate) process: spec::Process,
    pub(crate) seccomp: Option<spec::Seccomp>,
    pub(crate) personality: Option<spec::Personality>,
    pub(crate) stdio: Standard,
    /// Whether it lives on when its launcher ends.
    pub(crate) apart: bool,
    /// Descriptors behind the standard streams that the program inherits.
    pub(crate) inherited: u32,
    /// What only it sees: a detached mount, and where.
    pub(crate) beside: Option<(usize, String)>,
}

/// The standard streams of a process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Standard {
    /// These descriptors: input, output, error.
    Fds([usize; 3]),
    /// A terminal to be made.
    Terminal(Option<ConsoleSize>),
}

/// Mounts that are made with the host's eyes, or depend on the control group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fittings {
    /// Detached mounts for the bind mounts of the specification, by their place in its list.
    pub(crate) binds: Vec<Bind>,
    /// The cgroup file systems.
    pub(crate) cgroups: Vec<CgroupMount>,
}

/// One detached bind mount.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// Which mount of the specification.
    pub(crate) mount: usize,
    /// Its descriptor.
    pub(crate) fd: usize,
    /// Whether the source is a directory.
    pub(crate) directory: bool,
}

/// One cgroup file system (v1: of one hierarchy).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CgroupMount {
    /// The directory below `/sys/fs/cgroup`; empty on v2.
    pub(crate) name: String,
    /// The controllers it is for (v1).
    pub(crate) controllers: Vec<String>,
    /// The detached mount of the host's view; the stage mounts its namespace's own view when absent.
    pub(crate) fd: Option<usize>,
}

/// Descriptors on their way, in the order of their indexes.
#[derive(Debug, Default)]
pub(crate) struct Parcel(Vec<OwnedFd>);

impl Parcel {
    /// Packs a descriptor; returns its index.
    pub(crate) fn add(&mut self, fd: OwnedFd) -> usize {
        self.0.push(fd);
        self.0.len() - 1
    }

    /// What is in it, in order.
    pub(crate) fn borrowed(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// Packs several; returns their indexes.
    pub(crate) fn add_all(&mut self, fds: Vec<OwnedFd>) -> Vec<usize> {
        fds.into_iter().map(|fd| self.add(fd)).collect()
    }
}

/// Sends a message.
pub(crate) fn send<T: Serialize>(channel: &Channel, message: &T, parcel: &Parcel) -> Result<(), LaunchError> {
    let bytes = serde_json::to_vec(message).map_err(|error| LaunchError::setup("describe container", error))?;
    let fds: Vec<_> = parcel.0.iter().map(AsFd::as_fd).collect();
    Ok(channel.send(&bytes, &fds)?)
}

/// Receives a message; `None` when the other side is gone.
pub(crate) fn receive<T: for<'de> Deserialize<'de>>(
    channel: &Channel,
) -> Result<Option<(T, Vec<OwnedFd>)>, LaunchError> {
    let Some(Message { bytes, fds }) = channel.recv()? else { return Ok(None) };
    let message = serde_json::from_slice(&bytes).map_err(|error| LaunchError::setup("understand message", error))?;
    Ok(Some((message, fds)))
}

/// The descriptors of a received message, taken out one by one.
#[derive(Debug)]
pub(crate) struct Received(Vec<Option<OwnedFd>>);

impl Received {
    pub(crate) fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }

    /// Takes the descriptor with an index.
    pub(crate) fn take(&mut self, index: usize) -> Result<OwnedFd, LaunchError> {
        self.0
            .get_mut(index)
            .and_then(Option::take)
            .ok_or_else(|| LaunchError::setup("understand message", format!("descriptor {index} is missing")))
    }
}
