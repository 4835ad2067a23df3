//! Mounts put into a running container and taken out again: by a short-lived process that enters nothing of it but its
//! mount namespace. Sources are opened before that, with the host's eyes; destinations are resolved inside, confined.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use hako_sys::fdpass::Channel;
use hako_sys::own;
use hako_sys::process::{ForkOptions, Namespaces, Process, SingleThreaded};

use crate::LaunchError;
use crate::attach::Attacher;
use crate::init;
use crate::option::{MountOptions, Recursion};
use crate::order::{self, Answer, Bind, Fittings, Received};
use crate::spec::Mount;

/// Mounts a file or directory of the host into the container whose process 1 is given.
pub fn add(witness: SingleThreaded, process: &Process, mount: &Mount) -> Result<(), LaunchError> {
    let (tree, directory) = open(witness, mount)?;
    inside(witness, process, |_| {
        let fittings = Fittings { binds: vec![Bind { mount: 0, fd: 0, directory }], cgroups: Vec::new() };
        let root = Root::open(Path::new("/"))?;
        let mut attacher = Attacher::new(&root, "").with_fittings(fittings, Received::new(vec![tree]));
        attacher.attach_some(std::slice::from_ref(mount), |_| true)
    })
}

/// Takes what is mounted at a destination out of the container whose process 1 is given. Where nothing is mounted, the
/// container has taken it out itself, and all is well.
pub fn remove(witness: SingleThreaded, process: &Process, destination: &str) -> Result<(), LaunchError> {
    inside(witness, process, |descriptors| {
        let mounted = match Root::open(Path::new("/"))?.open_path(Path::new(destination)) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        match hako_sys::mount::detach_open(descriptors, mounted.as_fd()) {
            Err(error) if !error.is_invalid() => {
                Err(LaunchError::setup(format!("take out mount \"{destination}\""), error))
            }
            _ => Ok(()),
        }
    })
}

/// A detached copy of a bind mount's source, or layers told one by one, with the options in force; and whether it is a
/// directory.
pub(crate) fn open(witness: SingleThreaded, mount: &Mount) -> Result<(OwnedFd, bool), LaunchError> {
    let failed = |error: &dyn std::fmt::Display| {
        LaunchError::setup(format!("error mounting \"{}\" to rootfs at \"{}\"", mount.source, mount.destination), error)
    };
    let options = MountOptions::parse(&mount.options);
    if mount.kind == "overlay" && options.data.iter().any(|(key, _)| key == "lowerdir+") {
        let (tree, directory) = crate::overlay::described(witness, &options, &mount.beneath)?;
        crate::tree::configure(&tree, &options, false)?;
        return Ok((tree, directory));
    }
    let recursion = options.bind.or((mount.kind == "bind").then_some(Recursion::Single));
    let recursion = recursion.ok_or_else(|| failed(&"only files and directories can be mounted while it runs"))?;
    let tree = hako_sys::mount::copy_tree(Path::new(&mount.source), recursion.is_below()).map_err(|e| failed(&e))?;
    let stat = rustix::fs::fstat(&tree).map_err(|error| failed(&error))?;
    crate::tree::configure(&tree, &options, false).map_err(|error| failed(&error))?;
    Ok((tree, rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()))
}

/// Gives the calling process, which is in a container, a view of its own in which `tree` lies at `target`.
pub(crate) fn lay_beside(tree: BorrowedFd<'_>, target: &str) -> Result<(), LaunchError> {
    own::unshare(Namespaces::MOUNT)?;
    let root = Root::open(Path::new("/"))?;
    // What is mounted in the container later is seen, too; what is mounted here is not seen there.
    hako_sys::mount::set_propagation(root.as_fd(), hako_sys::mount::Propagation::Slave, true)?;
    let place = root.mkdir_all(Path::new(target), 0o755)?;
    Ok(hako_sys::mount::attach(tree, place.as_fd())?)
}

/// Does something in the mount namespace of a process; what does it is given its own list of descriptors, which leads to a
/// mount without any name being looked up.
fn inside(
    witness: SingleThreaded,
    process: &Process,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<(), LaunchError>,
) -> Result<(), LaunchError> {
    let (ours, theirs) = Channel::pair()?;
    let container = process.pidfd();
    let child = hako_sys::process::fork(witness, &ForkOptions::default(), || {
        let enter = || {
            own::hide()?;
            own::die_with_parent()?;
            // Of the host's procfs: the container's does not know this process.
            let descriptors = Root::open(Path::new("/proc/self/fd"))?;
            own::join_process(container, Namespaces::MOUNT)?;
            rustix::process::umask(rustix::fs::Mode::empty());
            work(descriptors.as_fd())
        };
        match enter() {
            Ok(()) => 0,
            Err(error) => {
                init::report(&theirs, error);
                1
            }
        }
    })?;
    drop(theirs);
    let said = order::receive::<Answer>(&ours);
    let exit = child.wait()?;
    match said? {
        Some((Answer::Failed(error), _)) => Err(error),
        _ if exit == hako_sys::process::Exit::Code(0) => Ok(()),
        _ => Err(LaunchError::Vanished),
    }
}
