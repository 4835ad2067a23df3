//! Another image, environment or command for a container that exists: its process is replaced; its name, addresses,
//! volumes, writable layer and logs stay. If the new process does not become healthy, the old configuration comes back.
//!
//! While the new one is on trial the old record lies beside it on the disk, so that an engine that comes later can
//! finish what a killed one began.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hako_model::container::{Anew, Config};
use hako_model::health::HealthStatus;
use hako_model::image::RunConfig;
use hako_model::mount::{Origin, Plan};
use hako_model::state::{State, Status};
use hako_sys::file::{Durability, remove_if_present, write_atomic};

use super::{Containers, StopOptions, merge, mounts, validate};
use crate::blocking::blocking;
use crate::container::Container;
use crate::images::Found;
use crate::record::Record;
use crate::{Error, Result};

/// How long a process without a health check must run to count as well.
const STEADY: Duration = Duration::from_secs(1);
/// What a verdict may take beyond what the health check's own numbers say.
const SLACK: Duration = Duration::from_secs(10);

impl Containers {
    /// Replaces the process of a container whose verbs the caller holds.
    pub(super) async fn recreate(&self, container: &Arc<Container>, anew: &Anew) -> Result<()> {
        let old = container.record();
        if old.host_config.auto_remove {
            let text = format!("container {} goes with its process (--rm): it cannot have another", old.name);
            return Err(Error::invalid(text));
        }
        let new = self.renewed(&old, anew).await?;
        let runs = container.status().state.is_running();
        let kept = container.inside().run.endpoints.clone();
        if runs {
            super::lifecycle::stop(container, &StopOptions::default(), "update").await?;
            super::start::settled(container).await?;
        }
        put_aside(container, &old)?;
        self.install(container, new)?;
        if !runs {
            return forget_aside(container);
        }
        container.inside().kept = kept;
        let patience = Duration::from_nanos(u64::try_from(anew.patience).unwrap_or(0));
        self.try_out(container, patience).await
    }

    /// Ends a trial that a killed engine had begun.
    pub(crate) async fn finish_trial(&self, container: &Arc<Container>) -> Result<()> {
        let _alone = container.verbs.lock().await;
        if aside(container).exists() { self.try_out(container, Duration::ZERO).await } else { Ok(()) }
    }

    /// Starts what is installed and judges it; the old one comes back if it is not well.
    async fn try_out(&self, container: &Arc<Container>, patience: Duration) -> Result<()> {
        let verdict = match self.start_alone(container, false).await {
            Ok(()) | Err(Error::NotModified { .. }) => judge(container, patience).await,
            Err(error) => Err(error.to_string()),
        };
        let Err(complaint) = verdict else {
            container.inside().kept.clear();
            return forget_aside(container);
        };
        let restored = self.restore(container).await;
        let name = container.record().name.clone();
        match restored {
            Ok(()) => Err(Error::conflict(format!(
                "update container {name}: the new one is not well ({complaint}); the old one is back and runs"
            ))),
            Err(error) => Err(Error::system(format!(
                "update container {name}: the new one is not well ({complaint}), and the old one does not start: {error}"
            ))),
        }
    }

    async fn restore(&self, container: &Arc<Container>) -> Result<()> {
        let kept = {
            let inside = container.inside();
            if inside.kept.is_empty() { inside.run.endpoints.clone() } else { inside.kept.clone() }
        };
        if container.status().state.is_running() {
            super::lifecycle::stop(container, &StopOptions::default(), "update").await?;
        }
        super::start::settled(container).await?;
        let old = Record::load_aside(&aside(container))?;
        self.forget_volumes(container, &old);
        self.install(container, old)?;
        container.inside().kept = kept;
        let started = self.start_alone(container, false).await;
        container.inside().kept.clear();
        forget_aside(container)?;
        started
    }

    /// The record with another image, environment or command.
    async fn renewed(&self, old: &Record, anew: &Anew) -> Result<Record> {
        let images = self.house.images.get().ok_or_else(|| Error::system("find image: engine is not open"))?;
        let found = match anew.image.as_str() {
            "" => images.find(old.image.as_str(), "").await?,
            image => images.find(image, "").await?,
        };
        let before = images.find(old.image.as_str(), "").await.map(|found| found.config.config).unwrap_or_default();
        let mut record = old.clone();
        let own = &mut record.config;
        without(own, &before);
        if !anew.image.is_empty() {
            own.image.clone_from(&anew.image);
        }
        change_environment(own, anew);
        if let Some(cmd) = &anew.cmd {
            own.cmd = Some(cmd.clone());
        }
        if let Some(entrypoint) = &anew.entrypoint {
            own.entrypoint = Some(entrypoint.clone());
        }
        merge::merge(own, &found.config.config)?;
        let removed = |pair: &str| anew.remove_env.iter().any(|name| name == pair.split('=').next().unwrap_or(""));
        own.env.iter_mut().for_each(|env| env.retain(|pair| !removed(pair)));
        validate::check_config(own)?;
        blocking(|| self.give_layers(&mut record, &found))?;
        Ok(record)
    }

    fn give_layers(&self, record: &mut Record, found: &Found) -> Result<()> {
        let image = self.house.store.images().get(&found.id).map_err(|e| Error::not_found(e.to_string()))?;
        record.image = found.id.clone();
        record.layer = image.layers.last().cloned();
        let declared = record.config.volumes.iter().flatten().map(|(target, _)| target.as_str());
        let missing = declared.filter(|target| record.mounts.iter().all(|plan| plan.target != **target));
        let mut new = missing.map(Plan::anonymous).collect::<std::result::Result<Vec<_>, _>>()?;
        mounts::make_volumes(&self.house, &mut new, &found.lowers)?;
        record.mounts.extend(new);
        Ok(())
    }

    /// Makes a record the container's.
    fn install(&self, container: &Container, record: Record) -> Result<()> {
        let pins = record
            .pins(&self.house.store)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| Error::io("pin layers", e))?;
        blocking(|| record.save(&container.dir))?;
        let mut inside = container.inside();
        inside.record = Arc::new(record);
        inside.pins = pins;
        Ok(())
    }

    /// Removes volumes that were made for the new image alone.
    fn forget_volumes(&self, container: &Container, old: &Record) {
        for plan in container.record().mounts.iter().filter(|plan| !old.mounts.contains(plan)) {
            if let Origin::Volume(volume) = &plan.origin
                && volume.anonymous
                && let Err(error) = self.house.store.volumes().remove(&volume.name)
            {
                tracing::warn!(%error, volume = volume.name, "volume of a refused image not removed");
            }
        }
    }
}

/// What the person said: the merged configuration without what came from the image.
fn without(config: &mut Config, image: &RunConfig) {
    let clear = |own: &mut String, image: &str| {
        if own == image {
            own.clear();
        }
    };
    clear(&mut config.user, &image.user);
    clear(&mut config.working_dir, &image.working_dir);
    clear(&mut config.stop_signal, &image.stop_signal);
    if config.entrypoint == image.entrypoint {
        config.entrypoint = None;
        if config.cmd == image.cmd {
            config.cmd = None;
        }
    }
    let from_image = |pair: &String| image.env.iter().flatten().any(|other| other == pair);
    config.env.iter_mut().for_each(|env| env.retain(|pair| !from_image(pair)));
    let told = image.labels.clone().unwrap_or_default();
    config.labels.iter_mut().for_each(|own| own.retain(|key, value| told.get(key) != Some(value)));
    let exposed = image.exposed_ports.clone().unwrap_or_default();
    config.exposed_ports.iter_mut().for_each(|own| own.retain(|port, _| !exposed.contains_key(port)));
    if config.healthcheck == image.healthcheck {
        config.healthcheck = None;
    }
    if config.volumes == image.volumes {
        config.volumes = None;
    }
}

fn change_environment(config: &mut Config, anew: &Anew) {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let env = config.env.get_or_insert_default();
    let replaced =
        |pair: &String| anew.env.iter().any(|new| name(new) == name(pair)) || anew.remove_env.contains(&name(pair));
    env.retain(|pair| !replaced(pair));
    env.extend(anew.env.iter().cloned());
}

/// Waits for the health check's verdict, or for the process to have run for a moment.
async fn judge(container: &Arc<Container>, patience: Duration) -> std::result::Result<(), String> {
    let record = container.record();
    let probe = super::start::probe(&record);
    let needed = probe.as_ref().map_or(STEADY, |probe| {
        probe.start_period + (probe.interval.max(probe.start_interval) + probe.timeout) * (probe.retries + 1) + SLACK
    });
    let patience = if patience.is_zero() { needed } else { patience };
    let mut phase = container.phase.subscribe();
    let restarts = container.status().restart_count;
    let judged = phase.wait_for(|phase| opinion(&phase.status, restarts, probe.is_some()).is_some() || phase.removed);
    let opinion = match tokio::time::timeout(patience, judged).await {
        Ok(Ok(phase)) => opinion(&phase.status, restarts, probe.is_some()),
        _ => None,
    };
    match opinion {
        Some(verdict) => verdict,
        None if probe.is_some() => Err(format!("no verdict of its health check within {} s", patience.as_secs())),
        None => Ok(()),
    }
}

/// What its status says already, if anything.
fn opinion(status: &Status, restarts: u32, probed: bool) -> Option<std::result::Result<(), String>> {
    let health = status.health.as_ref();
    match &status.state {
        State::Running(_) if status.restart_count > restarts => Some(Err("it ended and was restarted".to_owned())),
        State::Running(_) if probed => match health.map(|health| health.status) {
            Some(HealthStatus::Healthy) => Some(Ok(())),
            Some(HealthStatus::Unhealthy) => {
                let said = health.and_then(|health| health.log.last()).map_or("", |result| result.output.trim());
                Some(Err(format!("its health check failed: {said}")))
            }
            _ => None,
        },
        State::Running(_) | State::Paused(_) | State::Starting | State::Created => None,
        State::Exited if status.exit_code == 0 => Some(Ok(())),
        _ => Some(Err(format!("it ended with exit code {}", status.exit_code))),
    }
}

fn aside(container: &Container) -> PathBuf {
    container.dir.join("record.aside.json")
}

fn put_aside(container: &Container, old: &Record) -> Result<()> {
    let bytes = serde_json::to_vec(old).map_err(|e| Error::io("encode record", e))?;
    write_atomic(&aside(container), &bytes, Durability::Power).map_err(|e| Error::io("put old record aside", e))
}

fn forget_aside(container: &Container) -> Result<()> {
    remove_if_present(&aside(container)).map(drop).map_err(|e| Error::io("remove old record", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn what_came_from_the_image_goes_and_what_the_person_said_stays() {
        let image = RunConfig { env: words("PATH=/bin A=1"), cmd: words("serve"), ..RunConfig::default() };
        let mut config =
            Config { env: words("B=2 PATH=/bin A=9"), cmd: words("serve"), user: "www".into(), ..Config::default() };
        without(&mut config, &image);
        assert_eq!((config.env, config.cmd, config.user.as_str()), (words("B=2 A=9"), None, "www"));
    }

    #[test]
    fn variables_are_replaced_by_name() {
        let mut config = Config { env: words("A=1 B=2 C=3"), ..Config::default() };
        let anew = Anew { env: words("B=9").unwrap(), remove_env: words("C").unwrap(), ..Anew::default() };
        change_environment(&mut config, &anew);
        assert_eq!(config.env, words("A=1 B=9"));
    }

    #[test]
    fn opinions() {
        let status = |state, exit_code| Status { state, exit_code, ..Status::default() };
        assert_eq!(opinion(&status(State::Running(Default::default()), 0), 0, true), None);
        assert_eq!(opinion(&status(State::Exited, 0), 0, false), Some(Ok(())));
        assert!(opinion(&status(State::Exited, 3), 0, false).unwrap().is_err());
        let crashed = Status { restart_count: 1, ..status(State::Running(Default::default()), 0) };
        assert!(opinion(&crashed, 0, false).unwrap().is_err());
    }
}
