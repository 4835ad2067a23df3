//! From a description to a running container: [`prepare`], then [`Prepared::start`].

mod apart;
mod material;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hako_sys::cgroup::Group;
use hako_sys::process::{Namespaces, Process, SingleThreaded};
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::agent::Agent;
use crate::hook::Identity;
use crate::order::{self, Answer, Order, Parcel};
use crate::seed::Seed;
use crate::spec::Spec;
use crate::stdio::{Stdio, Streams};

pub use apart::{Apart, Created, Keeper, start};

/// Where a container's root file system comes from. It is mounted inside the container's own mount namespace only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RootfsPlan {
    /// An overlay of read-only layers and one writable one.
    Overlay {
        /// The read-only layers, topmost first.
        lowers: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlay's working directory, on the file system of `upper`.
        work: PathBuf,
        /// Whether nothing need ever be synced to disk: for containers removed on exit.
        volatile: bool,
    },
    /// A directory used as it is.
    Directory {
        /// The directory.
        path: PathBuf,
    },
}

/// What a launch needs beside the description.
#[derive(Debug)]
pub struct LaunchOptions {
    /// The standard streams.
    pub stdio: Stdio,
    /// The root file system.
    pub rootfs: RootfsPlan,
    /// Whether process 1 is a small reaper that starts the program as its child and forwards signals.
    pub init: bool,
    /// What hooks are told. A container that does not live apart may have those of `createContainer` only.
    pub identity: Identity,
    /// Set for a container that lives on without the process that launches it.
    pub apart: Option<Apart>,
}

/// A container that is set up, or being set up, but whose program is not yet executed.
///
/// Dropping it ends it and removes its control group.
#[derive(Debug)]
pub struct Prepared {
    seed: Seed,
    netns: OwnedFd,
    streams: Streams,
    agent: Option<Agent>,
}

impl Prepared {
    /// Process 1 of the container, in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.seed.pid()
    }

    /// A descriptor of process 1, readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.seed.pidfd()
    }

    /// The container's network namespace.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Its control group.
    pub fn group(&self) -> &Group {
        self.seed.group()
    }

    /// The supervisor's ends of pipes. The terminal comes only with [`Running`].
    pub fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Executes the program and waits until that has worked.
    pub fn start(mut self) -> Result<Running, LaunchError> {
        let sent = order::send(self.seed.channel(), &Order::Go, &Parcel::default());
        // A stage that failed has said why and is gone: its words matter more than that sending failed.
        let terminal = await_execution(self.seed.channel(), self.seed.pid(), self.agent.as_ref())
            .map_err(|error| self.explain(error))?;
        sent?;
        self.streams.terminal = terminal;
        let (process, group) = self.seed.release()?;
        Ok(Running { process, streams: self.streams, netns: self.netns, group })
    }

    /// A process 1 that dies without a word was most likely killed: by its memory limit, or by somebody.
    fn explain(&self, error: LaunchError) -> LaunchError {
        if error == LaunchError::Vanished && self.seed.group().oom_kills() > 0 {
            return LaunchError::setup("start container", "out of memory: its memory limit is too low");
        }
        error
    }
}

/// Reads answers until the channel closes, which it does by execution.
pub(crate) fn await_execution(
    channel: &hako_sys::fdpass::Channel,
    pid: i32,
    agent: Option<&Agent>,
) -> Result<Option<OwnedFd>, LaunchError> {
    let mut ready = false;
    let mut terminal = None;
    while let Some((answer, mut fds)) = order::receive::<Answer>(channel)? {
        match answer {
            Answer::Ready => {
                ready = true;
                terminal = fds.pop();
            }
            Answer::Filtered => {
                let notifications = fds.pop().ok_or(LaunchError::Vanished)?;
                let agent = agent.ok_or_else(|| LaunchError::setup("load seccomp profile", "it has no agent"))?;
                agent.hand_over(pid, &notifications)?;
            }
            Answer::Failed(error) => return Err(error),
            Answer::Waiting | Answer::Furnished | Answer::Forked(_) => {}
        }
    }
    if ready { Ok(terminal) } else { Err(LaunchError::Vanished) }
}

/// A process whose program has been executed.
#[derive(Debug)]
pub struct Running {
    /// The process; it is a child of the caller.
    pub process: Process,
    /// The supervisor's ends of its streams, those not taken before.
    pub streams: Streams,
    /// The network namespace it is in.
    pub netns: OwnedFd,
    /// Its control group.
    pub group: Group,
}

/// Begins a container: its set-up runs in process 1 while the caller goes on, e.g. with the network.
///
/// `seed` is used if it fits the description, and otherwise discarded. The control group is the description's
/// `linux.cgroupsPath`; a seed's group is renamed to it where the kernel can (v1), and keeps its name where it
/// cannot (v2): ask [`Prepared::group`].
pub fn prepare(
    witness: SingleThreaded,
    seed: Option<Seed>,
    spec: &Spec,
    options: LaunchOptions,
) -> Result<Prepared, LaunchError> {
    let layout = material::Layout::of(spec, options.apart.is_some())?;
    // A seed's mounts hold nothing of the host, where the programs of hooks are.
    let seed = seed.filter(|_| spec.hooks.is_none());
    match fitting_seed(seed, spec, &layout)? {
        Some(seed) => serve(witness, seed, spec, options, &layout),
        None => sprout(witness, spec, options, &layout),
    }
}

/// The given seed, if it lives, has the right namespaces and can get the right group.
fn fitting_seed(seed: Option<Seed>, spec: &Spec, layout: &material::Layout) -> Result<Option<Seed>, LaunchError> {
    let Some(mut seed) = seed.filter(|seed| layout.fits(seed) && seed.waits()) else { return Ok(None) };
    let path = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
    Ok(seed.rename_group(path)?.then_some(seed))
}

/// A seed that is placed already becomes the container.
fn serve(
    witness: SingleThreaded,
    mut seed: Seed,
    spec: &Spec,
    options: LaunchOptions,
    layout: &material::Layout,
) -> Result<Prepared, LaunchError> {
    limit(&seed, spec)?;
    let (mut container, mut parcel) = material::gather(witness, spec, &options, layout, &seed)?;
    container.fittings = material::fittings(witness, spec, layout, &seed, &mut parcel)?;
    let (standard, streams) = crate::stdio::open(options.stdio, &mut parcel)?;
    container.stdio = standard;
    let netns = layout.netns(&seed)?;
    seed.tell(&Order::Become(Box::new(container)), &parcel)?;
    let agent = Agent::of(&Identity::default(), spec, "created", seed.pid())?;
    Ok(Prepared { seed, netns, streams, agent })
}

/// A new process becomes the container. It is told what to become first and placed then: meanwhile it mounts what does
/// not depend on its control group.
fn sprout(
    witness: SingleThreaded,
    spec: &Spec,
    options: LaunchOptions,
    layout: &material::Layout,
) -> Result<Prepared, LaunchError> {
    let empty = crate::spec::Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&empty);
    let inherited = options.apart.as_ref().map_or(0, |apart| apart.inherited);
    let birth = layout.birth(linux, inherited);
    let keeper = options.apart.as_ref().and_then(|apart| apart.keeper.as_deref());
    let mut seed = match keeper {
        Some(_) => Seed::sprout_elsewhere(witness, &linux.cgroups_path, &birth)?,
        None => Seed::sprout(witness, &linux.cgroups_path, &birth)?,
    };
    if birth.new.contains(Namespaces::USER) {
        crate::idmap::write(seed.pid(), &linux.uid_mappings, &linux.gid_mappings)?;
    }
    let (mut container, mut parcel) = material::gather(witness, spec, &options, layout, &seed)?;
    let (standard, streams) = crate::stdio::open(options.stdio, &mut parcel)?;
    container.stdio = standard;
    let netns = layout.netns(&seed)?;
    seed.tell(&Order::Become(Box::new(container)), &parcel)?;
    keeper.map_or(Ok(()), |keeper| keeper.place(seed.pid()))?;
    place(witness, &seed, spec, layout).map_err(|error| seed.last_words().unwrap_or(error))?;
    let agent = Agent::of(&Identity::default(), spec, "created", seed.pid())?;
    Ok(Prepared { seed, netns, streams, agent })
}

fn place(witness: SingleThreaded, seed: &Seed, spec: &Spec, layout: &material::Layout) -> Result<(), LaunchError> {
    seed.group().make()?;
    limit(seed, spec)?;
    let mut parcel = Parcel::default();
    // In this order, as the mount table lists mounts as they were made: those of the process itself come first.
    let fittings = material::fittings(witness, spec, layout, seed, &mut parcel)?;
    seed.place(false, fittings, parcel)
}

fn limit(seed: &Seed, spec: &Spec) -> Result<(), LaunchError> {
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    resources.map_or(Ok(()), |resources| crate::resources::apply(seed.group(), resources))
}
