//! Saving the container's processes, and beginning a life from what was saved.
//!
//! While CRIU works the loop stands still: the container is frozen, and nothing may be done to it meanwhile.

use std::path::Path;

use hako_model::state::{Refused, State};
use hako_runtime::checkpoint::{self, Image, Returning};
use hako_runtime::launch::Running;

use crate::Error;
use crate::life::{launch_failure, network_failure, root_of, stdio, system};
use crate::protocol::Failure;
use crate::supervise::Supervisor;
use crate::token::CONTAINER;

impl Supervisor {
    /// Saves its processes; a whole image gets its `name`. Processes that do not go on are left stopped.
    pub(crate) fn checkpoint(&mut self, image: &Image, name: &Path, goes_on: bool) -> Result<(), Failure> {
        let container = self.assigned()?;
        match container.status.state {
            State::Running(_) => {}
            State::Paused(_) => return Err(Failure::Refused(Refused::Paused)),
            State::Restarting { .. } => return Err(Failure::Refused(Refused::Restarting)),
            _ => return Err(Failure::Refused(Refused::NotRunning)),
        }
        if container.description.init {
            return Err(Failure::Invalid { error: "containers with --init cannot be saved".to_owned() });
        }
        if !container.description.secrets.is_empty() {
            // What was read of them is in its memory, which would lie on the disk for all to read.
            return Err(Failure::Invalid { error: "containers with secrets cannot be saved".to_owned() });
        }
        let spec = container.description.spec.clone();
        let session = self.session(CONTAINER).ok_or(Failure::Refused(Refused::NotRunning))?;
        let pid = session.process.pid();
        checkpoint::save(image, pid, &spec, session.ends(), goes_on).map_err(system)?;
        std::fs::rename(&image.directory, name).map_err(Error::file("name checkpoint", name)).map_err(system)
    }

    /// Begins a life where a saved one was left.
    pub(crate) fn bring_back(&mut self, image: &Image) -> Result<Running, Failure> {
        // Its namespaces are new ones, and CRIU makes them.
        self.seed = None;
        let witness = self.witness;
        let container = self.assigned()?;
        let spec = container.description.spec.clone();
        let returning = Returning::prepare(witness, &spec, stdio(&container.description)).map_err(launch_failure)?;
        container.connect(returning.netns()).map_err(network_failure)?;
        let place = container.description.directory.join("rootfs");
        let restored = returning.restore(image, &spec, &container.description.rootfs, &place);
        let running = restored.map_err(launch_failure)?;
        container.root = root_of(running.process.pid());
        Ok(running)
    }
}
