//! What is refused before anything is created, in Docker's words.

mod resources;

use std::collections::BTreeMap;

use hako_model::amount;
use hako_model::container::{Config, EndpointSettings, HealthConfig, HostConfig, RestartName};
use hako_supervisor::log::config::LogConfig;
use hako_sys::caps;

use super::CreateRequest;
use crate::house::House;
use crate::volumes::NO_QUOTAS;
use crate::{Error, Result, networks};

pub(super) use resources::{check as check_resources, check_foreign, complete as complete_resources};

/// The shortest interval, timeout and start period of a health check: 1 ms.
const SHORTEST: i64 = 1_000_000;

/// Everything that can be refused without looking at the image.
pub(super) fn check(house: &House, request: &CreateRequest) -> Result<()> {
    check_config(&request.config)?;
    let host = &request.host_config;
    check_unsupported(host)?;
    if host.annotations.iter().flatten().any(|(name, _)| name.is_empty()) {
        return Err(Error::invalid("invalid Annotations: the empty string is not permitted as an annotation key"));
    }
    layer_bound(house, host)?;
    check_restart(host)?;
    super::edit::remedy(host)?;
    check_capabilities(host)?;
    check_network_mode(&request.config, host)?;
    check_mac(&request.config, networks::mode_network(&host.network_mode))?;
    check_ports(host)?;
    check_modes(house, host)?;
    check_log(&host.log_config)?;
    check_sysctls(host)?;
    check_hosts(host)?;
    check_networks(house, request)?;
    crate::secrets::check(house, host.secrets.as_deref().unwrap_or_default())?;
    crate::oci::links::check(house, host)?;
    crate::oci::security::Options::parse(host)?;
    resources::check(&host.resources, host.oom_score_adj, host.shm_size)?;
    crate::oci::devices::check(host)
}

/// Refuses what makes no sense in the portable half.
pub(super) fn check_config(config: &Config) -> Result<()> {
    let dir = &config.working_dir;
    if !dir.is_empty() && !dir.starts_with('/') {
        let text = format!("the working directory '{dir}' is invalid, it needs to be an absolute path");
        return Err(Error::invalid(text));
    }
    for pair in config.env.iter().flatten() {
        if pair.is_empty() || pair.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {pair}")));
        }
    }
    if !config.stop_signal.is_empty() {
        crate::signal::parse(&config.stop_signal)?;
    }
    if config.hostname.len() > 64 {
        return Err(Error::invalid(format!("invalid hostname: {}", config.hostname)));
    }
    config.healthcheck.as_ref().map_or(Ok(()), check_health)
}

/// Refuses a health check that makes no sense.
pub(super) fn check_health(health: &HealthConfig) -> Result<()> {
    for (name, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ] {
        if value != 0 && value < SHORTEST {
            return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if health.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    match health.test.first().map_or("", String::as_str) {
        "" | "NONE" | "CMD" | "CMD-SHELL" => Ok(()),
        kind => Err(Error::invalid(format!("Unknown healthcheck type '{kind}' (expected 'CMD')"))),
    }
}

/// The bound on the writable layer that `--storage-opt` asks for, if it is one that can be kept.
pub(super) fn layer_bound(house: &House, host: &HostConfig) -> Result<Option<u64>> {
    let options = host.storage_opt.iter().flatten();
    let mut bound = None;
    for (key, value) in options {
        if key != "size" {
            return Err(Error::invalid(format!("Unknown option {key}")));
        }
        let bytes = amount::bytes(value).and_then(|bytes| u64::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| Error::invalid(format!("invalid size: '{value}'")))?;
        bound = Some(bytes).filter(|bytes| *bytes > 0);
    }
    if bound.is_some() && !house.store.writable(&house.layout.data_root).can_be_bounded() {
        return Err(Error::invalid(format!("--storage-opt size cannot be kept: {NO_QUOTAS}")));
    }
    Ok(bound)
}

/// What hako does not do is refused by name.
fn check_unsupported(host: &HostConfig) -> Result<()> {
    match host.runtime.as_str() {
        "" | "hako" | "runc" | "io.containerd.runc.v2" => {}
        name => return Err(Error::invalid(format!("unknown or invalid runtime name: {name}"))),
    }
    match host.isolation.as_str() {
        "" | "default" => Ok(()),
        name => Err(Error::invalid(format!("invalid isolation ({name}): linux only supports 'default'"))),
    }
}

fn check_restart(host: &HostConfig) -> Result<()> {
    let policy = host.restart_policy;
    let count = policy.maximum_retry_count;
    if host.auto_remove && !matches!(policy.name, RestartName::Unset | RestartName::No) {
        return Err(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if count < 0 {
        return Err(Error::invalid("invalid restart policy: maximum retry count cannot be negative"));
    }
    if [policy.minimum_delay, policy.maximum_delay, policy.reset_after].iter().any(|nanos| *nanos < 0) {
        return Err(Error::invalid("invalid restart policy: pauses cannot be negative"));
    }
    if count > 0 && policy.name != RestartName::OnFailure {
        let text = "invalid restart policy: maximum retry count can only be used with 'on-failure'";
        return Err(Error::invalid(text));
    }
    Ok(())
}

fn check_capabilities(host: &HostConfig) -> Result<()> {
    for (what, list) in [("CapAdd", &host.cap_add), ("CapDrop", &host.cap_drop)] {
        for name in list.iter().flatten().filter(|name| !name.eq_ignore_ascii_case("all")) {
            let name = crate::oci::capabilities::full_name(name);
            if caps::Set::number(&name).is_none() {
                return Err(Error::invalid(format!("invalid {what}: unknown capability: \"{name}\"")));
            }
        }
    }
    Ok(())
}

/// Refuses ports that are none.
fn check_ports(host: &HostConfig) -> Result<()> {
    let bindings = host.port_bindings.clone().unwrap_or_default();
    hako_model::port::wanted(&bindings, [], false).map(drop).map_err(|error| Error::invalid(error.to_string()))
}

/// Refuses an address that is none, where old clients put it.
fn check_mac(config: &Config, joined: &str) -> Result<()> {
    let asked = EndpointSettings { mac_address: config.mac_address.clone(), ..EndpointSettings::default() };
    networks::wanted_mac(&asked).map(drop).map_err(|error| error.during(format!("invalid config for network {joined}")))
}

fn check_network_mode(config: &Config, host: &HostConfig) -> Result<()> {
    let conflict = |what: &str| Err(Error::invalid(format!("conflicting options: {what}")));
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return conflict("hostname and the UTS mode");
    }
    let Some(other) = host.network_mode.strip_prefix("container:") else { return Ok(()) };
    if other.is_empty() {
        return Err(Error::invalid("invalid network mode: invalid container format container:<name|id>"));
    }
    let some = |list: &Option<Vec<String>>| list.iter().flatten().next().is_some();
    if !config.hostname.is_empty() {
        return conflict("hostname and the network mode");
    }
    if some(&host.links) {
        return conflict("container type network can't be used with links. This would result in undefined behavior");
    }
    if some(&host.dns) {
        return conflict("dns and the network mode");
    }
    if some(&host.extra_hosts) {
        return conflict("custom host-to-IP mapping and the network mode");
    }
    if host.port_bindings.iter().flatten().next().is_some() || host.publish_all_ports {
        return conflict("port publishing and the container type network mode");
    }
    if config.exposed_ports.iter().flatten().next().is_some() {
        return conflict("port exposing and the container type network mode");
    }
    Ok(())
}

fn check_modes(house: &House, host: &HostConfig) -> Result<()> {
    let one_of = |what: &str, mode: &str, known: &[&str], joins: bool| {
        let other = mode.strip_prefix("container:").filter(|_| joins);
        match other {
            Some(other) => house.index.find(other).map(|_| ()),
            None if known.contains(&mode) => Ok(()),
            None => Err(Error::invalid(format!("invalid {what} mode: {mode}"))),
        }
    };
    one_of("PID", &host.pid_mode, &["", "host"], true)?;
    one_of("IPC", &host.ipc_mode, &["", "none", "private", "shareable", "host"], true)?;
    one_of("UTS", &host.uts_mode, &["", "host"], false)?;
    one_of("user namespace", &host.userns_mode, &["", "host"], false)?;
    one_of("cgroup namespace", &host.cgroupns_mode, &["", "private", "host"], false)?;
    // A network need not be there before the container is started, nor the container whose network it is to have.
    Ok(())
}

/// Files that options name are looked at when the container starts, as in Docker: they may come meanwhile.
fn check_log(log: &hako_model::container::LogConfig) -> Result<()> {
    let checked = LogConfig::check(&log.driver, log.config.as_ref().unwrap_or(&BTreeMap::new()));
    checked.map_err(|error| Error::invalid(error.to_string()))
}

/// Parameters outside a container's own namespaces would change the host.
fn check_sysctls(host: &HostConfig) -> Result<()> {
    const IPC: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for name in host.sysctls.iter().flatten().map(|(name, _)| name) {
        let ipc = IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.");
        let allowed = name.starts_with("net.") || ipc || matches!(name.as_str(), "kernel.domainname");
        if name.starts_with("net.") && host.network_mode == "host" {
            return Err(Error::invalid(format!("sysctl '{name}' not allowed in host network namespace")));
        }
        if ipc && host.ipc_mode == "host" {
            return Err(Error::invalid(format!("sysctl '{name}' not allowed in host ipc namespace")));
        }
        if !allowed || name.contains("..") || name.contains('/') {
            return Err(Error::invalid(format!("sysctl \"{name}\" is not in a separate kernel namespace")));
        }
    }
    Ok(())
}

fn check_hosts(host: &HostConfig) -> Result<()> {
    for line in host.extra_hosts.iter().flatten() {
        let parts = line.split_once(':').or_else(|| line.split_once('='));
        match parts {
            Some((name, address)) if !name.is_empty() => {
                let bare = address.trim_start_matches('[').trim_end_matches(']');
                if address != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
                    return Err(Error::invalid(format!("invalid IP address in add-host: \"{address}\"")));
                }
            }
            _ => return Err(Error::invalid(format!("bad format for add-host: \"{line}\""))),
        }
    }
    Ok(())
}

/// Networks of one's own may be joined together; the others stand alone.
fn check_networks(house: &House, request: &CreateRequest) -> Result<()> {
    let joined = networks::mode_network(&request.host_config.network_mode);
    let asked = request.networking.endpoints_config.iter().flatten();
    for (name, endpoint) in asked {
        let other = networks::mode_network(name);
        if other != joined && !(networks::is_own_name(joined) || joined == "bridge") {
            let text = format!("Container cannot be connected to network endpoints: {joined}, {other}");
            return Err(Error::invalid(text));
        }
        let checked = networks::check_settings(house, other, endpoint);
        checked.map_err(|error| error.during(format!("invalid config for network {other}")))?;
    }
    Ok(())
}
