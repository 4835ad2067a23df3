//! Restart policies: their texts, and the decision whether and when a container that ended is started again.
//! Leaves out timers and counting what happened, which `state` keeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The first pause before a restart; each further one is twice as long.
pub const FIRST_DELAY: Duration = Duration::from_millis(100);
/// No pause is longer.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A container that ran this long begins again with [`FIRST_DELAY`].
pub const SETTLED: Duration = Duration::from_secs(10);

/// When a container that ended is to be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// After a non-zero exit code, at most `max` times in a row; 0 is no limit.
    OnFailure {
        /// The limit on restarts.
        max: u32,
    },
    /// Whatever happened, until somebody stops it.
    Always,
    /// As `Always`, but a manual stop also outlives the daemon.
    UnlessStopped,
}

/// A text was no restart policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The name is none of Docker's four.
    #[error("parse restart policy {name:?}: want no, always, unless-stopped or on-failure[:count]")]
    UnknownName {
        /// The name refused.
        name: String,
    },
    /// A count where none is allowed, or one that is not a number.
    #[error("parse restart policy {text:?}: the retry count belongs to on-failure and is a number of at least 0")]
    Count {
        /// The text refused.
        text: String,
    },
}

impl Policy {
    /// The policy Docker calls `name` (empty is `no`) with `MaximumRetryCount` `count`.
    pub fn named(name: &str, count: i64) -> Result<Self, InvalidPolicy> {
        let policy = match name {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => return Self::on_failure(count),
            _ => return Err(InvalidPolicy::UnknownName { name: name.to_owned() }),
        };
        if count == 0 { Ok(policy) } else { Err(InvalidPolicy::Count { text: format!("{name}:{count}") }) }
    }

    fn on_failure(count: i64) -> Result<Self, InvalidPolicy> {
        let refused = |_| InvalidPolicy::Count { text: format!("on-failure:{count}") };
        Ok(Self::OnFailure { max: u32::try_from(count).map_err(refused)? })
    }

    /// Parses the value of `--restart`: `no`, `always`, `unless-stopped`, `on-failure[:count]`.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let Some((name, count)) = text.split_once(':') else { return Self::named(text, 0) };
        let refused = || InvalidPolicy::Count { text: text.to_owned() };
        let count = count.parse().map_err(|_| refused())?;
        if name == "on-failure" { Self::named(name, count) } else { Err(refused()) }
    }

    /// Docker's name of the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure { .. } => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// Docker's `MaximumRetryCount`.
    pub fn maximum_retry_count(self) -> u32 {
        if let Self::OnFailure { max } = self { max } else { 0 }
    }

    /// Whether an ending like `end` is followed by a restart.
    pub fn restarts(self, end: &Ending) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure { max } => end.exit_code != 0 && (max == 0 || end.restarts < max),
            Self::Always => true,
            Self::UnlessStopped => !end.manually_stopped,
        }
    }
}

/// How a container ended, as far as the policy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The exit code.
    pub exit_code: i32,
    /// How long it ran.
    pub ran: Duration,
    /// How often it has been restarted since a person started it.
    pub restarts: u32,
    /// Whether a person stopped or killed it.
    pub manually_stopped: bool,
}

/// How the pauses before restarts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// A container that ran this long begins again with the first.
    pub settled: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: FIRST_DELAY, longest: LONGEST_DELAY, settled: SETTLED }
    }
}

impl Backoff {
    /// The pause before the next restart, after a container ran for `ran` and the last pause was `last` (zero at first).
    pub fn delay(self, last: Duration, ran: Duration) -> Duration {
        let pause = if last.is_zero() || ran >= self.settled { self.first } else { last.saturating_mul(2) };
        pause.clamp(self.first, self.longest.max(self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Ending = Ending { exit_code: 1, ran: Duration::ZERO, restarts: 0, manually_stopped: false };

    #[test]
    fn texts() {
        for (text, want) in [
            ("", Policy::No),
            ("no", Policy::No),
            ("always", Policy::Always),
            ("unless-stopped", Policy::UnlessStopped),
            ("on-failure", Policy::OnFailure { max: 0 }),
            ("on-failure:3", Policy::OnFailure { max: 3 }),
        ] {
            assert_eq!(Policy::parse(text), Ok(want), "{text}");
        }
        for text in ["never", "always:3", "on-failure:-1", "on-failure:x", "no:0", "on-failure:", "ALWAYS"] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
        assert!(Policy::named("always", 2).is_err());
        assert_eq!(Policy::named("on-failure", 2).map(Policy::maximum_retry_count), Ok(2));
    }

    #[test]
    fn decisions() {
        let zero = Ending { exit_code: 0, ..END };
        let thrice = Ending { restarts: 3, ..END };
        let stopped = Ending { manually_stopped: true, ..END };
        assert!(!Policy::No.restarts(&END));
        assert!(Policy::Always.restarts(&zero) && Policy::Always.restarts(&stopped));
        assert!(Policy::UnlessStopped.restarts(&zero) && !Policy::UnlessStopped.restarts(&stopped));
        assert!(Policy::OnFailure { max: 0 }.restarts(&thrice) && !Policy::OnFailure { max: 0 }.restarts(&zero));
        assert!(!Policy::OnFailure { max: 3 }.restarts(&thrice) && Policy::OnFailure { max: 4 }.restarts(&thrice));
    }

    #[test]
    fn delays_double_to_a_minute_and_begin_again_after_ten_seconds() {
        let mut last = Duration::ZERO;
        let delays: Vec<u128> = std::iter::repeat_with(|| {
            last = Backoff::default().delay(last, Duration::from_secs(1));
            last.as_millis()
        })
        .take(12)
        .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(Backoff::default().delay(last, SETTLED), FIRST_DELAY);
    }

    #[test]
    fn pauses_stay_within_their_bounds() {
        let secs = Duration::from_secs;
        let backoff = Backoff { first: secs(2), longest: secs(5), settled: secs(30) };
        for (last, ran, want) in [(0, 0, 2), (2, 1, 4), (4, 1, 5), (5, 29, 5), (5, 30, 2)] {
            assert_eq!(backoff.delay(secs(last), secs(ran)), secs(want), "{last} {ran}");
        }
        // A minimum above the maximum is the pause.
        assert_eq!(Backoff { first: secs(9), ..backoff }.delay(secs(9), secs(1)), secs(9));
    }
}
