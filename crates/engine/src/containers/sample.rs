//! What a container uses, at a moment: the numbers behind `stats`.
//! Leaves out reading them (supervisor) and percentages (the CLI).

use std::collections::BTreeMap;

use hako_model::time::Timestamp;

/// CPU time, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub struct CpuSample {
    /// In all.
    pub total: u64,
    /// Per CPU, where the kernel says (cgroup v1).
    pub per_cpu: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
    /// Of the whole machine.
    pub system: u64,
    /// CPUs on line.
    pub online: u32,
    /// Enforcement periods.
    pub periods: u64,
    /// Periods that hit the limit.
    pub throttled_periods: u64,
    /// Time spent throttled.
    pub throttled_time: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default)]
pub struct MemorySample {
    /// Now.
    pub usage: u64,
    /// At most so far (cgroup v1).
    pub max_usage: Option<u64>,
    /// The kernel's own words (`memory.stat`).
    pub stats: BTreeMap<String, u64>,
    /// Times the limit was hit (cgroup v1).
    pub failcnt: Option<u64>,
    /// The limit; the machine's memory when there is none.
    pub limit: u64,
}

/// Block I/O of one device and one kind.
#[derive(Debug, Clone)]
pub struct BlockSample {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// `read`, `write`, …
    pub op: String,
    /// Bytes or operations.
    pub value: u64,
}

/// One interface's counters.
#[derive(Debug, Clone, Default)]
pub struct InterfaceSample {
    /// Received bytes.
    pub rx_bytes: u64,
    /// Received packets.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Sent bytes.
    pub tx_bytes: u64,
    /// Sent packets.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Dropped on sending.
    pub tx_dropped: u64,
}

/// What a container uses, at a moment and at the moment before.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The container's id.
    pub id: String,
    /// Its name with its slash.
    pub name: String,
    /// When this was read; zero when it does not run.
    pub read: Timestamp,
    /// When the one before was read; zero for the first.
    pub preread: Timestamp,
    /// CPU now.
    pub cpu: CpuSample,
    /// CPU before.
    pub precpu: CpuSample,
    /// Memory.
    pub memory: MemorySample,
    /// Processes and threads now.
    pub pids: u64,
    /// Their limit; `u64::MAX` when there is none.
    pub pids_limit: u64,
    /// Bytes moved to and from block devices.
    pub io_bytes: Vec<BlockSample>,
    /// Operations on block devices (cgroup v1).
    pub io_operations: Vec<BlockSample>,
    /// Interfaces by name.
    pub networks: BTreeMap<String, InterfaceSample>,
}
