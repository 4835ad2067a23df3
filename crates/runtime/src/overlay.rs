//! The root file system as a detached mount: visible nowhere until a container attaches it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_sys::fdpass::Channel;
use hako_sys::mount::Propagation;
use hako_sys::overlay::Overlay;
use hako_sys::process::{ForkOptions, Namespaces, SingleThreaded};
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;
use crate::launch::RootfsPlan;
use crate::option::MountOptions;

/// Mounts what the plan says.
pub(crate) fn mount(witness: SingleThreaded, plan: &RootfsPlan) -> Result<OwnedFd, LaunchError> {
    match plan {
        RootfsPlan::Directory { path } => {
            let tree = hako_sys::mount::copy_tree(path, true)?;
            hako_sys::mount::set_propagation(tree.as_fd(), Propagation::Private, true)?;
            Ok(tree)
        }
        RootfsPlan::Overlay { lowers, upper, work, volatile } => {
            if *volatile {
                forget_former_use(work)?;
            }
            mount_overlay(witness, &Overlay { lowers, upper: Some((upper, work)), volatile: *volatile })
        }
    }
}

/// An overlay among the mounts of a description: `lowerdir+=PATH` for each layer, topmost first, and if it may be written
/// to `upperdir=PATH` and `workdir=PATH`. What is written to it need not survive a crash.
pub(crate) fn described(witness: SingleThreaded, options: &MountOptions) -> Result<OwnedFd, LaunchError> {
    let values = |wanted: &'static str| {
        options
            .data
            .iter()
            .filter(move |(key, _)| key == wanted)
            .filter_map(|(_, value)| value.as_ref().map(PathBuf::from))
    };
    let lowers: Vec<PathBuf> = values("lowerdir+").collect();
    let (upper, work) = (values("upperdir").next(), values("workdir").next());
    let upper = upper.as_deref().zip(work.as_deref());
    mount_overlay(witness, &Overlay { lowers: &lowers, upper, volatile: upper.is_some() })
}

fn mount_overlay(witness: SingleThreaded, overlay: &Overlay<'_>) -> Result<OwnedFd, LaunchError> {
    match overlay.mount() {
        Ok(Some(tree)) => Ok(tree),
        Ok(None) => by_stage(witness, overlay),
        Err(error) => Err(LaunchError::setup("error mounting overlay", error)),
    }
}

/// A volatile overlay leaves a mark that stops the next mount, in case data was lost in a crash. Whoever asks for
/// one again has chosen not to care.
fn forget_former_use(work: &Path) -> Result<(), LaunchError> {
    match std::fs::remove_dir_all(work.join("work/incompat/volatile")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LaunchError::setup("reuse overlay", error)),
        _ => Ok(()),
    }
}

/// The old interface wants a place in the tree: a short-lived process has one of its own.
fn by_stage(witness: SingleThreaded, overlay: &Overlay<'_>) -> Result<OwnedFd, LaunchError> {
    let (ours, theirs) = Channel::pair()?;
    let options = ForkOptions { namespaces: Namespaces::MOUNT, ..ForkOptions::default() };
    let stage = hako_sys::process::fork(witness, &options, || {
        i32::from(in_own_tree(overlay).and_then(|tree| theirs.send(b"tree", &[tree.as_fd()])).is_err())
    })?;
    drop(theirs);
    let message = ours.recv()?;
    stage.wait()?;
    let tree = message.and_then(|mut message| message.fds.pop());
    tree.ok_or_else(|| LaunchError::setup("error mounting overlay", "the kernel refused its options"))
}

fn in_own_tree(overlay: &Overlay<'_>) -> hako_sys::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(hako_sys::Error::os("open", "root"))?;
    hako_sys::mount::set_propagation(root.as_fd(), Propagation::Private, true)?;
    // The writable layer is as good a place as any, and surely there.
    let place = overlay.upper.map_or(Path::new("/"), |(upper, _)| upper);
    overlay.mount_at(place)?;
    hako_sys::mount::copy_tree(place, false)
}
