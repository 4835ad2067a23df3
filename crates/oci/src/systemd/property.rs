//! Limits in the specification's words become properties of a unit.
//!
//! hako writes every limit into the group's files as well. systemd must know those that it writes itself: it would put its
//! own idea of them back, e.g. when it reads its configuration anew.

use std::collections::BTreeMap;

use hako_runtime::resources::{swap_alone, weight_of_shares};
use hako_runtime::spec::{BlockIo, Cpu, DeviceRule, Memory, Resources};
use hako_sys::cgroup::Version;

use super::message::{Property, Value};
use super::{Fault, Result};

/// What annotations with properties begin with.
const ANNOTATION: &str = "org.systemd.property.";

fn of(name: &str, value: Value) -> Property {
    (name.to_owned(), value)
}

fn amount(name: &str, value: i64) -> Property {
    of(name, Value::Number64(u64::try_from(value).unwrap_or(u64::MAX)))
}

/// The properties of limits.
pub(super) fn of_resources(resources: &Resources, version: Version) -> Result<Vec<Property>> {
    let mut list = Vec::new();
    if let Some(memory) = &resources.memory {
        add_memory(&mut list, memory, version);
    }
    if let Some(cpu) = &resources.cpu {
        add_cpu(&mut list, cpu, version)?;
    }
    if let Some(pids) = &resources.pids {
        list.push(amount("TasksMax", if pids.limit > 0 { pids.limit } else { -1 }));
    }
    if let Some(block_io) = &resources.block_io {
        add_block_io(&mut list, block_io, version);
    }
    add_unified(&mut list, &resources.unified)?;
    if version == Version::V1 && !resources.devices.is_empty() {
        add_devices(&mut list, &resources.devices);
    }
    Ok(list)
}

fn add_memory(list: &mut Vec<Property>, memory: &Memory, version: Version) {
    let limit = memory.limit.filter(|limit| *limit != 0);
    match version {
        Version::V1 => list.extend(limit.map(|limit| amount("MemoryLimit", limit))),
        Version::V2 => {
            list.extend(limit.map(|limit| amount("MemoryMax", limit)));
            let reservation = memory.reservation.filter(|reservation| *reservation != 0);
            list.extend(reservation.map(|reservation| amount("MemoryLow", reservation)));
            list.extend(swap_alone(memory).map(|swap| amount("MemorySwapMax", swap)));
        }
    }
}

fn add_cpu(list: &mut Vec<Property>, cpu: &Cpu, version: Version) -> Result<()> {
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        list.push(match version {
            Version::V1 => of("CPUShares", Value::Number64(shares)),
            Version::V2 => of("CPUWeight", Value::Number64(weight_of_shares(shares))),
        });
    }
    add_quota(list, cpu.quota.filter(|quota| *quota != 0), cpu.period.filter(|period| *period != 0));
    if version == Version::V2 {
        for (name, text) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
            if !text.is_empty() {
                list.push(of(name, Value::Bytes(bits(text)?)));
            }
        }
    }
    Ok(())
}

const USUAL_PERIOD: u64 = 100_000;

/// systemd counts microseconds in a second, in steps of a hundredth.
fn add_quota(list: &mut Vec<Property>, quota: Option<i64>, period: Option<u64>) {
    // Only since version 242.
    if let Some(period) = period.filter(|period| *period != USUAL_PERIOD) {
        list.push(of("CPUQuotaPeriodUSec", Value::Number64(period)));
    }
    let Some(quota) = quota else { return };
    let second = u64::try_from(quota).map_or(u64::MAX, |quota| {
        quota.saturating_mul(1_000_000).div_ceil(period.unwrap_or(USUAL_PERIOD)).next_multiple_of(10_000)
    });
    list.push(of("CPUQuotaPerSecUSec", Value::Number64(second)));
}

/// A list such as `0-2,4` as bits, the first processor in the lowest bit of the first byte.
fn bits(text: &str) -> Result<Vec<u8>> {
    /// More than a kernel can be built for.
    const MOST: usize = 1 << 16;
    let wrong = || Fault::Setting { name: "cpuset".into(), text: text.to_owned() };
    let mut bits = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse().ok().filter(|number| *number < MOST).ok_or_else(wrong);
        let (first, last): (usize, usize) = (number(first)?, number(last)?);
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0);
            }
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    Ok(bits)
}

fn add_block_io(list: &mut Vec<Property>, block_io: &BlockIo, version: Version) {
    let Some(weight) = block_io.weight.filter(|weight| *weight != 0) else { return };
    list.push(match version {
        Version::V1 => of("BlockIOWeight", Value::Number64(u64::from(weight))),
        // 10…1000 becomes 1…10000.
        Version::V2 => of("IOWeight", Value::Number64(1 + u64::from(weight.saturating_sub(10)) * 9999 / 990)),
    });
}

/// Files of cgroup v2 that systemd writes itself.
const UNIFIED: &[(&str, &str)] = &[
    ("cpu.weight", "CPUWeight"),
    ("memory.high", "MemoryHigh"),
    ("memory.low", "MemoryLow"),
    ("memory.max", "MemoryMax"),
    ("memory.min", "MemoryMin"),
    ("memory.swap.max", "MemorySwapMax"),
    ("pids.max", "TasksMax"),
];

fn add_unified(list: &mut Vec<Property>, unified: &BTreeMap<String, String>) -> Result<()> {
    for (file, text) in unified {
        let wrong = || Fault::Setting { name: file.clone(), text: text.clone() };
        let text = text.trim();
        let number = |text: &str| if text == "max" { Ok(u64::MAX) } else { text.parse().map_err(|_| wrong()) };
        if let Some((_, name)) = UNIFIED.iter().find(|(known, _)| known == file) {
            list.push(of(name, Value::Number64(number(text)?)));
            continue;
        }
        match file.as_str() {
            "cpuset.cpus" => list.push(of("AllowedCPUs", Value::Bytes(bits(text)?))),
            "cpuset.mems" => list.push(of("AllowedMemoryNodes", Value::Bytes(bits(text)?))),
            "cpu.max" => {
                let (quota, period) =
                    text.split_once(' ').map_or((text, None), |(quota, period)| (quota, Some(period)));
                let quota = i64::try_from(number(quota)?).unwrap_or(-1);
                add_quota(list, Some(quota), period.map(|period| number(period.trim())).transpose()?);
            }
            // The others are hako's alone: the unit is delegated.
            _ => {}
        }
    }
    Ok(())
}

/// On v1 systemd writes the list of devices anew when it reads its configuration, and would allow everything without
/// one. On v2 its filter and hako's both hold.
fn add_devices(list: &mut Vec<Property>, rules: &[DeviceRule]) {
    let mut allowed: Vec<(String, String)> = Vec::new();
    let mut everything = false;
    for rule in rules {
        let any = matches!(rule.kind.as_str(), "" | "a");
        let number = |number: Option<i64>| number.filter(|number| *number >= 0);
        match (any, rule.allow) {
            (true, allow) => {
                everything = allow;
                allowed.clear();
            }
            (false, allow) => {
                let names = device(&rule.kind, number(rule.major), number(rule.minor));
                let access = if rule.access.is_empty() { "rwm" } else { &rule.access };
                allowed.retain(|(name, kept)| {
                    !names.contains(name) || !kept.chars().all(|letter| access.contains(letter))
                });
                if allow {
                    allowed.extend(names.into_iter().map(|name| (name, access.to_owned())));
                }
            }
        }
    }
    list.push(of("DevicePolicy", Value::Text(if everything { "auto" } else { "strict" }.into())));
    if !everything {
        // The first list takes those of systemd's own away.
        list.push(of("DeviceAllow", Value::Pairs(Vec::new())));
        list.push(of("DeviceAllow", Value::Pairs(allowed)));
    }
}

/// A device as systemd names it: by its link, its driver's group, or its kind.
fn device(kind: &str, major: Option<i64>, minor: Option<i64>) -> Vec<String> {
    let kind = if kind == "b" { "block" } else { "char" };
    match (major, minor) {
        (None, _) => vec![format!("{kind}-*")],
        (Some(major), Some(minor)) => vec![format!("/dev/{kind}/{major}:{minor}")],
        (Some(major), None) => {
            let table = std::fs::read_to_string("/proc/devices").unwrap_or_default();
            groups(&table, kind, major).into_iter().map(|group| format!("{kind}-{group}")).collect()
        }
    }
}

/// The names that `/proc/devices` has for a major number.
fn groups(table: &str, kind: &str, major: i64) -> Vec<String> {
    let (characters, blocks) = table.split_once("Block devices:").unwrap_or((table, ""));
    let lines = if kind == "block" { blocks } else { characters }.lines();
    let named = lines.filter_map(|line| line.trim().split_once(' '));
    named.filter(|(number, _)| number.parse() == Ok(major)).map(|(_, name)| name.trim().to_owned()).collect()
}

/// The properties that annotations ask for, `org.systemd.property.TimeoutStopUSec: uint64 5000000`, as runc has it.
pub(super) fn of_annotations(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let mut list = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
        let wrong = || Fault::Setting { name: key.clone(), text: text.clone() };
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(wrong());
        }
        let value = parse(text.trim()).ok_or_else(wrong)?;
        match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
            Some(stem) => list.push((format!("{stem}USec"), microseconds(&value).ok_or_else(wrong)?)),
            None => list.push((name.to_owned(), value)),
        }
    }
    Ok(list)
}

fn microseconds(seconds: &Value) -> Option<Value> {
    let seconds = match seconds {
        Value::Signed32(number) => u64::try_from(*number).ok()?,
        Value::Signed64(number) => u64::try_from(*number).ok()?,
        Value::Number32(number) => u64::from(*number),
        Value::Number64(number) => *number,
        _ => return None,
    };
    seconds.checked_mul(1_000_000).map(Value::Number64)
}

/// A value in `GVariant`'s text form, as far as units have such: truths, numbers, texts and lists of texts.
fn parse(text: &str) -> Option<Value> {
    match text {
        "true" => return Some(Value::Flag(true)),
        "false" => return Some(Value::Flag(false)),
        _ => {}
    }
    if let Some(items) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(quoted).collect::<Option<_>>().map(Value::Texts);
    }
    if let Some((kind, number)) = text.split_once(' ') {
        let number = number.trim();
        return match kind {
            "uint32" => number.parse().ok().map(Value::Number32),
            "uint64" => number.parse().ok().map(Value::Number64),
            "int32" => number.parse().ok().map(Value::Signed32),
            "int64" => number.parse().ok().map(Value::Signed64),
            _ => quoted(text).map(Value::Text),
        };
    }
    quoted(text).map(Value::Text).or_else(|| text.parse().ok().map(Value::Signed32))
}

fn quoted(text: &str) -> Option<String> {
    let inner = |mark| text.strip_prefix(mark)?.strip_suffix(mark).filter(|text: &&str| !text.contains([mark, '\\']));
    inner('\'').or_else(|| inner('"')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    fn number(name: &str, value: u64) -> Property {
        of(name, Value::Number64(value))
    }

    #[test]
    fn limits_become_properties() {
        let limits = resources(
            r#"{"memory":{"limit":1048576,"swap":3145728,"reservation":4096},"pids":{"limit":17},
            "cpu":{"shares":1024,"quota":25000,"period":50000,"cpus":"0-2,9"},"blockIO":{"weight":1000}}"#,
        );
        let mut wanted = vec![
            number("MemoryMax", 1 << 20),
            number("MemoryLow", 4096),
            number("MemorySwapMax", 2 << 20),
            number("CPUWeight", 100),
            number("CPUQuotaPeriodUSec", 50_000),
            number("CPUQuotaPerSecUSec", 500_000),
            of("AllowedCPUs", Value::Bytes(vec![0b111, 0b10])),
            number("TasksMax", 17),
            number("IOWeight", 10_000),
        ];
        assert_eq!(of_resources(&limits, Version::V2).unwrap(), wanted);
        wanted.retain(|(name, _)| !matches!(name.as_str(), "MemoryLow" | "MemorySwapMax" | "AllowedCPUs"));
        wanted[0].0 = "MemoryLimit".into();
        wanted[1] = number("CPUShares", 1024);
        wanted[5] = number("BlockIOWeight", 1000);
        assert_eq!(of_resources(&limits, Version::V1).unwrap(), wanted);
    }

    #[test]
    fn no_limit_is_the_greatest_number() {
        let limits = resources(r#"{"memory":{"limit":-1},"pids":{"limit":-1},"cpu":{"quota":-1}}"#);
        let found = of_resources(&limits, Version::V2).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax"]);
        assert!(found.iter().all(|(_, value)| *value == Value::Number64(u64::MAX)));
    }

    #[test]
    fn a_share_of_a_processor_is_rounded_up() {
        let limits = resources(r#"{"cpu":{"quota":12345,"period":100000}}"#);
        assert_eq!(of_resources(&limits, Version::V2).unwrap(), [number("CPUQuotaPerSecUSec", 130_000)]);
    }

    #[test]
    fn files_of_v2_become_properties() {
        let limits = resources(
            r#"{"unified":{"memory.max":"max","cpu.max":"20000 100000","cpuset.mems":"0","memory.oom.group":"1"}}"#,
        );
        let wanted = [
            number("CPUQuotaPerSecUSec", 200_000),
            of("AllowedMemoryNodes", Value::Bytes(vec![1])),
            number("MemoryMax", u64::MAX),
        ];
        assert_eq!(of_resources(&limits, Version::V2).unwrap(), wanted);
        let wrong = resources(r#"{"unified":{"pids.max":"many"}}"#);
        assert!(of_resources(&wrong, Version::V2).is_err());
    }

    #[test]
    fn device_rules_become_a_list() {
        let limits = resources(
            r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","access":"m"},
            {"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":true,"type":"b","major":8,"minor":0,"access":"r"},
            {"allow":false,"type":"b","major":8,"minor":0,"access":"rwm"}]}"#,
        );
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let allowed = vec![pair("char-*", "m"), pair("/dev/char/1:3", "rwm")];
        let wanted = [
            of("DevicePolicy", Value::Text("strict".into())),
            of("DeviceAllow", Value::Pairs(Vec::new())),
            of("DeviceAllow", Value::Pairs(allowed)),
        ];
        assert_eq!(of_resources(&limits, Version::V1).unwrap(), wanted);
        assert_eq!(of_resources(&limits, Version::V2).unwrap(), []);
        let open = resources(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
        assert_eq!(of_resources(&open, Version::V1).unwrap(), [of("DevicePolicy", Value::Text("auto".into()))]);
    }

    #[test]
    fn drivers_have_groups() {
        let table = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n\nBlock devices:\n  8 sd\n 65 sd\n";
        assert_eq!(groups(table, "char", 4), ["/dev/vc/0", "tty"]);
        assert_eq!(groups(table, "block", 8), ["sd"]);
        assert_eq!(groups(table, "block", 1), Vec::<String>::new());
    }

    #[test]
    fn annotations_name_properties() {
        let of_one =
            |key: &str, text: &str| of_annotations(&BTreeMap::from([(format!("{ANNOTATION}{key}"), text.into())]));
        for (key, text, name, value) in [
            ("TimeoutStopUSec", "uint64 5000000", "TimeoutStopUSec", Value::Number64(5_000_000)),
            ("TimeoutStopSec", "5", "TimeoutStopUSec", Value::Number64(5_000_000)),
            ("CollectMode", "'inactive-or-failed'", "CollectMode", Value::Text("inactive-or-failed".into())),
            ("Description", "\"two words\"", "Description", Value::Text("two words".into())),
            ("DefaultDependencies", "true", "DefaultDependencies", Value::Flag(true)),
            (
                "After",
                "['a.service', 'b.service']",
                "After",
                Value::Texts(vec!["a.service".into(), "b.service".into()]),
            ),
        ] {
            assert_eq!(of_one(key, text).unwrap(), [(name.to_owned(), value)], "{key} {text}");
        }
        for (key, text) in
            [("X", "1"), ("Bad-name", "1"), ("Name", "uint64 -1"), ("Name", "words"), ("TimeoutSec", "'5'")]
        {
            assert!(of_one(key, text).is_err(), "{key} {text}");
        }
        assert_eq!(of_annotations(&BTreeMap::from([("other".into(), "1".into())])).unwrap(), []);
    }
}
