//! Jobs: services with `x-hako-schedule`. Their containers are made, and started by the daemon when they are due.

use hako_model::schedule::{Overlap, Schedule};

use crate::creation::span;
use crate::yaml::Node;

/// The extension field.
pub(crate) const KEY: &str = "x-hako-schedule";

/// Whether a service is a job.
pub(crate) fn is_job(service: &Node) -> bool {
    service.get(KEY).is_some()
}

/// When a service runs, if it is a job: a cron expression, or a mapping of `cron` or `every`, `overlap`, `timeout` and
/// `history`.
pub(crate) fn of(service: &Node) -> Result<Option<Schedule>, String> {
    let Some(node) = service.get(KEY) else { return Ok(None) };
    let schedule = match node.as_text() {
        Some(cron) => Schedule {
            cron: Some(cron.to_owned()),
            every: None,
            overlap: Overlap::default(),
            timeout: None,
            history: Schedule::HISTORY,
        },
        None => long(node)?,
    };
    schedule.check().map_err(|error| error.to_string())?;
    Ok(Some(schedule))
}

fn long(node: &Node) -> Result<Schedule, String> {
    const KEYS: [&str; 5] = ["cron", "every", "overlap", "timeout", "history"];
    let members = node.map().ok_or_else(|| format!("{KEY} must be a cron expression or a mapping"))?;
    if let Some(unknown) = members.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{KEY} has no key {unknown:?}; it has {}", KEYS.join(", ")));
    }
    let seconds = |key: &str| match node.get(key) {
        None => Ok(None),
        Some(_) => match span(node, key).and_then(|nanos| u64::try_from(nanos / 1_000_000_000).ok()) {
            Some(seconds) if seconds > 0 => Ok(Some(seconds)),
            _ => Err(format!("{KEY}.{key} must be a duration of at least a second")),
        },
    };
    let overlap = match node.text("overlap") {
        "" | "skip" => Overlap::Skip,
        "queue" => Overlap::Queue,
        "replace" => Overlap::Replace,
        other => return Err(format!("{KEY}.overlap must be skip, queue or replace, not {other:?}")),
    };
    Ok(Schedule {
        cron: Some(node.text("cron").to_owned()).filter(|cron| !cron.is_empty()),
        every: seconds("every")?,
        overlap,
        timeout: seconds("timeout")?,
        history: node.int("history").and_then(|number| usize::try_from(number).ok()).unwrap_or(Schedule::HISTORY),
    })
}
