//! A service as a container to be created: the body of the Engine API's request.

mod mounts;
mod networks;
mod resources;

pub(crate) use mounts::{grant_target, unheeded};

use std::collections::BTreeMap;

use hako_api::container::CreateBody;
use hako_model::container::{Config, Empty, HealthConfig, HostConfig, LogConfig, MountPoint, NameSet, PortBinding};

use crate::canonical::{hashed_service, resolved, service_hash};
use crate::conform::duration;
use crate::label;
use crate::project::Project;
use crate::yaml::{Node, Text, Value, json};

/// What sets one container of a service apart from the others.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its number; none for a container of `run`.
    pub number: Option<usize>,
    /// The image's id.
    pub image: String,
    /// The container it takes the place of: its id.
    pub replaces: Option<String>,
    /// What it inherits from that one: anonymous volumes.
    pub inherited: Vec<MountPoint>,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Known by the service's name and aliases.
    pub aliased: bool,
    /// Its name.
    pub name: String,
    /// The first containers of services it shares namespaces and volumes with: their ids.
    pub shared: BTreeMap<String, String>,
}

/// A fresh id for a container of `run`.
#[must_use]
pub fn slug() -> String {
    use std::hash::{BuildHasher, Hasher};
    // Each of std's hashers is keyed anew from the system's randomness.
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}{:016x}{:016x}", word(), word(), word(), word())
}

/// The name of a service's container.
#[must_use]
pub fn container_name(project: &Project, service: &str, number: usize) -> String {
    let own = project.service(service).map(|node| node.text("container_name")).unwrap_or_default();
    if own.is_empty() { project.named(&[service, &number.to_string()]) } else { own.to_owned() }
}

/// The request that creates a container of a service.
///
/// # Errors
/// What of the service hako cannot do, by name.
pub fn body(project: &Project, service: &str, instance: &Instance) -> Result<CreateBody, String> {
    let node = project.service(service).ok_or_else(|| format!("no such service: {service}"))?;
    refuse_unsupported(service, node)?;
    let (binds, mounts) = mounts::of(project, node, &instance.inherited)?;
    let (network_mode, endpoints) = networks::of(project, service, node, instance);
    let config = Config {
        hostname: node.text("hostname").to_owned(),
        domainname: node.text("domainname").to_owned(),
        user: node.text("user").to_owned(),
        attach_stdout: true,
        attach_stderr: true,
        exposed_ports: Some(exposed(node)).filter(|ports| !ports.is_empty()),
        tty: node.on("tty"),
        open_stdin: node.on("stdin_open"),
        env: Some(environment(node)),
        cmd: words(node, "command"),
        entrypoint: words(node, "entrypoint"),
        healthcheck: node.get("healthcheck").map(health).transpose()?,
        image: project.image(service, node),
        working_dir: node.text("working_dir").to_owned(),
        labels: Some(labels(project, service, node, instance)?),
        stop_signal: node.text("stop_signal").to_owned(),
        stop_timeout: stop_timeout(node),
        ..Config::default()
    };
    let mut host = HostConfig {
        binds: Some(binds).filter(|binds| !binds.is_empty()),
        mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        secrets: Some(mounts::kept(project, node)?).filter(|secrets| !secrets.is_empty()),
        network_mode,
        ..host(node)?
    };
    share(&mut host, &instance.shared)?;
    Ok(CreateBody { config, host_config: Some(host), networking_config: endpoints })
}

/// Puts containers in the place of the services a container shares with.
fn share(host: &mut HostConfig, shared: &BTreeMap<String, String>) -> Result<(), String> {
    let container = |service: &str| {
        shared.get(service).ok_or_else(|| format!("cannot share with service {service}: container missing"))
    };
    for mode in [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode] {
        if let Some(service) = mode.strip_prefix("service:") {
            *mode = format!("container:{}", container(service)?);
        }
    }
    for from in host.volumes_from.iter_mut().flatten() {
        *from = match from.strip_prefix("container:") {
            Some(container) => container.to_owned(),
            None => {
                let (service, mode) = from.split_once(':').unwrap_or((from, ""));
                let id = container(service)?;
                if mode.is_empty() { id.clone() } else { format!("{id}:{mode}") }
            }
        };
    }
    Ok(())
}

fn host(node: &Node) -> Result<HostConfig, String> {
    let texts = |key: &str| Some(node.texts(key)).filter(|texts| !texts.is_empty());
    let map = |key: &str| Some(strings(node, key)).filter(|map| !map.is_empty());
    let (security_opt, unconfined) = security(node)?;
    Ok(HostConfig {
        log_config: logging(node),
        port_bindings: Some(bindings(node)),
        restart_policy: resources::restart(node)?,
        volume_driver: node.text("volume_driver").to_owned(),
        volumes_from: texts("volumes_from"),
        annotations: map("annotations"),
        cap_add: texts("cap_add"),
        cap_drop: texts("cap_drop"),
        cgroupns_mode: node.text("cgroup").to_owned(),
        dns: texts("dns"),
        dns_options: texts("dns_opt"),
        dns_search: texts("dns_search"),
        extra_hosts: Some(node.texts("extra_hosts").iter().map(|host| host.replacen('=', ":", 1)).collect()),
        group_add: texts("group_add"),
        ipc_mode: node.text("ipc").to_owned(),
        oom_score_adj: node.int("oom_score_adj").unwrap_or(0),
        pid_mode: node.text("pid").to_owned(),
        privileged: node.on("privileged"),
        readonly_rootfs: node.on("read_only"),
        security_opt,
        storage_opt: map("storage_opt"),
        tmpfs: texts("tmpfs").map(|mounts| mounts.iter().map(|mount| tmpfs(mount)).collect()),
        uts_mode: node.text("uts").to_owned(),
        userns_mode: node.text("userns_mode").to_owned(),
        shm_size: bytes(node, "shm_size"),
        sysctls: map("sysctls"),
        runtime: node.text("runtime").to_owned(),
        isolation: node.text("isolation").to_owned(),
        resources: resources::of(node),
        masked_paths: unconfined.then(Vec::new),
        readonly_paths: unconfined.then(Vec::new),
        init: node.switch("init"),
        ..HostConfig::default()
    })
}

fn refuse_unsupported(service: &str, node: &Node) -> Result<(), String> {
    let given = |key: &str| node.get(key).is_some();
    let why = match () {
        () if given("provider") => "provider: another program provides it, there is no container",
        () if given("models") => "models: running AI models is not part of hako",
        () if given("credential_spec") => "credential_spec: Windows only",
        () => return Ok(()),
    };
    Err(format!("service {service:?} cannot be run: {why}"))
}

/// What a service says that means nothing on one host, where no scheduler chooses among several.
pub(crate) fn without_effect(node: &Node) -> Vec<&'static str> {
    let text = |path: &[&str]| node.at_path(path).and_then(Node::as_text).unwrap_or_default();
    let given = |path: &[&str]| {
        node.at_path(path).is_some_and(|value| match &value.value {
            Value::Map(map) => !map.is_empty(),
            Value::List(items) => !items.is_empty(),
            other => *other != Value::Null,
        })
    };
    let reserved = |key| given(&["deploy", "resources", "reservations", key]);
    let all = [
        ("deploy.mode", !matches!(text(&["deploy", "mode"]), "" | "replicated")),
        ("deploy.endpoint_mode", given(&["deploy", "endpoint_mode"])),
        ("deploy.labels", given(&["deploy", "labels"])),
        ("deploy.placement", given(&["deploy", "placement"])),
        ("deploy.resources.reservations.cpus", reserved("cpus")),
        ("deploy.resources.reservations.generic_resources", reserved("generic_resources")),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
}

/// A mapping of texts.
pub(crate) fn strings(node: &Node, key: &str) -> BTreeMap<String, String> {
    node.entries(key).filter_map(|(key, value)| Some((key.to_string(), value.scalar()?.into()))).collect()
}

/// An amount of bytes.
fn bytes(node: &Node, key: &str) -> i64 {
    node.text(key).parse().unwrap_or(0)
}

fn words(node: &Node, key: &str) -> Option<Vec<String>> {
    node.get(key).filter(|node| !node.is_null()).map(|_| node.texts(key))
}

/// `NAME=value` each; a variable nobody set is left to the image.
pub(crate) fn environment(node: &Node) -> Vec<String> {
    let pair = |(name, value): (&Text, &Node)| match value.as_text() {
        Some(value) => format!("{name}={value}"),
        None => name.to_string(),
    };
    let mut pairs: Vec<String> = node.entries("environment").map(pair).collect();
    pairs.sort();
    pairs
}

/// Nanoseconds.
pub(crate) fn span(node: &Node, key: &str) -> Option<i64> {
    Some(node.text(key)).filter(|text| !text.is_empty()).and_then(|text| duration(text).ok())
}

fn stop_timeout(node: &Node) -> Option<i64> {
    span(node, "stop_grace_period").map(|nanos| nanos / 1_000_000_000)
}

fn health(node: &Node) -> Result<HealthConfig, String> {
    let test = node.texts("test");
    if node.on("disable") {
        return Ok(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() });
    }
    Ok(HealthConfig {
        test,
        interval: span(node, "interval").unwrap_or(0),
        timeout: span(node, "timeout").unwrap_or(0),
        start_period: span(node, "start_period").unwrap_or(0),
        start_interval: span(node, "start_interval").unwrap_or(0),
        retries: node.int("retries").unwrap_or(0),
    })
}

fn exposed(node: &Node) -> NameSet {
    let published = node.list("ports").iter().map(target);
    node.texts("expose").into_iter().chain(published).map(|port| (port, Empty {})).collect()
}

fn target(port: &Node) -> String {
    let protocol = Some(port.text("protocol")).filter(|text| !text.is_empty()).unwrap_or("tcp");
    format!("{}/{protocol}", port.int("target").unwrap_or(0))
}

fn bindings(node: &Node) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut found: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in node.list("ports") {
        let binding =
            PortBinding { host_ip: port.text("host_ip").to_owned(), host_port: port.text("published").to_owned() };
        found.entry(target(port)).or_default().get_or_insert_default().push(binding);
    }
    found
}

fn logging(node: &Node) -> LogConfig {
    let Some(logging) = node.get("logging") else { return LogConfig::default() };
    let options = strings(logging, "options");
    LogConfig { driver: logging.text("driver").to_owned(), config: Some(options).filter(|map| !map.is_empty()) }
}

fn tmpfs(mount: &str) -> (String, String) {
    let (path, options) = mount.split_once(':').unwrap_or((mount, ""));
    (path.to_owned(), options.to_owned())
}

/// The options, and whether the paths Docker hides are to be seen.
fn security(node: &Node) -> Result<(Option<Vec<String>>, bool), String> {
    let (mut options, mut unconfined) = (Vec::new(), false);
    for option in node.texts("security_opt") {
        let profile = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
        match profile {
            _ if option == "systempaths=unconfined" => unconfined = true,
            Some(path) if path != "unconfined" && path != "builtin" => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("opening seccomp profile ({path}) failed: {}", crate::load::cause(&error))
                })?;
                options.push(format!("seccomp={text}"));
            }
            _ => options.push(option),
        }
    }
    Ok((Some(options).filter(|options| !options.is_empty()), unconfined))
}

fn labels(
    project: &Project,
    service: &str,
    node: &Node,
    instance: &Instance,
) -> Result<BTreeMap<String, String>, String> {
    let mut labels = strings(node, "labels");
    let hashed = resolved(node, &|other| instance.shared.get(other).cloned());
    labels.extend(instance.labels.clone());
    let files: Vec<String> = project.files.iter().map(|path| path.display().to_string()).collect();
    let mut own = vec![
        (label::PROJECT, project.name.clone()),
        (label::SERVICE, service.to_owned()),
        (label::ONEOFF, if instance.number.is_some() { "False" } else { "True" }.to_owned()),
        (label::HASH, service_hash(&hashed)),
        (label::CONFIGURATION, json(&hashed_service(&hashed), false, false)),
        (label::IMAGE, instance.image.clone()),
        (label::DEPENDS_ON, dependencies(node)),
        (label::FILES, files.join(",")),
        (label::DIRECTORY, project.directory.display().to_string()),
        (label::VERSION, label::COMPOSE_VERSION.to_owned()),
    ];
    // What `run` makes runs now.
    if let Some(schedule) = crate::schedule::of(node)?.filter(|_| instance.number.is_some()) {
        own.push((label::SCHEDULE, serde_json::to_string(&schedule).map_err(|error| error.to_string())?));
    }
    own.extend(instance.number.map(|number| (label::NUMBER, number.to_string())));
    own.extend(instance.replaces.clone().map(|id| (label::REPLACE, id)));
    labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Ok(labels)
}

/// `db:service_healthy:true,cache:service_started:false`
fn dependencies(node: &Node) -> String {
    let each = |(name, node): (&Text, &Node)| format!("{name}:{}:{}", node.text("condition"), node.on("restart"));
    let mut all: Vec<String> = node.entries("depends_on").map(each).collect();
    all.sort();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Limits, read};

    #[test]
    fn what_needs_several_hosts_is_named() {
        let effects = |text: &str| without_effect(&read(text, 0, Limits::default()).unwrap().remove(0));
        assert_eq!(effects("{image: x, deploy: {mode: replicated, replicas: 2, labels: {}, placement: {}}}"), [""; 0]);
        let all = "deploy: {mode: global, endpoint_mode: dnsrr, labels: {a: b}, placement: {constraints: [node.role==x]}, \
                   resources: {reservations: {cpus: 0.5, memory: 64m, generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}}}";
        let named = effects(all);
        assert_eq!(named.len(), 6, "{named:?}");
        assert!(named.contains(&"deploy.resources.reservations.cpus"));
    }

    #[test]
    fn the_pauses_of_a_deployed_restart_policy_are_the_containers() {
        let policy = |text: &str| resources::restart(&read(text, 0, Limits::default()).unwrap().remove(0)).unwrap();
        let found = policy("deploy: {restart_policy: {condition: on-failure, delay: 5s, window: 2m, max_attempts: 3}}");
        assert_eq!((found.minimum_delay, found.maximum_delay), (5_000_000_000, 5_000_000_000));
        assert_eq!((found.reset_after, found.maximum_retry_count), (120_000_000_000, 3));
        let never = policy("deploy: {restart_policy: {condition: none, delay: 5s}}");
        assert_eq!((never.minimum_delay, never.reset_after), (0, 0));
    }
}
