//! Project quotas: directory trees whose size is bounded by the file system (ext4 and xfs, mounted with `prjquota`).

use std::os::fd::BorrowedFd;

use crate::syscall::{self, Attributes, DiskQuota};
use crate::{Error, Result};

/// New files below a directory belong to its project (`FS_XFLAG_PROJINHERIT`).
const INHERIT: u32 = 0x200;
/// Project quotas are enforced (`FS_QUOTA_PDQ_ENFD`).
const ENFORCED: u16 = 0x20;
/// A block of the quota's limits, in bytes (`QIF_DQBLKSIZE`).
const BLOCK: u64 = 1024;
/// The space limits of a quota are set (`QIF_BLIMITS`).
const LIMITS: u32 = 1;

/// What a project takes and may take, in bytes; no limit is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Taken.
    pub space: u64,
    /// The bound.
    pub limit: u64,
}

/// Whether the file system of an open directory enforces limits of projects.
pub fn is_enforced(directory: BorrowedFd<'_>) -> bool {
    syscall::quota_state(directory).is_ok_and(|flags| flags & ENFORCED != 0)
}

/// The project an open directory belongs to; 0 is nobody's.
pub fn of(directory: BorrowedFd<'_>) -> Result<u32> {
    let attributes = syscall::attributes(directory).map_err(Error::os("read project of", "directory"))?;
    Ok(attributes.project)
}

/// Makes an open directory, and what will be made in it, belong to a project.
pub fn assign(directory: BorrowedFd<'_>, project: u32) -> Result<()> {
    let failed = Error::os("set project of", "directory");
    let found = syscall::attributes(directory);
    let set = found.and_then(|found| {
        let wanted = Attributes { flags: found.flags | INHERIT, project, ..found };
        syscall::set_attributes(directory, &wanted)
    });
    set.map_err(failed)
}

/// What a project takes and may take on the file system of an open directory.
pub fn usage(directory: BorrowedFd<'_>, project: u32) -> Result<Usage> {
    let quota = syscall::quota(directory, project).map_err(Error::os("read quota of", "project"))?;
    Ok(Usage { space: quota.space, limit: quota.hard_blocks * BLOCK })
}

/// Bounds what a project may take on the file system of an open directory, rounded up to a block; 0 takes the bound away.
pub fn limit(directory: BorrowedFd<'_>, project: u32, bytes: u64) -> Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let quota = DiskQuota { hard_blocks: blocks, soft_blocks: blocks, valid: LIMITS, ..DiskQuota::default() };
    syscall::set_quota(directory, project, &quota).map_err(Error::os("set quota of", "project"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_system_without_projects_says_so() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(!is_enforced(proc.as_fd()));
        assert!(of(proc.as_fd()).is_err() && assign(proc.as_fd(), 5).is_err() && limit(proc.as_fd(), 5, 1).is_err());
    }

    #[test]
    fn the_kernels_structures_have_its_sizes() {
        assert_eq!(std::mem::size_of::<Attributes>(), 28);
        assert_eq!(std::mem::size_of::<DiskQuota>(), 72);
    }
}
