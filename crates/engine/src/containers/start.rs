//! Starting containers: the run description, one message, one reply.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hako_model::container::HealthConfig;
use hako_model::health::Probe;
use hako_model::port;
use hako_model::state::{State, Status};
use hako_model::time::Timestamp;
use hako_net::publish::Binding;
use hako_supervisor::Image;
use hako_supervisor::description::{Description, Network, RootfsPlan};
use hako_supervisor::log::config::{InvalidLogOption, LogConfig, Source};
use hako_supervisor::protocol::{Answer, Ask, Failure};
use hako_supervisor::spec::Mount;
use hako_sys::file::{Durability, write_atomic};

use super::remote::{self, Addresses};
use super::{Containers, erase, sources};
use crate::accounts;
use crate::blocking::blocking;
use crate::container::{Container, Phase, Run};
use crate::house::House;
use crate::life;
use crate::networks::{self, mode_network};
use crate::record::{self, Record};
use crate::{Error, Result, cdi, oci, secrets, tools};

impl Containers {
    /// Starts it. `NotModified` when it runs.
    pub async fn start(&self, name: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        self.start_alone(&container, false).await
    }

    /// Starts it beside a container whose place it is to take with [`Containers::succeed`]: neither published ports nor
    /// names lead to it yet.
    pub async fn start_aside(&self, name: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        self.start_alone(&container, true).await
    }

    /// Starts a container that its policy wants to run, once the sources of its mounts are there.
    pub(crate) async fn start_in_time(&self, name: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        if let Some(refusal) = sources::refusal(&container.record()) {
            remember_failure(&container, container.status().exit_code, &Error::system(refusal));
            sources::wait(&container.record(), None).await?;
        }
        self.start(name).await
    }

    /// Starts a container whose verbs the caller holds.
    pub(super) async fn start_alone(&self, container: &Arc<Container>, aside: bool) -> Result<()> {
        self.start_as(container, aside, None).await
    }

    /// The same, going on from a checkpoint if there is one.
    pub(super) async fn start_as(
        &self,
        container: &Arc<Container>,
        aside: bool,
        checkpoint: Option<Image>,
    ) -> Result<()> {
        check_startable(container)?;
        settled(container).await?;
        let house = &self.house;
        check_examined(house, container)?;
        if let Err(error) = sources::wait(&container.record(), Some(sources::PATIENCE)).await {
            remember_failure(container, 125, &error);
            return Err(error);
        }
        let tools = match self.tools(container).await {
            Ok(tools) => tools,
            Err(error) => {
                self.forget_failed(container).await;
                return Err(error);
            }
        };
        let addresses = match remote::resolve(house, &container.record()).await {
            Ok(addresses) => addresses,
            Err(error) => {
                self.forget_failed(container).await;
                return Err(error);
            }
        };
        let description = match blocking(|| prepare(house, container, aside, tools, &addresses)) {
            Ok(description) => Description { checkpoint, ..description },
            Err(error) => {
                life::give_back(house, container);
                self.forget_failed(container).await;
                return Err(error);
            }
        };
        life::tell_volumes(house, container, true);
        life::tell_endpoints(house, container, "connect");
        let started = launch(house, container, description).await;
        if started.is_err() {
            life::tell_endpoints(house, container, "disconnect");
            life::tell_volumes(house, container, false);
            life::give_back(house, container);
            self.forget_failed(container).await;
        }
        started
    }

    /// The tools of one that examines another.
    async fn tools(&self, container: &Container) -> Result<Option<Mount>> {
        let record = container.record();
        if record.host_config.examines.is_empty() {
            return Ok(None);
        }
        tools::mount(&self.house, &record.host_config.examines_with).await.map(Some)
    }

    /// A container that was to go with its end goes when it cannot even be started.
    async fn forget_failed(&self, container: &Arc<Container>) {
        if !container.record().host_config.auto_remove || container.inside().removing {
            return;
        }
        if let Some(link) = container.inside().link.take() {
            link.dismiss();
        }
        if let Err(error) = erase(&self.house, container, true).await {
            tracing::warn!(id = container.id.short(), %error, "container not removed after its failed start");
        }
    }
}

fn check_startable(container: &Container) -> Result<()> {
    if let Some(damage) = &container.damage {
        return Err(Error::conflict(format!(
            "container {} is damaged and can only be removed: {damage}",
            container.id
        )));
    }
    if container.inside().removing {
        return Err(Error::conflict("container is marked for removal and cannot be started"));
    }
    match container.status().state {
        State::Running(_) | State::Restarting { .. } | State::Starting => {
            Err(Error::not_modified(format!("Container {} is already running", container.id)))
        }
        State::Paused(_) => Err(Error::conflict("cannot start a paused container, try unpause instead")),
        State::Removing | State::Dead => Err(Error::conflict("container is marked for removal and cannot be started")),
        State::Created | State::Exited => Ok(()),
    }
}

/// Two containers must not have one writable layer at once: one that is examined does not start, one that runs is not
/// examined.
pub(super) fn check_examined(house: &House, container: &Container) -> Result<()> {
    let other = &container.record().host_config.examines;
    if !other.is_empty() && house.index.find(other)?.status().state.is_running() {
        return Err(Error::conflict(format!("container {other} runs: it can be entered, and need not be examined")));
    }
    check_unexamined(house, container, &[container.id.as_str(), other])
}

/// Refuses what another container does to one of these, if one that runs examines it.
pub(super) fn check_unexamined(house: &House, container: &Container, ids: &[&str]) -> Result<()> {
    let examiner = house.index.all().into_iter().find(|one| {
        one.id != container.id
            && one.status().state.is_running()
            && ids.contains(&one.record().host_config.examines.as_str())
            && !one.record().host_config.examines.is_empty()
    });
    match examiner {
        Some(examiner) => {
            let text = format!("container {} is being examined by {}", container.record().name, examiner.record().name);
            Err(Error::conflict(text))
        }
        None => Ok(()),
    }
}

/// Waits until an earlier run has given back what it held.
pub(super) async fn settled(container: &Container) -> Result<()> {
    let mut phase = container.phase.subscribe();
    let waited = tokio::time::timeout(Duration::from_secs(10), phase.wait_for(|phase| !phase.held)).await;
    match waited {
        Ok(_) if !container.phase.borrow().removed => Ok(()),
        Ok(_) => Err(Error::not_found(format!("No such container: {}", container.id))),
        Err(_) => Err(Error::conflict(format!("container {} is still ending", container.id))),
    }
}

/// Everything a supervisor must know, with an address leased and the container's files written. Blocks.
fn prepare(
    house: &House,
    container: &Arc<Container>,
    aside: bool,
    tools: Option<Mount>,
    addresses: &Addresses,
) -> Result<Description> {
    let record = container.record();
    let ports = wanted_ports(house, &record)?;
    house.networks.fabric.check();
    let endpoints = networks::lease_all(house, container, &record)?;
    container.inside().run = Run { endpoints: endpoints.clone(), aside, ..Run::default() };
    let naming = networks::naming(house, container, &record, &endpoints);
    if !record.host_config.network_mode.starts_with("container:") {
        let links = oci::links::of(house, &record)?;
        oci::files::write(&container.dir, &record, &house.settings, &endpoints, &links, naming.is_some())?;
    }
    let lowers = lowers(house, &record)?;
    let accounts = accounts::of(house, container, &lowers)?;
    let mut spec = oci::spec(house, container, &accounts)?;
    spec.mounts.extend(tools);
    remote::put_in(&mut spec, addresses);
    let requests = record.host_config.resources.device_requests.as_deref().unwrap_or_default();
    cdi::put_on(&mut spec, requests, &house.settings.cdi_directories)?;
    if spec.hooks.is_some() {
        prepare_hooks(&container.dir, &mut spec)?;
    }
    let (by_input, blueprint) = (house.settings.publish_by_input, Some(house.layout.blueprint()));
    let network = Network { endpoints, ports, naming, by_input, aside, blueprint };
    describe(house, container, &record, spec, lowers, network)
}

/// Hooks are programs of the host: they look for the root where the description says it is, and for the description in
/// the bundle.
fn prepare_hooks(bundle: &Path, spec: &mut hako_supervisor::spec::Spec) -> Result<()> {
    let root = bundle.join("rootfs");
    let failed = |cause| Error::io("prepare hooks of devices", cause);
    std::fs::create_dir_all(&root).map_err(failed)?;
    if let Some(described) = &mut spec.root {
        described.path = root.to_string_lossy().into_owned();
    }
    let text = serde_json::to_vec(spec).map_err(|e| Error::io("encode specification", e))?;
    write_atomic(&bundle.join("config.json"), &text, Durability::Process)
        .map_err(|e| Error::io("save specification", e))
}

/// The ports it is to publish.
pub(super) fn wanted_ports(house: &House, record: &Record) -> Result<Vec<port::Publication>> {
    let host = &record.host_config;
    let mode = mode_network(&host.network_mode);
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Ok(Vec::new());
    }
    let exposed = record.config.exposed_ports.iter().flatten().map(|(port, _)| port.as_str());
    let bindings = host.port_bindings.clone().unwrap_or_default();
    let wanted = port::wanted(&bindings, exposed, host.publish_all_ports);
    let mut wanted = wanted.map_err(|e| Error::invalid(e.to_string()))?;
    let default = networks::binding(house, record).unwrap_or(house.settings.default_publish_ip);
    if !default.is_unspecified() {
        wanted.iter_mut().for_each(|publication| publication.host = publication.host.or(Some(default)));
    }
    Ok(hako_net::publish::condensed(wanted))
}

pub(super) fn lowers(house: &House, record: &Record) -> Result<Vec<std::path::PathBuf>> {
    match &record.layer {
        Some(layer) => house.store.layers().lowers(layer).map_err(|e| Error::io("find layers", e)),
        None => Ok(Vec::new()),
    }
}

fn describe(
    house: &House,
    container: &Container,
    record: &Record,
    spec: hako_supervisor::spec::Spec,
    lowers: Vec<std::path::PathBuf>,
    network: Network,
) -> Result<Description> {
    // A container that examines another one has its writable layer, which outlives it.
    let (examines, own) = (&record.host_config.examines, record.host_config.examines.is_empty());
    let dir = if own { container.dir.clone() } else { house.index.find(examines)?.dir.clone() };
    let writable = house.store.writable(&dir);
    let volatile = record.host_config.auto_remove && own;
    Ok(Description {
        id: container.id.clone(),
        name: record.name.clone(),
        instance: house.layout.instance.clone(),
        spec,
        rootfs: RootfsPlan::Overlay { lowers, upper: writable.upper(), work: writable.work(), volatile },
        network,
        log: log_config(record, &container.dir)?,
        restart: record.restart(),
        probe: probe(record),
        remedy: super::edit::remedy(&record.host_config)?,
        backoff: record.backoff(),
        checkpoint: None,
        secrets: secrets::open(house, record.host_config.secrets.as_deref().unwrap_or_default())?,
        stop_signal: stop_signal(record),
        stop_timeout: record.config.stop_timeout.unwrap_or(10),
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        init: record.host_config.init.unwrap_or(house.settings.init),
        directory: container.dir.clone(),
        socket: house.layout.door(&container.id),
    })
}

pub(super) fn stop_signal(record: &Record) -> i32 {
    crate::signal::parse(&record.config.stop_signal).unwrap_or(15)
}

/// Where a container's output goes.
fn log_config(record: &Record, dir: &Path) -> Result<LogConfig> {
    read_log_config(record, dir, LogConfig::from_options)
        .map_err(|error| error.during("failed to create task for container: failed to initialize logging driver"))
}

/// Where a container's output is read.
pub(super) fn log_files(record: &Record, dir: &Path) -> Result<LogConfig> {
    read_log_config(record, dir, LogConfig::of_files)
}

type ReadLogConfig =
    fn(&str, &BTreeMap<String, String>, PathBuf, Source<'_>) -> std::result::Result<LogConfig, InvalidLogOption>;

fn read_log_config(record: &Record, dir: &Path, read: ReadLogConfig) -> Result<LogConfig> {
    let log = &record.host_config.log_config;
    let (labels, command, created) = (record.labels(), record.command().join(" "), record.created.to_string());
    let source = Source {
        id: record.id.as_str(),
        name: &record.name,
        image: &record.config.image,
        image_id: record.image.as_str(),
        command: &command,
        created: &created,
        labels: &labels,
        env: record.config.env.as_deref().unwrap_or_default(),
    };
    let options = log.config.clone().unwrap_or_default();
    let path = dir.join(format!("{}-json.log", record.id));
    read(&log.driver, &options, path, source).map_err(|e| Error::invalid(e.to_string()))
}

/// Its health check.
pub(super) fn probe(record: &Record) -> Option<Probe> {
    let config = record.config.healthcheck.as_ref()?;
    let argv = probe_command(record, config)?;
    let time = |nanos: i64| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let probe = Probe {
        argv,
        interval: time(config.interval),
        timeout: time(config.timeout),
        start_period: time(config.start_period),
        start_interval: time(config.start_interval),
        retries: u32::try_from(config.retries).unwrap_or(0),
    };
    Some(probe.with_defaults())
}

fn probe_command(record: &Record, config: &HealthConfig) -> Option<Vec<String>> {
    let (kind, rest) = config.test.split_first()?;
    match kind.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" if !rest.is_empty() => {
            let shell = record.config.shell.clone().filter(|shell| !shell.is_empty());
            let mut argv = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            argv.extend(rest.iter().cloned());
            Some(argv)
        }
        _ => None,
    }
}

/// Sends Start and waits for the reply, then for its effects to be visible to every verb.
async fn launch(house: &Arc<House>, container: &Arc<Container>, description: Description) -> Result<()> {
    let attached = container.attaching.write().await;
    let link = house.supervisor(container)?;
    let before = container.status().started_at;
    container.turn(|phase| phase.held = true);
    // Before anything is made: whoever finds it half-made must know what to look for.
    remember_run(container, Vec::new(), None)?;
    let (status, ports, cgroup) = match link.ask(Ask::Start(Box::new(description)), Vec::new()).await {
        Ok(Ok(Answer::Started { status, ports, cgroup })) => (status, ports, cgroup),
        Ok(Ok(_)) => return Err(Error::system("start container: the supervisor answered something else")),
        Ok(Err(failure)) => return Err(failed(house, container, failure)),
        Err(error) => {
            // It was killed. Whoever follows it clears away what it left, and must not be overtaken.
            let _ = settled(container).await;
            return Err(error);
        }
    };
    drop(attached);
    if !ports.is_empty() || cgroup != house.cgroup(container) {
        remember_run(container, ports, Some(cgroup))?;
    }
    // Another time, not a later one: the clock may have been set back.
    let began = |phase: &Phase| phase.status.started_at == status.started_at || phase.status.started_at != before;
    wait_until(container, |phase| began(phase) || phase.removed).await;
    Ok(())
}

/// What a later engine must know of the run.
pub(crate) fn remember_run(container: &Container, ports: Vec<Binding>, cgroup: Option<String>) -> Result<()> {
    let run = {
        let mut inside = container.inside();
        inside.run.ports = ports;
        if let Some(cgroup) = cgroup {
            inside.run.cgroup = cgroup;
        }
        inside.run.clone()
    };
    let bytes = serde_json::to_vec(&run).map_err(|e| Error::io("encode run", e))?;
    match write_atomic(&container.dir.join("run.json"), &bytes, Durability::Process) {
        // A container that ended and removed itself meanwhile has nothing to be remembered.
        Err(_) if container.inside().removing || container.phase.borrow().removed => Ok(()),
        written => written.map_err(|e| Error::io("save run", e)),
    }
}

/// Waits for the phase to be so; a supervisor that never tells must not hold a verb for ever.
pub(super) async fn wait_until(container: &Container, so: impl FnMut(&Phase) -> bool) {
    let mut phase = container.phase.subscribe();
    let _ = tokio::time::timeout(Duration::from_secs(5), phase.wait_for(so)).await;
}

/// A failed start in Docker's words; the status remembers it.
fn failed(house: &House, container: &Container, failure: Failure) -> Error {
    let (exit_code, error) = match failure {
        Failure::Launch { exit_code, error } => {
            let text = format!("failed to create task for container: {error}");
            let kind: fn(String) -> Error = if exit_code == 125 { Error::system } else { Error::invalid };
            (exit_code, kind(text))
        }
        Failure::Port { error } => (128, failed_port(house, container, &error)),
        Failure::Invalid { error } => (125, Error::invalid(error)),
        other => (125, Error::system(other.to_string())),
    };
    remember_failure(container, exit_code, &error);
    error
}

/// A port that could not be published, in Docker's words.
pub(super) fn failed_port(house: &House, container: &Container, error: &str) -> Error {
    let plans = container.inside().run.endpoints.clone();
    let network = plans.iter().find(|plan| plan.way_out).map_or("", |plan| plan.network.as_str());
    let id = networks::endpoint_id(container.id.as_str(), network);
    let (name, owner) = (container.record().name.clone(), owner(house, container, error));
    let text = "failed to set up container networking: driver failed programming external connectivity on endpoint";
    Error::system(format!("{text} {name} ({id}): {error}{owner}"))
}

/// Whose a host port is that could not be had, if it is another container's.
fn owner(house: &House, container: &Container, error: &str) -> String {
    let host = error.strip_prefix("Bind for ").and_then(|rest| rest.split_once(" failed: port is already allocated"));
    let port = host.and_then(|(host, _)| host.rsplit(':').next()?.parse::<u16>().ok());
    let others = house.index.all().into_iter().filter(|other| other.id != container.id);
    let mut owners = others
        .filter(|other| other.inside().run.ports.iter().any(|binding| port.is_some_and(|port| binding.has(port))));
    owners.next().map(|other| format!(" (by container {})", other.record().name)).unwrap_or_default()
}

fn remember_failure(container: &Container, exit_code: i32, error: &Error) {
    let mut status = Status::clone(&container.status());
    if status.state == State::Starting {
        status.state = if status.started_at == Timestamp::ZERO { State::Created } else { State::Exited };
    }
    status.exit_code = exit_code;
    status.error = error.to_string();
    if let Err(error) = record::save_status(&container.dir, &status) {
        tracing::warn!(id = container.id.short(), %error, "failed start not recorded");
    }
    container.set_status(status);
}
