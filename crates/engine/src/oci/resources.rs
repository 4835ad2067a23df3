//! Limits in the words of the OCI specification.

use std::path::Path;

use hako_model::container as docker;
use hako_supervisor::spec::{BlockIo, Cpu, DeviceRule, Memory, Pids, Resources, ThrottleDevice, WeightDevice};

use crate::{Error, Result};

/// The CFS period `--cpus` is counted in, in microseconds.
const PERIOD: i64 = 100_000;

/// All limits of a container.
pub(crate) fn of(given: &docker::Resources, devices: Vec<DeviceRule>) -> Result<Resources> {
    Ok(Resources {
        devices,
        memory: Some(memory(given)).filter(|memory| *memory != Memory::default()),
        cpu: Some(cpu(given)).filter(|cpu| *cpu != Cpu::default()),
        pids: given.pids_limit.map(|limit| Pids { limit }),
        block_io: Some(block_io(given)?).filter(|io| *io != BlockIo::default()),
        ..Resources::default()
    })
}

fn some(value: i64) -> Option<i64> {
    (value != 0).then_some(value)
}

fn positive(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| *value > 0)
}

fn memory(given: &docker::Resources) -> Memory {
    Memory {
        limit: some(given.memory),
        reservation: some(given.memory_reservation),
        swap: some(given.memory_swap).filter(|_| given.memory != 0 || given.memory_swap == -1),
        swappiness: given.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        disable_oom_killer: given.oom_kill_disable.unwrap_or(false),
        ..Memory::default()
    }
}

fn cpu(given: &docker::Resources) -> Cpu {
    let (quota, period) = match given.nano_cpus {
        0 => (some(given.cpu_quota), positive(given.cpu_period)),
        nano => (Some(nano / (1_000_000_000 / PERIOD)), positive(PERIOD)),
    };
    Cpu {
        shares: positive(given.cpu_shares),
        quota,
        period,
        realtime_runtime: some(given.cpu_realtime_runtime),
        realtime_period: positive(given.cpu_realtime_period),
        cpus: given.cpuset_cpus.clone(),
        mems: given.cpuset_mems.clone(),
        ..Cpu::default()
    }
}

fn block_io(given: &docker::Resources) -> Result<BlockIo> {
    let mut weights = Vec::new();
    for device in given.blkio_weight_device.iter().flatten() {
        let (major, minor) = numbers(&device.path)?;
        weights.push(WeightDevice { major, minor, weight: Some(device.weight) });
    }
    Ok(BlockIo {
        weight: (given.blkio_weight != 0).then_some(given.blkio_weight),
        weight_device: weights,
        throttle_read_bps_device: throttles(given.blkio_device_read_bps.as_ref())?,
        throttle_write_bps_device: throttles(given.blkio_device_write_bps.as_ref())?,
        throttle_read_iops_device: throttles(given.blkio_device_read_iops.as_ref())?,
        throttle_write_iops_device: throttles(given.blkio_device_write_iops.as_ref())?,
        ..BlockIo::default()
    })
}

fn throttles(given: Option<&Vec<docker::ThrottleDevice>>) -> Result<Vec<ThrottleDevice>> {
    let devices = given.into_iter().flatten();
    devices
        .map(|device| {
            let (major, minor) = numbers(&device.path)?;
            Ok(ThrottleDevice { major, minor, rate: device.rate })
        })
        .collect()
}

fn numbers(path: &str) -> Result<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(Path::new(path)).map_err(|e| Error::invalid(format!("stat {path}: {e}")))?;
    let device = metadata.rdev();
    Ok((i64::from(rustix::fs::major(device)), i64::from(rustix::fs::minor(device))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_become_a_quota() {
        let given = docker::Resources { nano_cpus: 1_500_000_000, ..docker::Resources::default() };
        let limits = of(&given, Vec::new()).unwrap();
        let cpu = limits.cpu.unwrap();
        assert_eq!((cpu.quota, cpu.period), (Some(150_000), Some(100_000)));
        assert!(limits.memory.is_none() && limits.block_io.is_none());
    }
}
