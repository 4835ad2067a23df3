//! What this host has to confine processes with.

use std::path::Path;

use hako_runtime::spec::{Capabilities, Process};
use hako_sys::caps;

use crate::error::Result;

/// Whether the kernel runs SELinux.
pub(crate) fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Whether the kernel runs AppArmor.
pub(crate) fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with(b"Y"))
}

/// Takes the capabilities from a process that this one cannot give: those it does not have itself, those nobody knows,
/// and ambient ones that are not to be inherited. Returns what is to be told.
pub(crate) fn drop_unavailable(process: &mut Process) -> Result<Vec<String>> {
    let Some(sets) = &mut process.capabilities else { return Ok(Vec::new()) };
    let had = caps::permitted()?;
    let mut missing: Vec<String> = Vec::new();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.inheritable, &mut sets.ambient]
    {
        set.retain(|name| {
            let kept = had.has(name);
            if !kept && !missing.contains(name) {
                missing.push(name.clone());
            }
            kept
        });
    }
    let mut told: Vec<String> = missing.iter().map(|name| format!("{name} is not available: it is left out")).collect();
    let inherits =
        |list: &[String], name: &str| list.iter().any(|other| caps::Set::number(other) == caps::Set::number(name));
    let Capabilities { ambient, inheritable, permitted, .. } = sets;
    ambient.retain(|name| {
        let kept = inherits(inheritable, name) && inherits(permitted, name);
        if !kept {
            told.push(format!("can't raise ambient capability {name}: it is not both permitted and inheritable"));
        }
        kept
    });
    Ok(told)
}
