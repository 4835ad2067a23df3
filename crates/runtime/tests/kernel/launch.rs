//! Starting, ending, errors, streams, terminals.

use hako_runtime::LaunchError;
use hako_runtime::launch::{self, RootfsPlan};
use hako_runtime::seed::Seed;
use hako_runtime::spec::{ConsoleSize, NamespaceKind};
use hako_runtime::stdio::Stdio;
use hako_sys::process::Exit;

use crate::vessel::{Vessel, await_text, read};

pub(crate) const CASES: &[crate::Case] = &[
    ("launch_runs_a_program_and_tells_its_exit", runs),
    ("launch_passes_input_through", input),
    ("launch_uses_a_seed_and_renames_its_group", seeded),
    ("launch_makes_the_same_with_and_without_a_seed", same),
    ("launch_discards_a_seed_that_does_not_fit", unfitting_seed),
    ("launch_tells_why_a_program_cannot_be_executed", errors),
    ("launch_ends_with_prepared_when_dropped", dropped),
    ("launch_leaves_no_descriptor", descriptors),
    ("launch_works_on_a_plain_directory", directory),
    ("launch_gives_a_terminal_of_the_container", terminal),
    ("launch_init_reaps_and_forwards", init),
    ("launch_joins_namespaces", joined),
    ("launch_changes_user_and_directory", user),
    ("launch_applies_sysctls_and_limits", sysctls),
];

fn runs() {
    let vessel = Vessel::new();
    let done = vessel.sh("echo out; echo err >&2; exit 7");
    assert_eq!((done.exit, done.output.as_str(), done.error.as_str()), (Exit::Code(7), "out\n", "err\n"));
    assert_eq!(vessel.sh("kill -9 $$; exit 3").exit, Exit::Code(3), "process 1 is immune to its own signals");
    assert_eq!(vessel.sh("echo $$; hostname; echo $HOME").output, "1\nvessel\n/root\n");
}

fn input() {
    let vessel = Vessel::new();
    let running = vessel.launch(&vessel.spec(&["cat"])).unwrap();
    let stdin = running.streams.stdin.as_ref().unwrap();
    rustix::io::write(stdin, b"through\n").unwrap();
    assert_eq!(vessel.finish(running).output, "through\n");
}

fn seeded() {
    let vessel = Vessel::new();
    let seed = Seed::prepare(vessel.witness, &vessel.cgroup.replace("box", "spare")).unwrap();
    let pid = seed.pid();
    let spec = vessel.spec(&["sh", "-c", "cat /proc/self/cgroup; cat /sys/class/net/lo/flags"]);
    let running = vessel.launch_with(Some(seed), &spec, vessel.options(Stdio::Pipes { stdin: false })).unwrap();
    assert_eq!(running.process.pid(), pid);
    let done = vessel.finish(running);
    assert!(done.output.contains("memory:/\n") || done.output.contains("0::/\n"), "{}", done.output);
    assert!(done.output.trim_end().ends_with("0x9"), "the loopback interface is up: {}", done.output);
}

/// A seed has prepared much of an ordinary container ahead. Nobody may notice.
fn same() {
    let vessel = Vessel::new();
    std::fs::write(vessel.path("plain/file"), "").unwrap();
    let script = "mount; ls -lR /dev | sed 's/[A-Z][a-z][a-z] .* [0-9:]* / /'; ls /sys /sys/fs/cgroup; cat /proc/self/status | grep -E 'Cap|Sec'; \
                  cat /proc/keys; stat -c %t:%T:%A /proc/timer_list /dev/console; ls -A /sys/firmware; tty; df /dev/shm; ls /";
    for applet in ["sed", "df"] {
        std::os::unix::fs::symlink("busybox", vessel.path("lower/bin").join(applet)).unwrap();
    }
    for extra in [None, Some("/opt/file"), Some("/proc/uptime"), Some("/dev/file")] {
        let mut spec = vessel.spec(&["sh", "-c", script]);
        spec.process.as_mut().unwrap().terminal = true;
        spec.mounts.extend(extra.map(|path| crate::vessel::bind(&vessel.path("plain/file"), path, "rbind")));
        let [with, without] = [true, false].map(|seeded| {
            let spare = vessel.cgroup.replace("box", "spare");
            let seed = seeded.then(|| Seed::prepare(vessel.witness, &spare).unwrap());
            let mut running = vessel.launch_with(seed, &spec, vessel.options(Stdio::Terminal { size: None })).unwrap();
            let text = read(running.streams.terminal.take());
            assert_eq!(vessel.finish(running).exit, Exit::Code(0), "{text}");
            // The second mount of one writable layer says a word more about it.
            text.lines()
                .filter(|line| !line.starts_with("overlay on"))
                .map(str::to_owned)
                .collect::<std::collections::BTreeSet<_>>()
        });
        let differ: Vec<_> = with.symmetric_difference(&without).collect();
        assert!(differ.is_empty() && with.len() > 50, "{extra:?}: {differ:?}");
    }
}

fn unfitting_seed() {
    let vessel = Vessel::new();
    let seed = Seed::prepare(vessel.witness, &vessel.cgroup.replace("box", "spare")).unwrap();
    let mut spec = vessel.spec(&["sh", "-c", "ls /sys/class/net | grep -c ."]);
    spec.linux.as_mut().unwrap().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    let spare = seed.group().clone();
    let running = vessel.launch_with(Some(seed), &spec, vessel.options(Stdio::Pipes { stdin: false })).unwrap();
    assert_eq!(vessel.finish(running).exit, Exit::Code(0));
    assert!(!spare.exists());
}

fn errors() {
    let vessel = Vessel::new();
    std::fs::write(vessel.path("lower/bin/data"), "x").unwrap();
    std::fs::write(vessel.path("lower/bin/garbage"), "\0\0\0").unwrap();
    rustix::fs::chmod(vessel.path("lower/bin/garbage"), rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    for (program, code, text) in [
        ("nope", 127, "exec: \"nope\": executable file not found in $PATH"),
        ("/nope", 127, "exec: \"/nope\": stat /nope: no such file or directory"),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
        ("/bin/data", 126, "exec: \"/bin/data\": permission denied"),
        ("/bin/garbage", 126, "exec: \"/bin/garbage\": exec format error"),
    ] {
        let error = vessel.launch(&vessel.spec(&[program])).unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (code, text));
    }
    let mut spec = vessel.spec(&["true"]);
    spec.process.as_mut().unwrap().cwd = "/etc/passwd/x".into();
    assert!(matches!(vessel.launch(&spec).unwrap_err(), LaunchError::Setup { .. }));
    let mut spec = vessel.spec(&["true"]);
    spec.mounts.push(crate::vessel::bind(&vessel.path("missing"), "/x", "rbind"));
    let text = vessel.launch(&spec).unwrap_err().to_string();
    assert!(text.contains("/missing\" to rootfs at \"/x\"") && text.contains("no such file or directory"), "{text}");
}

fn dropped() {
    let vessel = Vessel::new();
    let prepared = launch::prepare(vessel.witness, None, &vessel.spec(&["true"]), vessel.options(Stdio::Null)).unwrap();
    let process = hako_sys::process::Process::open(prepared.pid()).unwrap();
    let group = prepared.group().clone();
    drop(prepared);
    assert!(!process.is_alive() && !group.exists());
}

fn descriptors() {
    let vessel = Vessel::new();
    let done = vessel.sh("ls /proc/self/fd");
    // 0, 1, 2, and the directory being listed.
    assert_eq!(done.output, "0\n1\n2\n3\n");
}

fn directory() {
    let vessel = Vessel::new();
    let mut options = vessel.options(Stdio::Pipes { stdin: false });
    options.rootfs = RootfsPlan::Directory { path: vessel.path("lower") };
    let running = vessel.launch_with(None, &vessel.spec(&["sh", "-c", "echo x >/made"]), options).unwrap();
    assert_eq!(vessel.finish(running).exit, Exit::Code(0));
    assert!(vessel.path("lower/made").exists());
}

fn terminal() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["sh", "-c", "tty; stat -c %t:%T /dev/console; stty size; exec sleep 100"]);
    std::os::unix::fs::symlink("busybox", vessel.path("lower/bin/stty")).unwrap();
    spec.process.as_mut().unwrap().terminal = true;
    let size = Some(ConsoleSize { height: 33, width: 111 });
    let running = vessel.launch_with(None, &spec, vessel.options(Stdio::Terminal { size })).unwrap();
    let terminal = running.streams.terminal.as_ref().unwrap();
    let seen = await_text(terminal, "33 111");
    assert!(seen.contains("/dev/pts/0\r\n88:0\r\n"), "{seen}");
    // The terminal is the controlling one: its interrupt character ends the foreground program, were it not process 1.
    hako_sys::pty::resize(terminal, 44, 22).unwrap();
    running.process.kill(9).unwrap();
    assert_eq!(running.process.wait().unwrap(), Exit::Signal(9));
    running.group.delete().unwrap();
    drop(read(None));
}

fn init() {
    let vessel = Vessel::new();
    let launch = |script: &str| {
        let mut options = vessel.options(Stdio::Pipes { stdin: false });
        options.init = true;
        vessel.launch_with(None, &vessel.spec(&["sh", "-c", script]), options).unwrap()
    };
    // An orphan that ends is collected, the program's code is told.
    let done = vessel.finish(launch("echo $$; (sleep 0.05 &); sleep 0.2; ps -o comm | grep -c '^sleep$'; exit 5"));
    assert_eq!((done.exit, done.output.as_str()), (Exit::Code(5), "2\n0\n"));
    let running = launch("trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done");
    await_text(running.streams.stdout.as_ref().unwrap(), "ready");
    running.process.kill(15).unwrap();
    assert_eq!(vessel.finish(running).exit, Exit::Code(9));
    assert_eq!(vessel.finish(launch("kill -9 $$")).exit, Exit::Code(137));
    let mut options = vessel.options(Stdio::Null);
    options.init = true;
    let error = vessel.launch_with(None, &vessel.spec(&["nope"]), options).unwrap_err();
    assert_eq!(error.exit_code(), 127);
}

fn joined() {
    let vessel = Vessel::new();
    let first = vessel.launch(&vessel.spec(&["sleep", "100"])).unwrap();
    let mut spec = vessel.spec(&["sh", "-c", "hostname; ps | grep -c 'sleep 10[0]'"]);
    spec.hostname = String::new();
    for namespace in &mut spec.linux.as_mut().unwrap().namespaces {
        let name = match namespace.kind {
            NamespaceKind::Network => "net",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Pid => "pid",
            _ => continue,
        };
        namespace.path = format!("/proc/{}/ns/{name}", first.process.pid());
    }
    spec.linux.as_mut().unwrap().cgroups_path.push_str("-2");
    let mut options = vessel.options(Stdio::Pipes { stdin: false });
    options.rootfs = RootfsPlan::Directory { path: vessel.path("lower") };
    let second = vessel.launch_with(None, &spec, options).unwrap();
    assert_eq!(vessel.finish(second).output, "vessel\n1\n");
    first.process.kill(9).unwrap();
    vessel.finish(first);
}

fn user() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&[
        "sh",
        "-c",
        "id; pwd; echo $HOME; grep -E 'Groups|Cap|NoNewPrivs|Seccomp:' /proc/self/status; echo x >/dev/stdout",
    ]);
    let process = spec.process.as_mut().unwrap();
    process.user.uid = 1000;
    process.user.gid = 1000;
    process.user.additional_gids = vec![7, 9];
    process.cwd = "/made/for/it".into();
    let done = vessel.run(&spec);
    let expected = "uid=1000(user) gid=1000 groups=7,9\n/made/for/it\n/home/user\nGroups:\t7 9 \n\
                    CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                    CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\nx\n";
    assert_eq!(done.output, expected, "{}", done.error);
}

fn sysctls() {
    let vessel = Vessel::new();
    let mut spec =
        vessel.spec(&["sh", "-c", "cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; ulimit -n; ulimit -c"]);
    spec.linux.as_mut().unwrap().sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
    let process = spec.process.as_mut().unwrap();
    process.oom_score_adj = Some(321);
    process.rlimits = vec![
        hako_runtime::spec::Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 123, hard: 456 },
        hako_runtime::spec::Rlimit { kind: "RLIMIT_CORE".into(), soft: 0, hard: u64::MAX },
    ];
    assert_eq!(vessel.run(&spec).output, "1\n321\n123\n0\n");
    let mut spec = vessel.spec(&["true"]);
    spec.linux.as_mut().unwrap().sysctl.insert("kernel.nope".into(), "1".into());
    assert!(vessel.launch(&spec).unwrap_err().to_string().starts_with("open sysctl kernel.nope file"));
}
