//! From a profile's words to rules: conditions decided, actions and comparisons read.

use hako_sys::caps::Set;
use hako_sys::seccomp::FilterFlags;

use super::builtin::{self, When};
use super::{Action, Architecture, Comparison, Condition, Profile, Rule};
use crate::LaunchError;
use crate::spec::{Seccomp, SeccompArg, SeccompCondition, SeccompSyscall};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// Docker's default profile.
pub(super) fn builtin(bounding: Set) -> Profile<'static> {
    let mut rules = Vec::with_capacity(64);
    for (when, names) in builtin::ALLOWED {
        let counts = match when {
            When::Always => true,
            When::Capability(name) => bounding.has(name),
            When::Architecture(names) => names.contains(&go_architecture()),
        };
        if counts {
            rules.push(allow(names.split_ascii_whitespace().collect(), Vec::new()));
        }
    }
    let first = |comparison, value| vec![Condition { index: 0, comparison, value }];
    rules.push(allow(vec!["socket"], first(Comparison::Less, builtin::SOCKET_FAMILIES_BELOW)));
    for family in builtin::SOCKET_FAMILIES.into_iter().chain([builtin::SOCKET_FAMILY_LAST]) {
        rules.push(allow(vec!["socket"], first(Comparison::Equal, family)));
    }
    for personality in builtin::PERSONALITIES {
        rules.push(allow(vec!["personality"], first(Comparison::Equal, personality)));
    }
    if !bounding.has("SYS_ADMIN") {
        rules.push(allow(vec!["clone"], first(Comparison::MaskedEqual(builtin::CLONE_NAMESPACES), 0)));
        // Its flags lie in memory, where a filter cannot look: programs then fall back to clone.
        rules.push(Rule { names: vec!["clone3"], action: Action::Errno(ENOSYS), conditions: Vec::new() });
    }
    Profile { default: Action::Errno(EPERM), architectures: Architecture::HOST.to_vec(), rules }
}

fn allow(names: Vec<&str>, conditions: Vec<Condition>) -> Rule<'_> {
    Rule { names, action: Action::Allow, conditions }
}

/// The flags used where a profile names none: filters do not need speculation slowed down.
pub(super) fn usual_flags() -> FilterFlags {
    FilterFlags::from_name("SECCOMP_FILTER_FLAG_SPEC_ALLOW").unwrap_or_default()
}

/// The flags a profile names.
pub(super) fn flags(filter: &Seccomp) -> Result<FilterFlags, LaunchError> {
    let Some(names) = &filter.flags else { return Ok(usual_flags()) };
    names.iter().try_fold(FilterFlags::NONE, |flags, name| {
        FilterFlags::from_name(name).map(|flag| flags.with(flag)).ok_or_else(|| wrong(format!("unknown flag {name:?}")))
    })
}

/// A profile in Docker's or the specification's format.
pub(super) fn profile<'a>(filter: &'a Seccomp, bounding: Set) -> Result<Profile<'a>, LaunchError> {
    let default = action(&filter.default_action, filter.default_errno_ret)?;
    if default == Action::Notify {
        return Err(wrong(
            "SCMP_ACT_NOTIFY cannot be the default action: the agent's own message could not be sent".into(),
        ));
    }
    let mut rules = Vec::new();
    for rule in filter.syscalls.iter().flatten() {
        if counts(rule, bounding)? {
            read_rule(rule, &mut rules)?;
        }
    }
    if filter.listener_path.is_empty() && rules.iter().any(|rule| rule.action == Action::Notify) {
        return Err(wrong("SCMP_ACT_NOTIFY needs an agent, but listenerPath is empty".into()));
    }
    Ok(Profile { default, architectures: architectures(filter)?, rules })
}

fn wrong(what: String) -> LaunchError {
    LaunchError::setup("load seccomp profile", what)
}

fn counts(rule: &SeccompSyscall, bounding: Set) -> Result<bool, LaunchError> {
    if let Some(excludes) = &rule.excludes
        && holds_any(excludes, bounding)?
    {
        return Ok(false);
    }
    rule.includes.as_ref().map_or(Ok(true), |includes| holds_all(includes, bounding))
}

/// Exclusion takes one reason: an architecture, any of the capabilities, the kernel's age.
fn holds_any(condition: &SeccompCondition, bounding: Set) -> Result<bool, LaunchError> {
    let here = condition.arches.iter().flatten().any(|name| name == go_architecture());
    let capable = condition.caps.iter().flatten().any(|name| bounding.has(name));
    let new_enough = condition.min_kernel.as_deref().map(is_at_least).transpose()?.unwrap_or(false);
    Ok(here || capable || new_enough)
}

/// Inclusion takes one of the architectures, all capabilities, and the kernel's age.
fn holds_all(condition: &SeccompCondition, bounding: Set) -> Result<bool, LaunchError> {
    let listed = condition.arches.as_deref().unwrap_or_default();
    let here = listed.is_empty() || listed.iter().any(|name| name == go_architecture());
    let capable = condition.caps.iter().flatten().all(|name| bounding.has(name));
    let new_enough = condition.min_kernel.as_deref().map(is_at_least).transpose()?.unwrap_or(true);
    Ok(here && capable && new_enough)
}

fn is_at_least(version: &str) -> Result<bool, LaunchError> {
    let read = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let wanted = read(version).ok_or_else(|| wrong(format!("unknown kernel version {version:?}")))?;
    Ok(hako_sys::proc::kernel_version() >= wanted)
}

fn go_architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

fn read_rule<'a>(rule: &'a SeccompSyscall, rules: &mut Vec<Rule<'a>>) -> Result<(), LaunchError> {
    if !rule.name.is_empty() && !rule.names.is_empty() {
        return Err(wrong("'name' and 'names' were both specified, use either one".into()));
    }
    let mut names: Vec<&str> = rule.names.iter().map(String::as_str).collect();
    if !rule.name.is_empty() {
        names.push(&rule.name);
    }
    let action = action(&rule.action, rule.errno_ret)?;
    // The agent gets its descriptor in a message that is sent with the filter in force.
    if action == Action::Notify && names.contains(&"sendmsg") {
        return Err(wrong("SCMP_ACT_NOTIFY cannot be used for sendmsg".into()));
    }
    let conditions: Vec<Condition> = rule.args.iter().flatten().map(condition).collect::<Result<_, _>>()?;
    // Several conditions on one argument mean "or", by a habit of Docker's runtime that profiles rely on.
    let repeated = (0..6).any(|index| conditions.iter().filter(|condition| condition.index == index).count() > 1);
    if repeated {
        rules.extend(conditions.into_iter().map(|one| Rule { names: names.clone(), action, conditions: vec![one] }));
    } else {
        rules.push(Rule { names, action, conditions });
    }
    Ok(())
}

fn condition(arg: &SeccompArg) -> Result<Condition, LaunchError> {
    if arg.index > 5 {
        return Err(wrong(format!("argument {} of a call does not exist", arg.index)));
    }
    let (comparison, value) = match arg.op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Equal, arg.value),
        "SCMP_CMP_NE" => (Comparison::NotEqual, arg.value),
        "SCMP_CMP_LT" => (Comparison::Less, arg.value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, arg.value),
        "SCMP_CMP_GT" => (Comparison::Greater, arg.value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, arg.value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(arg.value), arg.value_two),
        other => return Err(wrong(format!("unknown comparison {other:?}"))),
    };
    Ok(Condition { index: arg.index, comparison, value })
}

fn action(name: &str, number: Option<u32>) -> Result<Action, LaunchError> {
    let errno = match number {
        None => EPERM,
        Some(number) => u16::try_from(number)
            .ok()
            .filter(|number| *number <= 4095)
            .ok_or_else(|| wrong(format!("error number {number} is out of range")))?,
    };
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_NOTIFY" => Action::Notify,
        other => return Err(wrong(format!("unknown action {other:?}"))),
    })
}

/// The architectures whose calls are let through the tree. The host's own one always is: without it no program runs.
fn architectures(filter: &Seccomp) -> Result<Vec<Architecture>, LaunchError> {
    let native = Architecture::HOST[0];
    let mut names: Vec<&str> = filter.architectures.iter().flatten().map(String::as_str).collect();
    if !names.is_empty() && filter.arch_map.as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(wrong("'architectures' and 'archMap' were both specified, use either one".into()));
    }
    for entry in filter.arch_map.iter().flatten() {
        if known(&entry.architecture)? == Some(native) {
            names.extend(entry.sub_architectures.iter().flatten().map(String::as_str));
        }
    }
    let mut found = vec![native];
    for name in names {
        if let Some(architecture) = known(name)?
            && Architecture::HOST.contains(&architecture)
            && !found.contains(&architecture)
        {
            found.push(architecture);
        }
    }
    Ok(found)
}

/// `None` for architectures hako does not run on, and for x32, whose calls are always refused.
fn known(name: &str) -> Result<Option<Architecture>, LaunchError> {
    Ok(match name {
        "SCMP_ARCH_X86_64" | "SCMP_ARCH_NATIVE" => {
            Some(Architecture::HOST[0]).filter(|_| cfg!(target_arch = "x86_64") || name != "SCMP_ARCH_X86_64")
        }
        "SCMP_ARCH_X86" => Some(Architecture::X86),
        "SCMP_ARCH_AARCH64" => Some(Architecture::Aarch64),
        "SCMP_ARCH_ARM" => Some(Architecture::Arm),
        other if other.starts_with("SCMP_ARCH_") => None,
        other => return Err(wrong(format!("unknown architecture {other:?}"))),
    })
}
