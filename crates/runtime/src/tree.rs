//! Attributes and propagation of a detached bind mount, before anybody can see it.

use std::os::fd::{AsFd, OwnedFd};

use hako_sys::mount::{Attributes, Propagation};

use crate::option::MountOptions;

/// Puts options in force. Without a word on propagation the tree is private: a copy would otherwise stay a peer of the
/// host's mount.
pub(crate) fn configure(tree: &OwnedFd, options: &MountOptions) -> hako_sys::Result<()> {
    if options.propagation.is_empty() {
        hako_sys::mount::set_propagation(tree.as_fd(), Propagation::Private, true)?;
    }
    propagate(tree, options)?;
    change(tree, options.set, options.clear, false)?;
    change(tree, options.set_below, options.clear_below, true)
}

/// Puts the words on propagation in force.
pub(crate) fn propagate(tree: &OwnedFd, options: &MountOptions) -> hako_sys::Result<()> {
    for (propagation, below) in &options.propagation {
        hako_sys::mount::set_propagation(tree.as_fd(), *propagation, below.is_below())?;
    }
    Ok(())
}

fn change(tree: &OwnedFd, set: Attributes, clear: Attributes, below: bool) -> hako_sys::Result<()> {
    if set.is_empty() && clear.is_empty() {
        return Ok(());
    }
    // The kernel wants the access time field cleared whole before it takes a new value.
    let timed = !set.common(Attributes::ATIME_FIELD).is_empty() || !clear.common(Attributes::ATIME_FIELD).is_empty();
    let clear = if timed { clear.with(Attributes::ATIME_FIELD) } else { clear };
    hako_sys::mount::set_attributes(tree.as_fd(), set, clear, below)
}
