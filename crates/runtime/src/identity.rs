//! Who the process is: limits, groups, user, capabilities.

use std::os::fd::OwnedFd;

use hako_sys::caps::{self, Set};
use hako_sys::own;
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;
use crate::spec::{Capabilities, Process};

/// The five sets, by number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sets {
    pub(crate) bounding: Set,
    pub(crate) effective: Set,
    pub(crate) inheritable: Set,
    pub(crate) permitted: Set,
    pub(crate) ambient: Set,
}

impl Sets {
    /// Absent sets are empty; a name nobody knows is an error, as everything beneath would be a guess.
    pub(crate) fn of(capabilities: Option<&Capabilities>) -> Result<Self, LaunchError> {
        let Some(names) = capabilities else { return Ok(Self::default()) };
        let set = |names: &Vec<String>| -> Result<Set, LaunchError> { Ok(Set::from_names(names)?.common(Set::all())) };
        Ok(Self {
            bounding: set(&names.bounding)?,
            effective: set(&names.effective)?,
            inheritable: set(&names.inheritable)?,
            permitted: set(&names.permitted)?,
            ambient: set(&names.ambient)?,
        })
    }
}

/// Sets limits and the badness: the steps that need the privileges lost next.
pub(crate) fn limit(process: &Process, procfs: &OwnedFd) -> Result<(), LaunchError> {
    for limit in &process.rlimits {
        own::set_limit(&limit.kind, limit.soft, limit.hard)?;
    }
    if let Some(adjustment) = process.oom_score_adj {
        write(procfs, "self/oom_score_adj", &adjustment.to_string())?;
    }
    Ok(())
}

/// Writes a file of the process's own procfs.
pub(crate) fn write(procfs: &OwnedFd, path: &str, value: &str) -> Result<(), LaunchError> {
    let failed = |error| LaunchError::setup(format!("write /proc/{path}"), error);
    let fd = rustix::fs::openat(procfs, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    rustix::io::write(&fd, value.as_bytes()).map(drop).map_err(failed)
}

/// Changes group and user, keeping for the moment what is needed to put the filter in force.
pub(crate) fn change_user(process: &Process, sets: &Sets) -> Result<(), LaunchError> {
    caps::bound(sets.bounding)?;
    caps::keep(true)?;
    own::set_groups(&process.user.additional_gids)?;
    own::become_user(process.user.uid, process.user.gid)?;
    // A change of user cleared the effective set. The filter needs CAP_SYS_ADMIN, unless no_new_privs is set.
    let admin = Set::from_names(["SYS_ADMIN"])?;
    caps::apply(sets.effective.with(admin), sets.permitted.with(admin), sets.inheritable)?;
    caps::keep(false)?;
    Ok(())
}

/// Puts exactly the container's sets in force.
pub(crate) fn drop_privileges(sets: &Sets) -> Result<(), LaunchError> {
    caps::apply(sets.effective, sets.permitted, sets.inheritable)?;
    Ok(caps::set_ambient(sets.ambient)?)
}

/// A second descriptor of the same open file.
pub(crate) fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, LaunchError> {
    fd.try_clone().map_err(|error| LaunchError::setup("duplicate descriptor", error))
}
