//! Moments as the tables and commands show and take them: "3 minutes ago", Go's default print, local time, and what
//! people type after `--since`.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::units::human_duration;
use crate::flags::parse_duration;

/// Seconds since 1970, now.
pub(crate) fn now() -> i64 {
    now_nanoseconds().div_euclid(1_000_000_000)
}

fn now_nanoseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `3 minutes ago`.
pub(crate) fn ago(seconds: i64) -> String {
    format!("{} ago", human_duration(now() - seconds))
}

/// Seconds since 1970 of an RFC 3339 text; `None` for Go's zero time and rubbish.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let moment: Timestamp = text.parse().ok()?;
    (moment.as_second() > 0).then(|| moment.as_second())
}

/// Go's print of a moment in local time: `2025-05-30 12:07:14 +0000 UTC`.
pub(crate) fn go_local(seconds: i64) -> String {
    local(seconds).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// The same of an RFC 3339 text, with as much of its second as is not nothing: `2025-05-30 12:07:14.5 +0000 UTC`.
pub(crate) fn go_moment(text: &str) -> String {
    let moment = text.parse().unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::system());
    moment.strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string()
}

/// RFC 3339 with the local offset: `2025-05-30T12:07:14Z`, `…+02:00`.
pub(crate) fn rfc3339_local(seconds: i64) -> String {
    let moment = local(seconds);
    match moment.offset().seconds() {
        0 => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

/// The same with nanoseconds, all nine digits: the form of event lines.
pub(crate) fn event_time(nanoseconds: i64) -> String {
    let moment = local(nanoseconds.div_euclid(1_000_000_000));
    let zone = if moment.offset().seconds() == 0 { "Z".to_owned() } else { moment.strftime("%:z").to_string() };
    format!("{}.{:09}{zone}", moment.strftime("%Y-%m-%dT%H:%M:%S"), nanoseconds.rem_euclid(1_000_000_000))
}

/// Go's `time.ANSIC`: `Fri May 30 12:07:14 2025`.
pub(crate) fn ansi_c(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string(),
        Err(_) => text.to_owned(),
    }
}

fn local(seconds: i64) -> jiff::Zoned {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::system())
}

/// What people type after `--since` and `--until`, as the API wants it: a duration is counted back from now, a date is
/// local unless it says otherwise, seconds stay as they are.
pub(crate) fn moment(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    // As in Go, 0 would be a duration; as in Docker, it is the beginning of time.
    if let (Ok(span), true) = (parse_duration(text), text != "0") {
        return Ok(unix(now_nanoseconds() - span));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Ok(text.to_owned());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(unix(i64::try_from(moment.as_nanosecond()).unwrap_or(i64::MAX)));
    }
    let civil = text.parse::<jiff::civil::DateTime>().or_else(|_| date_only(text));
    let zoned = civil.and_then(|civil| civil.to_zoned(TimeZone::system()));
    match zoned {
        Ok(zoned) => Ok(unix(i64::try_from(zoned.timestamp().as_nanosecond()).unwrap_or(i64::MAX))),
        Err(_) => Err(format!("failed to parse value as time or duration: {text:?}")),
    }
}

fn date_only(text: &str) -> Result<jiff::civil::DateTime, jiff::Error> {
    let day = text.strip_suffix('Z').unwrap_or(text);
    Ok(day.parse::<jiff::civil::Date>()?.at(0, 0, 0, 0))
}

fn unix(nanoseconds: i64) -> String {
    format!("{}.{:09}", nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_moments() {
        assert_eq!(moment("1700000000").unwrap(), "1700000000");
        assert_eq!(moment("2013-01-02T13:23:37Z").unwrap(), "1357133017.000000000");
        assert_eq!(moment("2013-01-02T13:23:37.5+00:00").unwrap(), "1357133017.500000000");
        assert_eq!(moment("").unwrap(), "");
        assert!(moment("yesterday").unwrap_err().contains("yesterday"));
        let ten_minutes: f64 = moment("10m").unwrap().parse().unwrap();
        assert!((now() as f64 - ten_minutes - 600.0).abs() < 5.0);
    }

    #[test]
    fn shown_moments() {
        assert_eq!(ansi_c("2025-05-30T12:07:14.000000000+00:00"), "Fri May 30 12:07:14 2025");
        assert_eq!(seconds("0001-01-01T00:00:00Z"), None);
        assert_eq!(seconds("1970-01-01T00:01:00Z"), Some(60));
        assert!(event_time(1_500_000_000).ends_with(".500000000Z") || event_time(1_500_000_000).contains(".5"));
    }
}
