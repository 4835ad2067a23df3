//! HEALTHCHECK.

use hako_model::container::HealthConfig;
use hako_model::duration;

use super::command::list;
use super::flag::{Flags, Takes};

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

/// The shortest time Docker lets a check wait.
const SHORTEST: i64 = 1_000_000;

/// Reads the instruction.
pub(super) fn parse(words: &[String], rest: &str) -> Result<HealthConfig, String> {
    let (kind, line) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let line = line.trim();
    if rest.is_empty() {
        return Err("HEALTHCHECK requires at least one argument".to_owned());
    }
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if line.is_empty() => {
            Flags::read(words, &[])?;
            Ok(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() })
        }
        "NONE" => Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" if line.is_empty() => Err("missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => probe(words, line),
        other => Err(format!("unknown type {other:?} in HEALTHCHECK (try CMD)")),
    }
}

fn probe(words: &[String], line: &str) -> Result<HealthConfig, String> {
    let flags = Flags::read(words, &FLAGS)?;
    let test = match list(line)? {
        Some(arguments) => std::iter::once("CMD".to_owned()).chain(arguments).collect(),
        None => vec!["CMD-SHELL".to_owned(), line.to_owned()],
    };
    Ok(HealthConfig {
        test,
        interval: time(&flags, "interval")?,
        timeout: time(&flags, "timeout")?,
        start_period: time(&flags, "start-period")?,
        start_interval: time(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

fn time(flags: &Flags, name: &str) -> Result<i64, String> {
    let Some(text) = flags.text(name).filter(|text| !text.is_empty()) else { return Ok(0) };
    let nanos = duration::parse(&text).map_err(|cause| cause.to_string())?;
    if nanos != 0 && nanos < SHORTEST {
        return Err(format!("Interval {name:?} cannot be less than 1ms"));
    }
    Ok(nanos)
}

fn retries(flags: &Flags) -> Result<i64, String> {
    let Some(text) = flags.text("retries").filter(|text| !text.is_empty()) else { return Ok(0) };
    let count: i64 = text.parse().map_err(|_| format!("invalid --retries value {text:?}: it must be a number"))?;
    if count < 0 { Err(format!("--retries cannot be negative ({count})")) } else { Ok(count) }
}
