//! What runs in a future process 1, from the fork to the execution of the program.
//!
//! The process is a forked copy of a supervisor or runtime with one thread. It holds one descriptor, the channel, and
//! does everything in the container's namespaces. A seed, which may wait long, lets go of the host's mounts at once; a
//! process that knows its container leaves them by entering the container's root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hako_sys::caps::Set;
use hako_sys::confined::Root;
use hako_sys::fdpass::Channel;
use hako_sys::mount::{Attributes, FileSystem, Propagation};
use hako_sys::process::{Namespaces, SingleThreaded};
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;
use crate::attach::Kept;
use crate::birth::{Birth, bits};
use crate::furniture::{self, Furnished};
use crate::hook::{self, State};
use crate::kit::Kit;
use crate::order::{self, Answer, Container, Order, Parcel, Received, Standard};
use crate::seccomp::Filter;
use crate::spec::{Linux, NamespaceKind, Process, Spec};
use crate::{device, filesystem, identity, mask, program, reaper, sysctl, wait};

/// Lives the life of process 1. Returns only if there is nothing to execute: the exit code.
pub(crate) fn run(witness: SingleThreaded, channel: BorrowedFd<'_>, birth: &Birth<'_>) -> i32 {
    let Ok(channel) = hako_sys::own::keep_only(channel, birth.inherited).map(Channel::from) else { return 70 };
    let result = live(witness, &channel, birth);
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

fn live(witness: SingleThreaded, channel: &Channel, birth: &Birth<'_>) -> Result<i32, LaunchError> {
    hako_sys::own::hide()?;
    hako_sys::own::reset_signals();
    hako_sys::own::die_with_parent()?;
    hako_sys::own::set_name("hako-init");
    rustix::process::umask(Mode::empty());
    let new = birth.new;
    match next(channel)? {
        Some((Order::Placed { doors, ahead, .. }, fds)) => {
            take_place(witness, &doors, &mut Received::new(fds))?;
            wait_as_seed(witness, channel, new, ahead)
        }
        Some((Order::Become(container), fds)) => {
            let stage = Stage { witness, channel, kit: None, new, placed: false };
            let mut fds = Received::new(fds);
            if birth.changes_user() {
                hako_sys::own::set_groups(&[])?;
                hako_sys::own::become_user(0, 0)?;
            }
            settle(new, container.apart.as_ref().is_some_and(|apart| apart.keep_keyring))?;
            join(&container, &mut fds)?;
            // Mounts of a namespace somebody else made are not this process's to change.
            if new.contains(Namespaces::MOUNT) {
                hako_sys::mount::set_propagation(open_root("/")?.as_fd(), Propagation::Private, true)?;
            }
            stage.become_container(&container, fds)
        }
        _ => Ok(0),
    }
}

/// Takes this process into its control group; the doors do not stay open.
pub(crate) fn take_place(witness: SingleThreaded, doors: &[usize], fds: &mut Received) -> Result<(), LaunchError> {
    let doors = doors.iter().map(|index| fds.take(*index)).collect::<Result<Vec<_>, _>>()?;
    Ok(hako_sys::cgroup::enter(witness, &doors)?)
}

fn wait_as_seed(witness: SingleThreaded, channel: &Channel, new: Namespaces, ahead: bool) -> Result<i32, LaunchError> {
    let stock = ahead.then(crate::kit::stock);
    unshare_cgroup(new)?;
    settle(new, false)?;
    leave_host_mounts()?;
    let scratch = Root::from_fd(open_root("/")?);
    // A kit that cannot be laid out costs its time again later, nothing else.
    let kit = stock.and_then(|stock| Kit::lay(scratch, stock).ok());
    order::send(channel, &Answer::Waiting, &Parcel::default())?;
    let Some((Order::Become(container), fds)) = next(channel)? else { return Ok(0) };
    let mut fds = Received::new(fds);
    join(&container, &mut fds)?;
    Stage { witness, channel, kit, new, placed: true }.become_container(&container, fds)
}

fn join(container: &Container, fds: &mut Received) -> Result<(), LaunchError> {
    container.joined.iter().try_for_each(|(kind, index)| {
        let namespace = fds.take(*index)?;
        Ok(hako_sys::own::join(namespace.as_fd(), bits(*kind))?)
    })
}

/// The next order; `None` when the supervisor is gone, and with it the reason to live.
fn next(channel: &Channel) -> Result<Option<(Order, Vec<OwnedFd>)>, LaunchError> {
    order::receive(channel)
}

/// What can be done before the process is in its control group.
fn settle(new: Namespaces, keep_keyring: bool) -> Result<(), LaunchError> {
    if new.contains(Namespaces::NETWORK) {
        hako_sys::own::loopback_up()?;
    }
    if !keep_keyring {
        hako_sys::own::leave_keyring();
    }
    rustix::process::setsid().map(drop).map_err(|error| LaunchError::setup("start session", error))
}

/// The view of cgroups starts at the group the process is in by now.
fn unshare_cgroup(new: Namespaces) -> Result<(), LaunchError> {
    if new.contains(Namespaces::CGROUP) {
        hako_sys::own::unshare(Namespaces::CGROUP)?;
    }
    Ok(())
}

/// Puts an empty directory in place of the host's tree: a waiting seed must not keep the host's mounts busy.
fn leave_host_mounts() -> Result<(), LaunchError> {
    let host = open_root("/")?;
    hako_sys::mount::set_propagation(host.as_fd(), Propagation::Private, true)?;
    let empty = FileSystem::open("tmpfs")?;
    empty.option("size", "1m")?;
    empty.option("mode", "0700")?;
    let empty = empty.mount(Attributes::NONE)?;
    hako_sys::mount::attach(empty.as_fd(), host.as_fd())?;
    Ok(hako_sys::mount::pivot(empty.as_fd())?)
}

fn open_root(path: &str) -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| LaunchError::setup("open root", error))
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
    new: Namespaces,
    /// Whether it is in its control group.
    placed: bool,
}

impl Stage<'_> {
    fn become_container(mut self, container: &Container, mut fds: Received) -> Result<i32, LaunchError> {
        let spec = &container.spec;
        let linux = spec.linux.clone().unwrap_or_default();
        let process = spec.process.clone().unwrap_or_default();
        let procfs = private_procfs()?;
        let root_mount = fds.take(container.root)?;
        hako_sys::mount::attach(root_mount.as_fd(), place_of_root(container)?.as_fd())?;
        let root = Root::from_fd(root_mount);
        let standard = standard_streams(container.stdio, &mut fds)?;
        let door = container.apart.as_ref().map(|apart| fds.take(apart.door)).transpose()?;
        let mut furnished = self.furnish(&root, container, fds)?;
        self.pass_hooks(&root, container)?;
        let terminal = match container.stdio {
            Standard::Terminal(size) => Some(filesystem::open_terminal(furnished.kept.pts.as_ref(), size)?),
            Standard::Fds(_) => None,
        };
        if let Some(terminal) = &terminal {
            device::make_console(&root, terminal)?;
        }
        name_host(spec)?;
        mask::make_directory(&root, &process.cwd)?;
        enter(&root, container, &procfs)?;
        if !furnished.masked {
            mask::apply(&root, &linux)?;
        }
        finish_root(&root, spec, &furnished.kept)?;
        drop(root);
        // What waits to be started holds nothing of the container's file systems.
        furnished.kept = Kept::default();
        let dressed =
            Dressed { linux: &linux, process: &process, procfs, standard, terminal, filter: furnished.filter };
        match (&container.apart, door) {
            (Some(apart), Some(door)) => self.wait_at_door(dressed, container, apart, door),
            _ => self.wait_on_channel(dressed, container.init),
        }
    }

    /// Mounts and devices: out of the kit if it serves, otherwise one by one.
    fn furnish(&mut self, root: &Root, container: &Container, fds: Received) -> Result<Furnished, LaunchError> {
        if self.placed {
            return furniture::furnish(root, container, self.kit.take(), fds);
        }
        let changes_user = self.new.contains(Namespaces::USER) || !hako_sys::own::is_first_user_namespace();
        furniture::furnish_anew(root, container, changes_user, || self.await_placement())
    }

    fn await_placement(&self) -> Result<(order::Fittings, Received), LaunchError> {
        match next(self.channel)? {
            Some((Order::Placed { doors, fittings, .. }, fds)) => {
                let mut fds = Received::new(fds);
                take_place(self.witness, &doors, &mut fds)?;
                unshare_cgroup(self.new)?;
                Ok((fittings, fds))
            }
            _ => Err(LaunchError::Vanished),
        }
    }

    /// Lets the host's hooks run, and runs those of the container's namespaces whose programs are the host's.
    fn pass_hooks(&self, root: &Root, container: &Container) -> Result<(), LaunchError> {
        let (Some((identity, pid)), Some(hooks)) = (&container.hooked, &container.spec.hooks) else { return Ok(()) };
        if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
            order::send(self.channel, &Answer::Furnished, &Parcel::default())?;
            let Some((Order::Proceed, _)) = next(self.channel)? else { return Err(LaunchError::Vanished) };
        }
        if hooks.create_container.is_empty() {
            return Ok(());
        }
        // Such hooks expect to start in the root that is to be.
        rustix::process::fchdir(root).map_err(|error| LaunchError::setup("enter root", error))?;
        let state = State::of(identity, &container.spec, "creating", *pid);
        hook::run_all("createContainer", &hooks.create_container, &state)
    }

    /// The launcher lives as long as the container: it says on the channel when to go on.
    fn wait_on_channel(self, dressed: Dressed<'_>, reaper: bool) -> Result<i32, LaunchError> {
        tell_ready(self.channel, dressed.terminal.as_ref())?;
        let Some((Order::Go, _)) = next(self.channel)? else { return Ok(0) };
        sysctl::apply(&dressed.procfs, &dressed.linux.sysctl)?;
        let start = dressed.start(true, 0);
        if reaper {
            return reaper::run(self.witness, self.channel, start);
        }
        let found = start.take_on()?;
        start.execute(&found, self.channel)
    }

    /// The launcher goes away: all that can fail is done before, the rest when somebody knocks.
    fn wait_at_door(
        self,
        dressed: Dressed<'_>,
        container: &Container,
        apart: &order::Apart,
        door: OwnedFd,
    ) -> Result<i32, LaunchError> {
        sysctl::apply(&dressed.procfs, &dressed.linux.sysctl)?;
        let terminal = dressed.terminal.as_ref().map(|terminal| identity::duplicate(&terminal.master)).transpose()?;
        let start = dressed.start(false, apart.inherited);
        // A container may be made without a process; only starting it is an error then.
        let spec = &container.spec;
        let found = spec.process.is_some().then(|| start.take_on()).transpose()?;
        hako_sys::own::outlive_parent()?;
        let mut parcel = Parcel::default();
        if let Some(terminal) = terminal {
            parcel.add(terminal);
        }
        hako_sys::own::end_when_asked();
        order::send(self.channel, &Answer::Ready, &parcel)?;
        drop(parcel);
        let visitor = wait::for_start(door.into())?;
        // Hooks in the container are as confined as its program.
        let executed = match &found {
            None => Err(LaunchError::setup("start container", "its description has no process")),
            Some(found) => start
                .seal(found, &visitor)
                .and_then(|()| run_own_hooks(container, found.environment()))
                .map(|()| found.execute(&start.process.args))
                .and_then(Err),
        };
        executed.or_else(|error| {
            report(&visitor, error);
            Ok(1)
        })
    }
}

/// All that is left to be put on.
struct Dressed<'a> {
    linux: &'a Linux,
    process: &'a Process,
    procfs: OwnedFd,
    standard: Vec<OwnedFd>,
    terminal: Option<hako_sys::pty::Pty>,
    filter: Option<(Set, Filter)>,
}

impl<'a> Dressed<'a> {
    fn start(self, bound: bool, inherited: u32) -> program::Start<'a> {
        program::Start {
            process: self.process,
            seccomp: self.linux.seccomp.as_ref(),
            ready: self.filter,
            procfs: self.procfs,
            standard: program::Streams { fds: self.standard, terminal: self.terminal.map(|terminal| terminal.slave) },
            linux: Some(self.linux),
            personality: self.linux.personality.as_ref(),
            bound,
            inherited,
        }
    }
}

/// Runs the hooks in the container: without an environment of their own they have the program's.
fn run_own_hooks(container: &Container, environment: &[String]) -> Result<(), LaunchError> {
    let spec = &container.spec;
    let (Some((identity, pid)), Some(hooks)) = (&container.hooked, &spec.hooks) else { return Ok(()) };
    let mut own = hooks.start_container.clone();
    own.iter_mut().filter(|hook| hook.env.is_empty()).for_each(|hook| hook.env = environment.to_vec());
    hook::run_all("startContainer", &own, &State::of(identity, spec, "created", *pid))
}

/// Hooks look for the root where the description says it is; otherwise any place does.
fn place_of_root(container: &Container) -> Result<OwnedFd, LaunchError> {
    let hooked = container.spec.hooks.as_ref().is_some_and(|hooks| !hooks.create_container.is_empty());
    match &container.spec.root {
        Some(root) if (hooked || shares_mounts(&container.spec)) && Path::new(&root.path).is_absolute() => {
            open_root(&root.path)
        }
        _ => open_root("/"),
    }
}

/// Whether a container lives among the mounts of whoever launches it.
fn shares_mounts(spec: &Spec) -> bool {
    !spec.has_namespace(NamespaceKind::Mount)
}

fn enter(root: &Root, container: &Container, procfs: &OwnedFd) -> Result<(), LaunchError> {
    // Where the mounts are somebody else's as well, the root is not this process's to exchange.
    if shares_mounts(&container.spec) {
        return Ok(hako_sys::mount::change_root(root.as_fd())?);
    }
    if container.apart.as_ref().is_some_and(|apart| apart.no_pivot) {
        hako_sys::mount::hide_bare_views(&mount_table(procfs)?, root.as_fd())?;
        return Ok(hako_sys::mount::change_root(root.as_fd())?);
    }
    Ok(hako_sys::mount::pivot(root.as_fd())?)
}

fn mount_table(procfs: &OwnedFd) -> Result<String, LaunchError> {
    let failed = |error: std::io::Error| LaunchError::setup("read mountinfo", error);
    let file = rustix::fs::openat(procfs, "self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))?;
    std::io::read_to_string(std::fs::File::from(file)).map_err(failed)
}

fn standard_streams(stdio: Standard, fds: &mut Received) -> Result<Vec<OwnedFd>, LaunchError> {
    match stdio {
        Standard::Terminal(_) => Ok(Vec::new()),
        Standard::Fds(indexes) => indexes.into_iter().map(|index| fds.take(index)).collect(),
    }
}

fn name_host(spec: &Spec) -> Result<(), LaunchError> {
    if !spec.hostname.is_empty() {
        hako_sys::own::set_host_name(&spec.hostname)?;
    }
    if !spec.domainname.is_empty() {
        hako_sys::own::set_domain_name(&spec.domainname)?;
    }
    Ok(())
}

fn finish_root(root: &Root, spec: &Spec, kept: &Kept) -> Result<(), LaunchError> {
    for mount in &kept.read_only {
        hako_sys::mount::set_attributes(mount.as_fd(), Attributes::READ_ONLY, Attributes::NONE, false)?;
    }
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
