//! From a description to a running container: [`prepare`], then [`Prepared::start`].

mod material;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hako_sys::cgroup::Group;
use hako_sys::process::{Process, SingleThreaded};
use serde::{Deserialize, Serialize};

use crate::LaunchError;
use crate::order::{self, Answer, Order};
use crate::seed::Seed;
use crate::spec::Spec;
use crate::stdio::{Stdio, Streams};

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
}

/// A container that is set up, or being set up, but whose program is not yet executed.
///
/// Dropping it ends it and removes its control group.
#[derive(Debug)]
pub struct Prepared {
    seed: Seed,
    netns: OwnedFd,
    streams: Streams,
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
        let sent = order::send(self.seed.channel(), &Order::Go, &order::Parcel::default());
        // A stage that failed has said why and is gone: its words matter more than that sending failed.
        let terminal = await_execution(self.seed.channel()).map_err(|error| self.explain(error))?;
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
pub(crate) fn await_execution(channel: &hako_sys::fdpass::Channel) -> Result<Option<OwnedFd>, LaunchError> {
    let mut ready = false;
    let mut terminal = None;
    while let Some((answer, mut fds)) = order::receive::<Answer>(channel)? {
        match answer {
            Answer::Ready => {
                ready = true;
                terminal = fds.pop();
            }
            Answer::Failed(error) => return Err(error),
            Answer::Waiting | Answer::Forked(_) => {}
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
    let layout = material::Layout::of(spec)?;
    let mut seed = material::fitting_seed(witness, seed, spec, &layout)?;
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    if let Some(resources) = resources {
        crate::resources::apply(seed.group(), resources)?;
    }
    let (mut container, mut parcel) = material::gather(witness, spec, &options, &layout, seed.group())?;
    let (standard, streams) = crate::stdio::open(options.stdio, &mut parcel)?;
    container.stdio = standard;
    let netns = layout.netns(&seed)?;
    seed.tell(&Order::Become(Box::new(container)), &parcel)?;
    Ok(Prepared { seed, netns, streams })
}
