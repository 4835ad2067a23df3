//! Limits: what makes no sense is refused, what Docker completes is completed.

use hako_model::container::Resources;

use crate::house::House;
use crate::{Error, Result};

/// Docker's least memory, 6 MiB.
const LEAST_MEMORY: i64 = 6 << 20;

const RLIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::invalid(text.into()))
}

/// Refuses what makes no sense.
pub(crate) fn check(resources: &Resources, oom_score_adj: i64, shm_size: i64) -> Result<()> {
    check_memory(resources)?;
    check_cpu(resources)?;
    check_blkio(resources)?;
    check_foreign(resources)?;
    if !(-1000..=1000).contains(&oom_score_adj) {
        return refuse(format!("Invalid value {oom_score_adj}, range for oom score adj is [-1000, 1000]"));
    }
    if shm_size < 0 {
        return refuse("SHM size can not be less than 0");
    }
    for device in resources.devices.iter().flatten() {
        if !device.cgroup_permissions.chars().all(|c| "rwm".contains(c)) {
            return refuse(format!("invalid device cgroup permissions: {}", device.cgroup_permissions));
        }
    }
    for limit in resources.ulimits.iter().flatten() {
        if !RLIMITS.contains(&limit.name.as_str()) {
            return refuse(format!("invalid ulimit type: {}", limit.name));
        }
        if limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
            let text =
                format!("ulimit soft limit must be less than or equal to hard limit: {} > {}", limit.soft, limit.hard);
            return refuse(text);
        }
    }
    Ok(())
}

/// Refuses what only Windows can do.
pub(crate) fn check_foreign(resources: &Resources) -> Result<()> {
    for (what, amount) in [("IOPs", resources.io_maximum_iops), ("bandwidth", resources.io_maximum_bandwidth)] {
        if amount != 0 {
            return refuse(format!("invalid option: QoS maximum {what} configuration is not supported on linux"));
        }
    }
    Ok(())
}

fn check_memory(resources: &Resources) -> Result<()> {
    let (memory, swap, reserved) = (resources.memory, resources.memory_swap, resources.memory_reservation);
    if memory != 0 && memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory == 0 && swap > 0 {
        return refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if reserved > 0 && reserved < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reserved > 0 && memory < reserved {
        return refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    match resources.memory_swappiness {
        Some(value) if value != -1 && !(0..=100).contains(&value) => {
            refuse(format!("Invalid value: {value}, valid memory swappiness range is 0-100"))
        }
        _ => Ok(()),
    }
}

fn check_cpu(resources: &Resources) -> Result<()> {
    let (period, quota, nano) = (resources.cpu_period, resources.cpu_quota, resources.nano_cpus);
    if nano > 0 && period > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if nano > 0 && quota > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let cpus = hako_sys::proc::processors() as i64;
    if nano < 0 || nano > cpus * 1_000_000_000 || (1..10_000_000).contains(&nano) {
        let text = format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available");
        return refuse(text);
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        return refuse("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if quota > 0 && quota < 1000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    let (runtime, whole) = (resources.cpu_realtime_runtime, resources.cpu_realtime_period);
    if runtime != 0 && whole != 0 && runtime > whole {
        return refuse("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    if resources.cpu_shares < 0 {
        return refuse(format!("invalid CPU shares ({}): value must be a positive integer", resources.cpu_shares));
    }
    check_cpuset("cpus", &resources.cpuset_cpus, "/sys/devices/system/cpu/online")?;
    check_cpuset("mems", &resources.cpuset_mems, "/sys/devices/system/node/online")
}

fn check_cpuset(what: &str, asked: &str, available: &str) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let Some(wanted) = parse_set(asked) else {
        return refuse(format!("Invalid value {asked} for cpuset {what}: invalid format: {asked}"));
    };
    let text = std::fs::read_to_string(available).unwrap_or_else(|_| "0".to_owned());
    let there = parse_set(text.trim()).unwrap_or_default();
    if wanted.iter().all(|range| range.clone().all(|n| there.iter().any(|range| range.contains(&n)))) {
        return Ok(());
    }
    let name = if what == "cpus" { "CPUs" } else { "memory nodes" };
    refuse(format!("Requested {name} are not available - requested {asked}, available: {}", text.trim()))
}

fn parse_set(text: &str) -> Option<Vec<std::ops::RangeInclusive<u32>>> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
        (low <= high && high < 8192).then_some(low..=high)
    };
    text.split(',').map(range).collect()
}

fn check_blkio(resources: &Resources) -> Result<()> {
    let outside = |weight: u16| weight != 0 && !(10..=1000).contains(&weight);
    if outside(resources.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    let devices = resources.blkio_weight_device.iter().flatten();
    for device in devices {
        if outside(device.weight) {
            return refuse(format!("Range of blkio weight is from 10 to 1000: {}", device.path));
        }
    }
    Ok(())
}

/// Completes limits as Docker does, and gives the warnings for what has no effect here.
pub(crate) fn complete(house: &House, resources: &mut Resources) -> Result<Vec<String>> {
    let support = house.support()?;
    support.check(resources)?;
    fill_in(resources);
    let mut warnings = support.discard(resources);
    if resources.oom_kill_disable == Some(true) && resources.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned());
    }
    // No kernel limits these any more, and Docker says nothing about it, either.
    (resources.kernel_memory, resources.kernel_memory_tcp) = (0, 0);
    if support.oom_kill_disable {
        resources.oom_kill_disable.get_or_insert(false);
    }
    Ok(warnings)
}

fn fill_in(resources: &mut Resources) {
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory * 2;
    }
    if resources.memory_swappiness == Some(-1) {
        resources.memory_swappiness = None;
    }
    if resources.pids_limit.is_some_and(|limit| limit <= 0) {
        resources.pids_limit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Resources)) -> String {
        let mut resources = Resources::default();
        change(&mut resources);
        check(&resources, 0, 0).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        assert_eq!(refusal(|_| {}), "");
        assert_eq!(refusal(|r| r.memory = 1 << 20), "Minimum memory limit allowed is 6MB");
        assert!(refusal(|r| r.memory_swap = 8 << 20).starts_with("You should always set the Memory limit"));
        assert_eq!(refusal(|r| r.cpuset_cpus = "x".into()), "Invalid value x for cpuset cpus: invalid format: x");
        assert!(refusal(|r| r.cpuset_cpus = "4000".into()).starts_with("Requested CPUs are not available"));
        assert!(refusal(|r| r.nano_cpus = 1).starts_with("range of CPUs is from 0.01"));
        let realtime = |r: &mut Resources| (r.cpu_realtime_runtime, r.cpu_realtime_period) = (200, 100);
        assert_eq!(refusal(realtime), "cpu real-time runtime cannot be higher than cpu real-time period");
        assert_eq!(refusal(|r| r.blkio_weight = 5), "Range of blkio weight is from 10 to 1000");
    }

    #[test]
    fn limits_are_completed() {
        let mut resources = Resources { memory: 64 << 20, pids_limit: Some(-1), ..Resources::default() };
        fill_in(&mut resources);
        assert_eq!((resources.memory_swap, resources.pids_limit), (128 << 20, None));
    }
}
