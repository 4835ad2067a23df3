//! From a description to a running container: [`prepare`], then [`Prepared::start`].

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hako_sys::cgroup::Group;
use hako_sys::process::{Process, SingleThreaded};
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::seed::Seed;
use crate::spec::Spec;
use crate::stdio::{Stdio, Streams};

/// Where a container's root file system comes from. It is mounted inside the container's own mount namespace only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RootfsPlan {
    /// An overlay of read-only layers and one writable one.
    Overlay {
        /// The read-only layers, topmost first.
        lowers: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlay's working directory, on the file system of `upper`.
        work: PathBuf,
        /// Whether nothing need ever be synced to disk: for containers removed on exit.
        volatile: bool,
    },
    /// A directory used as it is.
    Directory {
        /// The directory.
        path: PathBuf,
    },
}

/// What a launch needs beside the description.
#[derive(Debug)]
pub struct LaunchOptions {
    /// The standard streams.
    pub stdio: Stdio,
    /// The root file system.
    pub rootfs: RootfsPlan,
    /// Whether process 1 is a small reaper that starts the program as its child and forwards signals.
    pub init: bool,
}

/// A container that is set up, or being set up, but whose program is not yet executed.
///
/// Dropping it ends it.
#[derive(Debug)]
pub struct Prepared {
    seed: Seed,
}

impl Prepared {
    /// Process 1 of the container, in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        todo!()
    }

    /// A descriptor of process 1, readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// The container's network namespace.
    pub fn netns(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// Its control group.
    pub fn group(&self) -> &Group {
        todo!()
    }

    /// The supervisor's ends of pipes. The terminal comes only with [`Running`].
    pub fn streams(&mut self) -> &mut Streams {
        todo!()
    }

    /// Executes the program and waits until that has worked.
    pub fn start(self) -> Result<Running, LaunchError> {
        todo!()
    }
}

/// A process whose program has been executed.
#[derive(Debug)]
pub struct Running {
    /// The process; it is a child of the caller.
    pub process: Process,
    /// The supervisor's ends of its streams, those not taken before.
    pub streams: Streams,
    /// The network namespace it is in.
    pub netns: OwnedFd,
    /// Its control group.
    pub group: Group,
}

/// Begins a container: its set-up runs in process 1 while the caller goes on, e.g. with the network.
///
/// `seed` is used if it fits the description, and otherwise discarded. The control group is the description's
/// `linux.cgroupsPath`; a seed's group is renamed to it where the kernel can.
pub fn prepare(
    _witness: SingleThreaded,
    _seed: Option<Seed>,
    _spec: &Spec,
    _options: LaunchOptions,
) -> Result<Prepared, LaunchError> {
    todo!()
}
