//! What a process may expect of processors, disks and memory, and which execution domain it is in: set while it has the
//! privileges for it.

use hako_sys::own::{self, Scheduling};

use crate::LaunchError;
use crate::spec::{IoPriority, Linux, MemoryPolicy, Personality, Process, Scheduler};

/// Puts everything in force. `linux` is given for a first process only; the execution domain is that of all.
pub(crate) fn take_on(
    process: &Process,
    linux: Option<&Linux>,
    personality: Option<&Personality>,
) -> Result<(), LaunchError> {
    if let Some(scheduler) = &process.scheduler {
        own::schedule(&scheduling(scheduler)?)?;
    }
    if let Some(wanted) = &process.io_priority {
        let (class, level) = io_priority(wanted)?;
        own::set_io_priority(class, level)?;
    }
    if let Some(personality) = personality {
        own::set_personality(domain(personality)?)?;
    }
    let Some(linux) = linux else {
        return match &process.exec_cpu_affinity {
            Some(affinity) => bind(&affinity.last),
            None => free(),
        };
    };
    free()?;
    linux.memory_policy.as_ref().map_or(Ok(()), set_memory_policy)
}

/// Binds this process to listed processors; an empty list binds to none in particular.
pub(crate) fn bind(processors: &str) -> Result<(), LaunchError> {
    if processors.is_empty() {
        return Ok(());
    }
    let numbers: Vec<usize> = list("CPU affinity", processors)?.into_iter().map(|number| number as usize).collect();
    Ok(own::set_affinity(&numbers)?)
}

/// What whoever launches containers is bound to is not for them. It may be forbidden to change it, and then it stays.
fn free() -> Result<(), LaunchError> {
    match own::free_affinity() {
        Err(error) if error.errno() != Some(rustix::io::Errno::PERM) => Err(error.into()),
        _ => Ok(()),
    }
}

fn unknown(what: &str, name: &str) -> LaunchError {
    LaunchError::setup(format!("set {what}"), format!("unknown {name:?}"))
}

/// The bits of flags by their names.
fn flags(what: &str, names: &[String], known: &[(&str, u64)]) -> Result<u64, LaunchError> {
    names.iter().try_fold(0, |bits, name| {
        let found = known.iter().find(|(other, _)| other == name);
        found.map(|(_, bit)| bits | bit).ok_or_else(|| unknown(what, name))
    })
}

const SCHEDULING_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

fn scheduling(wanted: &Scheduler) -> Result<Scheduling, LaunchError> {
    let policy = match wanted.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(unknown("scheduling policy", other)),
    };
    Ok(Scheduling {
        policy,
        flags: flags("scheduling policy", &wanted.flags, &SCHEDULING_FLAGS)?,
        nice: wanted.nice,
        priority: wanted.priority,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    })
}

fn io_priority(wanted: &IoPriority) -> Result<(u32, u32), LaunchError> {
    let class = match wanted.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(unknown("input and output priority", other)),
    };
    if wanted.priority > 7 {
        return Err(LaunchError::setup("set input and output priority", format!("{} is above 7", wanted.priority)));
    }
    Ok((class, wanted.priority))
}

fn domain(wanted: &Personality) -> Result<u32, LaunchError> {
    if let Some(flag) = wanted.flags.first() {
        return Err(unknown("execution domain", flag));
    }
    match wanted.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(unknown("execution domain", other)),
    }
}

const MEMORY_FLAGS: [(&str, u64); 3] =
    [("MPOL_F_NUMA_BALANCING", 1 << 13), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_STATIC_NODES", 1 << 15)];

fn set_memory_policy(wanted: &MemoryPolicy) -> Result<(), LaunchError> {
    let mode: u64 = match wanted.mode.as_str() {
        "MPOL_DEFAULT" => 0,
        "MPOL_PREFERRED" => 1,
        "MPOL_BIND" => 2,
        "MPOL_INTERLEAVE" => 3,
        "MPOL_LOCAL" => 4,
        "MPOL_PREFERRED_MANY" => 5,
        "MPOL_WEIGHTED_INTERLEAVE" => 6,
        other => return Err(unknown("memory policy", other)),
    };
    let mode = mode | flags("memory policy", &wanted.flags, &MEMORY_FLAGS)?;
    let nodes = if wanted.nodes.is_empty() { Vec::new() } else { list("memory policy", &wanted.nodes)? };
    Ok(own::set_memory_policy(i32::try_from(mode).unwrap_or(0), &nodes)?)
}

/// The numbers of a list such as `0-2,4`.
fn list(what: &str, text: &str) -> Result<Vec<u32>, LaunchError> {
    /// More than any kernel numbers.
    const MOST: u32 = 65_536;
    let wrong = || LaunchError::setup(format!("set {what}"), format!("{text:?} is no list such as 0-2,4"));
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number < MOST).ok_or_else(wrong);
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(list("x", "0-2,4"), Ok(vec![0, 1, 2, 4]));
        assert_eq!(list("x", "7"), Ok(vec![7]));
        for wrong in ["", "a", "2-1", "1,", "0-99999999", "-1"] {
            assert!(list("x", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_become_numbers() {
        let wanted = Scheduler { policy: "SCHED_BATCH".into(), nice: 5, ..Scheduler::default() };
        assert_eq!(scheduling(&wanted), Ok(Scheduling { policy: 3, nice: 5, ..Scheduling::default() }));
        let wanted = Scheduler { policy: "SCHED_RR".into(), flags: vec!["FAST".into()], ..Scheduler::default() };
        assert!(scheduling(&wanted).is_err());
        assert_eq!(io_priority(&IoPriority { class: "IOPRIO_CLASS_IDLE".into(), priority: 0 }), Ok((3, 0)));
        assert!(io_priority(&IoPriority { class: "IOPRIO_CLASS_BE".into(), priority: 8 }).is_err());
    }
}
