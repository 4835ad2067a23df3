//! What a container's root is furnished with: its mounts and devices, in the order of its description.
//!
//! What shows control groups has to wait until the process is in its own, which takes a while on cgroup v1, and what is
//! bound comes along then; everything else is done meanwhile, unless the order of the mounts speaks against it.

use std::path::Path;

use hako_sys::caps::Set;
use hako_sys::confined::Root;

use crate::attach::{Attacher, Kept};
use crate::kit::Kit;
use crate::option::MountOptions;
use crate::order::{Container, Fittings, Received};
use crate::seccomp::Filter;
use crate::spec::{Mount, Spec};
use crate::{LaunchError, device};

/// What a root has got.
pub(crate) struct Furnished {
    pub(crate) kept: Kept,
    pub(crate) masked: bool,
    pub(crate) filter: Option<(Set, Filter)>,
}

fn label(spec: &Spec) -> &str {
    spec.linux.as_ref().map_or("", |linux| linux.mount_label.as_str())
}

/// Furnishes the root of a process that is in its control group: out of the kit if that serves.
pub(crate) fn furnish(
    root: &Root,
    container: &Container,
    kit: Option<Kit>,
    fds: Received,
) -> Result<Furnished, LaunchError> {
    let spec = &container.spec;
    let mut attacher = Attacher::new(root, label(spec)).with_fittings(container.fittings.clone(), fds);
    let served = kit.as_ref().and_then(|kit| kit.serves(container));
    if let (Some(kit), Some(count)) = (kit, served) {
        kit.move_into(root)?;
        attacher.attach_some(&spec.mounts, |index| index >= count)?;
        let (pts, filter) = kit.into_parts();
        let kept = Kept { pts, ..attacher.into_kept() };
        return Ok(Furnished { kept, masked: true, filter: Some(filter) });
    }
    attacher.attach_some(&spec.mounts, |_| true)?;
    device::make_all(root, spec, false)?;
    Ok(Furnished { kept: attacher.into_kept(), masked: false, filter: None })
}

/// Furnishes the root of a process that is still on its way into its control group; `placed` waits for its arrival.
pub(crate) fn furnish_anew(
    root: &Root,
    container: &Container,
    changes_user: bool,
    placed: impl FnOnce() -> Result<(Fittings, Received), LaunchError>,
) -> Result<Furnished, LaunchError> {
    let spec = &container.spec;
    let late = late_mounts(&spec.mounts);
    let mut attacher = Attacher::new(root, label(spec));
    attacher.attach_some(&spec.mounts, |index| !late[index])?;
    device::make_all(root, spec, changes_user)?;
    let (fittings, fds) = placed()?;
    attacher = attacher.with_fittings(fittings, fds);
    attacher.attach_some(&spec.mounts, |index| late[index])?;
    Ok(Furnished { kept: attacher.into_kept(), masked: false, filter: None })
}

/// Which mounts have to come late: cgroups, bind mounts, what is mounted below them, and, if anything later lies over
/// or around them, that as well.
fn late_mounts(mounts: &[Mount]) -> Vec<bool> {
    let mut late: Vec<bool> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let here = Path::new(&mount.destination);
        let touches = mounts[..late.len()].iter().zip(&late).any(|(earlier, late)| {
            let there = Path::new(&earlier.destination);
            *late && (here.starts_with(there) || there.starts_with(here))
        });
        let bound = MountOptions::parse(&mount.options).bind.is_some();
        late.push(touches || bound || matches!(mount.kind.as_str(), "cgroup" | "cgroup2" | "bind"));
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(mounts: &[(&str, &str)]) -> Vec<bool> {
        let mount = |(kind, destination): &(&str, &str)| Mount {
            kind: (*kind).into(),
            destination: (*destination).into(),
            ..Mount::default()
        };
        late_mounts(&mounts.iter().map(mount).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_touches_cgroups_waits() {
        let mounts =
            [("proc", "/proc"), ("sysfs", "/sys"), ("cgroup", "/sys/fs/cgroup"), ("tmpfs", "/dev/shm"), ("bind", "/x")];
        assert_eq!(late(&mounts), [false, false, true, false, true]);
        let mounts =
            [("cgroup", "/sys/fs/cgroup"), ("bind", "/sys/fs/cgroup/memory"), ("tmpfs", "/sys"), ("bind", "/sys/x")];
        assert_eq!(late(&mounts), [true, true, true, true]);
    }
}
