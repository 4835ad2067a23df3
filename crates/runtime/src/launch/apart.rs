//! Containers that live on without their launcher: created by one process, started by another.
//!
//! The waiting first process listens at a door, a socket below the launcher's own directory. Whoever may open that
//! directory starts it, and hears over the same connection what went wrong, or, by its end, that the program runs.

use std::os::fd::OwnedFd;

use hako_sys::cgroup::Group;
use hako_sys::fdpass::{Channel, Listener};
use hako_sys::process::Process;

use super::{Prepared, await_execution};
use crate::LaunchError;
use crate::agent::Agent;
use crate::hook::{self, Identity, State};
use crate::order::{self, Answer, Order, Parcel};
use crate::spec::Spec;
use crate::stdio::Streams;

/// Who makes the control group in the kernel's place: a manager of all groups of the host.
pub trait Keeper: std::fmt::Debug {
    /// Makes the group and puts a process into it.
    fn place(&self, pid: i32) -> Result<(), LaunchError>;
}

/// How a container lives apart from its launcher.
#[derive(Debug)]
pub struct Apart {
    /// The socket at which it is started.
    pub door: Listener,
    /// Descriptors behind the standard streams that its program inherits, as they are in this process.
    pub inherited: u32,
    /// The root is not exchanged but only changed to.
    pub no_pivot: bool,
    /// The caller's session keyring stays.
    pub keep_keyring: bool,
    /// Whoever makes its control group, if that is somebody else.
    pub keeper: Option<Box<dyn Keeper>>,
}

/// A container that waits at its door.
#[derive(Debug)]
pub struct Created {
    /// Its first process; a child of the caller that does not end with it.
    pub process: Process,
    /// Its control group.
    pub group: Group,
    /// The caller's ends of its streams, the terminal's other side among them.
    pub streams: Streams,
}

impl Prepared {
    /// Waits until everything is set up, running the hooks of this side meanwhile, and lets the container go its way.
    pub fn settle(mut self, identity: &Identity, spec: &Spec) -> Result<Created, LaunchError> {
        self.streams.terminal = self.await_ready(identity, spec).map_err(|error| self.explain(error))?;
        let (process, group) = self.seed.release()?;
        Ok(Created { process, group, streams: self.streams })
    }

    fn await_ready(&self, identity: &Identity, spec: &Spec) -> Result<Option<OwnedFd>, LaunchError> {
        while let Some((answer, mut fds)) = order::receive::<Answer>(self.seed.channel())? {
            match answer {
                Answer::Ready => return Ok(fds.pop()),
                Answer::Failed(error) => return Err(error),
                Answer::Furnished => {
                    self.run_hooks(identity, spec)?;
                    order::send(self.seed.channel(), &Order::Proceed, &Parcel::default())?;
                }
                Answer::Waiting | Answer::Filtered | Answer::Forked(_) => {}
            }
        }
        Err(LaunchError::Vanished)
    }

    fn run_hooks(&self, identity: &Identity, spec: &Spec) -> Result<(), LaunchError> {
        let Some(hooks) = &spec.hooks else { return Ok(()) };
        // The older point is documented as following creation, the newer one as part of it.
        hook::run_all("prestart", &hooks.prestart, &State::of(identity, spec, "created", self.pid()))?;
        hook::run_all("createRuntime", &hooks.create_runtime, &State::of(identity, spec, "creating", self.pid()))
    }
}

/// Starts the container whose process 1 is `pid` over a connection to its door; returns when its program has been
/// executed.
pub fn start(channel: &Channel, pid: i32, agent: Option<&Agent>) -> Result<(), LaunchError> {
    order::send(channel, &Order::Go, &Parcel::default())?;
    await_execution(channel, pid, agent).map(drop)
}
