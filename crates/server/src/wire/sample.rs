//! A container's consumption on the wire.

use hako_api::stats as wire;
use hako_engine::containers::{BlockSample, CpuSample, InterfaceSample, MemorySample, Sample};

/// A sample.
pub(crate) fn sample(found: Sample) -> wire::Sample {
    let networks = found.networks.into_iter().map(|(name, counters)| (name, interface(counters))).collect();
    wire::Sample {
        name: found.name,
        id: found.id,
        read: found.read.to_string(),
        preread: found.preread.to_string(),
        // Without a limit there is nothing to show; the greatest number would not survive every client's JSON.
        pids_stats: wire::Pids {
            current: found.pids,
            limit: if found.pids_limit == u64::MAX { 0 } else { found.pids_limit },
        },
        // A container that does not run has not even empty lists.
        blkio_stats: match found.pids {
            0 => wire::Blkio::default(),
            _ => blkio(found.io_bytes, found.io_operations, found.memory.max_usage.is_some()),
        },
        cpu_stats: cpu(found.cpu),
        precpu_stats: cpu(found.precpu),
        memory_stats: memory(found.memory),
        networks: Some(networks).filter(|map: &std::collections::BTreeMap<_, _>| !map.is_empty()),
        ..wire::Sample::default()
    }
}

/// cgroup v1 has lists of everything, mostly empty ones; v2 only counts bytes.
fn blkio(bytes: Vec<BlockSample>, operations: Vec<BlockSample>, first_version: bool) -> wire::Blkio {
    let entries = |found: Vec<BlockSample>| found.into_iter().map(block).collect::<Vec<_>>();
    let empty = || first_version.then(Vec::new);
    wire::Blkio {
        io_service_bytes_recursive: Some(entries(bytes)),
        io_serviced_recursive: first_version.then(|| entries(operations)),
        io_queue_recursive: empty(),
        io_service_time_recursive: empty(),
        io_wait_time_recursive: empty(),
        io_merged_recursive: empty(),
        io_time_recursive: empty(),
        sectors_recursive: empty(),
    }
}

fn block(found: BlockSample) -> wire::BlkioEntry {
    wire::BlkioEntry { major: found.major, minor: found.minor, op: found.op, value: found.value }
}

fn cpu(found: CpuSample) -> wire::Cpu {
    wire::Cpu {
        cpu_usage: wire::CpuUsage {
            total_usage: found.total,
            percpu_usage: (!found.per_cpu.is_empty()).then_some(found.per_cpu),
            usage_in_kernelmode: found.kernel,
            usage_in_usermode: found.user,
        },
        system_cpu_usage: found.system,
        online_cpus: found.online,
        throttling_data: wire::Throttling {
            periods: found.periods,
            throttled_periods: found.throttled_periods,
            throttled_time: found.throttled_time,
        },
    }
}

fn memory(found: MemorySample) -> wire::Memory {
    wire::Memory {
        usage: found.usage,
        max_usage: found.max_usage.unwrap_or_default(),
        stats: found.stats,
        failcnt: found.failcnt.unwrap_or_default(),
        limit: found.limit,
    }
}

fn interface(found: InterfaceSample) -> wire::Network {
    wire::Network {
        rx_bytes: found.rx_bytes,
        rx_packets: found.rx_packets,
        rx_errors: found.rx_errors,
        rx_dropped: found.rx_dropped,
        tx_bytes: found.tx_bytes,
        tx_packets: found.tx_packets,
        tx_errors: found.tx_errors,
        tx_dropped: found.tx_dropped,
    }
}
