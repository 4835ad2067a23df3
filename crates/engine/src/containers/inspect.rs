//! Everything about one container.

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::container::{EndpointSettings, MountKind, MountPoint, PortMap};
use hako_model::mount::{Origin, Plan};
use hako_model::port::Port;
use hako_model::state::{State, Status};
use hako_supervisor::protocol::{Answer, Ask};

use super::{Containers, Health, Inspected, Probe, StateView};
use crate::container::Container;
use crate::house::House;
use crate::record::Record;
use crate::{Result, networks};

impl Containers {
    /// Everything about it.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Inspected> {
        let container = self.house.index.find(name)?;
        let (record, status) = (container.record(), fresh_status(&container).await);
        let sizes = size.then(|| crate::blocking::blocking(|| sizes(&self.house, &container, &record)));
        let mut command = record.command().into_iter();
        let file = |name: &str| container.dir.join(name).to_string_lossy().into_owned();
        let live = status.state.live().is_some();
        let host_network = record.host_config.network_mode == "host";
        Ok(Inspected {
            id: container.id.clone(),
            created: record.created,
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            state: state(&container, &status),
            image: record.image.to_string(),
            resolv_conf_path: file("resolv.conf"),
            hostname_path: file("hostname"),
            hosts_path: file("hosts"),
            log_path: log_path(&container, &record),
            name: format!("/{}", record.name),
            restart_count: status.restart_count,
            driver: "overlay2".to_owned(),
            platform: record.os.clone(),
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: crate::oci::security::shown_apparmor(&record.host_config),
            exec_ids: exec_ids(&container),
            host_config: record.host_config.clone(),
            graph_driver: graph_driver(&self.house, &container, &record),
            size_rw: sizes.map(|(rw, _)| rw),
            size_root_fs: sizes.map(|(_, root)| root),
            mounts: mounts(&self.house, &record),
            config: record.config.clone(),
            sandbox_id: if live { sandbox_id(&container) } else { String::new() },
            sandbox_key: if live && !host_network { format!("/proc/{}/ns/net", status.pid()) } else { String::new() },
            ports: if live { ports(&container, &record) } else { PortMap::new() },
            networks: networks(&self.house, &container, &record),
        })
    }
}

/// The status with what its health check found since its verdict last changed, which only its supervisor knows.
pub(super) async fn fresh_status(container: &Container) -> Arc<Status> {
    let status = container.status();
    if status.health.is_none() || status.state.live().is_none() {
        return status;
    }
    let Some(link) = container.link() else { return status };
    match tokio::time::timeout(PROMPT, link.ask(Ask::Status, Vec::new())).await {
        Ok(Ok(Ok(Answer::Status(fresh)))) => Arc::from(fresh),
        _ => status,
    }
}

/// How long a supervisor may take to answer what is not essential.
const PROMPT: std::time::Duration = std::time::Duration::from_millis(500);

fn sandbox_id(container: &Container) -> String {
    networks::endpoint_id(container.id.as_str(), "sandbox")
}

fn log_path(container: &Container, record: &Record) -> String {
    match record.host_config.log_config.driver.as_str() {
        "json-file" => container.dir.join(format!("{}-json.log", container.id)).to_string_lossy().into_owned(),
        _ => String::new(),
    }
}

fn exec_ids(container: &Container) -> Option<Vec<String>> {
    let inside = container.inside();
    let live = inside.execs.iter().filter(|(_, exec)| exec.ended.is_none());
    let ids: Vec<String> = live.map(|(id, _)| id.to_string()).collect();
    (!ids.is_empty()).then_some(ids)
}

fn graph_driver(house: &House, container: &Container, record: &Record) -> BTreeMap<String, String> {
    let writable = house.store.writable(&container.dir);
    let lowers = super::start::lowers(house, record).unwrap_or_default();
    let lowers: Vec<String> = lowers.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    BTreeMap::from([
        ("LowerDir".to_owned(), lowers.join(":")),
        ("UpperDir".to_owned(), path(writable.upper())),
        ("WorkDir".to_owned(), path(writable.work())),
    ])
}

/// The state with Docker's flags.
pub(super) fn state(container: &Container, status: &Status) -> StateView {
    StateView {
        status: if container.damage.is_some() { "dead".to_owned() } else { status.state.as_str().to_owned() },
        running: status.state.is_running(),
        paused: status.state.is_paused(),
        restarting: status.state.is_restarting(),
        oom_killed: status.oom_killed,
        dead: status.state == State::Dead || container.damage.is_some(),
        pid: status.pid().into(),
        exit_code: status.exit_code.into(),
        error: container.damage.clone().unwrap_or_else(|| status.error.clone()),
        started_at: status.started_at,
        finished_at: status.finished_at,
        health: status.health.as_ref().map(health),
    }
}

fn health(health: &hako_model::health::Health) -> Health {
    let probe = |result: &hako_model::health::ProbeResult| Probe {
        start: result.start,
        end: result.end,
        exit_code: result.exit_code,
        output: result.output.clone(),
    };
    Health {
        status: health.status.as_str().to_owned(),
        failing_streak: health.failing_streak,
        log: health.log.iter().map(probe).collect(),
    }
}

/// Bytes of the writable layer, and of it with the image's.
pub(super) fn sizes(house: &House, container: &Arc<Container>, record: &Record) -> (u64, u64) {
    let writable = house.store.writable(&container.dir).size().unwrap_or(0);
    let image = house.store.images().get(&record.image).map_or(0, |image| image.size);
    (writable, writable + image)
}

/// Ports in force: what was published, and what is only exposed.
pub(super) fn ports(container: &Container, record: &Record) -> PortMap {
    if container.status().state.live().is_none() {
        return PortMap::new();
    }
    let bindings = container.inside().run.ports.clone();
    let exposed = record.config.exposed_ports.iter().flatten().filter_map(|(port, _)| port.parse::<Port>().ok());
    hako_net::publish::port_map(&bindings, exposed)
}

/// Endpoints by network name.
pub(super) fn networks(house: &House, container: &Container, record: &Record) -> BTreeMap<String, EndpointSettings> {
    let status = container.status();
    let shown = record.endpoints.iter();
    shown.map(|(name, asked)| (name.clone(), networks::settings(house, container, name, asked, &status))).collect()
}

/// Mount points, by destination.
pub(super) fn mounts(house: &House, record: &Record) -> Vec<MountPoint> {
    let tmpfs = |plan: &&Plan| !record.host_config.tmpfs.iter().flatten().any(|(target, _)| *target == plan.target);
    record.mounts.iter().filter(tmpfs).map(|plan| mount_point(house, plan)).collect()
}

fn mount_point(house: &House, plan: &Plan) -> MountPoint {
    let mut point = MountPoint {
        destination: plan.target.clone(),
        mode: plan.mode.clone(),
        rw: !plan.read_only,
        ..MountPoint::default()
    };
    match &plan.origin {
        Origin::Bind(bind) => {
            point.kind = MountKind::Bind;
            point.source.clone_from(&bind.source);
            let propagation = if bind.propagation.is_empty() { "rprivate" } else { &bind.propagation };
            propagation.clone_into(&mut point.propagation);
        }
        Origin::Volume(volume) => {
            point.kind = MountKind::Volume;
            point.name.clone_from(&volume.name);
            let found = house.store.volumes().get(&volume.name);
            point.source = found.map(|v| v.mountpoint.to_string_lossy().into_owned()).unwrap_or_default();
            "local".clone_into(&mut point.driver);
        }
        Origin::Tmpfs(_) => point.kind = MountKind::Tmpfs,
        Origin::Image(files) => {
            point.kind = MountKind::Image;
            point.name.clone_from(&files.name);
            let lowers = files.layer.as_ref().and_then(|layer| house.store.layers().lowers(layer).ok());
            let topmost = lowers.and_then(|lowers| lowers.into_iter().next());
            point.source = topmost.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
            "rprivate".clone_into(&mut point.propagation);
        }
    }
    point
}
