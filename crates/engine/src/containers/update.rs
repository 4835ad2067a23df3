//! Changing containers that exist: limits, restart policy, name.

use std::sync::Arc;

use hako_model::container::{Edit, Resources, RestartName, RestartPolicy};
use hako_model::name;
use hako_supervisor::protocol::{Ask, Update};

use super::lifecycle::failure;
use super::{Containers, UpdateRequest, edit, validate};
use crate::blocking::blocking;
use crate::container::Container;
use crate::house::House;
use crate::networks::{ConnectRequest, Networks};
use crate::record::Record;
use crate::{Error, Result, oci};

impl Containers {
    /// Changes limits, the restart policy and whatever else can be changed; gives warnings.
    pub async fn update(&self, name: &str, request: UpdateRequest) -> Result<Vec<String>> {
        let container = self.house.index.find(name)?;
        let alone = container.verbs.lock().await;
        let refused = |error: Error| match error {
            Error::InvalidParameter { message } => {
                Error::invalid(format!("Cannot update container {}: {message}", container.id))
            }
            other => other,
        };
        let mut record = Record::clone(&container.record());
        let before = record.host_config.resources.clone();
        let warnings = change(&self.house, &mut record, &request).map_err(refused)?;
        let host = &record.host_config;
        if host.resources != before {
            validate::check_resources(&host.resources, host.oom_score_adj, host.shm_size)?;
        }
        let edit = request.edit.unwrap_or_default();
        blocking(|| edit::write(&self.house, &mut record, &edit)).map_err(refused)?;
        self.make_so(&container, record, before).await?;
        if let Some(anew) = &edit.anew {
            self.recreate(&container, anew).await?;
        }
        drop(alone);
        self.rewire(&container, &edit).await?;
        self.house.tell(&container, "update");
        Ok(warnings)
    }

    /// Makes a container as a record says, and the record its own.
    async fn make_so(&self, container: &Arc<Container>, wanted: Record, limits: Resources) -> Result<()> {
        if !container.status().state.is_running() {
            return save(container, wanted);
        }
        let mut done = Record::clone(&container.record());
        if wanted.host_config.resources != limits || wanted.restart() != done.restart() {
            self.update_live(container, &wanted).await?;
            done.host_config.resources.clone_from(&wanted.host_config.resources);
        }
        let outcome = edit::carry_out(&self.house, container, &wanted, &mut done).await;
        save(container, done)?;
        outcome
    }

    /// Joins and leaves networks.
    async fn rewire(&self, container: &Container, edit: &Edit) -> Result<()> {
        let networks = Networks { house: Arc::clone(&self.house) };
        for (network, endpoint) in &edit.connect {
            let request = ConnectRequest { container: container.id.to_string(), endpoint: endpoint.clone() };
            networks.connect(network, request).await?;
        }
        for network in &edit.disconnect {
            networks.disconnect(network, container.id.as_str(), false).await?;
        }
        Ok(())
    }

    async fn update_live(&self, container: &Arc<Container>, record: &Record) -> Result<()> {
        let limits = oci::resources::of(&record.host_config.resources, Vec::new())?;
        let update = Update { resources: Some(limits), restart: Some(record.restart()) };
        let reply = container.live_link()?.ask(Ask::Update(Box::new(update)), Vec::new()).await?;
        reply.map(|_| ()).map_err(|other| failure(container, other))
    }

    /// Gives it another name.
    pub async fn rename(&self, text: &str, new: &str) -> Result<()> {
        if new.is_empty() || new == "/" {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let container = self.house.index.find(text)?;
        let not_allocated = |error: Error| error.during("Error when allocating new name");
        let new = name::container(new).map_err(|_| {
            let name = format!("/{}", new.trim_start_matches('/'));
            not_allocated(name::InvalidName::Container { name }.into())
        })?;
        let _alone = container.verbs.lock().await;
        let mut record = Record::clone(&container.record());
        let old = std::mem::replace(&mut record.name, new.to_owned());
        if old == new {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        self.house.index.reserve(new, &container.id).map_err(not_allocated)?;
        if let Err(error) = save(&container, record) {
            self.house.index.release(new, &container.id);
            return Err(error);
        }
        self.house.index.release(&old, &container.id);
        if let Some(link) = container.link() {
            // It only names the container in what it logs; the record is what counts.
            let _ = link.ask(Ask::Rename { name: new.to_owned() }, Vec::new()).await;
        }
        let mut attributes = container.attributes();
        attributes.insert("oldName".to_owned(), format!("/{old}"));
        self.house.hub.tell(hako_model::event::Kind::Container, "rename", container.id.as_str(), attributes);
        Ok(())
    }
}

fn save(container: &Container, record: Record) -> Result<()> {
    crate::blocking::blocking(|| record.save(&container.dir))?;
    container.inside().record = Arc::new(record);
    Ok(())
}

fn change(house: &House, record: &mut Record, request: &UpdateRequest) -> Result<Vec<String>> {
    let host = &mut record.host_config;
    if let Some(policy) = request.restart_policy {
        let policy = completed(policy, host.restart_policy);
        if host.auto_remove && policy.name != RestartName::No {
            let text = "Restart policy cannot be updated because AutoRemove is enabled for the container";
            return Err(Error::invalid(text));
        }
        if policy.maximum_retry_count < 0 {
            return Err(Error::invalid("invalid restart policy: maximum retry count cannot be negative"));
        }
        if [policy.minimum_delay, policy.maximum_delay, policy.reset_after].iter().any(|nanos| *nanos < 0) {
            return Err(Error::invalid("invalid restart policy: pauses cannot be negative"));
        }
        host.restart_policy = policy;
    }
    validate::check_foreign(&request.resources)?;
    overlay(&mut host.resources, &request.resources)?;
    validate::complete_resources(house, &mut host.resources)
}

/// A policy with what it leaves out as it was.
fn completed(new: RestartPolicy, old: RestartPolicy) -> RestartPolicy {
    let named = if new.name == RestartName::Unset { old } else { new };
    let or = |new: i64, old: i64| if new == 0 { old } else { new };
    RestartPolicy {
        minimum_delay: or(new.minimum_delay, old.minimum_delay),
        maximum_delay: or(new.maximum_delay, old.maximum_delay),
        reset_after: or(new.reset_after, old.reset_after),
        ..named
    }
}

/// What is given replaces what was; zero and empty leave it.
fn overlay(old: &mut Resources, new: &Resources) -> Result<()> {
    check_memory(old, new)?;
    if new.nano_cpus != 0 && (old.cpu_quota != 0 || old.cpu_period != 0) {
        let text = "Conflicting options: Nano CPUs cannot be updated as CPU Period or Quota has already been set";
        return Err(Error::invalid(text));
    }
    if (new.cpu_quota != 0 || new.cpu_period != 0) && old.nano_cpus != 0 {
        return Err(Error::invalid(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ));
    }
    for (old, new) in [
        (&mut old.cpu_shares, new.cpu_shares),
        (&mut old.nano_cpus, new.nano_cpus),
        (&mut old.memory, new.memory),
        (&mut old.memory_swap, new.memory_swap),
        (&mut old.memory_reservation, new.memory_reservation),
        (&mut old.cpu_period, new.cpu_period),
        (&mut old.cpu_quota, new.cpu_quota),
        (&mut old.cpu_realtime_period, new.cpu_realtime_period),
        (&mut old.cpu_realtime_runtime, new.cpu_realtime_runtime),
    ] {
        if new != 0 {
            *old = new;
        }
    }
    for (old, new) in [(&mut old.cpuset_cpus, &new.cpuset_cpus), (&mut old.cpuset_mems, &new.cpuset_mems)] {
        if !new.is_empty() {
            old.clone_from(new);
        }
    }
    if new.blkio_weight != 0 {
        old.blkio_weight = new.blkio_weight;
    }
    old.pids_limit = new.pids_limit.or(old.pids_limit);
    Ok(())
}

/// A limit above the old memory and swap together needs a new one for both.
fn check_memory(old: &Resources, new: &Resources) -> Result<()> {
    if new.memory != 0 && new.memory_swap == 0 && old.memory_swap > 0 && new.memory > old.memory_swap {
        let text =
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
        return Err(Error::invalid(text));
    }
    Ok(())
}
