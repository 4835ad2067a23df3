//! Limits in the specification's words become files of cgroup v1 or v2.

mod unified;

pub use unified::{swap_alone, weight_of_shares};

use std::collections::BTreeMap;

use hako_sys::cgroup::{DeviceAccess, DeviceKind, DeviceRule, Group, Version};

use crate::LaunchError;
use crate::spec::{self, BlockIo, Cpu, Memory, Rdma, Resources};

/// Puts limits in force; what is absent is left alone. Serves starting and updating alike.
pub fn apply(group: &Group, resources: &Resources) -> Result<(), LaunchError> {
    set_devices(group, &resources.devices)?;
    check_memory_in_use(group, resources.memory.as_ref())?;
    match group.version() {
        Version::V1 => apply_v1(group, resources)?,
        Version::V2 => unified::apply(group, resources)?,
    }
    set_rdma(&Writer { group }, &resources.rdma)
}

/// A limit below what is in use would end processes; `checkBeforeUpdate` asks to refuse it instead.
fn check_memory_in_use(group: &Group, memory: Option<&Memory>) -> Result<(), LaunchError> {
    let Some(memory) = memory.filter(|memory| memory.check_before_update) else { return Ok(()) };
    let Some(limit) = memory.limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0) else {
        return Ok(());
    };
    let file = match group.version() {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    let used: u64 = group.get("memory", file)?.parse().unwrap_or(0);
    if used > limit {
        let cause = format!("{used} bytes are in use (checkBeforeUpdate)");
        return Err(LaunchError::setup(format!("set memory limit to {limit}"), cause));
    }
    Ok(())
}

/// Limits of devices for remote direct memory access; the same file on both versions.
fn set_rdma(writer: &Writer<'_>, devices: &BTreeMap<String, Rdma>) -> Result<(), LaunchError> {
    for (device, limits) in devices {
        let mut line = device.clone();
        for (name, limit) in [("hca_handle", limits.hca_handles), ("hca_object", limits.hca_objects)] {
            if let Some(limit) = limit {
                line.push_str(&format!(" {name}={limit}"));
            }
        }
        writer.set("rdma", "rdma.max", line)?;
    }
    Ok(())
}

fn set_devices(group: &Group, rules: &[spec::DeviceRule]) -> Result<(), LaunchError> {
    if rules.is_empty() {
        return Ok(());
    }
    let rules: Vec<DeviceRule> = rules.iter().map(device_rule).collect::<Result<_, _>>()?;
    Ok(group.set_devices(&rules)?)
}

fn device_rule(rule: &spec::DeviceRule) -> Result<DeviceRule, LaunchError> {
    let wrong = || LaunchError::setup("set device rules", format!("unknown rule {rule:?}"));
    let kind = match rule.kind.as_str() {
        "" | "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" | "u" => DeviceKind::Character,
        _ => return Err(wrong()),
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number).map(Some).map_err(|_| wrong()),
    };
    let access = DeviceAccess::from_letters(&rule.access).ok_or_else(wrong)?;
    let access = if rule.access.is_empty() { DeviceAccess::ALL } else { access };
    Ok(DeviceRule { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
}

/// Writes files and collects the first failure, naming the limit.
struct Writer<'a> {
    group: &'a Group,
}

impl Writer<'_> {
    fn set(&self, controller: &str, file: &str, value: impl ToString) -> Result<(), LaunchError> {
        Ok(self.group.set(controller, file, &value.to_string())?)
    }

    fn set_some<T: ToString>(&self, controller: &str, file: &str, value: Option<T>) -> Result<(), LaunchError> {
        value.map_or(Ok(()), |value| self.set(controller, file, value))
    }

    fn set_text(&self, controller: &str, file: &str, value: &str) -> Result<(), LaunchError> {
        if value.is_empty() { Ok(()) } else { self.set(controller, file, value) }
    }
}

fn apply_v1(group: &Group, resources: &Resources) -> Result<(), LaunchError> {
    if let Some(file) = resources.unified.keys().next() {
        return Err(LaunchError::setup(
            format!("set {file:?}"),
            "invalid configuration: linux.resources.unified needs cgroup v2, this host has v1",
        ));
    }
    let writer = Writer { group };
    if let Some(memory) = &resources.memory {
        memory_v1(&writer, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu_v1(&writer, cpu)?;
    }
    if let Some(pids) = &resources.pids {
        let limit = if pids.limit > 0 { pids.limit.to_string() } else { "max".into() };
        writer.set("pids", "pids.max", limit)?;
    }
    if let Some(block_io) = &resources.block_io {
        block_io_v1(&writer, block_io)?;
    }
    for huge in &resources.hugepage_limits {
        writer.set("hugetlb", &format!("hugetlb.{}.limit_in_bytes", huge.page_size), huge.limit)?;
    }
    network_v1(&writer, resources)
}

fn network_v1(writer: &Writer<'_>, resources: &Resources) -> Result<(), LaunchError> {
    let Some(network) = &resources.network else { return Ok(()) };
    writer.set_some("net_cls", "net_cls.classid", network.class_id)?;
    for priority in &network.priorities {
        writer.set("net_prio", "net_prio.ifpriomap", format!("{} {}", priority.name, priority.priority))?;
    }
    Ok(())
}

/// Without a limit of memory there is none of memory and swap either, unless one is named.
fn wanted_swap(memory: &Memory) -> Option<i64> {
    memory.swap.filter(|swap| *swap != 0).or_else(|| memory.limit.filter(|limit| *limit == -1))
}

fn memory_v1(writer: &Writer<'_>, memory: &Memory) -> Result<(), LaunchError> {
    let (limit, swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    // The limit with swap may never be below the limit without: raise the one first or the other.
    let raises = memory.limit.is_some_and(|new| {
        let now: u64 = writer.group.get("memory", swap).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        new == -1 || u64::try_from(new).is_ok_and(|new| new > now)
    });
    let wanted = [(limit, memory.limit), (swap, wanted_swap(memory))];
    let order = if raises { [wanted[1], wanted[0]] } else { wanted };
    for (file, value) in order {
        let accounted = file != swap || writer.group.has("memory", swap);
        if accounted {
            writer.set_some("memory", file, value.filter(|value| *value != 0))?;
        }
    }
    writer.set_some("memory", "memory.soft_limit_in_bytes", memory.reservation.filter(|value| *value != 0))?;
    if memory.kernel_tcp.is_some_and(|value| value != 0) {
        writer.set_some("memory", "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp)?;
    }
    writer.set_some("memory", "memory.swappiness", memory.swappiness)?;
    if memory.disable_oom_killer {
        writer.set("memory", "memory.oom_control", 1)?;
    }
    Ok(())
}

fn cpu_v1(writer: &Writer<'_>, cpu: &Cpu) -> Result<(), LaunchError> {
    writer.set_some("cpu", "cpu.shares", cpu.shares.filter(|shares| *shares != 0))?;
    let (period, quota) = (cpu.period.filter(|period| *period != 0), cpu.quota.filter(|quota| *quota != 0));
    // A period alone can be refused because of the old quota, so it is tried again after the quota.
    let first = writer.set_some("cpu", "cpu.cfs_period_us", period);
    if quota.is_none() {
        first.clone()?;
    }
    writer.set_some("cpu", "cpu.cfs_quota_us", quota)?;
    if first.is_err() {
        writer.set_some("cpu", "cpu.cfs_period_us", period)?;
    }
    writer.set_some("cpu", "cpu.cfs_burst_us", cpu.burst)?;
    set_realtime(writer, cpu)?;
    writer.set_some("cpu", "cpu.idle", cpu.idle)?;
    writer.set_text("cpuset", "cpuset.cpus", &cpu.cpus)?;
    writer.set_text("cpuset", "cpuset.mems", &cpu.mems)
}

/// Neither may be set so that the runtime is longer than the period: one of the two orders works.
fn set_realtime(writer: &Writer<'_>, cpu: &Cpu) -> Result<(), LaunchError> {
    let period =
        ("cpu.rt_period_us", cpu.realtime_period.filter(|period| *period != 0).map(|period| period.to_string()));
    let runtime = ("cpu.rt_runtime_us", cpu.realtime_runtime.filter(|time| *time != 0).map(|time| time.to_string()));
    let set = |(file, value): &(&str, Option<String>)| writer.set_some("cpu", file, value.as_ref());
    set(&period).and_then(|()| set(&runtime)).or_else(|_| set(&runtime).and_then(|()| set(&period)))
}

fn block_io_v1(writer: &Writer<'_>, block_io: &BlockIo) -> Result<(), LaunchError> {
    let weight = if writer.group.has("blkio", "blkio.weight") { "blkio.weight" } else { "blkio.bfq.weight" };
    writer.set_some("blkio", weight, block_io.weight.filter(|weight| *weight != 0))?;
    writer.set_some("blkio", "blkio.leaf_weight", block_io.leaf_weight.filter(|weight| *weight != 0))?;
    for device in &block_io.weight_device {
        let line = device.weight.map(|weight| format!("{}:{} {weight}", device.major, device.minor));
        writer.set_some("blkio", &format!("{weight}_device"), line)?;
    }
    let throttles = [
        ("blkio.throttle.read_bps_device", &block_io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &block_io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &block_io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &block_io.throttle_write_iops_device),
    ];
    for (file, devices) in throttles {
        for device in devices {
            writer.set("blkio", file, format!("{}:{} {}", device.major, device.minor, device.rate))?;
        }
    }
    Ok(())
}
