//! A future process 1: already in its namespaces and control group, waiting to be told what to become.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_sys::cgroup::Group;
use hako_sys::fdpass::Channel;
use hako_sys::process::{ForkOptions, Namespaces, Process, SingleThreaded};

use crate::LaunchError;
use crate::order::{self, Order, Parcel};
use crate::spec::IdMapping;

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
        let seed = Self::sprout(witness, cgroup, USUAL, None)?;
        seed.release_into_group(true)?;
        seed.await_waiting()?;
        Ok(seed)
    }

    /// Forks the process and makes its group; the process waits until [`Seed::release_into_group`].
    pub(crate) fn sprout(
        witness: SingleThreaded,
        cgroup: &str,
        namespaces: Namespaces,
        pid_namespace: Option<BorrowedFd<'_>>,
    ) -> Result<Self, LaunchError> {
        let group = Group::create(cgroup)?;
        let (channel, theirs) = Channel::pair()?;
        let born_into = group.unified_fd()?;
        let options = ForkOptions {
            // The view of cgroups starts where the process is when it unshares, so that comes after placing.
            namespaces: namespaces.without(Namespaces::CGROUP),
            cgroup: born_into.as_ref().map(AsFd::as_fd),
            sibling: false,
        };
        let child = || crate::init::run(witness, theirs.as_fd(), namespaces);
        let process = match pid_namespace {
            None => hako_sys::process::fork(witness, &options, child)?,
            Some(namespace) => fork_into(witness, &options, namespace, child)?,
        };
        Ok(Self { process: Some(process), channel, group, namespaces })
    }

    /// Places the process (on v2 it was born there) and lets it take its view of cgroups.
    pub(crate) fn release_into_group(&self, ahead: bool) -> Result<(), LaunchError> {
        if self.group.version() == hako_sys::cgroup::Version::V1 {
            self.group.place(self.pid())?;
        }
        order::send(&self.channel, &Order::Placed { ahead }, &Parcel::default())
    }

    /// Gives the process's new user namespace its numbers.
    pub(crate) fn map_ids(&self, uids: &[IdMapping], gids: &[IdMapping]) -> Result<(), LaunchError> {
        for (file, mappings) in [("uid_map", uids), ("gid_map", gids)] {
            let line = |one: &IdMapping| format!("{} {} {}\n", one.container_id, one.host_id, one.size);
            let text: String = mappings.iter().map(line).collect();
            let path = format!("/proc/{}/{file}", self.pid());
            std::fs::write(&path, text).map_err(|error| LaunchError::setup(format!("write {path}"), error))?;
        }
        Ok(())
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
        Ok(self.group.rename(path)? || self.group.version() == hako_sys::cgroup::Version::V2)
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

/// Forks a child that is born into another pid namespace.
fn fork_into(
    witness: SingleThreaded,
    options: &ForkOptions<'_>,
    namespace: BorrowedFd<'_>,
    child: impl FnOnce() -> i32,
) -> Result<Process, LaunchError> {
    let home =
        std::fs::File::open("/proc/self/ns/pid").map_err(|error| LaunchError::setup("hold pid namespace", error))?;
    hako_sys::own::join(namespace)?;
    let forked = hako_sys::process::fork(witness, options, child);
    hako_sys::own::join(home.as_fd())?;
    Ok(forked?)
}
