//! A future process 1: already in its namespaces and control group, waiting to be told what to become.

use std::os::fd::BorrowedFd;

use hako_sys::cgroup::Group;
use hako_sys::process::SingleThreaded;

use crate::LaunchError;

/// A waiting process in new mount, pid, ipc, uts, network and cgroup namespaces, its loopback interface up.
///
/// Dropping it ends the process and removes its control group.
#[derive(Debug)]
pub struct Seed {
    group: Group,
}

impl Seed {
    /// Makes a seed in the control group `cgroup`, e.g. `/hako/spare-1`.
    pub fn prepare(_witness: SingleThreaded, _cgroup: &str) -> Result<Self, LaunchError> {
        todo!()
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        todo!()
    }

    /// A descriptor of the process, readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// Its network namespace.
    pub fn netns(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// Its control group.
    pub fn group(&self) -> &Group {
        &self.group
    }
}
