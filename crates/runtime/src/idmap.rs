//! Mounts whose files are shown under other owners: the mappings of a user namespace are put on them.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use hako_sys::fdpass::Channel;
use hako_sys::process::{ForkOptions, Namespaces, SingleThreaded};

use crate::LaunchError;
use crate::option::Recursion;
use crate::spec::IdMapping;

/// What a mount asks for.
pub(crate) struct Mapping<'a> {
    /// Owners; those of the container's user namespace if both lists are empty.
    pub(crate) uids: &'a [IdMapping],
    /// Groups.
    pub(crate) gids: &'a [IdMapping],
    /// Whether mounts below are meant, too.
    pub(crate) recursion: Recursion,
}

impl Mapping<'_> {
    /// Puts the mappings on a detached mount. `container` gives the container's user namespace, if it has one.
    pub(crate) fn put_on(
        &self,
        witness: SingleThreaded,
        tree: &OwnedFd,
        container: impl FnOnce() -> Result<Option<OwnedFd>, LaunchError>,
    ) -> Result<(), LaunchError> {
        let namespace = if self.uids.is_empty() && self.gids.is_empty() {
            let none = "its ids are to be mapped as the container's, which has no user namespace";
            container()?.ok_or_else(|| LaunchError::setup("map ids", none))?
        } else {
            namespace(witness, self.uids, self.gids)?
        };
        Ok(hako_sys::mount::map_ids(tree.as_fd(), namespace.as_fd(), self.recursion.is_below())?)
    }
}

/// A user namespace with these mappings and nobody in it.
fn namespace(witness: SingleThreaded, uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd, LaunchError> {
    let (ours, theirs) = Channel::pair()?;
    let options = ForkOptions { namespaces: Namespaces::USER, ..ForkOptions::default() };
    // It waits for the end of the channel, so that it is there while its mappings are written.
    let holder = hako_sys::process::fork(witness, &options, || {
        let kept = hako_sys::own::keep_only(theirs.as_fd(), 0).map(Channel::from);
        i32::from(kept.and_then(|channel| channel.recv()).is_err())
    })?;
    drop(theirs);
    let made = write(holder.pid(), uids, gids).and_then(|()| of(holder.pid()));
    drop(ours);
    holder.wait()?;
    made
}

/// The user namespace of a process.
pub(crate) fn of(pid: i32) -> Result<OwnedFd, LaunchError> {
    let path = format!("/proc/{pid}/ns/user");
    File::open(&path).map(OwnedFd::from).map_err(|error| LaunchError::setup(format!("open {path}"), error))
}

/// Gives a process's new user namespace its numbers.
pub(crate) fn write(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<(), LaunchError> {
    for (file, mappings) in [("uid_map", uids), ("gid_map", gids)] {
        let line = |one: &IdMapping| format!("{} {} {}\n", one.container_id, one.host_id, one.size);
        let text: String = mappings.iter().map(line).collect();
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text).map_err(|error| LaunchError::setup(format!("write {path}"), error))?;
    }
    Ok(())
}
