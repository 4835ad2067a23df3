//! How a stage comes into the world: into which namespaces it is born, and from which of them.
//!
//! Most namespaces are made by the call that makes the process. Three kinds need more: a joined pid or time namespace
//! takes effect for children only, a time namespace must be told its clocks before anybody is in it, and what a user
//! namespace is to own must be made from inside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_sys::fdpass::Channel;
use hako_sys::own;
use hako_sys::process::{ForkOptions, Namespaces, Process, SingleThreaded};

use crate::LaunchError;
use crate::spec::{NamespaceKind, TimeOffset};

/// What a process is born with.
#[derive(Debug, Default)]
pub(crate) struct Birth<'a> {
    /// Its new namespaces.
    pub(crate) new: Namespaces,
    /// Namespaces it joins.
    pub(crate) joined: &'a [(NamespaceKind, OwnedFd)],
    /// How far the clocks of its new time namespace are ahead.
    pub(crate) clocks: Option<&'a BTreeMap<String, TimeOffset>>,
    /// Descriptors behind the standard streams that its program inherits.
    pub(crate) inherited: u32,
}

/// The bit of a kind.
pub(crate) fn bits(kind: NamespaceKind) -> Namespaces {
    match kind {
        NamespaceKind::Pid => Namespaces::PID,
        NamespaceKind::Network => Namespaces::NETWORK,
        NamespaceKind::Mount => Namespaces::MOUNT,
        NamespaceKind::Ipc => Namespaces::IPC,
        NamespaceKind::Uts => Namespaces::UTS,
        NamespaceKind::User => Namespaces::USER,
        NamespaceKind::Cgroup => Namespaces::CGROUP,
        NamespaceKind::Time => Namespaces::TIME,
    }
}

/// Which of the joined namespaces a stage has to join itself: those that take effect at once, unless privileges over
/// them would be lost with the change of user namespace.
pub(crate) fn is_joined_by_stage(birth: &Birth<'_>, kind: NamespaceKind) -> bool {
    !birth.changes_user() && !matches!(kind, NamespaceKind::Pid | NamespaceKind::Time)
}

impl Birth<'_> {
    fn joins(&self, kind: NamespaceKind) -> bool {
        self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Whether the process leaves the caller's user namespace.
    pub(crate) fn changes_user(&self) -> bool {
        self.new.contains(Namespaces::USER) || self.joins(NamespaceKind::User)
    }

    /// Whether another process goes ahead of it: it joins namespaces and changes its user namespace as well.
    pub(crate) fn needs_helper(&self) -> bool {
        self.changes_user() && !self.joined.is_empty()
    }

    /// Forks the process; it runs `child` and exits with its code.
    pub(crate) fn fork(
        &self,
        witness: SingleThreaded,
        cgroup: Option<BorrowedFd<'_>>,
        child: impl FnOnce() -> i32,
    ) -> Result<Process, LaunchError> {
        // The view of cgroups starts where the process is when it unshares, so that comes after placing.
        let namespaces = self.new.without(Namespaces::CGROUP).without(Namespaces::TIME);
        let options = ForkOptions { namespaces, cgroup, sibling: false };
        let through_helper = self.needs_helper();
        if !through_helper && !self.new.contains(Namespaces::TIME) && !self.joins_for_children() {
            return Ok(hako_sys::process::fork(witness, &options, child)?);
        }
        let homes = self.leave()?;
        let forked = if through_helper {
            self.fork_by_helper(witness, namespaces, child)
        } else {
            hako_sys::process::fork(witness, &options, child).map_err(LaunchError::from)
        };
        for (kind, home) in homes {
            own::join(home.as_fd(), kind)?;
        }
        forked
    }

    fn joins_for_children(&self) -> bool {
        self.joins(NamespaceKind::Pid) || self.joins(NamespaceKind::Time)
    }

    /// Makes or joins, for children only, what works for children only. Returns the ways back.
    fn leave(&self) -> Result<Vec<(Namespaces, OwnedFd)>, LaunchError> {
        let mut homes = Vec::new();
        for (kind, name) in [(NamespaceKind::Pid, "pid"), (NamespaceKind::Time, "time")] {
            if let Some((_, fd)) = self.joined.iter().find(|(joined, _)| *joined == kind) {
                homes.push((bits(kind), home(name)?));
                own::join(fd.as_fd(), bits(kind))?;
            }
        }
        if self.new.contains(Namespaces::TIME) {
            homes.push((Namespaces::TIME, home("time")?));
            own::unshare(Namespaces::TIME)?;
            set_clocks(self.clocks)?;
        }
        Ok(homes)
    }

    /// A helper goes where the caller could not come back from, and bears the process there as the caller's child.
    fn fork_by_helper(
        &self,
        witness: SingleThreaded,
        namespaces: Namespaces,
        child: impl FnOnce() -> i32,
    ) -> Result<Process, LaunchError> {
        let (ours, theirs) = Channel::pair()?;
        let helper = hako_sys::process::fork(witness, &ForkOptions::default(), || {
            let options = ForkOptions { namespaces, cgroup: None, sibling: true };
            let born = self
                .enter_all()
                .and_then(|()| Ok(hako_sys::process::fork(witness, &options, child)?))
                .and_then(|born| Ok(theirs.send(b"born", &[born.pidfd()])?));
            match born {
                Ok(()) => 0,
                Err(error) => {
                    // What went wrong travels as text; the parent tells it by there being no descriptor.
                    let _ = theirs.send(error.to_string().as_bytes(), &[]);
                    1
                }
            }
        })?;
        drop(theirs);
        let message = ours.recv()?;
        helper.wait()?;
        let Some(mut message) = message else { return Err(LaunchError::Vanished) };
        match message.fds.pop() {
            // The number is asked of the kernel: the helper may see others than this process does.
            Some(pidfd) => Ok(Process::of_descriptor(pidfd)?),
            None => Err(LaunchError::setup("join namespaces", String::from_utf8_lossy(&message.bytes))),
        }
    }

    /// Joins everything: the user namespace last, as it takes the privileges over the others away.
    fn enter_all(&self) -> Result<(), LaunchError> {
        // Inside, it may be forbidden to let go of the caller's groups.
        own::set_groups(&[])?;
        let (user, others): (Vec<_>, Vec<_>) = self.joined.iter().partition(|(kind, _)| *kind == NamespaceKind::User);
        for (kind, fd) in others.into_iter().chain(user) {
            if !matches!(kind, NamespaceKind::Pid | NamespaceKind::Time) {
                own::join(fd.as_fd(), bits(*kind))?;
            }
        }
        Ok(())
    }
}

fn home(name: &str) -> Result<OwnedFd, LaunchError> {
    let path = format!("/proc/self/ns/{name}");
    File::open(&path).map(OwnedFd::from).map_err(|error| LaunchError::setup(format!("open {path}"), error))
}

fn set_clocks(clocks: Option<&BTreeMap<String, TimeOffset>>) -> Result<(), LaunchError> {
    for (clock, offset) in clocks.into_iter().flatten() {
        let line = format!("{clock} {} {}\n", offset.secs, offset.nanosecs);
        std::fs::write("/proc/self/timens_offsets", &line)
            .map_err(|error| LaunchError::setup(format!("set time offset {}", line.trim_end()), error))?;
    }
    Ok(())
}
