//! Plugging containers into networks and out of them, running or not.

use std::sync::Arc;

use hako_model::container::EndpointSettings;
use hako_model::network::Driver;
use hako_model::state::State;
use hako_net::endpoint::Plan;
use hako_supervisor::protocol::{Answer, Ask};

use super::{Networks, Segment, check_settings, lease, tell_endpoint};
use crate::blocking::blocking;
use crate::container::Container;
use crate::containers::remember_run;
use crate::oci::files;
use crate::record::Record;
use crate::{Error, Result};

/// Which container is plugged in, and what it asks for.
#[derive(Debug, Clone, Default)]
pub struct ConnectRequest {
    /// The container, by name or id.
    pub container: String,
    /// What it asks for.
    pub endpoint: EndpointSettings,
}

impl Networks {
    /// Plugs a container in.
    pub async fn connect(&self, network: &str, request: ConnectRequest) -> Result<()> {
        let container = self.house.index.find(&request.container)?;
        let segment = self.house.networks.find(network)?;
        let _alone = container.verbs.lock().await;
        let record = container.record();
        check_joinable(&container, &record, &segment)?;
        let mut asked = request.endpoint;
        asked.driver_opts.get_or_insert_default();
        check_settings(&self.house, &segment.name, &asked)?;
        let mut changed = Record::clone(&record);
        changed.endpoints.insert(segment.name.clone(), asked.clone());
        if !container.status().state.is_running() {
            return save(&container, changed);
        }
        if record.endpoints.contains_key(&segment.name) {
            let text = format!("endpoint with name {} already exists in network {}", record.name, segment.name);
            return Err(Error::forbidden(text));
        }
        self.plug(&container, &segment, &asked, changed).await
    }

    /// Plugs a running container in.
    async fn plug(
        &self,
        container: &Arc<Container>,
        segment: &Segment,
        asked: &EndpointSettings,
        record: Record,
    ) -> Result<()> {
        let mut plans = container.inside().run.endpoints.clone();
        let leased = blocking(|| lease::lease_one(&self.house, container, &segment.name, asked, &plans))?;
        let Some(plan) = leased else { return Err(Error::forbidden("this network cannot be joined later")) };
        plans.push(plan.clone());
        lease::choose_way_out(&self.house, &record, &mut plans);
        let plugged = self.arrange(container, record, plans).await;
        if plugged.is_err() {
            lease::release(&self.house, std::slice::from_ref(&plan));
        }
        plugged?;
        tell_endpoint(&self.house, container, &plan, "connect");
        Ok(())
    }

    /// Plugs a container out.
    pub async fn disconnect(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let container = match self.house.index.find(container) {
            Err(_) if force => return Err(Error::not_found(format!("endpoint {container} not found"))),
            found => found?,
        };
        let _alone = container.verbs.lock().await;
        let running = container.status().state.is_running();
        let segment = match self.house.networks.find(network) {
            // Whoever insists, or speaks of a container that rests, is told of the container first.
            Err(_) if force || !running => return Err(not_connected(&container, "the network", network)),
            found => found?,
        };
        let mut record = Record::clone(&container.record());
        if record.endpoints.remove(&segment.name).is_none() {
            let what = if running { "network" } else { "the network" };
            return Err(not_connected(&container, what, &segment.name));
        }
        if segment.driver == Driver::Host {
            return Err(Error::forbidden(
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        if !running {
            return save(&container, record);
        }
        let mut plans = container.inside().run.endpoints.clone();
        let gone: Vec<Plan> = plans.extract_if(.., |plan| plan.network == segment.id.as_str()).collect();
        lease::choose_way_out(&self.house, &record, &mut plans);
        self.arrange(&container, record, plans).await?;
        lease::release(&self.house, &gone);
        for plan in &gone {
            tell_endpoint(&self.house, &container, plan, "disconnect");
        }
        Ok(())
    }

    /// Lets a running container's supervisor arrange its endpoints so, and remembers it.
    async fn arrange(&self, container: &Arc<Container>, record: Record, plans: Vec<Plan>) -> Result<()> {
        let before = container.inside().run.endpoints.clone();
        let naming = super::naming(&self.house, container, &record, &plans);
        let named = naming.is_some();
        let plug = Ask::Plug { endpoints: plans.clone(), naming };
        let answer = container.live_link()?.ask(plug, Vec::new()).await?;
        let ports = match answer {
            Ok(Answer::Plugged { ports }) => ports,
            Ok(_) => return Err(Error::system("plug in: the supervisor answered something else")),
            Err(failure) => return Err(Error::system(failure.to_string())),
        };
        save(container, record)?;
        container.inside().run.endpoints.clone_from(&plans);
        remember_run(container, ports, None)?;
        let record = container.record();
        files::write_resolv(&container.dir, &record, &self.house.settings, named)?;
        files::change_hosts(&container.dir, &record, &before, &plans)
    }
}

fn not_connected(container: &Container, what: &str, network: &str) -> Error {
    // For Docker this is its own fault, though it is the client's.
    Error::invalid(format!("container {} is not connected to {what} {network}", container.id))
}

fn save(container: &Container, record: Record) -> Result<()> {
    record.save(&container.dir)?;
    container.inside().record = Arc::new(record);
    Ok(())
}

/// Docker's refusals.
fn check_joinable(container: &Container, record: &Record, segment: &Segment) -> Result<()> {
    if matches!(container.status().state, State::Removing | State::Dead) {
        let text = "container is marked for removal and cannot be connected or disconnected to the network";
        return Err(Error::conflict(text));
    }
    let mode = record.host_config.network_mode.as_str();
    if mode.starts_with("container:") || mode == "host" {
        let text = "container sharing network namespace with another container or host cannot be connected to any other network";
        return Err(Error::forbidden(text));
    }
    if segment.driver == Driver::Host {
        let text = "cannot connect container to host network - container must be created in host network mode";
        return Err(Error::forbidden(text));
    }
    let private = |name: &str| name == "none";
    if (private(&segment.name) && !record.endpoints.is_empty())
        || (record.endpoints.keys().any(|name| private(name)) && !private(&segment.name))
    {
        let text = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
        return Err(Error::forbidden(text));
    }
    Ok(())
}
