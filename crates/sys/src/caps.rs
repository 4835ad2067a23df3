//! Capabilities: names, sets, and putting them in force.

use std::sync::OnceLock;

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::{Error, Result};

/// Names by number, without the `CAP_` prefix.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// The number of a capability by its name, with or without `CAP_`, in any case.
    pub fn number(name: &str) -> Option<u32> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        NAMES.iter().position(|known| *known == bare).and_then(|index| u32::try_from(index).ok())
    }

    /// The set of the named capabilities. Names unknown here are an error; those unknown to the running kernel are
    /// left out when the set is put in force.
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut bits = 0;
        for name in names {
            let number = Self::number(name.as_ref()).ok_or_else(|| Error::Malformed {
                object: format!("capability {:?}", name.as_ref()),
                what: "unknown".into(),
            })?;
            bits |= 1 << number;
        }
        Ok(Self(bits))
    }

    /// Every capability the running kernel has.
    pub fn all() -> Self {
        Self(u64::MAX >> (63 - last()))
    }

    /// Whether a capability (by name) is in the set.
    pub fn has(self, name: &str) -> bool {
        Self::number(name).is_some_and(|number| self.0 & (1 << number) != 0)
    }

    /// The names in the set, with `CAP_`.
    pub fn names(self) -> Vec<String> {
        let named = NAMES.iter().enumerate().filter(|(number, _)| self.0 & (1 << number) != 0);
        named.map(|(_, name)| format!("CAP_{name}")).collect()
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The bits, by number.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The number of the newest capability the running kernel has; looked at once.
fn last() -> u32 {
    static LAST: OnceLock<u32> = OnceLock::new();
    *LAST.get_or_init(|| {
        let known = NAMES.len() as u32 - 1;
        let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
        text.trim().parse().unwrap_or(known).min(63)
    })
}

/// Removes everything outside `keep` from the calling process's bounding set. Needs `CAP_SETPCAP`.
pub fn bound(keep: Set) -> Result<()> {
    for number in 0..=last() {
        if keep.0 & (1 << number) != 0 {
            continue;
        }
        rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number))
            .map_err(Error::os("drop", format!("capability {number}")))?;
    }
    Ok(())
}

/// Puts the three classic sets in force.
pub fn apply(effective: Set, permitted: Set, inheritable: Set) -> Result<()> {
    let kernel = Set::all();
    let narrowed = |set: Set| CapabilitySet::from_bits_retain(set.common(kernel).0);
    let sets = CapabilitySets {
        effective: narrowed(effective),
        permitted: narrowed(permitted),
        inheritable: narrowed(inheritable),
    };
    rustix::thread::set_capabilities(None, sets).map_err(Error::os("set", "capabilities"))
}

/// Makes the ambient set exactly this one.
pub fn set_ambient(ambient: Set) -> Result<()> {
    rustix::thread::clear_ambient_capability_set().map_err(Error::os("clear", "ambient capabilities"))?;
    for (number, name) in NAMES.iter().enumerate().filter(|(number, _)| ambient.0 & (1 << number) != 0) {
        let one = CapabilitySet::from_bits_retain(1 << number);
        rustix::thread::configure_capability_in_ambient_set(one, true)
            .map_err(Error::os("raise", format!("ambient capability {name}")))?;
    }
    Ok(())
}

/// Keeps the permitted set over the change from user 0 to another, or not.
pub fn keep(keep: bool) -> Result<()> {
    rustix::thread::set_keep_capabilities(keep).map_err(Error::os("keep", "capabilities"))
}

/// The caller's permitted set.
pub fn permitted() -> Result<Set> {
    let sets = rustix::thread::capabilities(None).map_err(Error::os("read", "capabilities"))?;
    Ok(Set(sets.permitted.bits()))
}

/// The caller's effective set.
pub fn effective() -> Result<Set> {
    let sets = rustix::thread::capabilities(None).map_err(Error::os("read", "capabilities"))?;
    Ok(Set(sets.effective.bits()))
}
