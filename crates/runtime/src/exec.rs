//! A further process in a running container, as confined as its first one.
//!
//! A [`Stage`] sits in the container's control group and namespaces (but not in its process list), and forks a process
//! for each request. Keep one for as long as requests are likely; drop it any time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hako_sys::cgroup::Group;
use hako_sys::confined::Root;
use hako_sys::fdpass::Channel;
use hako_sys::own;
use hako_sys::process::{ForkOptions, Namespaces, Process, SingleThreaded};

use crate::LaunchError;
use crate::agent::Agent;
use crate::launch::await_execution;
use crate::order::{self, Addition, Answer, Fittings, Order, Parcel, Received, Standard};
use crate::spec::{self, Seccomp};
use crate::stdio::{Stdio, Streams};
use crate::{filesystem, init, program};

/// The container a process is added to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its process 1.
    pub process: &'a Process,
    /// Its control group.
    pub group: &'a Group,
    /// The groups the process is put into instead, by a controller of theirs.
    pub elsewhere: &'a [(String, Group)],
    /// Its filter; the new process gets the same.
    pub seccomp: Option<&'a Seccomp>,
    /// Its execution domain, which the new process is in as well.
    pub personality: Option<&'a spec::Personality>,
    /// The agent its filter names.
    pub agent: Option<&'a Agent>,
    /// Set if what is added lives on when the caller ends.
    pub apart: bool,
    /// Descriptors behind the standard streams that the programs inherit.
    pub inherited: u32,
}

impl<'a> Target<'a> {
    /// A container whose processes live and die with the caller.
    pub fn new(process: &'a Process, group: &'a Group, seccomp: Option<&'a Seccomp>) -> Self {
        Self { process, group, elsewhere: &[], seccomp, personality: None, agent: None, apart: false, inherited: 0 }
    }
}

/// A process executed in a running container.
#[derive(Debug)]
pub struct Executed {
    /// The process; it is a child of the caller.
    pub process: Process,
    /// The supervisor's ends of its streams.
    pub streams: Streams,
}

/// Executes a program in a running container and waits until that has worked.
pub fn spawn(
    witness: SingleThreaded,
    target: &Target<'_>,
    process: &spec::Process,
    stdio: Stdio,
) -> Result<Executed, LaunchError> {
    Stage::open(witness, target)?.spawn(process, stdio)
}

/// Binds the caller, and what it forks from now on, to listed processors such as `0-2,4`.
pub fn bind_before_placing(processors: &str) -> Result<(), LaunchError> {
    crate::priority::bind(processors)
}

/// A process that sits in a container and starts others there.
#[derive(Debug)]
pub struct Stage {
    process: Process,
    channel: Channel,
    seccomp: Option<Seccomp>,
    personality: Option<spec::Personality>,
    agent: Option<Agent>,
    apart: bool,
    inherited: u32,
}

impl Stage {
    /// Forks the stage, places it and lets it join the container.
    pub fn open(witness: SingleThreaded, target: &Target<'_>) -> Result<Self, LaunchError> {
        let (channel, theirs) = Channel::pair()?;
        let born_into = target.group.unified_fd()?;
        let options = ForkOptions { cgroup: born_into.as_ref().map(AsFd::as_fd), ..ForkOptions::default() };
        let container = target.process.pidfd();
        let namespaces = namespaces_of(target.process.pid());
        let process = hako_sys::process::fork(witness, &options, || {
            run(witness, theirs.as_fd(), container, namespaces, target.inherited)
        })?;
        let stage = Self {
            process,
            channel,
            seccomp: target.seccomp.cloned(),
            personality: target.personality.cloned(),
            agent: target.agent.cloned(),
            apart: target.apart,
            inherited: target.inherited,
        };
        let mut parcel = Parcel::default();
        let doors =
            if born_into.is_some() { Vec::new() } else { parcel.add_all(target.group.doors_but(target.elsewhere)?) };
        order::send(&stage.channel, &Order::Placed { doors, ahead: false, fittings: Fittings::default() }, &parcel)?;
        Ok(stage)
    }

    /// Whether it can still serve: the container's end, or somebody, may have ended it.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// The stage's own process number: it counts in the control group, and is nobody's business.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Executes a program in the container and waits until that has worked.
    pub fn spawn(&self, process: &spec::Process, stdio: Stdio) -> Result<Executed, LaunchError> {
        self.spawn_with(process, stdio, None)
    }

    /// The same with something of the host mounted beside the container's files, which only the new process sees.
    pub fn spawn_with(
        &self,
        process: &spec::Process,
        stdio: Stdio,
        beside: Option<&spec::Mount>,
    ) -> Result<Executed, LaunchError> {
        let (ours, theirs) = Channel::pair()?;
        let mut parcel = Parcel::default();
        parcel.add(theirs.into());
        let beside = match beside {
            None => None,
            Some(mount) => {
                let (tree, _) = crate::graft::open(SingleThreaded::check()?, mount)?;
                Some((parcel.add(tree), mount.destination.clone()))
            }
        };
        let (stdio, mut streams) = crate::stdio::open(stdio, &mut parcel)?;
        let addition = Addition {
            process: process.clone(),
            seccomp: self.seccomp.clone(),
            personality: self.personality.clone(),
            stdio,
            apart: self.apart,
            inherited: self.inherited,
            beside,
        };
        order::send(&self.channel, &Order::Execute(Box::new(addition)), &parcel)?;
        drop(parcel);
        let child = self.await_fork()?;
        match await_execution(&ours, child.pid(), self.agent.as_ref()) {
            Ok(terminal) => streams.terminal = terminal,
            Err(error) => {
                child.wait()?;
                return Err(error);
            }
        }
        Ok(Executed { process: child, streams })
    }

    fn await_fork(&self) -> Result<Process, LaunchError> {
        loop {
            match order::receive::<Answer>(&self.channel)? {
                Some((Answer::Forked(pid), mut fds)) => {
                    let pidfd = fds.pop().ok_or(LaunchError::Vanished)?;
                    return Ok(Process::from_parts(pid, pidfd));
                }
                Some((Answer::Failed(error), _)) => return Err(error),
                Some((Answer::Waiting | Answer::Ready | Answer::Furnished | Answer::Filtered, _)) => {}
                None => return Err(LaunchError::Vanished),
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nobody can be told of failures; the container's end ends the stage as well.
        let _ = self.process.kill(9);
        let _ = self.process.wait();
    }
}

/// The namespaces of a container that differ from the caller's; joining one's own user namespace is refused.
fn namespaces_of(pid: i32) -> Namespaces {
    let kinds = [
        ("mnt", Namespaces::MOUNT),
        ("pid", Namespaces::PID),
        ("ipc", Namespaces::IPC),
        ("uts", Namespaces::UTS),
        ("net", Namespaces::NETWORK),
        ("cgroup", Namespaces::CGROUP),
        ("user", Namespaces::USER),
        ("time", Namespaces::TIME),
    ];
    kinds.into_iter().fold(Namespaces::NONE, |found, (name, kind)| {
        let theirs = rustix::fs::stat(format!("/proc/{pid}/ns/{name}"));
        let ours = rustix::fs::stat(format!("/proc/self/ns/{name}"));
        let same = matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs.st_ino == ours.st_ino);
        if same { found } else { found.with(kind) }
    })
}

/// The stage's life: joins, then forks on request until the supervisor is gone.
fn run(
    witness: SingleThreaded,
    channel: BorrowedFd<'_>,
    container: BorrowedFd<'_>,
    namespaces: Namespaces,
    inherited: u32,
) -> i32 {
    let joined = own::hide()
        .and_then(|()| own::die_with_parent())
        .and_then(|()| own::join_process(container, namespaces))
        .map_err(LaunchError::from);
    own::reset_signals();
    own::set_name("hako-stage");
    let Ok(channel) = own::keep_only(channel, inherited).map(Channel::from) else { return 70 };
    if let Err(error) = joined {
        init::report(&channel, error);
        return 1;
    }
    own::leave_keyring();
    rustix::process::umask(rustix::fs::Mode::empty());
    let Ok(Some((Order::Placed { doors, .. }, fds))) = order::receive(&channel) else { return 0 };
    if let Err(error) = init::take_place(witness, &doors, &mut Received::new(fds)) {
        init::report(&channel, error);
        return 1;
    }
    while let Ok(Some((Order::Execute(addition), fds))) = order::receive(&channel) {
        if let Err(error) = fork_one(witness, &channel, &addition, fds) {
            init::report(&channel, error);
        }
    }
    0
}

fn fork_one(
    witness: SingleThreaded,
    channel: &Channel,
    addition: &Addition,
    fds: Vec<OwnedFd>,
) -> Result<(), LaunchError> {
    let mut fds = Received::new(fds);
    let answers = Channel::from(fds.take(0)?);
    // The child becomes the supervisor's, which then waits for it as for any other.
    let options = ForkOptions { sibling: true, ..ForkOptions::default() };
    let process = hako_sys::process::fork(witness, &options, || match become_process(&answers, addition, fds) {
        Ok(code) => code,
        Err(error) => {
            init::report(&answers, error);
            1
        }
    })?;
    let mut parcel = Parcel::default();
    let pidfd = process.pidfd().try_clone_to_owned().map_err(|error| LaunchError::setup("hold process", error))?;
    parcel.add(pidfd);
    order::send(channel, &Answer::Forked(process.pid()), &parcel)
}

fn become_process(answers: &Channel, addition: &Addition, mut fds: Received) -> Result<i32, LaunchError> {
    own::hide()?;
    rustix::process::setsid().map_err(|error| LaunchError::setup("start session", error))?;
    if let Some((index, target)) = &addition.beside {
        crate::graft::lay_beside(fds.take(*index)?.as_fd(), target)?;
    }
    let procfs = init::private_procfs()?;
    let terminal = match addition.stdio {
        Standard::Terminal(size) => Some(container_terminal(size)?),
        Standard::Fds(_) => None,
    };
    let fds = match addition.stdio {
        Standard::Terminal(_) => Vec::new(),
        Standard::Fds(indexes) => indexes.into_iter().map(|index| fds.take(index)).collect::<Result<_, _>>()?,
    };
    init::tell_ready(answers, terminal.as_ref())?;
    let standard = program::Streams { fds, terminal: terminal.map(|terminal| terminal.slave) };
    let seccomp = addition.seccomp.as_ref();
    let start = program::Start {
        process: &addition.process,
        seccomp,
        ready: None,
        procfs,
        standard,
        linux: None,
        personality: addition.personality.as_ref(),
        bound: !addition.apart,
        inherited: addition.inherited,
    };
    let found = start.take_on()?;
    start.execute(&found, answers)
}

/// A terminal of what the container has at `/dev/pts`, if that is a devpts.
fn container_terminal(size: Option<spec::ConsoleSize>) -> Result<hako_sys::pty::Pty, LaunchError> {
    let root = Root::open(Path::new("/"))?;
    let pts = root.open_path_nofollow(Path::new("dev/pts")).ok();
    filesystem::open_terminal(pts.as_ref(), size)
}
