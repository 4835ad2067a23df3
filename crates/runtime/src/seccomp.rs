//! System call filters: Docker's default one and others in its format, compiled to classic BPF.
//!
//! The compiler makes one decision tree for each architecture: calls with the same verdict and neighbouring numbers
//! are one range, and a range is found by halving. No library is asked; the result for the default profile takes
//! well under a millisecond.

mod builtin;
mod code;
mod resolve;
mod table;
#[cfg(test)]
mod tests;

use hako_sys::caps::Set;
use hako_sys::seccomp::{FilterFlags, Instruction};

use crate::LaunchError;
use crate::spec::Seccomp;

/// A filter the kernel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its program.
    pub program: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub flags: FilterFlags,
    /// Whether an agent is notified of calls.
    pub notifies: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    KillThread,
    KillProcess,
    Trap,
    Errno(u16),
    Trace(u16),
    Log,
    Allow,
    Notify,
}

impl Action {
    /// The value a filter returns for it.
    fn value(self) -> u32 {
        match self {
            Self::KillThread => 0,
            Self::KillProcess => 0x8000_0000,
            Self::Trap => 0x0003_0000,
            Self::Errno(number) => 0x0005_0000 | u32::from(number),
            Self::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
            Self::Notify => 0x7fc0_0000,
        }
    }
}

/// A comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    index: u32,
    comparison: Comparison,
    value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual(u64),
}

/// Calls with these names, whose arguments fulfil all conditions, get the action.
#[derive(Clone, Debug)]
struct Rule<'a> {
    names: Vec<&'a str>,
    action: Action,
    conditions: Vec<Condition>,
}

/// A profile after its conditions on capabilities, architecture and kernel are decided.
#[derive(Debug)]
struct Profile<'a> {
    default: Action,
    architectures: Vec<Architecture>,
    rules: Vec<Rule<'a>>,
}

/// One set of call numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Architecture {
    X86_64,
    X86,
    Aarch64,
    Arm,
}

impl Architecture {
    /// The architecture of this program, and those its kernel runs besides.
    #[cfg(target_arch = "x86_64")]
    const HOST: [Self; 2] = [Self::X86_64, Self::X86];
    /// The architecture of this program, and those its kernel runs besides.
    #[cfg(target_arch = "aarch64")]
    const HOST: [Self; 2] = [Self::Aarch64, Self::Arm];

    /// The number the kernel tells filters.
    fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::X86 => 1,
            Self::Aarch64 => 2,
            Self::Arm => 3,
        }
    }

    /// The number of a call, if there is one.
    fn number(self, name: &str) -> Option<u32> {
        let index = table::TABLE.binary_search_by_key(&name, |(known, _)| known).ok()?;
        let number = table::TABLE[index].1[self.column()];
        (number != table::NONE).then_some(number)
    }
}

/// Compiles a filter for a process with these capabilities in its bounding set.
pub fn compile(filter: &Seccomp, bounding: Set) -> Result<Filter, LaunchError> {
    let profile = if filter.builtin { resolve::builtin(bounding) } else { resolve::profile(filter, bounding)? };
    let flags = if filter.builtin { resolve::usual_flags() } else { resolve::flags(filter)? };
    let notifies = profile.rules.iter().any(|rule| rule.action == Action::Notify);
    Ok(Filter { program: code::generate(&profile)?, flags, notifies })
}
