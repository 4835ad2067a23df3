//! Devices: nodes shown in a container, and the rules of the devices cgroup.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use hako_model::container::{DeviceMapping, HostConfig};
use hako_supervisor::spec::{Device, DeviceRule};

use crate::{Error, Result};

/// What every container may use: null, zero, full, tty, random, urandom, ptmx, ptys and the console; and making nodes.
const ALLOWED: &[(&str, Option<i64>, Option<i64>, &str)] = &[
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(1), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

/// Nodes and rules of a container.
pub(super) fn of(host: &HostConfig) -> Result<(Vec<Device>, Vec<DeviceRule>)> {
    if host.privileged {
        let rule = DeviceRule { allow: true, access: "rwm".to_owned(), ..DeviceRule::default() };
        return Ok((host_devices(), vec![rule]));
    }
    let mut rules = vec![DeviceRule { allow: false, access: "rwm".to_owned(), ..DeviceRule::default() }];
    rules.extend(ALLOWED.iter().map(|(kind, major, minor, access)| rule(kind, *major, *minor, access)));
    let mut nodes = Vec::new();
    for mapping in host.resources.devices.iter().flatten() {
        for node in mapped(mapping)? {
            let access = if mapping.cgroup_permissions.is_empty() { "rwm" } else { &mapping.cgroup_permissions };
            rules.push(rule(&node.kind, Some(node.major), Some(node.minor), access));
            nodes.push(node);
        }
    }
    for text in host.resources.device_cgroup_rules.iter().flatten() {
        rules.push(parse_rule(text)?);
    }
    Ok((nodes, rules))
}

/// Refuses devices that are not there and rules that cannot be read.
pub(crate) fn check(host: &HostConfig) -> Result<()> {
    of(host).map(drop)
}

fn rule(kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow: true, kind: kind.to_owned(), major, minor, access: access.to_owned() }
}

/// Reads `c 1:3 rwm`, `a *:* r`.
pub(crate) fn parse_rule(text: &str) -> Result<DeviceRule> {
    let invalid = || Error::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let number = |part: &str| match part {
        "*" => Ok(None),
        part => part.parse::<u32>().map(|n| Some(i64::from(n))).map_err(|_| invalid()),
    };
    let [kind, numbers, access] = text.split_whitespace().collect::<Vec<_>>()[..] else { return Err(invalid()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let fine = matches!(kind, "a" | "b" | "c") && access.len() <= 3 && access.chars().all(|c| "rwm".contains(c));
    if !fine {
        return Err(invalid());
    }
    Ok(rule(kind, number(major)?, number(minor)?, access))
}

/// A device, or every device below a directory.
fn mapped(mapping: &DeviceMapping) -> Result<Vec<Device>> {
    let source = Path::new(&mapping.path_on_host);
    let target = if mapping.path_in_container.is_empty() { source } else { Path::new(&mapping.path_in_container) };
    let failed = |cause: &dyn std::fmt::Display| {
        let text =
            format!("error gathering device information while adding custom device \"{}\": {cause}", source.display());
        Error::invalid(text)
    };
    let metadata = std::fs::metadata(source).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => failed(&"no such file or directory"),
        _ => failed(&e),
    })?;
    if metadata.is_dir() {
        return Ok(below(source, target));
    }
    node(source, target).map(|node| vec![node]).ok_or_else(|| failed(&"not a device node"))
}

fn below(source: &Path, target: &Path) -> Vec<Device> {
    let mut nodes = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        for entry in std::fs::read_dir(source.join(&relative)).into_iter().flatten().flatten() {
            let path = relative.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(path),
                _ => nodes.extend(node(&source.join(&path), &target.join(&path))),
            }
        }
    }
    nodes
}

fn node(source: &Path, target: &Path) -> Option<Device> {
    let metadata = std::fs::metadata(source).ok()?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        _ => return None,
    };
    Some(Device {
        kind: kind.to_owned(),
        path: target.to_string_lossy().into_owned(),
        major: i64::from(rustix::fs::major(metadata.rdev())),
        minor: i64::from(rustix::fs::minor(metadata.rdev())),
        file_mode: Some(metadata.mode() & 0o7777),
        uid: Some(metadata.uid()),
        gid: Some(metadata.gid()),
    })
}

/// All devices of the host, for privileged containers; terminals and what the container has of its own stay out.
fn host_devices() -> Vec<Device> {
    const OWN: &[&str] = &["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "ptmx"];
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        if OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => nodes.extend(below(&entry.path(), &entry.path())),
            Ok(kind) if kind.is_symlink() => {}
            _ => nodes.extend(node(&entry.path(), &entry.path())),
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let parsed = parse_rule("c 1:* rm").unwrap();
        assert_eq!((parsed.kind.as_str(), parsed.major, parsed.minor), ("c", Some(1), None));
        for bad in ["", "c 1:3", "x 1:3 r", "c 1 r", "c 1:3 q", "c a:3 r", "c 1:3 rwmr"] {
            assert!(parse_rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_device_is_shown_with_its_numbers() {
        let mapping = DeviceMapping { path_on_host: "/dev/null".into(), ..DeviceMapping::default() };
        let nodes = mapped(&mapping).unwrap();
        assert_eq!((nodes[0].major, nodes[0].minor, nodes[0].path.as_str()), (1, 3, "/dev/null"));
        let missing = DeviceMapping { path_on_host: "/dev/no-such".into(), ..DeviceMapping::default() };
        assert!(mapped(&missing).unwrap_err().to_string().ends_with("no such file or directory"));
    }
}
