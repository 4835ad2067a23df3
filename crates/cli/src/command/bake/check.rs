//! What of a target is wrong before anything is built.

use super::target::{Entry, Target};
use crate::flags::parse_bytes;
use hako_model::platform::Platform;

/// Refuses what cannot be meant, in buildx's words.
pub(super) fn check(target: &Target) -> Result<(), String> {
    if target.context.as_deref() == Some("-") {
        return Err("context from stdin not allowed in bake".to_owned());
    }
    if target.dockerfile.as_deref() == Some("-") {
        return Err("dockerfile from stdin not allowed in bake".to_owned());
    }
    if let Some(size) = target.shm_size.as_deref().filter(|size| parse_bytes(size).is_err()) {
        return Err(format!("invalid value {size} for membytes key shm-size"));
    }
    for platform in target.platforms.iter().flat_map(|list| list.split(',')) {
        if Platform::parse(platform).is_err() {
            return Err(format!("{platform:?}: cannot parse platform specifier: invalid argument"));
        }
    }
    target.output.iter().try_for_each(output)?;
    if let Some(wrong) = target.annotations.iter().find(|text| !text.contains('=')) {
        return Err(format!("invalid annotation {wrong:?}, expected key=value"));
    }
    target.ulimits.iter().try_for_each(|limit| {
        crate::creation::ulimit(limit).map(|_| ()).map_err(|_| format!("invalid ulimit argument: {limit}"))
    })
}

/// Refuses secrets whose files are not there.
pub(super) fn check_files(target: &Target) -> Result<(), String> {
    target.secret.iter().try_for_each(secret)
}

fn secret(entry: &Entry) -> Result<(), String> {
    let path = entry.get("src");
    match std::fs::metadata(path) {
        Err(error) if !path.is_empty() => {
            Err(format!("failed to stat {path}: stat {path}: {}", crate::failure::go_cause(&error)))
        }
        _ => Ok(()),
    }
}

fn output(entry: &Entry) -> Result<(), String> {
    match entry.get("type") {
        "local" if entry.get("dest").is_empty() => Err("dest is required for local exporter".to_owned()),
        "local" if entry.get("dest") == "-" => Err("dest cannot be stdout for local exporter".to_owned()),
        _ => Ok(()),
    }
}
