//! About the engine itself: info, version, disk usage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hako_model::time::Timestamp;

use crate::builds::Kept;
use crate::cdi::Catalogue;
use crate::clock::now;
use crate::containers::{Containers, ListOptions, Summary as ContainerSummary, machine_memory};
use crate::house::House;
use crate::images::{ListRequest, Summary as ImageSummary};
use crate::volumes::{Volume, Volumes};
use crate::{Error, Result};

/// The system verbs. Cheap to clone.
#[derive(Clone)]
pub struct System {
    pub(crate) house: Arc<House>,
}

/// What `info` tells.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// The engine's id.
    pub id: String,
    /// Whether clients are told that experiments are on.
    pub experimental: bool,
    /// Containers in all.
    pub containers: usize,
    /// Running ones.
    pub running: usize,
    /// Paused ones.
    pub paused: usize,
    /// Stopped ones.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// The storage driver and its facts.
    pub driver_status: Vec<(String, String)>,
    /// The data root.
    pub data_root: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// Whether memory, swap, … limits work: `MemoryLimit`, `SwapLimit`, `CpuCfsQuota`, `CPUShares`, `CPUSet`,
    /// `PidsLimit`, `OomKillDisable`, in this order.
    pub memory_limit: bool,
    /// See `memory_limit`.
    pub swap_limit: bool,
    /// See `memory_limit`.
    pub cpu_cfs: bool,
    /// See `memory_limit`.
    pub cpu_shares: bool,
    /// See `memory_limit`.
    pub cpuset: bool,
    /// See `memory_limit`.
    pub pids_limit: bool,
    /// See `memory_limit`.
    pub oom_kill_disable: bool,
    /// Whether IPv4 forwarding is on.
    pub ipv4_forwarding: bool,
    /// Whether debug logging is on.
    pub debug: bool,
    /// Open descriptors of the daemon.
    pub descriptors: usize,
    /// Threads of the daemon.
    pub threads: usize,
    /// Live subscriptions to events.
    pub event_listeners: usize,
    /// Now.
    pub system_time: Timestamp,
    /// The default log driver.
    pub logging_driver: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The distribution's name.
    pub operating_system: String,
    /// Its version.
    pub os_version: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// CPUs on line.
    pub ncpu: usize,
    /// Bytes of memory.
    pub mem_total: u64,
    /// The host's name.
    pub name: String,
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// Security options: `name=seccomp,profile=builtin`, `name=apparmor`, `name=cgroupns`.
    pub security_options: Vec<String>,
    /// Mirrors of docker.io.
    pub registry_mirrors: Vec<String>,
    /// Registries that may be plain http.
    pub insecure_registries: Vec<String>,
    /// Where vendors describe devices.
    pub cdi_directories: Vec<String>,
    /// The devices they describe, by qualified name.
    pub devices: Vec<String>,
    /// Pools of addresses for networks: each whole, and the prefix length of one network.
    pub address_pools: Vec<(String, u8)>,
    /// Proxies for what the engine fetches, by the names of `daemon.json`.
    pub proxies: BTreeMap<String, String>,
    /// What does not work on this host.
    pub warnings: Vec<String>,
}

/// What takes how much room.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Bytes of all layers.
    pub layers_size: u64,
    /// Images.
    pub images: Vec<ImageSummary>,
    /// Containers, with their sizes.
    pub containers: Vec<ContainerSummary>,
    /// Volumes, with their usage.
    pub volumes: Vec<Volume>,
    /// The build cache.
    pub builds: Vec<Kept>,
}

impl System {
    /// What the engine is and has.
    pub async fn info(&self) -> Result<Info> {
        let house = &self.house;
        let directories = &house.settings.cdi_directories;
        let mut info = Info {
            id: house.engine_id.clone(),
            images: house.store.images().list().len(),
            driver_status: driver_status(&house.layout.data_root),
            data_root: house.layout.data_root.to_string_lossy().into_owned(),
            ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward").trim() == "1",
            debug: tracing::enabled!(tracing::Level::DEBUG),
            experimental: self.house.settings.experimental,
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            event_listeners: house.hub.listeners(),
            system_time: now(),
            logging_driver: house.settings.log.driver.clone(),
            ncpu: hako_sys::proc::processors(),
            mem_total: machine_memory(),
            labels: house.settings.labels.clone(),
            security_options: security_options(),
            registry_mirrors: house.settings.registry_mirrors.clone(),
            insecure_registries: house.settings.insecure_registries.clone(),
            cdi_directories: directories.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            devices: Catalogue::read(directories).names().map(str::to_owned).collect(),
            address_pools: house.settings.address_pools.clone(),
            proxies: house.settings.proxies.clone(),
            ..Info::default()
        };
        count_containers(house, &mut info);
        describe_host(&mut info);
        describe_cgroups(house, &mut info)?;
        Ok(info)
    }

    /// What takes how much room.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let house = Arc::clone(&self.house);
        let measured = tokio::task::spawn_blocking(move || {
            let usage = house.store.usage().map_err(|e| Error::io("measure store", e))?;
            let builds = crate::builds::list(&house)?;
            Ok::<_, Error>((usage, builds, Volumes { house }.measured()))
        });
        let (usage, builds, volumes) = measured.await.map_err(|e| Error::io("measure store", e))??;
        let images = self.house.images.get().ok_or_else(|| Error::system("measure images: engine is not open"))?;
        let listed = images.list(ListRequest { all: true, shared_size: true, ..ListRequest::default() }).await?;
        let containers = Containers { house: Arc::clone(&self.house) };
        let containers = containers.list(ListOptions { all: true, size: true, ..ListOptions::default() }).await?;
        Ok(DiskUsage { layers_size: usage.layers + usage.blobs, images: listed, containers, volumes, builds })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn entries(path: &str) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

fn count_containers(house: &House, info: &mut Info) {
    for container in house.index.all() {
        let status = container.status();
        info.containers += 1;
        match (status.state.is_paused(), status.state.is_running()) {
            (true, _) => info.paused += 1,
            (false, true) => info.running += 1,
            (false, false) => info.stopped += 1,
        }
    }
}

fn describe_host(info: &mut Info) {
    let uname = rustix::system::uname();
    info.kernel_version = uname.release().to_string_lossy().into_owned();
    info.architecture = uname.machine().to_string_lossy().into_owned();
    info.name = uname.nodename().to_string_lossy().into_owned();
    let release = read("/etc/os-release");
    let field = |key: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
    };
    info.operating_system = field("PRETTY_NAME");
    info.os_version = field("VERSION_ID");
    if info.operating_system.is_empty() {
        "Linux".clone_into(&mut info.operating_system);
    }
}

/// Which limits the host's control groups can enforce.
fn describe_cgroups(house: &House, info: &mut Info) -> Result<()> {
    let support = house.support()?;
    info.cgroup_version = if support.unified { 2 } else { 1 };
    info.memory_limit = support.memory;
    info.swap_limit = support.swap;
    info.cpu_cfs = support.cpu;
    info.cpu_shares = support.cpu;
    info.cpuset = support.cpuset;
    info.pids_limit = support.pids;
    info.oom_kill_disable = support.oom_kill_disable;
    let missing = [
        (info.memory_limit, "memory limit"),
        (info.swap_limit, "swap limit"),
        (info.cpu_cfs, "cpu cfs quota"),
        (info.cpu_shares, "cpu shares"),
        (info.cpuset, "cpuset"),
        (info.pids_limit, "pids limit"),
    ];
    let warnings = missing.iter().filter(|(there, _)| !there);
    info.warnings = warnings.map(|(_, what)| format!("WARNING: No {what} support")).collect();
    if !info.ipv4_forwarding {
        info.warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    Ok(())
}

fn driver_status(data_root: &Path) -> Vec<(String, String)> {
    let mounts = read("/proc/self/mounts");
    let around = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        data_root.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    let backing = around.max_by_key(|(length, _)| *length).map(|(_, kind)| kind).unwrap_or_default();
    let pairs = [("Backing Filesystem", backing.as_str()), ("Supports d_type", "true"), ("Using metacopy", "false")];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

fn security_options() -> Vec<String> {
    let mut options = Vec::new();
    if read("/sys/module/apparmor/parameters/enabled").starts_with('Y') {
        options.push("name=apparmor".to_owned());
    }
    options.push("name=seccomp,profile=builtin".to_owned());
    options.push("name=cgroupns".to_owned());
    options
}
