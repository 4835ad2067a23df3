//! The root file system as a detached mount: visible nowhere until a container attaches it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_sys::confined::Root;
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
/// to `upperdir=PATH` and `workdir=PATH`. What is written to it need not survive a crash. With a path beneath, only what
/// lies there; and whether that is a directory.
pub(crate) fn described(
    witness: SingleThreaded,
    options: &MountOptions,
    beneath: &str,
) -> Result<(OwnedFd, bool), LaunchError> {
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
    let whole = mount_overlay(witness, &Overlay { lowers: &lowers, upper, volatile: upper.is_some() })?;
    let place = lowers.first().filter(|_| !beneath.is_empty());
    let Some(place) = place else { return Ok((whole, true)) };
    let part = on_stage(witness, || part_of(&whole, place, beneath))?;
    let part =
        part.ok_or_else(|| LaunchError::setup(format!("find {beneath:?} in image"), "no such file or directory"))?;
    let stat = rustix::fs::fstat(&part).map_err(|error| LaunchError::setup("look at mount", error))?;
    Ok((part, rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()))
}

/// A part of a detached mount. Only what is attached somewhere can be taken apart by all kernels, so it is, on one of its own
/// layers. Links are followed inside it.
fn part_of(whole: &OwnedFd, place: &Path, beneath: &str) -> hako_sys::Result<OwnedFd> {
    let covered = Root::open(place)?;
    hako_sys::mount::attach(whole.as_fd(), covered.as_fd())?;
    let found = Root::open(place)?.open_path(Path::new(beneath))?;
    hako_sys::mount::copy_tree_at(found.as_fd(), false)
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
    let tree = on_stage(witness, || in_own_tree(overlay))?;
    tree.ok_or_else(|| LaunchError::setup("error mounting overlay", "the kernel refused its options"))
}

/// What a short-lived process with a tree of its own makes; nothing if it cannot.
fn on_stage(
    witness: SingleThreaded,
    make: impl FnOnce() -> hako_sys::Result<OwnedFd>,
) -> Result<Option<OwnedFd>, LaunchError> {
    let (ours, theirs) = Channel::pair()?;
    let options = ForkOptions { namespaces: Namespaces::MOUNT, ..ForkOptions::default() };
    let stage = hako_sys::process::fork(witness, &options, || {
        let made = keep_to_itself().and_then(|()| make());
        i32::from(made.and_then(|tree| theirs.send(b"tree", &[tree.as_fd()])).is_err())
    })?;
    drop(theirs);
    let message = ours.recv()?;
    stage.wait()?;
    Ok(message.and_then(|mut message| message.fds.pop()))
}

/// Nothing this process mounts is seen by another.
fn keep_to_itself() -> hako_sys::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(hako_sys::Error::os("open", "root"))?;
    hako_sys::mount::set_propagation(root.as_fd(), Propagation::Private, true)
}

fn in_own_tree(overlay: &Overlay<'_>) -> hako_sys::Result<OwnedFd> {
    // The writable layer is as good a place as any, and surely there.
    let place = overlay.upper.map_or(Path::new("/"), |(upper, _)| upper);
    overlay.mount_at(place)?;
    hako_sys::mount::copy_tree(place, false)
}
