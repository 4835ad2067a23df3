//! What devices change about a specification: variables, nodes and the leave to use them, mounts, programs to run.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use hako_supervisor::spec::{Device, DeviceRule, Hook, Hooks, Mount, Spec};

use super::catalogue::{self, Catalogue, Edits, Node};
use crate::oci::environment;
use crate::{Error, Result};

/// Applies the edits of devices, those of a file once for all its devices and before them.
pub(super) fn apply(spec: &mut Spec, catalogue: &Catalogue, names: &[String]) -> Result<()> {
    let mut seen = Vec::new();
    for device in names.iter().filter_map(|name| catalogue.device(name)) {
        if !seen.contains(&device.file) {
            seen.push(device.file);
            one(spec, catalogue.common(device.file))?;
        }
        one(spec, &device.edits)?;
    }
    // Parents before what is mounted inside them.
    spec.mounts.sort_by_key(|mount| mount.destination.matches('/').count());
    Ok(())
}

fn one(spec: &mut Spec, edits: &Edits) -> Result<()> {
    if edits.intel_rdt.is_some() {
        return Err(unsupported("intelRdt"));
    }
    if edits.net_devices.is_some() {
        return Err(unsupported("netDevices"));
    }
    let process = spec.process.get_or_insert_default();
    process.env = environment::add(std::mem::take(&mut process.env), &edits.env);
    for gid in &edits.additional_gids {
        // Group 0 is what a file that says nothing would mean.
        if *gid != 0 && !process.user.additional_gids.contains(gid) {
            process.user.additional_gids.push(*gid);
        }
    }
    for described in &edits.device_nodes {
        node(spec, described)?;
    }
    for described in &edits.mounts {
        mount(spec, described);
    }
    for described in &edits.hooks {
        hook(spec, described)?;
    }
    Ok(())
}

fn unsupported(what: &str) -> Error {
    Error::not_implemented(format!("CDI device injection failed: {what} is not supported"))
}

fn node(spec: &mut Spec, described: &Node) -> Result<()> {
    let host = if described.host_path.is_empty() { &described.path } else { &described.host_path };
    let (kind, major, minor) = numbers(described, host)?;
    let user = spec.process.as_ref().map(|process| (process.user.uid, process.user.gid)).unwrap_or_default();
    let linux = spec.linux.get_or_insert_default();
    linux.devices.retain(|device| device.path != described.path);
    linux.devices.push(Device {
        kind: kind.clone(),
        path: described.path.clone(),
        major,
        minor,
        file_mode: described.file_mode,
        uid: described.uid.or((user.0 > 0).then_some(user.0)),
        gid: described.gid.or((user.1 > 0).then_some(user.1)),
    });
    if kind == "c" || kind == "b" {
        let access = if described.permissions.is_empty() { "rwm" } else { &described.permissions };
        let rule = DeviceRule { allow: true, kind, major: Some(major), minor: Some(minor), access: access.to_owned() };
        linux.resources.get_or_insert_default().devices.push(rule);
    }
    Ok(())
}

/// Type and numbers of a node: as the description has them, or as the host's node has.
fn numbers(described: &Node, host: &str) -> Result<(String, i64, i64)> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::system(format!("CDI device injection failed: failed to stat CDI host device {host:?}: {cause}"))
    };
    if let (Some(major), Some(minor), false) = (described.major, described.minor, described.kind.is_empty()) {
        return Ok((described.kind.clone(), major, minor));
    }
    let found = std::fs::metadata(host).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(&"no such file or directory"),
        _ => failed(&error),
    })?;
    let kind = match found.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        kind if kind.is_fifo() => "p",
        _ => return Err(failed(&"not a device node")),
    };
    if !described.kind.is_empty() && described.kind != kind && !(described.kind == "u" && kind == "c") {
        return Err(failed(&format!("host device type mismatch ({}, {kind})", described.kind)));
    }
    let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    let (major, minor) = (described.major.unwrap_or(major.into()), described.minor.unwrap_or(minor.into()));
    Ok((kind.to_owned(), major, minor))
}

fn mount(spec: &mut Spec, described: &catalogue::Mount) {
    spec.mounts.retain(|mount| mount.destination != described.container_path);
    let kind = if described.kind.is_empty() { "bind" } else { &described.kind };
    spec.mounts.push(Mount {
        destination: described.container_path.clone(),
        kind: kind.to_owned(),
        source: described.host_path.clone(),
        options: described.options.clone(),
        ..Mount::default()
    });
}

/// Programs run once the container is furnished; at other points of its life nobody would run them here.
fn hook(spec: &mut Spec, described: &catalogue::Hook) -> Result<()> {
    if described.hook_name != "createContainer" {
        return Err(unsupported(&format!("a {} hook ({})", described.hook_name, described.path)));
    }
    let hooks = spec.hooks.get_or_insert_with(Hooks::default);
    hooks.create_container.push(Hook {
        path: described.path.clone(),
        args: described.args.clone(),
        env: described.env.clone(),
        timeout: described.timeout,
    });
    Ok(())
}
