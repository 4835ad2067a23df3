//! When a job runs, and what happens when a run meets the one before it. Pure: no clock.
//!
//! Times are UTC: a job neither runs twice nor is left out when clocks are put forward or back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, civil_from_days};

const DAY: i64 = 86_400;
/// The rarest of days, a 29th of February on a given day of the week, comes within this many days.
const HORIZON: i64 = 366 * 41;
/// When a job runs: what `io.hako.schedule` on a container says, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// A cron expression: minute, hour, day of the month, month, day of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Or so many seconds from one run to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// What happens when a run is due while the one before it goes on.
    #[serde(default)]
    pub overlap: Overlap,
    /// Seconds after which a run is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How many runs are remembered.
    #[serde(default = "history")]
    pub history: usize,
}

fn history() -> usize {
    Schedule::HISTORY
}

/// What happens when a run is due while the one before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The new one is left out.
    #[default]
    Skip,
    /// The new one begins when the other has ended.
    Queue,
    /// The other one is stopped.
    Replace,
}

/// Why a schedule makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is not what was expected.
    #[error("invalid schedule: {reason}")]
    Form {
        /// Why not.
        reason: String,
    },
    /// Neither or both of `cron` and `every`.
    #[error("invalid schedule: give either `cron` or `every`")]
    Choice,
    /// A cron expression that is none.
    #[error("invalid schedule {cron:?}: {reason}")]
    Cron {
        /// The expression.
        cron: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Schedule {
    /// How many runs are remembered, where nobody says.
    pub const HISTORY: usize = 20;

    /// Reads what a label says.
    pub fn read(text: &str) -> Result<Self, ScheduleError> {
        let schedule: Self =
            serde_json::from_str(text).map_err(|error| ScheduleError::Form { reason: error.to_string() })?;
        schedule.check()?;
        Ok(schedule)
    }

    /// Whether it makes sense.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match (&self.cron, self.every) {
            (Some(cron), None) => Cron::read(cron).map(drop),
            (None, Some(0)) => Err(ScheduleError::Form { reason: "`every` must be at least a second".to_owned() }),
            (None, Some(_)) => Ok(()),
            _ => Err(ScheduleError::Choice),
        }
    }

    /// The first time after this one; none if there never is one, as on a 30th of February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match (&self.cron, self.every) {
            (Some(cron), _) => Cron::read(cron).ok()?.next(after),
            (None, Some(seconds)) => Some(after.after(Duration::from_secs(seconds))),
            (None, None) => None,
        }
    }

    /// It in one word or a few.
    pub fn describe(&self) -> String {
        match (&self.cron, self.every) {
            (Some(cron), _) => cron.clone(),
            (None, seconds) => format!("every {} s", seconds.unwrap_or_default()),
        }
    }
}

/// A cron expression: which minutes, hours, days, months and days of the week, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day must be both: one of the days and one of the weekdays are all.
    both: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    fn read(text: &str) -> Result<Self, ScheduleError> {
        let refused = |reason: String| ScheduleError::Cron { cron: text.to_owned(), reason };
        let known = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = known.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(refused(format!("want five fields, got {}", fields.len())));
        };
        let weekday_bits = bits(weekdays, 0, 7, &WEEKDAYS, 0).map_err(refused)?;
        Ok(Self {
            minutes: bits(minutes, 0, 59, &[], 0).map_err(refused)?,
            hours: bits(hours, 0, 23, &[], 0).map_err(refused)?,
            days: bits(days, 1, 31, &[], 0).map_err(refused)?,
            months: bits(months, 1, 12, &MONTHS, 1).map_err(refused)?,
            // Sunday is 0 and 7.
            weekdays: (weekday_bits | weekday_bits >> 7) & 0x7f,
            both: days.starts_with('*') || weekdays.starts_with('*'),
        })
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let start = after.secs().div_euclid(60) * 60 + 60;
        let (first, mut second) = (start.div_euclid(DAY), start.rem_euclid(DAY));
        for day in first..first + HORIZON {
            if self.has_day(day) {
                let minutes = (second / 60..DAY / 60)
                    .find(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60));
                if let Some(minute) = minutes {
                    return Some(Timestamp::from_secs(day * DAY + minute * 60));
                }
            }
            second = 0;
        }
        None
    }

    fn has_day(&self, days: i64) -> bool {
        let (_, month, day) = civil_from_days(days);
        // The first of January 1970 was a Thursday.
        let (in_month, in_week) = (has(self.days, day), has(self.weekdays, (days + 4).rem_euclid(7)));
        has(self.months, month) && if self.both { in_month && in_week } else { in_month || in_week }
    }
}

fn has(bits: u64, number: i64) -> bool {
    u32::try_from(number).is_ok_and(|number| bits.checked_shr(number).is_some_and(|bits| bits & 1 == 1))
}

/// `*`, `5`, `1-5`, `*/2`, `10-20/5`, and lists of them; names count up from `first_name`.
fn bits(field: &str, lowest: u32, highest: u32, names: &[&str], first_name: u32) -> Result<u64, String> {
    let number = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let named = named.and_then(|place| u32::try_from(place).ok()).map(|place| place + first_name);
        let number = named.or_else(|| text.parse().ok()).filter(|number| (lowest..=highest).contains(number));
        number.ok_or_else(|| format!("{text:?} is not between {lowest} and {highest}"))
    };
    let mut all = 0;
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or_else(|| format!("{step:?} is no step"))?;
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" => (lowest, highest),
            None if part.contains('/') => (number(range)?, highest),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(format!("{range:?} ends before it begins"));
        }
        all |= (from..=to).step_by(step).fold(0_u64, |bits, number| bits | 1 << number);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cron(text: &str) -> Schedule {
        Schedule::read(&serde_json::json!({"cron": text}).to_string()).unwrap()
    }

    #[test]
    fn the_next_time() {
        for (text, after, next) in [
            ("* * * * *", "2026-11-21T20:00:00Z", "2026-11-21T20:01:00Z"),
            ("* * * * *", "2026-11-21T20:00:59.5Z", "2026-11-21T20:01:00Z"),
            ("*/15 * * * *", "2026-11-21T20:46:00Z", "2026-11-21T21:00:00Z"),
            ("30 4 * * *", "2026-11-21T20:00:00Z", "2026-11-22T04:30:00Z"),
            ("0 0 1 1 *", "2026-11-21T20:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 12 29 2 *", "2026-11-21T20:00:00Z", "2028-02-29T12:00:00Z"),
            ("0 9 * * mon-fri", "2026-11-20T10:00:00Z", "2026-11-23T09:00:00Z"),
            ("0 9 * * 7", "2026-11-20T10:00:00Z", "2026-11-22T09:00:00Z"),
            // Either day, if both are given.
            ("0 0 13 * fri", "2026-11-21T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("5/20 1,3-4 * JAN *", "2026-11-21T00:00:00Z", "2027-01-01T01:05:00Z"),
            ("@hourly", "2026-12-31T23:30:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let after = Timestamp::parse(after).unwrap();
            assert_eq!(cron(text).next(after).unwrap().to_string(), next, "{text}");
        }
        assert_eq!(cron("0 0 30 2 *").next(Timestamp::from_secs(0)), None);
        let every = Schedule::read(r#"{"every": 90}"#).unwrap();
        assert_eq!(every.next(Timestamp::from_secs(10)), Some(Timestamp::from_secs(100)));
        assert_eq!((every.overlap, every.history), (Overlap::Skip, 20));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, words) in [
            (r#"{"cron": "* * * *"}"#, "want five fields, got 4"),
            (r#"{"cron": "60 * * * *"}"#, "\"60\" is not between 0 and 59"),
            (r#"{"cron": "* * 5-1 * *"}"#, "ends before it begins"),
            (r#"{"cron": "*/0 * * * *"}"#, "no step"),
            (r#"{"cron": "@daily", "every": 5}"#, "either"),
            ("{}", "either"),
            (r#"{"every": 0}"#, "at least a second"),
            (r#"{"evry": 5}"#, "unknown field"),
        ] {
            let error = Schedule::read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-*/,0-9a-z@ ]{0,24}", after in any::<i32>()) {
            if let Ok(cron) = Cron::read(&text)
                && let Some(next) = cron.next(Timestamp::from_secs(after.into()))
            {
                prop_assert!(next.secs() > i64::from(after) && next.secs() % 60 == 0);
            }
        }
    }
}
