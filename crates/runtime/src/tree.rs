//! Attributes and propagation of a detached bind mount, before anybody can see it.

use std::os::fd::{AsFd, OwnedFd};

use hako_sys::mount::{Attributes, Propagation};

use crate::option::MountOptions;

/// Puts options in force. Without a word on propagation the tree is private: a copy would otherwise stay a peer of the
/// host's mount.
///
/// As with runc, a mount that is given no attribute keeps those of its source; one that is given any has no others, but for
/// the way of treating access times. `locked` is for a container with a user namespace of its own: such a mount keeps the
/// attributes that protect its source, and it is an error to ask for less.
pub(crate) fn configure(tree: &OwnedFd, options: &MountOptions, locked: bool) -> hako_sys::Result<()> {
    if options.propagation.is_empty() {
        hako_sys::mount::set_propagation(tree.as_fd(), Propagation::Private, true)?;
    }
    propagate(tree, options)?;
    if options.named {
        if locked {
            refuse_less(tree, options)?;
        }
        let kept = if locked { PROTECTING } else { Attributes::NONE };
        let others = PROTECTING.with(Attributes::NO_SYMLINKS).without(kept).without(options.set);
        let timed = if is_timed(options) { TIMES.without(options.set) } else { Attributes::NONE };
        change(tree, options.set, others.with(timed), false)?;
    }
    change(tree, options.set_below, options.clear_below, true)
}

/// What keeps files of a mount from being written, executed or opened.
const PROTECTING: Attributes =
    Attributes::READ_ONLY.with(Attributes::NO_SUID).with(Attributes::NO_DEV).with(Attributes::NO_EXEC);

const TIMES: Attributes = Attributes::ATIME_FIELD.with(Attributes::NO_DIR_ATIME);

/// Whether the treatment of access times is given.
fn is_timed(options: &MountOptions) -> bool {
    !options.set.common(TIMES).is_empty() || !options.clear.common(Attributes::ATIME_FIELD).is_empty()
}

/// What the kernel would refuse to a process in the user namespace (mount_namespaces(7), "locked" flags).
fn refuse_less(tree: &OwnedFd, options: &MountOptions) -> hako_sys::Result<()> {
    let own = hako_sys::mount::attributes_of(tree.as_fd())?;
    let less = !options.clear.common(PROTECTING).common(own).is_empty();
    if less || is_timed(options) && options.set.common(TIMES) != own.common(TIMES) {
        return Err(hako_sys::Error::os("change locked attributes of", "mount")(rustix::io::Errno::PERM));
    }
    Ok(())
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
