//! What this host has to confine processes with.

use std::path::Path;

use hako_runtime::spec::Process;
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

/// Takes the capabilities from a process that this one does not have itself and so cannot give. Returns their names.
pub(crate) fn drop_unavailable(process: &mut Process) -> Result<Vec<String>> {
    let Some(sets) = &mut process.capabilities else { return Ok(Vec::new()) };
    let had = caps::permitted()?;
    let mut missing: Vec<String> = Vec::new();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.inheritable, &mut sets.ambient]
    {
        set.retain(|name| {
            // A name that nobody knows is told of later, as an error.
            let kept = caps::Set::number(name).is_none() || had.has(name);
            if !kept && !missing.contains(name) {
                missing.push(name.clone());
            }
            kept
        });
    }
    Ok(missing)
}
