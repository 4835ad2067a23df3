//! The limits on cgroup v2, whose files have other names, units and ranges.

use super::Writer;
use crate::LaunchError;
use crate::spec::{BlockIo, Cpu, Memory, Resources};

pub(super) fn apply(group: &hako_sys::cgroup::Group, resources: &Resources) -> Result<(), LaunchError> {
    let writer = Writer { group };
    if let Some(memory) = &resources.memory {
        set_memory(&writer, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        set_cpu(&writer, cpu)?;
    }
    if let Some(pids) = &resources.pids {
        let limit = if pids.limit > 0 { pids.limit.to_string() } else { "max".into() };
        writer.set("pids", "pids.max", limit)?;
    }
    if let Some(block_io) = &resources.block_io {
        set_block_io(&writer, block_io)?;
    }
    for huge in &resources.hugepage_limits {
        writer.set("hugetlb", &format!("hugetlb.{}.max", huge.page_size), huge.limit)?;
    }
    for (file, value) in &resources.unified {
        if file.contains('/') {
            return Err(LaunchError::setup(format!("set {file:?}"), "not the name of a cgroup file"));
        }
        writer.set("unified", file, value)?;
    }
    Ok(())
}

fn set_memory(writer: &Writer<'_>, memory: &Memory) -> Result<(), LaunchError> {
    if let Some(swap) = swap_alone(memory) {
        // A kernel without swap accounting has no such file, and no swap to limit.
        if writer.group.has("memory", "memory.swap.max") {
            writer.set("memory", "memory.swap.max", unlimited(swap))?;
        }
    }
    let limit = memory.limit.filter(|limit| *limit != 0);
    writer.set_some("memory", "memory.max", limit.map(unlimited))?;
    let reservation = memory.reservation.filter(|reservation| *reservation != 0);
    writer.set_some("memory", "memory.low", reservation.map(unlimited))
}

/// v1 counts memory and swap together, v2 swap alone.
pub fn swap_alone(memory: &Memory) -> Option<i64> {
    match (super::wanted_swap(memory)?, memory.limit.unwrap_or(0)) {
        (-1, _) => Some(-1),
        (_, -1 | 0) => None,
        (both, limit) => Some((both - limit).max(0)),
    }
}

fn unlimited(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}

fn set_cpu(writer: &Writer<'_>, cpu: &Cpu) -> Result<(), LaunchError> {
    writer.set_some("cpu", "cpu.weight", cpu.shares.filter(|shares| *shares != 0).map(weight_of_shares))?;
    let (quota, period) = (cpu.quota.filter(|quota| *quota != 0), cpu.period.filter(|period| *period != 0));
    if quota.is_some() || period.is_some() {
        let quota = quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        let period = period.unwrap_or(100_000);
        writer.set("cpu", "cpu.max", format!("{quota} {period}"))?;
    }
    writer.set_some("cpu", "cpu.max.burst", cpu.burst)?;
    writer.set_some("cpu", "cpu.idle", cpu.idle)?;
    writer.set_text("cpuset", "cpuset.cpus", &cpu.cpus)?;
    writer.set_text("cpuset", "cpuset.mems", &cpu.mems)
}

/// From 2…262144 around 1024 to 1…10000 around 100, as runc 1.3 and crun do it since 2025: a curve through
/// (2, 1), (1024, 100) and (262144, 10000).
pub fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    #[expect(clippy::cast_precision_loss, reason = "the range fits")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

fn set_block_io(writer: &Writer<'_>, block_io: &BlockIo) -> Result<(), LaunchError> {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0) {
        if writer.group.has("io", "io.bfq.weight") {
            writer.set("io", "io.bfq.weight", weight)?;
        } else {
            // 10…1000 becomes 1…10000.
            writer.set("io", "io.weight", format!("default {}", 1 + (u64::from(weight) - 10) * 9999 / 990))?;
        }
    }
    for device in &block_io.weight_device {
        let line = device.weight.map(|weight| format!("{}:{} {weight}", device.major, device.minor));
        writer.set_some("io", "io.bfq.weight", line)?;
    }
    let throttles = [
        ("rbps", &block_io.throttle_read_bps_device),
        ("wbps", &block_io.throttle_write_bps_device),
        ("riops", &block_io.throttle_read_iops_device),
        ("wiops", &block_io.throttle_write_iops_device),
    ];
    for (key, devices) in throttles {
        for device in devices {
            writer.set("io", "io.max", format!("{}:{} {key}={}", device.major, device.minor, device.rate))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in [(2, 1), (1024, 100), (262_144, 10_000), (0, 1), (1 << 40, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares} shares");
        }
    }

    #[test]
    fn swap_is_counted_alone() {
        let memory = |limit, swap| Memory { limit, swap, ..Memory::default() };
        assert_eq!(swap_alone(&memory(Some(100), Some(250))), Some(150));
        assert_eq!(swap_alone(&memory(Some(100), Some(-1))), Some(-1));
        assert_eq!(swap_alone(&memory(Some(100), None)), None);
        assert_eq!(swap_alone(&memory(None, Some(250))), None);
    }
}
