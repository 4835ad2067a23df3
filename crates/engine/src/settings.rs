//! What the daemon was told at its start. Where it comes from (flags, `daemon.json`, environment) is the server's affair.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use hako_model::budget::Budget;
use hako_model::container::{LogConfig, Ulimit};

/// Everything that can be configured about an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where what must survive a boot is kept.
    pub data_root: PathBuf,
    /// Where what must not survive a boot is kept: sockets of live supervisors.
    pub exec_root: PathBuf,
    /// The binary to run supervisors and short-lived roles from (normally `/proc/self/exe`).
    pub binary: PathBuf,
    /// Started supervisors kept ahead of need.
    pub spares: usize,
    /// The default bridge's address and prefix (`--bip`); chosen by itself when absent.
    pub bip: Option<String>,
    /// Addresses of the default bridge's containers (`--fixed-cidr`).
    pub fixed_cidr: Option<String>,
    /// MTU of the default bridge and its containers.
    pub mtu: Option<u32>,
    /// The host address `-p` means when it names none (`--ip`).
    pub default_publish_ip: IpAddr,
    /// Pools for networks, `base/prefix:size` each (`--default-address-pool`).
    pub address_pools: Vec<(String, u8)>,
    /// Whether containers on the default bridge reach one another (`--icc`).
    pub icc: bool,
    /// Whether packets of the default bridge leave with the host's address (`--ip-masq`).
    pub masquerade: bool,
    /// The default bridge's gateway, if it is not the bridge (`--default-gateway`).
    pub default_gateway: Option<IpAddr>,
    /// Whether the default bridge has IPv6 (`--ipv6`).
    pub ipv6: bool,
    /// The default bridge's IPv6 subnet (`--fixed-cidr-v6`).
    pub fixed_cidr_v6: Option<String>,
    /// Whether new networks have IPv6 unless they say otherwise (`default-network-ipv6`).
    pub ipv6_networks: bool,
    /// Options of new networks that do not set them, by driver (`--default-network-opt`).
    pub network_options: Vec<(String, String, String)>,
    /// Whether the host's input rules decide who reaches published ports (`--publish-by-input`).
    pub publish_by_input: bool,
    /// Whether containers reach link-local metadata addresses (`--allow-metadata`).
    pub metadata: bool,
    /// Whether clients are told that experiments are on, which the docker CLI wants before it shows `checkpoint`.
    pub experimental: bool,
    /// Whether hako writes firewall rules at all (`--iptables`).
    pub firewall: bool,
    /// Name servers of containers that name none.
    pub dns: Vec<String>,
    /// Resolver options of containers that name none.
    pub dns_options: Vec<String>,
    /// Search domains of containers that name none.
    pub dns_search: Vec<String>,
    /// The log driver of containers that name none.
    pub log: LogConfig,
    /// Bytes of /dev/shm of containers that say nothing.
    pub shm_size: i64,
    /// Ulimits of containers that set none.
    pub ulimits: Vec<Ulimit>,
    /// Run an init in every container that does not say otherwise.
    pub init: bool,
    /// Never gain privileges in any container.
    pub no_new_privileges: bool,
    /// A seccomp profile file instead of the built-in one; `unconfined` for none.
    pub seccomp_profile: Option<String>,
    /// The cgroup below which containers' groups are made, instead of the instance's own.
    pub cgroup_parent: Option<String>,
    /// `private` or `host` for containers that do not say.
    pub cgroupns_mode: Option<String>,
    /// Labels of the daemon, `key=value` each.
    pub labels: Vec<String>,
    /// Mirrors of docker.io, tried first.
    pub registry_mirrors: Vec<String>,
    /// Registries that may be plain http or have unknown certificates: hosts, or networks in CIDR form.
    pub insecure_registries: Vec<String>,
    /// Downloads at a time.
    pub max_concurrent_downloads: usize,
    /// Uploads at a time.
    pub max_concurrent_uploads: usize,
    /// Seconds `stop` waits for a container's end when it does not say, on `daemon` shutdown.
    pub shutdown_timeout: i64,
    /// How much disk images, build cache and stopped containers may take (`--disk-budget`).
    pub disk_budget: Option<Budget>,
    /// The key that seals secrets: a file outside the data root, made at its first use.
    pub secret_key: PathBuf,
    /// Where vendors describe devices (`--cdi-spec-dir`).
    pub cdi_directories: Vec<PathBuf>,
    /// Environment the daemon hands to image pulls (proxies).
    pub proxies: BTreeMap<String, String>,
}

impl Settings {
    /// The defaults for a pair of roots.
    pub fn new(data_root: impl Into<PathBuf>, exec_root: impl Into<PathBuf>) -> Self {
        let data_root = data_root.into();
        let beside = data_root.parent().map(|parent| parent.join("secret.key"));
        Self {
            disk_budget: None,
            secret_key: beside.unwrap_or_else(|| PathBuf::from("/etc/hako/secret.key")),
            data_root,
            exec_root: exec_root.into(),
            binary: PathBuf::from("/proc/self/exe"),
            spares: 3,
            bip: None,
            fixed_cidr: None,
            mtu: None,
            default_publish_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            address_pools: Vec::new(),
            icc: true,
            masquerade: true,
            default_gateway: None,
            ipv6: false,
            fixed_cidr_v6: None,
            ipv6_networks: false,
            network_options: Vec::new(),
            publish_by_input: false,
            metadata: false,
            experimental: false,
            firewall: true,
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            log: LogConfig { driver: "json-file".to_owned(), config: None },
            shm_size: 64 << 20,
            ulimits: Vec::new(),
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            cgroup_parent: None,
            cgroupns_mode: None,
            labels: Vec::new(),
            registry_mirrors: Vec::new(),
            insecure_registries: Vec::new(),
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            shutdown_timeout: 15,
            cdi_directories: ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from).into(),
            proxies: BTreeMap::new(),
        }
    }
}
