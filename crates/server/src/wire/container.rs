//! Containers and execs on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_api::container as wire;
use hako_api::exec::{Exec, ExecProcess};
use hako_api::inspect;
use hako_engine::containers::{
    Change, ChangeKind, ExecInspected, Exit, Health, Inspected, PathStat, PortSummary, Pruned, StateView, Summary, Top,
};
use hako_model::container::{EndpointSettings, MountKind, MountPoint};

use super::signed;

/// A line of the list.
pub(crate) fn summary(found: Summary) -> wire::Summary {
    wire::Summary {
        id: found.id.to_string(),
        names: found.names,
        image: found.image,
        image_id: found.image_id,
        command: found.command,
        created: found.created.secs(),
        ports: found.ports.into_iter().map(port).collect(),
        size_rw: found.size_rw.map_or(0, signed),
        size_root_fs: found.size_root_fs.map_or(0, signed),
        labels: found.labels,
        state: found.state,
        status: found.status,
        host_config: wire::SummaryHostConfig {
            network_mode: found.network_mode,
            annotations: super::null_if_empty(found.annotations),
        },
        network_settings: wire::SummaryNetworks { networks: found.networks.into_iter().map(listed_endpoint).collect() },
        mounts: found.mounts.into_iter().map(listed_mount).collect(),
        aside: found.aside,
    }
}

/// Lists do not tell what a container is called on a network.
fn listed_endpoint((name, endpoint): (String, EndpointSettings)) -> (String, EndpointSettings) {
    (name, EndpointSettings { aliases: None, dns_names: None, driver_opts: None, ..endpoint })
}

/// Lists do not tell where a volume lies.
fn listed_mount(mut mount: MountPoint) -> MountPoint {
    if mount.kind == MountKind::Volume {
        mount.source.clear();
    }
    mount
}

fn port(found: PortSummary) -> wire::Port {
    wire::Port {
        ip: found.ip,
        private_port: found.private_port,
        public_port: found.public_port.unwrap_or_default(),
        protocol: found.protocol,
    }
}

/// Everything about a container.
pub(crate) fn inspected(found: Inspected) -> inspect::Container {
    let bridge = found.networks.get("bridge").cloned().unwrap_or_default();
    inspect::Container {
        id: found.id.to_string(),
        created: found.created.to_string(),
        path: found.path,
        args: found.args,
        state: state(found.state),
        image: found.image,
        resolv_conf_path: found.resolv_conf_path,
        hostname_path: found.hostname_path,
        hosts_path: found.hosts_path,
        log_path: found.log_path,
        name: found.name,
        restart_count: found.restart_count.into(),
        driver: found.driver.clone(),
        platform: found.platform,
        mount_label: found.mount_label,
        process_label: found.process_label,
        app_armor_profile: found.app_armor_profile,
        exec_ids: found.exec_ids.filter(|ids| !ids.is_empty()),
        host_config: found.host_config,
        graph_driver: inspect::GraphDriver { data: super::null_if_empty(found.graph_driver), name: found.driver },
        size_rw: found.size_rw.map(signed),
        size_root_fs: found.size_root_fs.map(signed),
        mounts: found.mounts,
        config: found.config,
        network_settings: inspect::NetworkSettings {
            sandbox_id: found.sandbox_id,
            sandbox_key: found.sandbox_key,
            ports: found.ports,
            networks: found.networks,
            ..top_level(bridge)
        },
    }
}

/// The default bridge's addresses, repeated outside the map of networks for old clients.
fn top_level(bridge: EndpointSettings) -> inspect::NetworkSettings {
    inspect::NetworkSettings {
        endpoint_id: bridge.endpoint_id,
        gateway: bridge.gateway,
        global_ipv6_address: bridge.global_ipv6_address,
        global_ipv6_prefix_len: bridge.global_ipv6_prefix_len,
        ip_address: bridge.ip_address,
        ip_prefix_len: bridge.ip_prefix_len,
        ipv6_gateway: bridge.ipv6_gateway,
        mac_address: bridge.mac_address,
        ..inspect::NetworkSettings::default()
    }
}

fn state(found: StateView) -> inspect::State {
    inspect::State {
        status: found.status,
        running: found.running,
        paused: found.paused,
        restarting: found.restarting,
        oom_killed: found.oom_killed,
        dead: found.dead,
        pid: found.pid,
        exit_code: found.exit_code,
        error: found.error,
        started_at: found.started_at.to_string(),
        finished_at: found.finished_at.to_string(),
        health: found.health.map(health),
    }
}

fn health(found: Health) -> inspect::Health {
    let probes = found.log.into_iter().map(|probe| inspect::Probe {
        start: probe.start.to_string(),
        end: probe.end.to_string(),
        exit_code: probe.exit_code.into(),
        output: probe.output,
    });
    inspect::Health { status: found.status, failing_streak: found.failing_streak.into(), log: Some(probes.collect()) }
}

pub(crate) fn top(found: Top) -> wire::TopReply {
    wire::TopReply { processes: found.processes, titles: found.titles }
}

pub(crate) fn change(found: Change) -> wire::Change {
    let kind = match found.kind {
        ChangeKind::Modified => 0,
        ChangeKind::Added => 1,
        ChangeKind::Deleted => 2,
    };
    wire::Change { kind, path: found.path }
}

pub(crate) fn exit(found: Exit) -> wire::WaitReply {
    let error = found.error.map(|message| wire::WaitError { message });
    wire::WaitReply { status_code: found.code, error }
}

pub(crate) fn pruned(found: Pruned) -> wire::Pruned {
    let deleted = (!found.deleted.is_empty()).then_some(found.deleted);
    wire::Pruned { containers_deleted: deleted, space_reclaimed: found.space_reclaimed }
}

/// The header's value: base64 of JSON.
pub(crate) fn path_stat(found: PathStat) -> String {
    let stat = wire::PathStat {
        name: found.name,
        size: signed(found.size),
        mode: found.mode,
        mtime: found.modified.to_string(),
        link_target: found.link_target,
    };
    STANDARD.encode(serde_json::to_vec(&stat).unwrap_or_default())
}

pub(crate) fn exec(found: ExecInspected) -> Exec {
    let request = found.request;
    let mut words = request.cmd.into_iter();
    Exec {
        id: found.id.to_string(),
        running: found.running,
        exit_code: found.exit_code,
        process: ExecProcess {
            tty: request.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: Some(request.privileged),
            user: request.user,
        },
        open_stdin: found.open_stdin,
        open_stderr: request.attach_stderr,
        open_stdout: request.attach_stdout,
        can_remove: false,
        container_id: found.container.to_string(),
        detach_keys: request.detach_keys.map(|keys| STANDARD.encode(keys)).unwrap_or_default(),
        pid: found.pid,
    }
}
