//! `update`, `pause` and `resume`: what a running container may do.

use std::io::Read;
use std::path::Path;

use hako_runtime::resources;
use hako_runtime::spec::{BlockIo, Cpu, IntelRdt, Memory, Pids, Resources};

use crate::Session;
use crate::arguments::Parsed;
use crate::bundle;
use crate::error::{Error, Result};
use crate::record::Status;
use crate::systemd;

/// More than any list of limits.
const LIMIT: u64 = 1 << 20;

/// `pause`.
pub(crate) fn pause(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    container.expect("pause", &[Status::Created, Status::Running])?;
    container.group()?.freeze()?;
    Ok(0)
}

/// `resume`.
pub(crate) fn resume(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    container.expect("resume", &[Status::Paused])?;
    container.group()?.thaw()?;
    Ok(0)
}

/// `update`.
pub(crate) fn update(session: &Session, parsed: &Parsed) -> Result<u8> {
    let container = session.store.open(parsed.id())?;
    container.expect("update", &[Status::Created, Status::Running, Status::Paused])?;
    let mut wanted = match parsed.value("resources") {
        Some(path) => read(path)?,
        None => of_flags(parsed)?,
    };
    // As with runc: engines send the whole description of limits, but only the first one names every device.
    wanted.devices.clear();
    refuse_rdt(parsed)?;
    if !container.record.unit.is_empty() {
        systemd::change(&container.record.unit, &wanted)?;
    }
    resources::apply(&container.group()?, &wanted).map_err(Error::Change)?;
    Ok(0)
}

fn refuse_rdt(parsed: &Parsed) -> Result<()> {
    let of = |name| parsed.value(name).unwrap_or_default().to_owned();
    let rdt =
        IntelRdt { l3_cache_schema: of("l3-cache-schema"), mem_bw_schema: of("mem-bw-schema"), ..IntelRdt::default() };
    if rdt == IntelRdt::default() {
        return Ok(());
    }
    let what = "--l3-cache-schema and --mem-bw-schema".to_owned();
    Err(Error::Unsupported { what, hint: "the container was made without Intel RDT" })
}

fn read(path: &str) -> Result<Resources> {
    if path != "-" {
        return bundle::parse(&hako_sys::file::read_limited(Path::new(path), LIMIT)?, Path::new(path));
    }
    let mut text = Vec::new();
    std::io::stdin().take(LIMIT).read_to_end(&mut text).map_err(Error::file("read", "standard input"))?;
    bundle::parse(&text, Path::new("standard input"))
}

fn of_flags(parsed: &Parsed) -> Result<Resources> {
    if parsed.value("kernel-memory").is_some() {
        let what = "--kernel-memory".to_owned();
        return Err(Error::Unsupported { what, hint: "kernels no longer have this limit; use --memory" });
    }
    let text = |name: &str| parsed.value(name).unwrap_or_default().to_owned();
    let memory = Memory {
        limit: bytes(parsed, "memory")?,
        reservation: bytes(parsed, "memory-reservation")?,
        swap: bytes(parsed, "memory-swap")?,
        kernel_tcp: bytes(parsed, "kernel-memory-tcp")?,
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: parsed.number("update", "cpu-share")?,
        quota: parsed.number("update", "cpu-quota")?,
        burst: parsed.number("update", "cpu-burst")?,
        period: parsed.number("update", "cpu-period")?,
        realtime_runtime: parsed.number("update", "cpu-rt-runtime")?,
        realtime_period: parsed.number("update", "cpu-rt-period")?,
        idle: parsed.number("update", "cpu-idle")?,
        cpus: text("cpuset-cpus"),
        mems: text("cpuset-mems"),
    };
    let block_io = BlockIo { weight: parsed.number("update", "blkio-weight")?, ..BlockIo::default() };
    let pids = parsed.number("update", "pids-limit")?.map(|limit| Pids { limit });
    Ok(Resources { memory: Some(memory), cpu: Some(cpu), block_io: Some(block_io), pids, ..Resources::default() })
}

/// A size: a number with a unit such as `64m`, or -1.
fn bytes(parsed: &Parsed, name: &str) -> Result<Option<i64>> {
    let Some(text) = parsed.value(name) else { return Ok(None) };
    size(text).map(Some).ok_or_else(|| {
        let what = format!("--{name} {text}: it must be a number of bytes such as 1048576 or 64m, or -1");
        Error::Usage { command: "update", what }
    })
}

fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches("ib").trim_end_matches('b');
    let (digits, shift) = match number.chars().last()? {
        'k' => (&number[..number.len() - 1], 10),
        'm' => (&number[..number.len() - 1], 20),
        'g' => (&number[..number.len() - 1], 30),
        't' => (&number[..number.len() - 1], 40),
        _ => (number, 0),
    };
    let digits: i64 = digits.parse().ok().filter(|digits| *digits >= 0)?;
    digits.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("1048576", Some(1 << 20)),
            ("64m", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("2kb", Some(2048)),
            ("-1", Some(-1)),
            ("-2", None),
            ("m", None),
            ("9999999999t", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
