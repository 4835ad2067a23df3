//! Verdicts of compiled filters, found by running them in an interpreter of classic BPF.

use hako_sys::caps::Set;
use hako_sys::seccomp::Instruction;
use proptest::prelude::*;

use super::{Action, Architecture, compile, table};
use crate::spec::{Seccomp, SeccompArg, SeccompSyscall};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL_PROCESS: u32 = 0x8000_0000;

/// Runs a program on one call, as the kernel would.
fn interpret(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let instruction = program[at];
        let k = instruction.k;
        at += 1;
        let mut branch = |taken: bool| at += usize::from(if taken { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => {
                let offset = k as usize;
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x05 => at += k as usize,
            0x15 => branch(accumulator == k),
            0x25 => branch(accumulator > k),
            0x35 => branch(accumulator >= k),
            0x54 => accumulator &= k,
            0x06 => return k,
            code => panic!("unknown operation {code:#x}"),
        }
    }
}

fn verdict_on(program: &[Instruction], architecture: Architecture, name: &str, arguments: [u64; 6]) -> u32 {
    let number = architecture.number(name).unwrap_or_else(|| panic!("no {name}"));
    interpret(program, architecture.audit(), number, arguments)
}

fn first(value: u64) -> [u64; 6] {
    [value, 0, 0, 0, 0, 0]
}

fn builtin(capabilities: &[&str]) -> Vec<Instruction> {
    compile(&Seccomp::builtin(), Set::from_names(capabilities).unwrap()).unwrap().program
}

#[test]
fn the_table_is_sorted_and_numbers_are_unique() {
    assert!(table::TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for column in 0..4 {
        // An old name of sync_file_range2 on arm.
        let named = table::TABLE.iter().filter(|(name, _)| *name != "arm_sync_file_range");
        let mut numbers: Vec<u32> = named.map(|(_, numbers)| numbers[column]).collect();
        numbers.retain(|number| *number != table::NONE);
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "column {column}");
    }
}

#[test]
fn every_name_of_the_default_profile_is_known_somewhere() {
    // Calls of architectures hako does not run on.
    let foreign = ["riscv_hwprobe", "fstatat64_time64", "utimensat_time64", "epoll_ctl_old", "epoll_wait_old"];
    for name in super::builtin::ALLOWED.iter().flat_map(|(_, names)| names.split_ascii_whitespace()) {
        let known = table::TABLE.iter().any(|(other, _)| *other == name);
        assert!(known || foreign.contains(&name), "{name}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_default_profile_decides_as_dockers() {
    let program = builtin(&["CHOWN", "SYS_CHROOT"]);
    let namespaces = 0x1000_0000;
    let table: &[(&str, [u64; 6], u32)] = &[
        ("read", [0; 6], ALLOW),
        ("write", [u64::MAX; 6], ALLOW),
        ("execve", [0; 6], ALLOW),
        ("ptrace", [0; 6], ALLOW),
        ("arch_prctl", [0; 6], ALLOW),
        ("modify_ldt", [0; 6], ALLOW),
        ("chroot", [0; 6], ALLOW),
        ("memfd_secret", [0; 6], ALLOW),
        ("listmount", [0; 6], ALLOW),
        ("mseal", [0; 6], ALLOW),
        ("mount", [0; 6], EPERM),
        ("umount2", [0; 6], EPERM),
        ("unshare", [0; 6], EPERM),
        ("setns", [0; 6], EPERM),
        ("bpf", [0; 6], EPERM),
        ("keyctl", [0; 6], EPERM),
        ("add_key", [0; 6], EPERM),
        ("kexec_load", [0; 6], EPERM),
        ("reboot", [0; 6], EPERM),
        ("init_module", [0; 6], EPERM),
        ("io_uring_setup", [0; 6], EPERM),
        ("io_uring_enter", [0; 6], EPERM),
        ("userfaultfd", [0; 6], EPERM),
        ("open_by_handle_at", [0; 6], EPERM),
        ("perf_event_open", [0; 6], EPERM),
        ("settimeofday", [0; 6], EPERM),
        ("swapon", [0; 6], EPERM),
        ("open_tree", [0; 6], EPERM),
        ("fsopen", [0; 6], EPERM),
        ("pidfd_getfd", [0; 6], EPERM),
        ("clone", first(0x11), ALLOW),
        ("clone", first(namespaces | 0x11), EPERM),
        ("clone", first(0x2_0000), EPERM),
        ("clone", first(0x1_0000_0011), ALLOW),
        ("clone3", [0; 6], ENOSYS),
        ("personality", first(0), ALLOW),
        ("personality", first(8), ALLOW),
        ("personality", first(0xffff_ffff), ALLOW),
        ("personality", first(0x4_0000), EPERM),
        ("personality", first(1 << 32), EPERM),
        ("socket", first(2), ALLOW),
        ("socket", first(11), ALLOW),
        ("socket", first(12), EPERM),
        ("socket", first(16), ALLOW),
        ("socket", first(38), EPERM),
        ("socket", first(40), EPERM),
        ("socket", first(45), ALLOW),
        ("socket", first(46), EPERM),
        ("socket", first(40 | 1 << 32), EPERM),
    ];
    for (name, arguments, verdict) in table {
        let found = verdict_on(&program, Architecture::X86_64, name, *arguments);
        assert_eq!(found, *verdict, "{name} {arguments:x?}: {found:#x}");
    }
    for (name, verdict) in
        [("socketcall", ALLOW), ("mount", EPERM), ("umount", EPERM), ("clone3", ENOSYS), ("stime", EPERM)]
    {
        assert_eq!(verdict_on(&program, Architecture::X86, name, [0; 6]), verdict, "{name} of i386");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_no_known_kind_never_pass() {
    let program = builtin(&[]);
    let native = Architecture::X86_64.audit();
    assert_eq!(interpret(&program, Architecture::Aarch64.audit(), 63, [0; 6]), KILL_PROCESS);
    assert_eq!(interpret(&program, 0, 0, [0; 6]), KILL_PROCESS);
    for number in [0x4000_0000, 0x4000_0000 | 1, u32::MAX] {
        assert_eq!(interpret(&program, native, number, [0; 6]), KILL_PROCESS, "x32 call {number:#x}");
    }
    // Newer than everything the profile names: missing, so that programs fall back.
    for number in [469, 500, 0x3fff_ffff] {
        assert_eq!(interpret(&program, native, number, [0; 6]), ENOSYS);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn capabilities_open_calls() {
    for (capability, name) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "clone3"),
        ("SYS_ADMIN", "unshare"),
        ("SYS_ADMIN", "bpf"),
        ("SYS_BOOT", "reboot"),
        ("SYS_MODULE", "finit_module"),
        ("SYS_PACCT", "acct"),
        ("SYS_PTRACE", "kcmp"),
        ("SYS_RAWIO", "iopl"),
        ("SYS_TIME", "clock_settime"),
        ("SYS_TTY_CONFIG", "vhangup"),
        ("SYS_NICE", "mbind"),
        ("SYSLOG", "syslog"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        assert_eq!(
            verdict_on(&builtin(&[capability]), Architecture::X86_64, name, [0; 6]),
            ALLOW,
            "{capability} {name}"
        );
        assert_ne!(verdict_on(&builtin(&["CHOWN"]), Architecture::X86_64, name, [0; 6]), ALLOW, "{name}");
    }
    let admin = builtin(&["SYS_ADMIN"]);
    assert_eq!(verdict_on(&admin, Architecture::X86_64, "clone", first(0x1000_0000)), ALLOW);
}

fn read(json: &str) -> Result<Vec<Instruction>, String> {
    let profile: Seccomp = serde_json::from_str(json).map_err(|error| error.to_string())?;
    compile(&profile, Set::EMPTY).map(|filter| filter.program).map_err(|error| error.to_string())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn profiles_of_users_are_read() {
    let program = read(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures":
            ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}], "syscalls": [
            {"name": "chmod", "action": "SCMP_ACT_ERRNO", "args": []},
            {"names": ["fchmod", "nonsense"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": null},
            {"names": ["kill"], "action": "SCMP_ACT_KILL", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}]},
            {"names": ["mount"], "action": "SCMP_ACT_TRAP", "excludes": {"arches": ["amd64"]}},
            {"names": ["umount2"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["tkill"], "action": "SCMP_ACT_TRACE", "errnoRet": 7, "includes": {"minKernel": "4.8"}}]}"#,
    )
    .unwrap();
    let decide = |name, arguments| verdict_on(&program, Architecture::X86_64, name, arguments);
    assert_eq!(decide("chmod", [0; 6]), EPERM);
    assert_eq!(decide("fchmod", [0; 6]), 0x0005_000d);
    assert_eq!(
        [decide("kill", [0, 9, 0, 0, 0, 0]), decide("kill", [0, 15, 0, 0, 0, 0]), decide("kill", [0; 6])],
        [0, 0, ALLOW]
    );
    assert_eq!(
        [decide("mount", [0; 6]), decide("umount2", [0; 6]), decide("tkill", [0; 6])],
        [ALLOW, ALLOW, 0x7ff0_0007]
    );
    assert_eq!(
        interpret(&program, Architecture::X86_64.audit(), 1000, [0; 6]),
        ALLOW,
        "nothing is missing where all is allowed"
    );
}

#[test]
fn wrong_profiles_are_refused_by_name() {
    for (json, word) in [
        (r#"{"defaultAction": "SCMP_ACT_MAYBE"}"#, "SCMP_ACT_MAYBE"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "agent"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FLY"]}"#, "FLY"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["vax"]}"#, "vax"),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}"#, "5000"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}]}"#,
            "both",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG",
                "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
            "argument 6",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG",
                "args": [{"index": 0, "value": 1, "op": "IS"}]}]}"#,
            "IS",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "x"}}]}"#,
            "\"x\"",
        ),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(word), "{error} does not name {word}");
    }
}

#[test]
fn the_default_profile_compiles_in_time_and_size() {
    let begun = std::time::Instant::now();
    let program = builtin(&["CHOWN"]);
    // A debug build is some twenty times slower than what is promised of a release.
    assert!(begun.elapsed() < std::time::Duration::from_millis(50));
    assert!(program.len() < 1200, "{} instructions", program.len());
}

const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"];

/// Values around the places where halves of 64-bit numbers meet.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..4,
        (0_u64..3, 0_u64..3).prop_map(|(high, low)| high << 32 | low),
        Just(u64::from(u32::MAX)),
        Just(u64::MAX)
    ]
}

fn argument() -> impl Strategy<Value = SeccompArg> {
    (0..6_u32, value(), value(), 0..OPERATORS.len()).prop_map(|(index, value, value_two, op)| SeccompArg {
        index,
        value,
        value_two,
        op: OPERATORS[op].into(),
    })
}

fn holds(arg: &SeccompArg, arguments: &[u64; 6]) -> bool {
    let found = arguments[arg.index as usize];
    match arg.op.as_str() {
        "SCMP_CMP_EQ" => found == arg.value,
        "SCMP_CMP_NE" => found != arg.value,
        "SCMP_CMP_LT" => found < arg.value,
        "SCMP_CMP_LE" => found <= arg.value,
        "SCMP_CMP_GT" => found > arg.value,
        "SCMP_CMP_GE" => found >= arg.value,
        _ => found & arg.value == arg.value_two & arg.value,
    }
}

fn rule() -> impl Strategy<Value = (usize, u32, Vec<SeccompArg>)> {
    (0..table::TABLE.len(), 1..100_u32, prop::collection::vec(argument(), 0..4)).prop_map(|(name, errno, mut args)| {
        // Conditions on one argument are an "or" of their own, tested elsewhere.
        let mut seen = [false; 6];
        args.retain(|arg| !std::mem::replace(&mut seen[arg.index as usize], true));
        (name, errno, args)
    })
}

proptest! {
    #[test]
    fn compiled_filters_decide_as_their_rules_say(
        rules in prop::collection::vec(rule(), 0..40),
        arguments in prop::array::uniform6(value()),
        other in 0..table::TABLE.len(),
    ) {
        let syscalls = rules.iter().map(|(name, errno, args)| SeccompSyscall {
            names: vec![table::TABLE[*name].0.to_owned()],
            action: "SCMP_ACT_ERRNO".into(),
            errno_ret: Some(*errno),
            args: Some(args.clone()),
            ..SeccompSyscall::default()
        });
        let profile = Seccomp {
            default_action: "SCMP_ACT_ALLOW".into(),
            syscalls: Some(syscalls.collect()),
            ..Seccomp::default()
        };
        let program = compile(&profile, Set::EMPTY).unwrap().program;
        let native = Architecture::HOST[0];
        for index in rules.iter().map(|(name, ..)| *name).chain([other]) {
            let Some(number) = native.number(table::TABLE[index].0) else { continue };
            let matching = |conditional: bool| rules.iter().find(|(name, _, args)| {
                *name == index && args.is_empty() != conditional && args.iter().all(|arg| holds(arg, &arguments))
            });
            let expected = matching(true).or_else(|| matching(false));
            let expected = expected.map_or(Action::Allow, |(_, errno, _)| Action::Errno(u16::try_from(*errno).unwrap()));
            prop_assert_eq!(interpret(&program, native.audit(), number, arguments), expected.value());
        }
    }
}
