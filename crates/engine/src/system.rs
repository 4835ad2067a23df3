//! About the engine itself: info, version, disk usage.

use hako_model::time::Timestamp;

use crate::Result;
use crate::containers::Summary as ContainerSummary;
use crate::images::Summary as ImageSummary;
use crate::volumes::Volume;

/// The system verbs. Cheap to clone.
#[derive(Clone)]
pub struct System {}

/// What `info` tells.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// The engine's id.
    pub id: String,
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
}

impl System {
    /// What the engine is and has.
    pub async fn info(&self) -> Result<Info> {
        todo!()
    }

    /// What takes how much room.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        todo!()
    }
}
