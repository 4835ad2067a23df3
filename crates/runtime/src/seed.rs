//! A future process 1: already in its namespaces and control group, waiting to be told what to become.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hako_sys::cgroup::{Group, Version};
use hako_sys::fdpass::Channel;
use hako_sys::poll::Interest;
use hako_sys::process::{Namespaces, Process, SingleThreaded};

use crate::LaunchError;
use crate::birth::Birth;
use crate::order::{self, Fittings, Order, Parcel};

/// A waiting process in new mount, pid, ipc, uts, network and cgroup namespaces, its loopback interface up.
///
/// Dropping it ends the process and removes its control group.
#[derive(Debug)]
pub struct Seed {
    /// `None` only once released.
    process: Option<Process>,
    channel: Channel,
    group: Group,
    namespaces: Namespaces,
    /// Whether it was born into its group.
    born_there: bool,
}

/// The namespaces of an ordinary container.
const USUAL: Namespaces = Namespaces::MOUNT
    .with(Namespaces::PID)
    .with(Namespaces::IPC)
    .with(Namespaces::UTS)
    .with(Namespaces::NETWORK)
    .with(Namespaces::CGROUP);

impl Seed {
    /// Makes a seed in the control group `cgroup`, e.g. `/hako/spare-1`, and waits until it is ready to be told.
    pub fn prepare(witness: SingleThreaded, cgroup: &str) -> Result<Self, LaunchError> {
        let seed = Self::sprout(witness, cgroup, &Birth { new: USUAL, ..Birth::default() })?;
        seed.group.make()?;
        seed.place(true, Fittings::default(), Parcel::default())?;
        seed.await_waiting()?;
        Ok(seed)
    }

    /// Forks the process, which waits for orders. On v1 its group need not be there yet; on v2 it is made now, as the
    /// process is born into it.
    pub(crate) fn sprout(witness: SingleThreaded, cgroup: &str, birth: &Birth<'_>) -> Result<Self, LaunchError> {
        let group = Group::open(cgroup)?;
        if group.version() == Version::V2 {
            group.make()?;
        }
        let born_into = group.unified_fd()?;
        Self::fork(witness, group, birth, born_into)
    }

    /// The same in the caller's group: somebody else makes the process's own and puts it there.
    pub(crate) fn sprout_elsewhere(
        witness: SingleThreaded,
        cgroup: &str,
        birth: &Birth<'_>,
    ) -> Result<Self, LaunchError> {
        Self::fork(witness, Group::open(cgroup)?, birth, None)
    }

    fn fork(
        witness: SingleThreaded,
        group: Group,
        birth: &Birth<'_>,
        born_into: Option<OwnedFd>,
    ) -> Result<Self, LaunchError> {
        let (channel, theirs) = Channel::pair()?;
        let (namespaces, born_there) = (birth.new, born_into.is_some() && !birth.needs_helper());
        let stage = || crate::init::run(witness, theirs.as_fd(), birth);
        let process = birth.fork(witness, born_into.as_ref().map(AsFd::as_fd), stage)?;
        Ok(Self { process: Some(process), channel, group, namespaces, born_there })
    }

    /// Lets the process go into its group, which is there, and take its view of cgroups.
    pub(crate) fn place(&self, ahead: bool, fittings: Fittings, mut parcel: Parcel) -> Result<(), LaunchError> {
        let doors = if self.born_there { Vec::new() } else { parcel.add_all(self.group.doors()?) };
        order::send(&self.channel, &Order::Placed { doors, ahead, fittings }, &parcel)
    }

    /// What a process said that is gone: why, most likely. Its words matter more than that nothing can be done with it.
    pub(crate) fn last_words(&self) -> Option<LaunchError> {
        let spoken = hako_sys::poll::wait_one(&self.channel, Interest::Read, Some(Duration::ZERO)).ok()?;
        match spoken.then(|| order::receive::<order::Answer>(&self.channel)) {
            Some(Ok(Some((order::Answer::Failed(error), _)))) => Some(error),
            _ => None,
        }
    }

    fn await_waiting(&self) -> Result<(), LaunchError> {
        match order::receive::<order::Answer>(&self.channel)? {
            Some((order::Answer::Waiting, _)) => Ok(()),
            Some((order::Answer::Failed(error), _)) => Err(error),
            _ => Err(LaunchError::Vanished),
        }
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    /// A descriptor of the process, readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.as_ref().map_or(self.channel.as_fd(), Process::pidfd)
    }

    /// Whether it still waits: while nobody looked it may have been killed.
    pub(crate) fn waits(&self) -> bool {
        matches!(hako_sys::poll::wait_one(self.pidfd(), Interest::Read, Some(Duration::ZERO)), Ok(false))
    }

    /// A new descriptor of its network namespace.
    pub fn netns(&self) -> Result<OwnedFd, LaunchError> {
        Ok(hako_sys::netns::of(self.pid())?)
    }

    /// Its control group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) fn namespaces(&self) -> Namespaces {
        self.namespaces
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(crate) fn tell(&mut self, order: &Order, parcel: &Parcel) -> Result<(), LaunchError> {
        order::send(&self.channel, order, parcel)
    }

    /// Gives the group its final name if that is below the same parent. A v2 group keeps its name, which counts.
    pub(crate) fn rename_group(&mut self, path: &str) -> Result<bool, LaunchError> {
        let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
        if parent(self.group.path()) != parent(path) {
            return Ok(false);
        }
        Ok(self.group.rename(path)? || self.group.version() == Version::V2)
    }

    /// Gives the parts away: the process lives on without this value.
    pub(crate) fn release(mut self) -> Result<(Process, Group), LaunchError> {
        let process = self.process.take().ok_or(LaunchError::Vanished)?;
        Ok((process, self.group.clone()))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // Nobody can be told of failures here; what is left over is the sweep's.
        let _ = process.kill(9);
        let _ = process.wait();
        let _ = self.group.delete();
    }
}
