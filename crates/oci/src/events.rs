//! `events`: what a container uses, in the JSON lines engines read.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hako_sys::cgroup::{Group, Usage, Version};
use hako_sys::poll::Interest;
use serde_json::{Value, json};

use crate::Session;
use crate::arguments::Parsed;
use crate::error::{Error, Result};
use crate::record::{Container, Status};

/// `events`.
pub(crate) fn events(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    let interval = interval(parsed.value("interval").unwrap_or("5s"))?;
    let process = container.expect("watch", &[Status::Created, Status::Running, Status::Paused])?;
    let group = container.group()?;
    if parsed.on("stats") {
        tell(&container, "stats", Some(&stats(&group)));
        return Ok(0);
    }
    let mut memory = group.watch_oom()?;
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            tell(&container, "stats", Some(&stats(&group)));
            due += interval;
        }
        // Memory runs out seldom: the end, which is looked for first, may come a moment later.
        let left = due.saturating_duration_since(Instant::now());
        if hako_sys::poll::wait_one(&process, Interest::Read, Some(Duration::ZERO))? {
            return Ok(0);
        }
        wait_any(&process, &memory, memory.interest(), left)?;
        if memory.take() > 0 {
            tell(&container, "oom", None);
        }
    }
}

fn wait_any(process: impl AsFd, memory: impl AsFd, interest: Interest, left: Duration) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let sign = if interest == Interest::Priority { PollFlags::PRI } else { PollFlags::IN };
    let mut fds = [PollFd::new(&process, PollFlags::IN), PollFd::new(&memory, sign)];
    let left =
        Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&left)))
        .map(drop)
        .map_err(|errno| hako_sys::Error::os("wait for", "events")(errno).into())
}

fn tell(container: &Container, kind: &str, data: Option<&Value>) {
    println!("{}", line(kind, container.id(), data));
}

/// One report. Its fields are in runc's order: there are readers who look at how a line begins.
fn line(kind: &str, id: &str, data: Option<&Value>) -> String {
    let begin = format!("{{\"type\":{},\"id\":{}", json!(kind), json!(id));
    data.map_or_else(|| format!("{begin}}}"), |data| format!("{begin},\"data\":{data}}}"))
}

/// A time such as `5s`, `500ms` or `1m`.
fn interval(text: &str) -> Result<Duration> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let found = units.iter().find_map(|(unit, scale)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*scale).filter(|milliseconds| *milliseconds > 0)
    });
    found.map(Duration::from_millis).ok_or_else(|| {
        let what = format!("--interval {text}: it must be a time such as 5s or 500ms");
        Error::Usage { command: "events", what }
    })
}

/// The numbers in runc's form.
fn stats(group: &Group) -> Value {
    let usage = group.usage();
    let unlimited = if group.version() == Version::V2 { u64::MAX } else { 0x7fff_ffff_ffff_f000 };
    let entries = |list: &[(u64, u64, String, u64)]| -> Value {
        let entry = |(major, minor, op, value): &(u64, u64, String, u64)| json!({ "major": major, "minor": minor, "op": op, "value": value });
        list.iter().map(entry).collect()
    };
    json!({
        "cpu": cpu(&usage),
        "memory": {
            "cache": usage.memory.stats.get("cache").or_else(|| usage.memory.stats.get("file")),
            "usage": {
                "limit": usage.memory.limit.unwrap_or(unlimited),
                "usage": usage.memory.usage,
                "max": usage.memory.max_usage,
                "failcnt": usage.memory.failures,
            },
            "raw": usage.memory.stats,
        },
        "pids": { "current": usage.pids, "limit": usage.pids_limit.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": entries(&usage.block_io.bytes),
            "ioServicedRecursive": entries(&usage.block_io.operations),
        },
        "hugetlb": {},
        "intel_rdt": {},
    })
}

fn cpu(usage: &Usage) -> Value {
    let cpu = &usage.cpu;
    json!({
        "usage": { "total": cpu.total, "percpu": cpu.per_cpu, "kernel": cpu.kernel, "user": cpu.user },
        "throttling": {
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_with_the_type() {
        assert_eq!(line("oom", "box", None), r#"{"type":"oom","id":"box"}"#);
        assert_eq!(line("stats", "box", Some(&json!({"a": 1}))), r#"{"type":"stats","id":"box","data":{"a":1}}"#);
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in
            [("5s", Some(5000)), ("500ms", Some(500)), ("1m", Some(60_000)), ("0s", None), ("5", None)]
        {
            assert_eq!(interval(text).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
