//! From a record to an OCI specification: what exactly runs, and how confined.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod links;
pub(crate) mod mounts;
pub(crate) mod paths;
pub(crate) mod resources;
pub(crate) mod security;
pub(crate) mod user;

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::container::{HostConfig, Ulimit};
use hako_supervisor::spec::{Linux, Namespace, NamespaceKind, Process, Rlimit, Root, Spec, User};

use self::security::Options;
use self::user::Accounts;
use crate::container::Container;
use crate::containers::ExecRequest;
use crate::house::House;
use crate::record::Record;
use crate::{Error, Result};

/// The specification of a container about to be started.
pub(crate) fn spec(house: &House, container: &Container, accounts: &Accounts) -> Result<Spec> {
    let record = container.record();
    let host = &record.host_config;
    let options = Options::parse(host)?;
    let mounts = mounts::of(&house.store, &record, &files_directory(house, container)?, mounts::shm(container))?;
    let own_uts = host.uts_mode != "host";
    Ok(Spec {
        oci_version: "1.2.0".to_owned(),
        process: Some(process(house, &record, &options, accounts)?),
        root: Some(Root { path: "rootfs".to_owned(), readonly: host.readonly_rootfs }),
        hostname: if own_uts { record.config.hostname.clone() } else { String::new() },
        domainname: if own_uts { record.config.domainname.clone() } else { String::new() },
        mounts,
        linux: Some(linux(house, container, &record, &options)?),
        // Neither an image nor a client has programs of the host run, or says a word to the runtime.
        ..Spec::default()
    })
}

/// Containers that share another one's network share its files too.
fn files_directory(house: &House, container: &Container) -> Result<std::path::PathBuf> {
    match container.record().host_config.network_mode.strip_prefix("container:") {
        Some(other) => Ok(lender(house, other)?.dir.clone()),
        None => Ok(container.dir.clone()),
    }
}

/// The container whose network is to be joined.
fn lender(house: &House, name: &str) -> Result<Arc<Container>> {
    house.index.find(name).map_err(|error| error.during("joining network namespace of container"))
}

fn process(house: &House, record: &Record, options: &Options, accounts: &Accounts) -> Result<Process> {
    let (config, host) = (&record.config, &record.host_config);
    let groups = host.group_add.clone().unwrap_or_default();
    let found = accounts.find(&config.user, &groups)?;
    let links = links::of(house, record)?;
    let told = links.iter().flat_map(|link| link.variables(&record.name));
    let env: Vec<String> = told.chain(config.env.iter().flatten().cloned()).collect();
    Ok(Process {
        terminal: config.tty,
        console_size: console_size(host.console_size),
        user: User { uid: found.uid, gid: found.gid, umask: None, additional_gids: found.groups },
        args: record.command(),
        env: environment::of(&env, &config.hostname, config.tty, &found.home),
        cwd: if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() },
        capabilities: Some(capabilities::of(host)),
        rlimits: rlimits(house, host),
        no_new_privileges: options.no_new_privileges.unwrap_or(house.settings.no_new_privileges),
        apparmor_profile: security::apparmor(options, host)?,
        oom_score_adj: i32::try_from(host.oom_score_adj).ok(),
        ..Process::default()
    })
}

fn console_size(size: [u32; 2]) -> Option<hako_supervisor::spec::ConsoleSize> {
    let [height, width] = size.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
    (height > 0 && width > 0).then_some(hako_supervisor::spec::ConsoleSize { height, width })
}

/// The container's ulimits, and the daemon's for those it does not set.
fn rlimits(house: &House, host: &HostConfig) -> Vec<Rlimit> {
    let mut limits: BTreeMap<&str, &Ulimit> = house.settings.ulimits.iter().map(|l| (l.name.as_str(), l)).collect();
    limits.extend(host.resources.ulimits.iter().flatten().map(|limit| (limit.name.as_str(), limit)));
    let value = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
    let rlimit = |(name, limit): (&str, &Ulimit)| Rlimit {
        kind: format!("RLIMIT_{}", name.to_ascii_uppercase()),
        hard: value(limit.hard),
        soft: value(limit.soft),
    };
    limits.into_iter().map(rlimit).collect()
}

fn linux(house: &House, container: &Container, record: &Record, options: &Options) -> Result<Linux> {
    let host = &record.host_config;
    let (nodes, rules) = devices::of(host)?;
    Ok(Linux {
        sysctl: sysctls(host),
        resources: Some(resources::of(&host.resources, rules)?),
        cgroups_path: house.cgroup(container),
        namespaces: namespaces(house, host)?,
        devices: nodes,
        seccomp: security::seccomp(options, host, &house.settings)?,
        rootfs_propagation: propagation(record),
        masked_paths: masked_paths(host),
        readonly_paths: host.readonly_paths.clone().unwrap_or_default(),
        ..Linux::default()
    })
}

/// Docker's masked paths grow by each CPU's thermal counters, which tell about others' load.
fn masked_paths(host: &HostConfig) -> Vec<String> {
    let mut masked = host.masked_paths.clone().unwrap_or_default();
    if masked.iter().any(|path| path == "/sys/firmware") {
        let cpus = hako_sys::proc::processors();
        let thermal = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
        masked.extend((0..cpus).map(thermal).filter(|path| std::path::Path::new(path).exists()));
    }
    masked
}

/// Mounts that are to reach out of the container need a root that lets them.
fn propagation(record: &Record) -> String {
    use hako_model::mount::Origin;
    let wanted = |words: &[&str]| {
        record
            .mounts
            .iter()
            .any(|plan| matches!(&plan.origin, Origin::Bind(bind) if words.contains(&bind.propagation.as_str())))
    };
    match (wanted(&["shared", "rshared"]), wanted(&["slave", "rslave"])) {
        (true, _) => "rshared".to_owned(),
        (false, true) => "rslave".to_owned(),
        (false, false) => String::new(),
    }
}

/// Docker's defaults: low ports and ping for everyone, in namespaces of the container's own.
fn sysctls(host: &HostConfig) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    if host.network_mode != "host" && !host.network_mode.starts_with("container:") {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    sysctls.extend(host.sysctls.clone().unwrap_or_default());
    sysctls
}

fn namespaces(house: &House, host: &HostConfig) -> Result<Vec<Namespace>> {
    let modes = [
        (NamespaceKind::Pid, host.pid_mode.as_str(), "pid"),
        (NamespaceKind::Network, host.network_mode.as_str(), "net"),
        (NamespaceKind::Ipc, host.ipc_mode.as_str(), "ipc"),
        (NamespaceKind::Uts, host.uts_mode.as_str(), "uts"),
        (NamespaceKind::Cgroup, host.cgroupns_mode.as_str(), "cgroup"),
    ];
    let mut namespaces = vec![Namespace { kind: NamespaceKind::Mount, path: String::new() }];
    for (kind, mode, name) in modes {
        match mode.strip_prefix("container:") {
            _ if mode == "host" => {}
            Some(other) => namespaces.push(Namespace { kind, path: join(house, other, name)? }),
            None => namespaces.push(Namespace { kind, path: String::new() }),
        }
    }
    Ok(namespaces)
}

fn join(house: &House, other: &str, name: &str) -> Result<String> {
    let container = if name == "net" { lender(house, other)? } else { house.index.find(other)? };
    let (status, id) = (container.status(), &container.id);
    match status.pid() {
        0 if name == "net" => {
            let (other, state) = (&container.record().name, status.state.as_str());
            let text = "cannot join network namespace of a non running container: container";
            Err(Error::conflict(format!("{text} {other} is {state}")))
        }
        0 => {
            let kind = name.to_uppercase();
            Err(Error::conflict(format!("failed to join {kind} namespace: container {id} is not running")))
        }
        pid => Ok(format!("/proc/{pid}/ns/{name}")),
    }
}

/// The process of an exec instance: as confined as the container's own, unless it is privileged.
pub(crate) fn exec_process(
    house: &House,
    record: &Record,
    request: &ExecRequest,
    accounts: &Accounts,
) -> Result<Process> {
    let options = Options::parse(&record.host_config)?;
    let mut process = process(house, record, &options, accounts)?;
    let spec = if request.user.is_empty() { &record.config.user } else { &request.user };
    let groups = record.host_config.group_add.clone().unwrap_or_default();
    let found = accounts.find(spec, &groups)?;
    process.user = User { uid: found.uid, gid: found.gid, umask: None, additional_gids: found.groups };
    let own = record.config.env.as_deref().unwrap_or_default();
    let env = environment::add(own.to_vec(), &request.env);
    process.env = environment::of(&env, &record.config.hostname, request.tty, &found.home);
    process.args.clone_from(&request.cmd);
    process.terminal = request.tty;
    process.console_size = request.console_size.and_then(console_size);
    if !request.working_dir.is_empty() {
        process.cwd.clone_from(&request.working_dir);
    }
    if request.privileged {
        process.capabilities = Some(capabilities::all());
        process.no_new_privileges = false;
    }
    Ok(process)
}
