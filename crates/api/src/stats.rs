//! `GET /containers/{id}/stats`: one sample of a container's consumption, with the one before it.

use std::collections::BTreeMap;

use hako_model::image::nullable;
use serde::{Deserialize, Serialize};

use crate::is_default;

/// A sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The container's name with a leading slash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was taken.
    pub read: String,
    /// When the one before was taken.
    pub preread: String,
    /// Processes.
    pub pids_stats: Pids,
    /// Block I/O.
    pub blkio_stats: Blkio,
    /// Windows only.
    pub num_procs: u32,
    /// Windows only.
    pub storage_stats: Storage,
    /// CPU time now.
    pub cpu_stats: Cpu,
    /// CPU time in the sample before.
    pub precpu_stats: Cpu,
    /// Memory.
    pub memory_stats: Memory,
    /// Interfaces by name; absent without a network of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<BTreeMap<String, Network>>,
}

/// Processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// How many there may be.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block I/O; what the kernel does not count is `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blkio {
    /// Bytes.
    pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
    /// Operations.
    pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub io_queue_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub io_merged_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub io_time_recursive: Option<Vec<BlkioEntry>>,
    /// cgroup v1 with CFQ only.
    pub sectors_recursive: Option<Vec<BlkioEntry>>,
}

/// One counter of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioEntry {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// `read`, `write`, …
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Windows only; empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {}

/// CPU time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// The container's.
    pub cpu_usage: CpuUsage,
    /// The whole machine's, nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub system_cpu_usage: u64,
    /// CPUs on line.
    #[serde(skip_serializing_if = "is_default")]
    pub online_cpus: u32,
    /// What its quota cost it.
    pub throttling_data: Throttling,
}

/// A container's CPU time, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// In all.
    pub total_usage: u64,
    /// By CPU, on cgroup v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percpu_usage: Option<Vec<u64>>,
    /// In the kernel.
    pub usage_in_kernelmode: u64,
    /// Outside the kernel.
    pub usage_in_usermode: u64,
}

/// What a CPU quota cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttling {
    /// Periods with work.
    pub periods: u64,
    /// Periods that ran out.
    pub throttled_periods: u64,
    /// Nanoseconds lost.
    pub throttled_time: u64,
}

/// Memory, bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// In use.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most ever in use, on cgroup v1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_usage: u64,
    /// The kernel's own table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "nullable")]
    pub stats: BTreeMap<String, u64>,
    /// How often the limit was hit, on cgroup v1.
    #[serde(skip_serializing_if = "is_default")]
    pub failcnt: u64,
    /// The limit, or the machine's memory.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// One interface's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Errors while receiving.
    pub rx_errors: u64,
    /// Packets dropped while receiving.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors while sending.
    pub tx_errors: u64,
    /// Packets dropped while sending.
    pub tx_dropped: u64,
}
