//! From two samples of the kernel's counters to what a person reads: shares, sizes, totals.

use hako_api::stats::{Cpu, Memory, Sample};

use crate::render::listing::{Listing, column, text};
use crate::render::units::{bytes_size, human_size_with, short_id};

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// The whole id.
    pub(crate) id: String,
    /// What it was asked for as.
    asked: String,
    name: String,
    short: bool,
    /// Whether there was anything to measure.
    known: bool,
    cpu: f64,
    memory: f64,
    limit: f64,
    network: (f64, f64),
    block: (f64, f64),
    processes: u64,
}

impl Figures {
    /// A container of which nothing is known yet.
    pub(crate) fn unknown(id: &str) -> Self {
        Self { id: id.to_owned(), asked: id.to_owned(), short: true, ..Self::default() }
    }

    /// The figures of a sample.
    pub(crate) fn of(sample: &Sample, asked: &str, short: bool) -> Self {
        let networks = sample.networks.iter().flat_map(|networks| networks.values());
        let add =
            |sum: (f64, f64), n: &hako_api::stats::Network| (sum.0 + n.rx_bytes as f64, sum.1 + n.tx_bytes as f64);
        let started = !sample.read.starts_with("0001-");
        Self {
            id: sample.id.clone(),
            asked: asked.to_owned(),
            name: sample.name.trim_start_matches('/').to_owned(),
            short,
            known: started,
            cpu: cpu_share(&sample.precpu_stats, &sample.cpu_stats),
            memory: used_memory(&sample.memory_stats),
            limit: sample.memory_stats.limit as f64,
            network: networks.fold((0.0, 0.0), add),
            block: block(sample),
            processes: sample.pids_stats.current,
        }
    }

    fn memory_share(&self) -> f64 {
        if self.limit == 0.0 { 0.0 } else { self.memory / self.limit * 100.0 }
    }

    /// `text`, or the dashes of a container that does not run.
    fn or_dashes(&self, text: String, dashes: &str) -> String {
        if self.known { text } else { dashes.to_owned() }
    }
}

/// How busy it was between two samples; 100 is one processor.
fn cpu_share(before: &Cpu, after: &Cpu) -> f64 {
    let used = after.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let all = after.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let processors = match after.online_cpus {
        0 => after.cpu_usage.percpu_usage.as_ref().map_or(1, Vec::len) as f64,
        online => f64::from(online),
    };
    if used > 0.0 && all > 0.0 { used / all * processors * 100.0 } else { 0.0 }
}

/// Memory without the file cache the kernel can drop at once.
fn used_memory(memory: &Memory) -> f64 {
    let cache =
        memory.stats.get("total_inactive_file").or_else(|| memory.stats.get("inactive_file")).copied().unwrap_or(0);
    if cache < memory.usage { (memory.usage - cache) as f64 } else { memory.usage as f64 }
}

fn block(sample: &Sample) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for entry in sample.blkio_stats.io_service_bytes_recursive.iter().flatten() {
        match entry.op.bytes().next().map(|letter| letter.to_ascii_lowercase()) {
            Some(b'r') => sums.0 += entry.value as f64,
            Some(b'w') => sums.1 += entry.value as f64,
            _ => {}
        }
    }
    sums
}

fn pair((first, second): (f64, f64)) -> String {
    format!("{} / {}", human_size_with(first, 3), human_size_with(second, 3))
}

/// The table.
pub(crate) const ROWS: Listing<Figures> = Listing {
    columns: &[
        column("Container", "CONTAINER", |row: &Figures| text(&row.asked)),
        column("Name", "NAME", |row: &Figures| text(if row.name.is_empty() { "--" } else { &row.name })),
        column("ID", "CONTAINER ID", |row: &Figures| text(if row.short { short_id(&row.id) } else { &row.id })),
        column("CPUPerc", "CPU %", |row: &Figures| text(row.or_dashes(format!("{:.2}%", row.cpu), "--"))),
        column("MemUsage", "MEM USAGE / LIMIT", |row: &Figures| {
            text(row.or_dashes(format!("{} / {}", bytes_size(row.memory), bytes_size(row.limit)), "-- / --"))
        }),
        column("MemPerc", "MEM %", |row: &Figures| text(row.or_dashes(format!("{:.2}%", row.memory_share()), "--"))),
        column("NetIO", "NET I/O", |row: &Figures| text(row.or_dashes(pair(row.network), "--"))),
        column("BlockIO", "BLOCK I/O", |row: &Figures| text(row.or_dashes(pair(row.block), "--"))),
        column("PIDs", "PIDS", |row: &Figures| text(row.or_dashes(row.processes.to_string(), "--"))),
    ],
    shown: &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
    row_type: "*container.statsContext",
    labels: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_samples() {
        let sample: Sample = serde_json::from_value(serde_json::json!({
            "name": "/web", "id": "0123456789abcdef", "read": "2025-01-01T00:00:01Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 2_097_152, "limit": 4_194_304, "stats": {"inactive_file": 1_048_576}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 2000}, "eth1": {"rx_bytes": 1, "tx_bytes": 0}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 7}]},
            "pids_stats": {"current": 3}
        }))
        .unwrap();
        let shown = ROWS.render("", &[Figures::of(&sample, "web", true)]).unwrap();
        let expect = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O     BLOCK I/O   PIDS\n\
                      0123456789ab   web       40.00%    1MiB / 4MiB         25.00%    1kB / 2kB   5B / 7B     3\n";
        assert_eq!(shown, expect);
        assert_eq!(ROWS.render("{{.Container}}", &[Figures::of(&sample, "we", true)]).unwrap(), "we\n");
    }
}
