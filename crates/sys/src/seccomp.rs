//! Putting a compiled system call filter in force.

use std::os::fd::{FromRawFd, OwnedFd};

use crate::{Error, Result};

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump if true.
    pub jt: u8,
    /// Jump if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Flags of seccomp(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterFlags(u32);

impl FilterFlags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// A flag by its name, e.g. `SECCOMP_FILTER_FLAG_LOG`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "SECCOMP_FILTER_FLAG_TSYNC" => Some(Self(1)),
            "SECCOMP_FILTER_FLAG_LOG" => Some(Self(2)),
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Some(Self(4)),
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Some(Self(32)),
            _ => None,
        }
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Filters every later system call of this thread and its children. Needs `no_new_privs` or `CAP_SYS_ADMIN`.
pub fn install(program: &[Instruction], flags: FilterFlags) -> Result<()> {
    crate::syscall::seccomp_filter(program, flags.0).map(drop).map_err(Error::os("install", "system call filter"))
}

/// [`install`], returning a descriptor on which another process answers calls the filter notifies of.
pub fn install_notifying(program: &[Instruction], flags: FilterFlags) -> Result<OwnedFd> {
    const NEW_LISTENER: u32 = 8;
    let fd = crate::syscall::seccomp_filter(program, flags.0 | NEW_LISTENER)
        .map_err(Error::os("install", "system call filter"))?;
    // SAFETY: with this flag a successful call returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
