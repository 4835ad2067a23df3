//! What is to be measured, and the arithmetic of samples.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the caller asked for.
pub(crate) struct Plan {
    /// Rounds of the short measures; long ones take fewer.
    pub(crate) rounds: usize,
    /// Where engines keep their data: a journalled disk.
    pub(crate) data: PathBuf,
    /// The hako binary.
    pub(crate) hako: PathBuf,
    /// The floor program.
    pub(crate) floor: PathBuf,
    /// The peers that take part; empty means all that are installed.
    pub(crate) peers: Vec<String>,
    /// Parts of the names of the measures wanted; empty means all.
    only: Vec<String>,
}

impl Plan {
    /// Reads `--rounds N --data DIR --hako FILE --floor FILE --peers NAME,… [NAME…]`.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Plan, String> {
        let (data, hako, floor) = ("/data".into(), "hako".into(), "floor".into());
        let mut plan = Plan { rounds: 15, data, hako, floor, peers: Vec::new(), only: Vec::new() };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => plan.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?,
                "--data" => plan.data = value()?.into(),
                "--hako" => plan.hako = value()?.into(),
                "--floor" => plan.floor = value()?.into(),
                "--peers" => plan.peers = value()?.split(',').map(str::to_owned).collect(),
                name if !name.starts_with('-') => plan.only.push(name.to_owned()),
                flag => return Err(format!("unknown flag {flag}")),
            }
        }
        Ok(plan)
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// Whether a peer takes part, if it is installed.
    pub(crate) fn meets(&self, peer: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|name| name == peer)
    }

    /// Rounds for a measure that takes seconds.
    pub(crate) fn few(&self) -> usize {
        (self.rounds / 5).max(2)
    }
}

/// One line of the table: a measure and each engine's samples.
pub(crate) struct Row {
    pub(crate) measure: String,
    pub(crate) unit: &'static str,
    /// Samples by engine name, in the order of the engines.
    pub(crate) samples: Vec<(String, Vec<f64>)>,
}

impl Row {
    pub(crate) fn new(measure: impl Into<String>, unit: &'static str) -> Row {
        Row { measure: measure.into(), unit, samples: Vec::new() }
    }

    pub(crate) fn add(&mut self, engine: &str, value: f64) {
        match self.samples.iter_mut().find(|(name, _)| name == engine) {
            Some((_, values)) => values.push(value),
            None => self.samples.push((engine.to_owned(), vec![value])),
        }
    }

    /// Leaves an engine out of the row.
    pub(crate) fn forget(&mut self, engine: &str) {
        self.samples.retain(|(name, _)| name != engine);
    }

    /// The median of an engine's samples.
    pub(crate) fn median(&self, engine: &str) -> Option<f64> {
        let mut values = self.samples.iter().find(|(name, _)| name == engine)?.1.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// How long something took, in milliseconds.
pub(crate) fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    milliseconds(start.elapsed())
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The time the machine's processors worked since it started, in milliseconds: user and system time of all processes, and
/// of the kernel's own threads.
pub(crate) fn machine_time() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq, in hundredths of a second.
    [0, 1, 2, 5, 6].iter().filter_map(|&at| ticks.get(at)).sum::<f64>() * 10.0
}
