//! A further process in a running container, as confined as its first one.

use hako_sys::process::{Process, SingleThreaded};

use crate::LaunchError;
use crate::spec::{self, Seccomp};
use crate::stdio::{Stdio, Streams};

/// The container a process is added to.
#[derive(Debug)]
pub struct Target<'a> {
    /// Its process 1.
    pub process: &'a Process,
    /// Its control group.
    pub group: &'a hako_sys::cgroup::Group,
    /// Its filter; the new process gets the same.
    pub seccomp: Option<&'a Seccomp>,
}

/// A process executed in a running container.
#[derive(Debug)]
pub struct Executed {
    /// The process; it is a child of the caller.
    pub process: Process,
    /// The supervisor's ends of its streams.
    pub streams: Streams,
}

/// Executes a program in a running container and waits until that has worked.
pub fn spawn(
    _witness: SingleThreaded,
    _target: &Target<'_>,
    _process: &spec::Process,
    _stdio: Stdio,
) -> Result<Executed, LaunchError> {
    todo!()
}
