//! Health checks: the rule, what results make of a container's health, and when the next probe is due.
//! Leaves out running the probe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Results kept.
pub const LOG_ENTRIES: usize = 5;
/// Bytes of a probe's output kept.
pub const OUTPUT_LIMIT: usize = 4096;

/// How to ask after a container's health: Docker's `Healthcheck` with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The program and its arguments; a shell form is already wrapped in the shell.
    pub argv: Vec<String>,
    /// Between the end of one probe and the start of the next.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// After the start, how long failures do not count.
    pub start_period: Duration,
    /// The interval while in the start period and not yet healthy.
    pub start_interval: Duration,
    /// So many failures in a row are "unhealthy".
    pub retries: u32,
}

impl Probe {
    /// A probe running `argv` with Docker's defaults; zero durations and counts stand for them, too.
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            start_period: Duration::ZERO,
            start_interval: Duration::ZERO,
            retries: 0,
        }
        .with_defaults()
    }

    /// Zero is Docker's word for "the default".
    pub fn with_defaults(mut self) -> Self {
        let or = |value: Duration, secs| if value.is_zero() { Duration::from_secs(secs) } else { value };
        self.interval = or(self.interval, 30);
        self.timeout = or(self.timeout, 30);
        self.start_interval = or(self.start_interval, 5);
        self.retries = if self.retries == 0 { 3 } else { self.retries };
        self
    }

    /// How long to wait before the next probe of a container started `ran` ago whose health is `status`.
    pub fn pause(&self, status: HealthStatus, ran: Duration) -> Duration {
        let starting = status == HealthStatus::Starting && ran < self.start_period;
        if starting { self.start_interval } else { self.interval }
    }
}

/// What is done about a container that is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What.
    pub action: RemedyAction,
    /// After so many failed probes in a row; at least as many as make it unhealthy.
    pub streak: u32,
    /// Not again sooner than this.
    pub cool_down: Duration,
}

/// The ways to deal with an unhealthy container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemedyAction {
    /// End it in good order and start it again, whatever its restart policy.
    Restart,
    /// End it in good order, for good.
    Stop,
    /// Kill it; its restart policy decides what follows.
    Kill,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No verdict yet.
    #[default]
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many failures in a row, or nobody asks any more (as Docker has it).
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What one probe found, in Docker's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProbeResult {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// 0 is healthy; -1 means it did not run to its end.
    pub exit_code: i32,
    /// Its output, at most [`OUTPUT_LIMIT`] bytes and "...".
    pub output: String,
}

/// A container's health, in Docker's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last [`LOG_ENTRIES`] results, oldest first.
    pub log: Vec<ProbeResult>,
}

impl Health {
    /// The container starts: no verdict yet. The log of its last life stays, as in Docker.
    pub fn begin(&mut self) {
        self.status = HealthStatus::Starting;
        self.failing_streak = 0;
    }

    /// Takes in `result` of a probe that began when its container had run for `ran`; true if the verdict changed. The
    /// result's times do not tell how long that was: the clock may have been set meanwhile.
    pub fn record(&mut self, result: ProbeResult, probe: &Probe, ran: Duration) -> bool {
        let before = self.status;
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || ran >= probe.start_period {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= probe.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        if self.log.len() >= LOG_ENTRIES {
            self.log.drain(..=self.log.len() - LOG_ENTRIES);
        }
        self.log.push(result);
        self.status != before
    }
}

/// The text of a probe's `output` as it is kept: at most [`OUTPUT_LIMIT`] bytes, then "...".
pub fn clip(output: &[u8]) -> String {
    if output.len() <= OUTPUT_LIMIT {
        return String::from_utf8_lossy(output).into_owned();
    }
    format!("{}...", String::from_utf8_lossy(&output[..OUTPUT_LIMIT]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn result(second: i64, exit_code: i32) -> ProbeResult {
        ProbeResult {
            start: Timestamp::from_secs(second),
            end: Timestamp::from_secs(second + 1),
            exit_code,
            output: String::new(),
        }
    }

    fn after(second: i64) -> Duration {
        Duration::from_secs(second.unsigned_abs())
    }

    fn probe() -> Probe {
        Probe { start_period: Duration::from_secs(10), ..Probe::new(vec!["true".into()]) }
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let mut health = Health::default();
        for second in [1, 5, 9] {
            assert!(!health.record(result(second, 1), &probe(), after(second)));
        }
        assert_eq!((health.failing_streak, health.status), (0, HealthStatus::Starting));
        for second in [10, 11] {
            assert!(!health.record(result(second, 1), &probe(), after(second)));
        }
        assert!(health.record(result(12, 1), &probe(), after(12)));
        assert_eq!((health.failing_streak, health.status), (3, HealthStatus::Unhealthy));
    }

    #[test]
    fn the_clock_has_no_say_in_how_long_the_start_period_is() {
        let (mut late, mut early) = (Health::default(), Health::default());
        assert!(!late.record(result(1_000_000, 1), &probe(), after(1)), "set forward");
        assert_eq!(late.failing_streak, 0);
        assert!(!early.record(result(-1_000_000, 1), &probe(), after(11)), "set back");
        assert_eq!(early.failing_streak, 1);
    }

    #[test]
    fn one_success_ends_the_start_period() {
        let mut health = Health::default();
        assert!(health.record(result(1, 0), &probe(), after(1)));
        health.record(result(2, 1), &probe(), after(2));
        assert_eq!((health.failing_streak, health.status), (1, HealthStatus::Healthy));
    }

    #[test]
    fn pauses() {
        let probe = probe();
        let secs = |status, ran| probe.pause(status, Duration::from_secs(ran)).as_secs();
        assert_eq!(secs(HealthStatus::Starting, 3), 5);
        assert_eq!(secs(HealthStatus::Healthy, 3), 30);
        assert_eq!(secs(HealthStatus::Starting, 10), 30);
    }

    #[test]
    fn output_is_clipped() {
        assert_eq!(clip(b"ok\xff"), "ok\u{fffd}");
        assert_eq!(clip(&[b'x'; OUTPUT_LIMIT]).len(), OUTPUT_LIMIT);
        assert!(clip(&[b'x'; OUTPUT_LIMIT + 1]).ends_with("x..."));
    }

    #[test]
    fn dockers_words() {
        let text = serde_json::to_string(&Health::default()).unwrap();
        assert_eq!(text, r#"{"Status":"starting","FailingStreak":0,"Log":[]}"#);
    }

    proptest! {
        #[test]
        fn the_log_is_short_and_the_streak_true(codes in proptest::collection::vec(0..3i32, 0..40)) {
            let probe = Probe::new(vec![]);
            let mut health = Health::default();
            for (second, code) in codes.iter().enumerate() {
                health.record(result(second as i64, *code), &probe, after(second as i64));
            }
            let streak = codes.iter().rev().take_while(|code| **code != 0).count();
            prop_assert_eq!(health.failing_streak as usize, streak);
            prop_assert_eq!(health.log.len(), codes.len().min(LOG_ENTRIES));
            let tail: Vec<i32> = health.log.iter().map(|entry| entry.exit_code).collect();
            prop_assert_eq!(&tail[..], &codes[codes.len() - tail.len()..]);
        }
    }
}
