//! Changes of a container that runs: limits, policies, its health check, its published ports and its mounts. Its
//! processes notice nothing but what they asked for.

use hako_model::port::Publication;
use hako_model::state::State;
use hako_net::endpoint::Plan;
use hako_runtime::graft;
use hako_runtime::spec::Mount;

use crate::Result;
use crate::description::Naming;
use crate::life::{launch_failure, network_failure, system};
use crate::protocol::{Adaptation, Answer, Failure, Update};
use crate::supervise::Supervisor;
use crate::token::CONTAINER;

impl Supervisor {
    pub(crate) fn update(&mut self, update: Update) -> Result<(), Failure> {
        let container = self.assigned()?;
        if let (Some(resources), Some(group)) = (&update.resources, &container.group) {
            hako_runtime::resources::apply(group, resources).map_err(launch_failure)?;
        }
        if let Some(resources) = update.resources {
            container.description.spec.linux.get_or_insert_default().resources = Some(resources);
        }
        if let Some(restart) = update.restart {
            container.description.restart = restart;
            container.rules.restart = restart;
        }
        Ok(())
    }

    /// Follows other rules from now on. A health check that is new begins at once.
    pub(crate) fn adapt(&mut self, wanted: Adaptation) -> Result<Answer, Failure> {
        let container = self.assigned()?;
        let description = &mut container.description;
        let probes_anew = description.probe != wanted.probe;
        description.probe = wanted.probe;
        description.remedy = wanted.remedy;
        description.backoff = wanted.backoff;
        description.stop_signal = wanted.stop_signal;
        description.stop_timeout = wanted.stop_timeout;
        container.rules = container.description.rules();
        if probes_anew && container.status.state.live().is_some() {
            let probed = container.rules.probe.is_some();
            let health = container.status.health.take().unwrap_or_default();
            container.status.health = probed.then_some(health);
            container.status.health.iter_mut().for_each(|health| health.begin());
            // A full disk must not keep rules from changing.
            let _ = container.save();
            self.stop_probing();
            if self.container.as_ref().is_some_and(|container| matches!(container.status.state, State::Running(_))) {
                self.arm_probe();
            }
        }
        Ok(Answer::Status(Box::new(self.assigned()?.status.clone())))
    }

    pub(crate) fn plug(&mut self, endpoints: Vec<Plan>, naming: Option<Naming>) -> Result<Answer, Failure> {
        let witness = self.witness;
        let container = self.assigned()?;
        container.plug(witness, endpoints, naming).map_err(network_failure)?;
        let ports = container.bindings();
        self.watch_network();
        Ok(Answer::Plugged { ports })
    }

    /// Publishes these ports and no others; those that stay are not touched.
    pub(crate) fn publish(&mut self, ports: Vec<Publication>) -> Result<Answer, Failure> {
        let container = self.assigned()?;
        container.change_ports(ports).map_err(network_failure)?;
        let ports = container.bindings();
        self.watch_network();
        Ok(Answer::Plugged { ports })
    }

    /// Takes mounts out and puts others in. When one cannot be put in, those put in before it are taken out again.
    pub(crate) fn graft(&mut self, out: &[String], into: Vec<Mount>) -> Result<(), Failure> {
        let witness = self.witness;
        let first = self.sessions.iter().find(|(number, _)| *number == CONTAINER).map(|(_, session)| &session.process);
        if let Some(process) = first {
            for (done, mount) in into.iter().enumerate() {
                if let Err(error) = graft::add(witness, process, mount) {
                    for mount in into[..done].iter().rev() {
                        let _ = graft::remove(witness, process, &mount.destination);
                    }
                    return Err(Failure::Invalid { error: error.to_string() });
                }
            }
            out.iter()
                .try_for_each(|destination| graft::remove(witness, process, destination))
                .map_err(launch_failure)?;
        }
        let container = self.container.as_mut().ok_or_else(|| system("no container"))?;
        let mounts = &mut container.description.spec.mounts;
        mounts.retain(|mount| !out.contains(&mount.destination));
        mounts.extend(into);
        Ok(())
    }
}
