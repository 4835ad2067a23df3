//! From the flags of `run` and `create` to the body of a create request. Whatever can be refused without asking the
//! daemon is refused here, in Docker's words.

mod care;
mod checks;
mod devices;
pub(crate) mod environment;
mod flags;
mod mounts;
mod networks;
mod security;

use std::collections::BTreeMap;

use hako_api::container::CreateBody;
use hako_model::cdi::QualifiedName;
use hako_model::container::{
    Config, Empty, HealthConfig, HostConfig, LogConfig, NameSet, PortBinding, PortMap, Resources, RestartName,
    RestartPolicy, SecretFile,
};
use hako_model::port;

use crate::flags::Matches;

pub(crate) use care::{CARE, on_unhealthy, secret, with_pauses};
pub(crate) use checks::{check_label, check_link, check_variable};
pub(crate) use devices::ulimit;
pub(crate) use flags::CONTAINER;
pub(crate) use mounts::{fields, parse as mount, volumes};
pub(crate) use networks::attachments;

/// The create body that `found` asks for; `command` is what follows the image's name.
pub(crate) fn assemble(found: &Matches, image: &str, command: &[String]) -> Result<CreateBody, String> {
    networks::check_modes(found)?;
    let (exposed, bindings) = ports(&found.list("publish"), &found.list("expose"))?;
    let (binds, volumes) = mounts::volumes(&found.list("volume"))?;
    let (network_mode, networking) = networks::collect(found)?;
    let config = config(found, image, command, exposed, volumes)?;
    let host = host_config(found, network_mode, bindings, binds)?;
    if host.auto_remove && !matches!(host.restart_policy.name, RestartName::Unset | RestartName::No) {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    Ok(CreateBody { config, host_config: Some(host), networking_config: Some(networking) })
}

fn config(
    found: &Matches,
    image: &str,
    command: &[String],
    exposed: Option<NameSet>,
    volumes: NameSet,
) -> Result<Config, String> {
    let streams: Vec<String> = found.list("attach").iter().map(|stream| stream.to_ascii_lowercase()).collect();
    let interactive = found.on("interactive");
    let attached = |stream: &str| streams.iter().any(|one| one == stream);
    let (stdout, stderr) = if streams.is_empty() { (true, true) } else { (attached("stdout"), attached("stderr")) };
    let stdin = attached("stdin") || (streams.is_empty() && interactive);
    let labels = environment::labels(&found.list("label-file"), &found.list("label"))?;
    Ok(Config {
        hostname: found.text("hostname").to_owned(),
        domainname: found.text("domainname").to_owned(),
        user: found.text("user").to_owned(),
        attach_stdin: stdin,
        attach_stdout: stdout,
        attach_stderr: stderr,
        exposed_ports: exposed,
        tty: found.on("tty"),
        open_stdin: interactive,
        stdin_once: interactive && stdin,
        env: Some(environment::variables(&found.list("env-file"), &found.list("env"))?),
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: health(found)?,
        image: image.to_owned(),
        volumes: Some(volumes),
        working_dir: found.text("workdir").to_owned(),
        entrypoint: entrypoint(found),
        labels: Some(labels),
        stop_signal: found.text("stop-signal").to_owned(),
        stop_timeout: found.int_given("stop-timeout"),
        ..Config::default()
    })
}

/// An empty `--entrypoint` clears the image's; Docker spells that as one empty word.
fn entrypoint(found: &Matches) -> Option<Vec<String>> {
    found.text_given("entrypoint").map(|program| vec![program.to_owned()])
}

fn host_config(
    found: &Matches,
    network_mode: String,
    bindings: PortMap,
    binds: Vec<String>,
) -> Result<HostConfig, String> {
    let (tmpfs, storage) = (mounts::tmpfs_flags(&found.list("tmpfs")), storage_options(found)?);
    let extra_hosts: Result<Vec<String>, String> =
        found.list("add-host").iter().map(|t| networks::extra_host(t)).collect();
    let mut structured = Vec::new();
    for text in found.list("mount") {
        structured.push(mounts::parse(text)?);
    }
    let security = security::options(&found.list("security-opt"))?;
    Ok(HostConfig {
        binds: (!binds.is_empty()).then_some(binds),
        container_id_file: found.text("cidfile").to_owned(),
        log_config: LogConfig { driver: found.text("log-driver").to_owned(), config: Some(log_options(found)?) },
        network_mode,
        port_bindings: Some(bindings),
        restart_policy: with_pauses(restart_policy(found.text("restart"))?, found)?,
        auto_remove: found.on("rm"),
        volume_driver: found.text("volume-driver").to_owned(),
        volumes_from: nonempty(found, "volumes-from"),
        console_size: crate::terminal::size().map_or([0, 0], |size| [size.rows.into(), size.columns.into()]),
        annotations: map_of(found, "annotation"),
        cap_add: nonempty(found, "cap-add"),
        cap_drop: nonempty(found, "cap-drop"),
        cgroupns_mode: found.text("cgroupns").to_owned(),
        dns: Some(found.strings("dns")),
        dns_options: Some([found.strings("dns-option"), found.strings("dns-opt")].concat()),
        dns_search: Some(found.strings("dns-search")),
        extra_hosts: Some(extra_hosts?).filter(|hosts| !hosts.is_empty()),
        group_add: nonempty(found, "group-add"),
        ipc_mode: found.text("ipc").to_owned(),
        links: nonempty(found, "link"),
        oom_score_adj: found.int("oom-score-adj"),
        pid_mode: found.text("pid").to_owned(),
        privileged: found.on("privileged"),
        publish_all_ports: found.on("publish-all"),
        readonly_rootfs: found.on("read-only"),
        security_opt: (!security.options.is_empty()).then_some(security.options),
        masked_paths: security.unmask.then(Vec::new),
        readonly_paths: security.unmask.then(Vec::new),
        storage_opt: storage,
        tmpfs: (!tmpfs.is_empty()).then_some(tmpfs),
        uts_mode: found.text("uts").to_owned(),
        userns_mode: found.text("userns").to_owned(),
        shm_size: found.bytes("shm-size"),
        sysctls: map_of(found, "sysctl"),
        runtime: found.text("runtime").to_owned(),
        isolation: found.text("isolation").to_owned(),
        resources: resources(found)?,
        mounts: (!structured.is_empty()).then_some(structured),
        init: found.switch_given("init"),
        on_unhealthy: on_unhealthy(found)?.filter(|wanted| wanted.action != "none"),
        secrets: secrets(found)?,
        ..HostConfig::default()
    })
}

fn secrets(found: &Matches) -> Result<Option<Vec<SecretFile>>, String> {
    let files = found.list("secret").into_iter().map(secret).collect::<Result<Vec<_>, String>>()?;
    Ok(Some(files).filter(|files| !files.is_empty()))
}

fn nonempty(found: &Matches, flag: &str) -> Option<Vec<String>> {
    Some(found.strings(flag)).filter(|values| !values.is_empty())
}

fn map_of(found: &Matches, flag: &str) -> Option<BTreeMap<String, String>> {
    Some(environment::pairs(found.list(flag).into_iter())).filter(|map| !map.is_empty())
}

fn log_options(found: &Matches) -> Result<BTreeMap<String, String>, String> {
    if found.text("log-driver") == "none" && !found.list("log-opt").is_empty() {
        return Err(format!("invalid logging opts for driver {}", found.text("log-driver")));
    }
    Ok(environment::pairs(found.list("log-opt").into_iter()))
}

fn storage_options(found: &Matches) -> Result<Option<BTreeMap<String, String>>, String> {
    if found.list("storage-opt").iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(map_of(found, "storage-opt"))
}

/// What limits a container; `update` has a part of these flags and its own function.
fn resources(found: &Matches) -> Result<Resources, String> {
    let swappiness = found.int("memory-swappiness");
    if swappiness != -1 && !(0..=100).contains(&swappiness) {
        return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
    }
    let every = |flag: &str| found.list(flag);
    let weights: Result<Vec<_>, String> = every("blkio-weight-device").into_iter().map(devices::weight).collect();
    let bytes = |flag| every(flag).into_iter().map(devices::byte_rate).collect::<Result<Vec<_>, String>>();
    let operations = |flag| every(flag).into_iter().map(devices::operation_rate).collect::<Result<Vec<_>, String>>();
    let ulimits: Result<Vec<_>, String> = every("ulimit").into_iter().map(devices::ulimit).collect();
    let (described, nodes): (Vec<&str>, Vec<&str>) =
        every("device").into_iter().partition(|text| QualifiedName::parse(text).is_some());
    let mappings: Result<Vec<_>, String> = nodes.into_iter().map(devices::mapping).collect();
    let requests = devices::requests(&described, &every("gpus"))?;
    Ok(Resources {
        cpu_shares: found.int("cpu-shares"),
        memory: found.bytes("memory"),
        nano_cpus: found.cpus("cpus"),
        cgroup_parent: found.text("cgroup-parent").to_owned(),
        blkio_weight: u16::try_from(found.int("blkio-weight")).unwrap_or(0),
        blkio_weight_device: Some(weights?),
        blkio_device_read_bps: Some(bytes("device-read-bps")?),
        blkio_device_write_bps: Some(bytes("device-write-bps")?),
        blkio_device_read_iops: Some(operations("device-read-iops")?),
        blkio_device_write_iops: Some(operations("device-write-iops")?),
        cpu_period: found.int("cpu-period"),
        cpu_quota: found.int("cpu-quota"),
        cpu_realtime_period: found.int("cpu-rt-period"),
        cpu_realtime_runtime: found.int("cpu-rt-runtime"),
        cpuset_cpus: found.text("cpuset-cpus").to_owned(),
        cpuset_mems: found.text("cpuset-mems").to_owned(),
        devices: Some(mappings?),
        device_requests: Some(requests).filter(|requests| !requests.is_empty()),
        device_cgroup_rules: nonempty(found, "device-cgroup-rule"),
        kernel_memory: found.bytes("kernel-memory"),
        memory_reservation: found.bytes("memory-reservation"),
        memory_swap: found.bytes("memory-swap"),
        memory_swappiness: Some(swappiness),
        oom_kill_disable: Some(found.on("oom-kill-disable")),
        pids_limit: Some(found.int("pids-limit")),
        ulimits: Some(ulimits?),
        ..Resources::default()
    })
}

/// `on-failure:3` and its kin.
pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
    let count = match count {
        Some(count) => count
            .parse()
            .map_err(|_| "invalid restart policy format: maximum retry count must be an integer".to_owned())?,
        None => 0,
    };
    if name.is_empty() && text.contains(':') {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let name = RestartName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    Ok(RestartPolicy { name, maximum_retry_count: count, ..RestartPolicy::default() })
}

/// What the flags say about the health check.
pub(crate) fn health(found: &Matches) -> Result<Option<HealthConfig>, String> {
    let given = [
        "health-cmd",
        "health-interval",
        "health-timeout",
        "health-start-period",
        "health-start-interval",
        "health-retries",
    ];
    let any = given.iter().any(|flag| found.given(flag));
    if found.on("no-healthcheck") {
        if any {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        return Ok(Some(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() }));
    }
    if !any {
        return Ok(None);
    }
    let span = |flag: &str| match found.duration(flag) {
        negative if negative < 0 => Err(format!("--{flag} cannot be negative")),
        span => Ok(span),
    };
    if found.int("health-retries") < 0 {
        return Err("--health-retries cannot be negative".to_owned());
    }
    let command = found.text("health-cmd");
    let test = if command.is_empty() { vec![] } else { vec!["CMD-SHELL".to_owned(), command.to_owned()] };
    Ok(Some(HealthConfig {
        test,
        interval: span("health-interval")?,
        timeout: span("health-timeout")?,
        start_period: span("health-start-period")?,
        start_interval: span("health-start-interval")?,
        retries: found.int("health-retries"),
    }))
}

/// What `-p` and `--expose` say together.
pub(crate) fn ports(publish: &[&str], expose: &[&str]) -> Result<(Option<NameSet>, PortMap), String> {
    let mut exposed = NameSet::new();
    let mut bindings = PortMap::new();
    for text in publish {
        for (port, binding) in port::parse_publish(text).map_err(|error| error.to_string())? {
            exposed.insert(port.to_string(), Empty {});
            let binding = PortBinding { host_ip: binding.host_ip, host_port: binding.host_port };
            bindings.entry(port.to_string()).or_default().get_or_insert_default().push(binding);
        }
    }
    for text in expose {
        for port in port::parse_expose(text).map_err(|error| error.to_string())? {
            exposed.insert(port.to_string(), Empty {});
        }
    }
    Ok((Some(exposed), bindings))
}

#[cfg(test)]
mod tests;
