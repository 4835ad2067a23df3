//! What runs in a future process 1, from the fork to the execution of the program.
//!
//! The process is a forked copy of a supervisor with one thread. It holds one descriptor, the channel; it lets go of
//! the host's mounts at once, and does everything in the container's namespaces.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_sys::caps::Set;
use hako_sys::confined::Root;
use hako_sys::fdpass::Channel;
use hako_sys::mount::{Attributes, FileSystem, Propagation};
use hako_sys::process::{Namespaces, SingleThreaded};
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;
use crate::kit::Kit;
use crate::order::{self, Answer, Container, Order, Parcel, Received, Standard};
use crate::seccomp::Filter;
use crate::{attach, device, filesystem, identity, mask, program, reaper, sysctl};

/// Lives the life of process 1. Returns only if there is nothing to execute: the exit code.
pub(crate) fn run(witness: SingleThreaded, channel: BorrowedFd<'_>, namespaces: Namespaces) -> i32 {
    let Ok(channel) = hako_sys::own::keep_only(channel).map(Channel::from) else { return 70 };
    let result = live(witness, &channel, namespaces);
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&channel, error);
            1
        }
    }
}

/// Tells the supervisor. If it is gone there is nobody to tell.
pub(crate) fn report(channel: &Channel, error: LaunchError) {
    let _ = order::send(channel, &Answer::Failed(error), &Parcel::default());
}

fn live(witness: SingleThreaded, channel: &Channel, namespaces: Namespaces) -> Result<i32, LaunchError> {
    hako_sys::own::hide()?;
    hako_sys::own::reset_signals();
    hako_sys::own::die_with_parent()?;
    hako_sys::own::set_name("hako-init");
    rustix::process::umask(Mode::empty());
    let Some((Order::Placed { ahead }, _)) = next(channel)? else { return Ok(0) };
    let stock = ahead.then(crate::kit::stock);
    settle(namespaces)?;
    let scratch = Root::from_fd(open_root()?);
    // A kit that cannot be laid out costs its time again later, nothing else.
    let kit = stock.and_then(|stock| Kit::lay(scratch, stock).ok());
    order::send(channel, &Answer::Waiting, &Parcel::default())?;
    let Some((Order::Become(container), fds)) = next(channel)? else { return Ok(0) };
    become_container(Stage { witness, channel, kit }, &container, Received::new(fds))
}

/// The next order; `None` when the supervisor is gone, and with it the reason to live.
fn next(channel: &Channel) -> Result<Option<(Order, Vec<OwnedFd>)>, LaunchError> {
    order::receive(channel)
}

/// What can be done before anything is known of the container.
fn settle(namespaces: Namespaces) -> Result<(), LaunchError> {
    if namespaces.contains(Namespaces::USER) {
        hako_sys::own::set_groups(&[])?;
        hako_sys::own::become_user(0, 0)?;
    }
    if namespaces.contains(Namespaces::CGROUP) {
        hako_sys::own::unshare(Namespaces::CGROUP)?;
    }
    if namespaces.contains(Namespaces::NETWORK) {
        hako_sys::own::loopback_up()?;
    }
    hako_sys::own::leave_keyring();
    rustix::process::setsid().map_err(|error| LaunchError::setup("start session", error))?;
    leave_host_mounts()
}

/// Puts an empty directory in place of the host's tree: a waiting seed must not keep the host's mounts busy.
fn leave_host_mounts() -> Result<(), LaunchError> {
    let host = open_root()?;
    hako_sys::mount::set_propagation(host.as_fd(), Propagation::Private, true)?;
    let empty = FileSystem::open("tmpfs")?;
    empty.option("size", "1m")?;
    empty.option("mode", "0700")?;
    let empty = empty.mount(Attributes::NONE)?;
    hako_sys::mount::attach(empty.as_fd(), host.as_fd())?;
    Ok(hako_sys::mount::pivot(empty.as_fd())?)
}

fn open_root() -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).map_err(|error| LaunchError::setup("open root", error))
}

/// The process's own procfs, never attached anywhere: what is written through it can be nothing else, and no
/// mount of the container covers any part of it.
pub(crate) fn private_procfs() -> Result<OwnedFd, LaunchError> {
    Ok(FileSystem::open("proc")?.mount(Attributes::NO_SUID.with(Attributes::NO_DEV).with(Attributes::NO_EXEC))?)
}

/// A process 1 to be, with what it has prepared.
struct Stage<'a> {
    witness: SingleThreaded,
    channel: &'a Channel,
    kit: Option<Kit>,
}

fn become_container(stage: Stage<'_>, container: &Container, mut fds: Received) -> Result<i32, LaunchError> {
    let Stage { witness, channel, kit } = stage;
    let spec = &container.spec;
    let linux = spec.linux.clone().unwrap_or_default();
    let process = spec.process.clone().unwrap_or_default();
    for index in &container.joined {
        hako_sys::own::join(fds.take(*index)?.as_fd())?;
    }
    let procfs = private_procfs()?;
    let root_mount = fds.take(container.root)?;
    let scratch = open_root()?;
    hako_sys::mount::attach(root_mount.as_fd(), scratch.as_fd())?;
    let root = Root::from_fd(root_mount);
    let standard = standard_streams(container.stdio, &mut fds)?;
    let furnished = furnish(&root, container, kit, fds)?;
    let terminal = match container.stdio {
        Standard::Terminal(size) => Some(filesystem::open_terminal(furnished.pts.as_ref(), size)?),
        Standard::Fds(_) => None,
    };
    if let Some(terminal) = &terminal {
        device::make_console(&root, terminal)?;
    }
    name_host(spec)?;
    mask::make_directory(&root, &process.cwd)?;
    hako_sys::mount::pivot(root.as_fd())?;
    if !furnished.masked {
        mask::apply(&root, &linux)?;
    }
    finish_root(&root, spec)?;
    tell_ready(channel, terminal.as_ref())?;
    let Some((Order::Go, _)) = next(channel)? else { return Ok(0) };
    sysctl::apply(&procfs, &linux.sysctl)?;
    let slave = terminal.map(|terminal| terminal.slave);
    let standard = program::Streams { fds: standard, terminal: slave };
    let start = program::Start {
        process: &process,
        seccomp: linux.seccomp.as_ref(),
        ready: furnished.filter,
        procfs: &procfs,
        standard,
    };
    drop(root);
    if container.init { reaper::run(witness, channel, start) } else { start.execute() }
}

/// What a root has got.
struct Furnished {
    pts: Option<OwnedFd>,
    masked: bool,
    filter: Option<(Set, Filter)>,
}

/// Mounts and devices: out of the kit if it serves, otherwise one by one.
fn furnish(root: &Root, container: &Container, kit: Option<Kit>, fds: Received) -> Result<Furnished, LaunchError> {
    let spec = &container.spec;
    let label = spec.linux.as_ref().map_or("", |linux| linux.mount_label.as_str());
    let mut attacher = attach::Attacher::new(root, &container.binds, &container.cgroups, label).with_fds(fds);
    let served = kit.as_ref().and_then(|kit| kit.serves(container));
    if let (Some(kit), Some(count)) = (kit, served) {
        kit.move_into(root)?;
        attacher.attach_from(count, &spec.mounts)?;
        let (pts, filter) = kit.into_parts();
        return Ok(Furnished { pts, masked: true, filter: Some(filter) });
    }
    attacher.attach_all(&spec.mounts)?;
    let pts = attacher.into_pts();
    device::make_all(root, spec)?;
    Ok(Furnished { pts, masked: false, filter: None })
}

fn standard_streams(stdio: Standard, fds: &mut Received) -> Result<Vec<OwnedFd>, LaunchError> {
    match stdio {
        Standard::Terminal(_) => Ok(Vec::new()),
        Standard::Fds(indexes) => indexes.into_iter().map(|index| fds.take(index)).collect(),
    }
}

fn name_host(spec: &crate::spec::Spec) -> Result<(), LaunchError> {
    if !spec.hostname.is_empty() {
        hako_sys::own::set_host_name(&spec.hostname)?;
    }
    if !spec.domainname.is_empty() {
        hako_sys::own::set_domain_name(&spec.domainname)?;
    }
    Ok(())
}

fn finish_root(root: &Root, spec: &crate::spec::Spec) -> Result<(), LaunchError> {
    let propagation = spec.linux.as_ref().map_or("", |linux| linux.rootfs_propagation.as_str());
    let options = crate::option::MountOptions::parse(&[propagation]);
    for (propagation, below) in &options.propagation {
        hako_sys::mount::set_propagation(root.as_fd(), *propagation, below.is_below())?;
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        hako_sys::mount::set_attributes(root.as_fd(), Attributes::READ_ONLY, Attributes::NONE, false)?;
    }
    Ok(())
}

pub(crate) fn tell_ready(channel: &Channel, terminal: Option<&hako_sys::pty::Pty>) -> Result<(), LaunchError> {
    let mut parcel = Parcel::default();
    if let Some(terminal) = terminal {
        parcel.add(identity::duplicate(&terminal.master)?);
    }
    order::send(channel, &Answer::Ready, &parcel)
}
