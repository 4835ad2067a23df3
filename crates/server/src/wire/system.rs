//! The daemon itself on the wire.

use std::collections::BTreeMap;

use hako_api::system as wire;
use hako_api::usage::{BuildCache, DiskUsage as WireUsage};
use hako_api::version::ApiVersion;
use hako_engine::builds::Kept;
use hako_engine::system::{DiskUsage, Info};

use super::{container, image, signed, storage};

/// hako's own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The registry that plain names mean, in Docker's historical words.
const INDEX: &str = "https://index.docker.io/v1/";

/// Networks whose registries may be plain http without being asked.
const LOOPBACK: &[&str] = &["::1/128", "127.0.0.0/8"];

/// The words for the one built-in runtime: hako's own, and those under which Docker's clients ask for it.
const RUNTIMES: &[&str] = &["runc", "hako", "io.containerd.runc.v2"];

/// The answer to version.
pub(crate) fn version(kernel: String, experimental: bool) -> wire::Version {
    let api = ApiVersion::CURRENT.to_string();
    let minimum = ApiVersion::MINIMUM.to_string();
    let details = [
        ("ApiVersion", api.as_str()),
        ("Arch", architecture()),
        ("BuildTime", ""),
        ("Experimental", if experimental { "true" } else { "false" }),
        ("GitCommit", ""),
        ("GoVersion", ""),
        ("KernelVersion", kernel.as_str()),
        ("MinAPIVersion", minimum.as_str()),
        ("Os", "linux"),
    ];
    let details: BTreeMap<_, _> =
        details.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    wire::Version {
        platform: wire::PlatformName { name: "hako".to_owned() },
        components: vec![wire::Component {
            name: "Engine".to_owned(),
            version: VERSION.to_owned(),
            details: Some(details),
        }],
        version: VERSION.to_owned(),
        api_version: api,
        min_api_version: minimum,
        os: "linux".to_owned(),
        arch: architecture().to_owned(),
        kernel_version: kernel,
        experimental,
        ..wire::Version::default()
    }
}

/// The processor in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The answer to info.
pub(crate) fn info(found: Info) -> wire::Info {
    let registry_config = registries(&found);
    let proxy = |name: &str| found.proxies.get(name).map(|address| without_password(address)).unwrap_or_default();
    wire::Info {
        id: found.id,
        containers: count(found.containers),
        containers_running: count(found.running),
        containers_paused: count(found.paused),
        containers_stopped: count(found.stopped),
        images: count(found.images),
        driver: "overlay2".to_owned(),
        driver_status: found.driver_status.into_iter().map(|(name, value)| [name, value]).collect(),
        plugins: plugins(),
        memory_limit: found.memory_limit,
        swap_limit: found.swap_limit,
        cpu_cfs_period: found.cpu_cfs,
        cpu_cfs_quota: found.cpu_cfs,
        cpu_shares: found.cpu_shares,
        cpu_set: found.cpuset,
        pids_limit: found.pids_limit,
        ipv4_forwarding: found.ipv4_forwarding,
        debug: found.debug,
        n_fd: count(found.descriptors),
        oom_kill_disable: found.oom_kill_disable,
        n_goroutines: count(found.threads),
        system_time: found.system_time.to_string(),
        logging_driver: found.logging_driver,
        cgroup_driver: "cgroupfs".to_owned(),
        cgroup_version: found.cgroup_version.to_string(),
        n_events_listener: count(found.event_listeners),
        kernel_version: found.kernel_version,
        operating_system: found.operating_system,
        os_version: found.os_version,
        os_type: "linux".to_owned(),
        architecture: found.architecture,
        index_server_address: INDEX.to_owned(),
        registry_config,
        n_cpu: count(found.ncpu),
        mem_total: signed(found.mem_total),
        docker_root_dir: found.data_root,
        name: found.name,
        labels: found.labels,
        server_version: VERSION.to_owned(),
        runtimes: RUNTIMES.iter().map(|name| ((*name).to_owned(), wire::Runtime { path: "hako".to_owned() })).collect(),
        default_runtime: RUNTIMES[0].to_owned(),
        swarm: wire::SwarmInfo { local_node_state: "inactive".to_owned(), ..wire::SwarmInfo::default() },
        experimental_build: found.experimental,
        live_restore_enabled: true,
        init_binary: "hako".to_owned(),
        security_options: found.security_options,
        default_address_pools: found.address_pools.into_iter().map(pool).collect(),
        http_proxy: proxy("http-proxy"),
        https_proxy: proxy("https-proxy"),
        no_proxy: proxy("no-proxy"),
        discovered_devices: found.devices.into_iter().map(device).collect(),
        cdi_spec_dirs: found.cdi_directories,
        firewall_backend: Some(wire::FirewallBackend { driver: "nftables".to_owned(), info: Vec::new() }),
        warnings: (!found.warnings.is_empty()).then_some(found.warnings),
        ..wire::Info::default()
    }
}

fn pool((base, size): (String, u8)) -> wire::AddressPool {
    wire::AddressPool { base, size }
}

fn device(id: String) -> wire::DeviceInfo {
    wire::DeviceInfo { source: "cdi".to_owned(), id }
}

/// A proxy's address as anybody may see it.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://xxxxx:xxxxx@{host}"),
        None => address.to_owned(),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn plugins() -> wire::Plugins {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    wire::Plugins {
        volume: words(&["local"]),
        network: words(&["bridge", "host", "ipvlan", "macvlan", "null"]),
        authorization: None,
        log: words(&["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"]),
    }
}

fn registries(found: &Info) -> wire::RegistryConfig {
    let hub = wire::IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: found.registry_mirrors.clone(),
        secure: true,
        official: true,
    };
    let (networks, hosts): (Vec<_>, Vec<_>) =
        found.insecure_registries.iter().cloned().partition(|registry| registry.contains('/'));
    let insecure = hosts.into_iter().map(|name| (name.clone(), wire::IndexInfo { name, ..wire::IndexInfo::default() }));
    wire::RegistryConfig {
        insecure_registry_cidrs: LOOPBACK.iter().map(|network| (*network).to_owned()).chain(networks).collect(),
        index_configs: std::iter::once(("docker.io".to_owned(), hub)).chain(insecure).collect(),
        mirrors: (!found.registry_mirrors.is_empty()).then(|| found.registry_mirrors.clone()),
        ..wire::RegistryConfig::default()
    }
}

fn build_cache(kept: Kept, version: ApiVersion) -> BuildCache {
    BuildCache {
        parents: if version < ApiVersion::minor(42) { Vec::new() } else { kept.parents },
        kind: kept.kind.word().to_owned(),
        shared: kept.shared,
        size: signed(kept.size),
        created_at: kept.created.to_string(),
        last_used_at: Some(kept.used.to_string()),
        id: kept.id,
        description: kept.text,
        ..BuildCache::default()
    }
}

/// An image of df, which counts containers in every version.
fn measured(line: hako_engine::images::Summary, version: ApiVersion) -> hako_api::image::Summary {
    let containers = line.containers;
    hako_api::image::Summary { containers, ..image::summary(line, version) }
}

/// The answer to df; `kinds` are those asked for, all when there are none. Until 1.41 nobody could ask.
pub(crate) fn usage(found: DiskUsage, kinds: &[String], version: ApiVersion) -> WireUsage {
    let all = kinds.is_empty() || version < ApiVersion::minor(42);
    let wanted = |kind: &str| all || kinds.iter().any(|asked| asked == kind);
    WireUsage {
        layers_size: if wanted("image") { signed(found.layers_size) } else { 0 },
        images: wanted("image").then(|| found.images.into_iter().map(|line| measured(line, version)).collect()),
        containers: wanted("container").then(|| found.containers.into_iter().map(container::summary).collect()),
        volumes: wanted("volume").then(|| found.volumes.into_iter().map(storage::volume).collect()),
        builder_size: (version < ApiVersion::minor(42))
            .then(|| found.builds.iter().map(|kept| signed(kept.size)).sum::<i64>()),
        build_cache: wanted("build-cache")
            .then(|| found.builds.into_iter().map(|kept| build_cache(kept, version)).collect()),
    }
}
