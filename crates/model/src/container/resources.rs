//! Limits on what a container may consume, and the devices it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_default;

/// cgroup limits, devices and ulimits. Zero means "no limit" wherever Docker says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Resources {
    /// Relative CPU weight.
    pub cpu_shares: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// CPUs in units of 10⁻⁹ (`--cpus`).
    pub nano_cpus: i64,
    /// The cgroup below which the container's is made.
    pub cgroup_parent: String,
    /// Relative block I/O weight, 10 to 1000.
    pub blkio_weight: u16,
    /// Relative weights per device.
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    /// Bytes per second read per device.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Bytes per second written per device.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Reads per second per device.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Writes per second per device.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    /// CFS period, microseconds.
    pub cpu_period: i64,
    /// CFS quota, microseconds.
    pub cpu_quota: i64,
    /// Real-time period, microseconds.
    pub cpu_realtime_period: i64,
    /// Real-time budget, microseconds.
    pub cpu_realtime_runtime: i64,
    /// CPUs it may run on.
    pub cpuset_cpus: String,
    /// Memory nodes it may use.
    pub cpuset_mems: String,
    /// Devices of the host.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Rules in the words of the devices cgroup.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Requests to device drivers (`--gpus`).
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Obsolete: bytes of kernel memory.
    #[serde(skip_serializing_if = "is_default")]
    pub kernel_memory: i64,
    /// Obsolete: bytes of kernel TCP memory.
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_default")]
    pub kernel_memory_tcp: i64,
    /// Soft limit, bytes.
    pub memory_reservation: i64,
    /// Memory plus swap, bytes; -1 means unlimited swap.
    pub memory_swap: i64,
    /// 0 to 100; `None` leaves the kernel's.
    pub memory_swappiness: Option<i64>,
    /// Suspend instead of kill when out of memory.
    pub oom_kill_disable: Option<bool>,
    /// Processes; zero or -1 means no limit.
    pub pids_limit: Option<i64>,
    /// Resource limits of the process.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Windows only.
    pub cpu_count: i64,
    /// Windows only.
    pub cpu_percent: i64,
    /// Windows only.
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    /// Windows only.
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,
}

/// A weight for one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WeightDevice {
    /// The device file.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A rate for one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ThrottleDevice {
    /// The device file.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A device of the host shown in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceMapping {
    /// Where it is on the host.
    pub path_on_host: String,
    /// Where it appears.
    pub path_in_container: String,
    /// Some of `rwm`.
    pub cgroup_permissions: String,
}

/// A request to a device driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceRequest {
    /// The driver's name.
    pub driver: String,
    /// How many; -1 means all.
    pub count: i64,
    /// Devices by id.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    /// Alternatives of capabilities that all must hold.
    pub capabilities: Option<Vec<Vec<String>>>,
    /// The driver's options.
    pub options: Option<BTreeMap<String, String>>,
}

/// One resource limit of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ulimit {
    /// Its name without `RLIMIT_`, lower case.
    pub name: String,
    /// The ceiling; -1 means none.
    pub hard: i64,
    /// The value in force; -1 means none.
    pub soft: i64,
}
