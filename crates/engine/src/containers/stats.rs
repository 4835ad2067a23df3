//! What a container uses, once a second or once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hako_model::time::Timestamp;
use hako_sys::cgroup::{BlockIoUsage, Counters, Usage};
use tokio::time::Instant;

use super::Containers;
use super::sample::{BlockSample, CpuSample, InterfaceSample, MemorySample, Sample};
use crate::Result;
use crate::clock::now;
use crate::container::Container;
use crate::house::House;

const EVERY: Duration = Duration::from_secs(1);

/// How old the machine's time may be in a sample: one part in fifty of the second between two of them.
const FRESH: Duration = Duration::from_millis(20);

/// Nanoseconds in one of procfs's clock ticks.
const TICK: u64 = 10_000_000;

impl Containers {
    /// What it uses: one sample a second, or with `one_shot` a single one at once (no earlier sample in it).
    pub async fn stats(&self, name: &str, one_shot: bool) -> Result<Stats> {
        let container = self.house.index.find(name)?;
        let house = Arc::clone(&self.house);
        Ok(Stats { house, container, one_shot, counters: None, last: None, due: Instant::now() })
    }
}

/// A container's use, watched.
pub struct Stats {
    house: Arc<House>,
    container: Arc<Container>,
    one_shot: bool,
    /// Its group's, of the life that began then.
    counters: Option<(Timestamp, Counters)>,
    /// When the last sample was taken, and the processor time then.
    last: Option<(Timestamp, CpuSample)>,
    due: Instant,
}

impl Stats {
    /// The next sample; `None` when the container is gone.
    pub async fn next(&mut self) -> Option<Result<Sample>> {
        if self.container.phase.borrow().removed {
            return None;
        }
        if self.last.is_none() && !self.one_shot {
            let first = self.sample();
            self.last = Some((first.read, first.cpu));
            self.due = Instant::now() + EVERY;
        }
        tokio::time::sleep_until(self.due).await;
        self.due += EVERY;
        let mut sample = if self.one_shot { self.sample() } else { self.shared() };
        if let Some((read, cpu)) = self.last.replace((sample.read, sample.cpu.clone())) {
            sample.preread = read;
            sample.precpu = cpu;
        }
        Some(Ok(sample))
    }

    /// What another watcher of the container saw a moment ago, or sees after this one: however many watch, it is looked at
    /// twice a second at most. Who asks once a second gets another sample each time.
    fn shared(&mut self) -> Sample {
        let inside = self.container.inside();
        if let Some((taken, sample)) = inside.sampled.as_deref()
            && taken.elapsed() < EVERY / 2
        {
            return sample.clone();
        }
        drop(inside);
        let sample = self.sample();
        self.container.inside().sampled = Some(Box::new((Instant::now(), sample.clone())));
        sample
    }

    /// Empty but for its name when it does not run.
    fn sample(&mut self) -> Sample {
        let record = self.container.record();
        let mut sample =
            Sample { id: self.container.id.to_string(), name: format!("/{}", record.name), ..Sample::default() };
        let status = self.container.status();
        if let Some(usage) = status.state.live().and_then(|_| self.usage(status.started_at)) {
            sample.read = now();
            fill(&mut sample, usage);
            sample.networks = self.interfaces();
        }
        sample
    }

    /// What its group counts; the group's directories are looked up once in each of its lives.
    fn usage(&mut self, begun: Timestamp) -> Option<Usage> {
        if self.counters.as_ref().is_none_or(|(life, _)| *life != begun) {
            self.counters = Some((begun, self.house.group(&self.container).ok()?.counters()));
        }
        self.counters.as_ref().map(|(_, counters)| counters.usage())
    }

    fn interfaces(&self) -> BTreeMap<String, InterfaceSample> {
        let plans = self.container.inside().run.endpoints.clone();
        plans
            .into_iter()
            .filter_map(|plan| Some((interface(&plan)?, plan.name)))
            .map(|(sample, name)| (name, sample))
            .collect()
    }
}

/// What went through an endpoint; none if it is gone, or has no host side to look at.
fn interface(plan: &hako_net::endpoint::Plan) -> Option<InterfaceSample> {
    let traffic = hako_net::traffic::of_endpoint(&plan.host_name).ok()??;
    Some(InterfaceSample {
        rx_bytes: traffic.rx_bytes,
        rx_packets: traffic.rx_packets,
        rx_errors: traffic.rx_errors,
        rx_dropped: traffic.rx_dropped,
        tx_bytes: traffic.tx_bytes,
        tx_packets: traffic.tx_packets,
        tx_errors: traffic.tx_errors,
        tx_dropped: traffic.tx_dropped,
    })
}

fn fill(sample: &mut Sample, usage: Usage) {
    let online = hako_sys::proc::processors();
    sample.cpu = CpuSample {
        total: usage.cpu.total,
        per_cpu: usage.cpu.per_cpu,
        kernel: usage.cpu.kernel,
        user: usage.cpu.user,
        system: system_cpu(),
        online: u32::try_from(online).unwrap_or(1),
        periods: usage.cpu.periods,
        throttled_periods: usage.cpu.throttled_periods,
        throttled_time: usage.cpu.throttled,
    };
    let counted = usage.memory.max_usage > 0;
    sample.memory = MemorySample {
        usage: usage.memory.usage,
        max_usage: counted.then_some(usage.memory.max_usage),
        stats: usage.memory.stats,
        failcnt: counted.then_some(usage.memory.failures),
        limit: usage.memory.limit.unwrap_or_else(machine_memory),
    };
    sample.pids = usage.pids;
    sample.pids_limit = usage.pids_limit.unwrap_or(u64::MAX);
    let BlockIoUsage { bytes, operations } = usage.block_io;
    sample.io_bytes = blocks(bytes);
    sample.io_operations = blocks(operations);
}

fn blocks(counted: Vec<(u64, u64, String, u64)>) -> Vec<BlockSample> {
    counted.into_iter().map(|(major, minor, op, value)| BlockSample { major, minor, op, value }).collect()
}

/// The machine's time on all CPUs, idle time included. Reading it costs the kernel more than all of a container's own
/// counters, so that those who watch many containers share it.
fn system_cpu() -> u64 {
    static READ: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let mut last = READ.lock().unwrap_or_else(PoisonError::into_inner);
    match *last {
        Some((when, time)) if when.elapsed() < FRESH => time,
        _ => {
            let time = read_system_cpu();
            *last = Some((Instant::now(), time));
            time
        }
    }
}

fn read_system_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1).take(8);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * TICK
}

/// Bytes of memory of the machine.
pub(crate) fn machine_memory() -> u64 {
    static READ: OnceLock<u64> = OnceLock::new();
    *READ.get_or_init(read_machine_memory)
}

fn read_machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
