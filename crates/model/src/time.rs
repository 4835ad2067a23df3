//! Moments, as nanoseconds since the Unix epoch, and Docker's texts for them.
//! Leaves out the clock (callers convert `SystemTime::now()`), time zones' names and durations.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A moment. [`Timestamp::ZERO`] is Go's zero time, Docker's word for "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// A text was no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse time {text:?}: want RFC 3339 or seconds since 1970")]
pub struct InvalidTime {
    /// The text refused.
    pub text: String,
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN + 1, |n| -n)),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        let found = if time.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        found.unwrap_or(UNIX_EPOCH)
    }
}

impl Timestamp {
    /// "0001-01-01T00:00:00Z": never. Earlier than every other moment.
    pub const ZERO: Self = Self(i64::MIN);

    /// The moment `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS))
    }

    /// Nanoseconds since the epoch (`i64::MIN` for [`Self::ZERO`]).
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down; Go's -62135596800 for [`Self::ZERO`].
    pub const fn secs(self) -> i64 {
        if self.is_zero() { -62_135_596_800 } else { self.0.div_euclid(NANOS) }
    }

    /// Whether this is "never".
    pub const fn is_zero(self) -> bool {
        self.0 == i64::MIN
    }

    /// This moment plus `duration`; "never" stays never.
    pub fn after(self, duration: Duration) -> Self {
        if self.is_zero() {
            return self;
        }
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time passed since `earlier`; none when `earlier` is later or never.
    pub fn since(self, earlier: Self) -> Duration {
        if self.is_zero() || earlier.is_zero() || earlier > self {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.abs_diff(earlier.0))
    }

    /// Parses `SECONDS[.FRACTION]` since the epoch (the API's `since` and `until`) or RFC 3339.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        parse_unix(text).or_else(|| parse_rfc3339(text)).ok_or_else(|| InvalidTime { text: text.to_owned() })
    }

    /// RFC 3339 in UTC with exactly nine digits of fraction: the form of log lines.
    pub fn fixed(self) -> String {
        let (year, month, day, time) = self.civil();
        let nanos = if self.is_zero() { 0 } else { self.0.rem_euclid(NANOS) };
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }

    /// Year, month, day and second of the day, in UTC.
    fn civil(self) -> (i64, i64, i64, i64) {
        let secs = self.secs();
        let (year, month, day) = civil_from_days(secs.div_euclid(DAY));
        (year, month, day, secs.rem_euclid(DAY))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, the fraction without trailing zeros: Go's RFC3339Nano.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = self.fixed();
        let digits = fixed.trim_end_matches('Z').trim_end_matches('0');
        write!(f, "{}Z", digits.trim_end_matches('.'))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_rfc3339(&text).ok_or_else(|| serde::de::Error::custom(InvalidTime { text }))
    }
}

/// Howard Hinnant's `civil_from_days`.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Howard Hinnant's `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn parse_unix(text: &str) -> Option<Timestamp> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = secs.starts_with('-');
    let secs: i64 = secs.parse().ok()?;
    let nanos = fraction_nanos(fraction)?;
    let nanos = if negative { -nanos } else { nanos };
    Some(Timestamp(secs.checked_mul(NANOS)?.checked_add(nanos)?))
}

/// The nanoseconds of a fraction's digits; more than nine are cut.
fn fraction_nanos(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let year = number(date, 0, 4)?;
    let (month, day) = (number(date, 5, 7)?, number(date, 8, 10)?);
    let separators = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !separators || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (second, zone) = parse_clock(clock)?;
    let offset = parse_zone(zone.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()))?;
    let secs = days_from_civil(year, month, day) * DAY + second - offset;
    if secs == Timestamp::ZERO.secs() {
        return Some(Timestamp::ZERO);
    }
    let digits = zone.strip_prefix('.').map_or("", |z| z.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    Some(Timestamp(secs.checked_mul(NANOS)?.checked_add(fraction_nanos(digits)?)?))
}

/// Seconds of the day of `HH:MM:SS…`, and what follows them.
fn parse_clock(clock: &str) -> Option<(i64, &str)> {
    let bytes = clock.as_bytes();
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) = (number(clock, 0, 2)?, number(clock, 3, 5)?, number(clock, 6, 8)?);
    (hour < 24 && minute < 60 && second <= 60).then(|| (hour * 3600 + minute * 60 + second, &clock[8..]))
}

/// Seconds east of UTC of `Z` or `±HH:MM`.
fn parse_zone(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (zone.len() == 6 && zone.as_bytes()[3] == b':').then_some(())?;
    Some(sign * (number(zone, 1, 3)? * 3600 + number(zone, 4, 6)? * 60))
}

fn number(text: &str, from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        for (nanos, expect) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
        ] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(time.to_string(), expect);
            assert_eq!(parse_rfc3339(expect), Some(time), "{expect}");
        }
        assert_eq!(Timestamp::from_nanos(500).fixed(), "1970-01-01T00:00:00.000000500Z");
    }

    #[test]
    fn parses_offsets_and_unix_times() {
        for (text, expect) in [
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000),
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000.000000001", 1_700_000_000_000_000_001),
            ("1700000000.5", 1_700_000_000_500_000_000),
        ] {
            assert_eq!(Timestamp::parse(text), Ok(Timestamp::from_nanos(expect)), "{text}");
        }
        for bad in ["", "x", "2023", "2023-13-01T00:00:00Z", "2023-11-14T22:13:20", "1.x", "2023-11-14T22:13:20+0100"] {
            let parsed = Timestamp::parse(bad);
            assert!(parsed.is_err() || bad == "2023", "{bad} {parsed:?}");
        }
    }

    #[test]
    fn zero_is_never_and_stays_so() {
        assert!(Timestamp::default().is_zero());
        assert_eq!(Timestamp::ZERO.secs(), -62_135_596_800);
        assert_eq!(Timestamp::ZERO.after(Duration::from_secs(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::ZERO), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::from_secs(3)), Duration::from_secs(2));
    }
}
