//! Control groups: limits, devices, freezing, out of memory.

use hako_runtime::resources;
use hako_runtime::spec::{BlockIo, Cpu, DeviceRule, Memory, Pids, Resources};
use hako_sys::cgroup::Version;
use hako_sys::process::Exit;

use crate::vessel::{Vessel, await_text};

pub(crate) const CASES: &[crate::Case] = &[
    ("limits_are_written_and_updated", written),
    ("limits_stop_forks", pids),
    ("limits_of_memory_kill_and_tell", memory),
    ("limits_keep_devices_away", devices),
    ("limits_freeze_and_thaw", freezer),
    ("limits_kill_all", kill_all),
];

fn resources() -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(64 << 20), swap: Some(64 << 20), ..Memory::default() }),
        cpu: Some(Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: "0".into(),
            ..Cpu::default()
        }),
        pids: Some(Pids { limit: 50 }),
        ..Resources::default()
    }
}

fn written() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["sleep", "100"]);
    spec.linux.as_mut().unwrap().resources = Some(resources());
    let running = vessel.launch(&spec).unwrap();
    let group = running.group.clone();
    let usage = group.usage();
    assert_eq!((usage.memory.limit, usage.pids_limit, usage.pids), (Some(64 << 20), Some(50), 1));
    assert!(usage.cpu.total > 0 && usage.memory.usage > 0 && !usage.memory.stats.is_empty());
    if group.version() == Version::V1 {
        for (controller, file, value) in
            [("cpu", "cpu.shares", "512"), ("cpu", "cpu.cfs_quota_us", "50000"), ("cpuset", "cpuset.cpus", "0")]
        {
            assert_eq!(group.get(controller, file).unwrap(), value);
        }
    }
    for limit in [128 << 20, 32 << 20] {
        let memory = Memory { limit: Some(limit), swap: Some(limit), ..Memory::default() };
        resources::apply(&group, &Resources { memory: Some(memory), ..Resources::default() }).unwrap();
        assert_eq!(group.usage().memory.limit, u64::try_from(limit).ok());
    }
    let wrong = Resources { cpu: Some(Cpu { cpus: "99".into(), ..Cpu::default() }), ..Resources::default() };
    assert!(resources::apply(&group, &wrong).unwrap_err().to_string().contains("\"99\""));
    let weight =
        Resources { block_io: Some(BlockIo { weight: Some(300), ..BlockIo::default() }), ..Resources::default() };
    if group.has("blkio", "blkio.weight") || group.has("blkio", "blkio.bfq.weight") {
        resources::apply(&group, &weight).unwrap();
    }
    running.process.kill(9).unwrap();
    vessel.finish(running);
}

fn pids() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo survived"]);
    spec.linux.as_mut().unwrap().resources = Some(Resources { pids: Some(Pids { limit: 4 }), ..Resources::default() });
    assert!(vessel.run(&spec).error.contains("can't fork"));
}

fn memory() {
    let vessel = Vessel::new();
    let mut spec = vessel.spec(&[
        "sh",
        "-c",
        "echo ready; read x; cat /dev/zero | head -c 200000000 | tail -c 100000000 >/dev/null; exit 3",
    ]);
    for applet in ["head", "tail"] {
        std::os::unix::fs::symlink("busybox", vessel.path("lower/bin").join(applet)).unwrap();
    }
    spec.linux.as_mut().unwrap().resources = Some(resources());
    let running = vessel.launch(&spec).unwrap();
    let mut watch = running.group.watch_oom().unwrap();
    await_text(running.streams.stdout.as_ref().unwrap(), "ready");
    rustix::io::write(running.streams.stdin.as_ref().unwrap(), b"go\n").unwrap();
    assert!(hako_sys::poll::wait_one(&watch, watch.interest(), Some(crate::vessel::ENOUGH)).unwrap());
    let group = running.group.clone();
    running.process.wait().unwrap();
    assert!(watch.take() > 0 && group.oom_kills() > 0);
    group.delete().unwrap();
}

fn devices() {
    let vessel = Vessel::new();
    std::os::unix::fs::symlink("busybox", vessel.path("lower/bin/mknod")).unwrap();
    let script =
        "cat /dev/null && echo null; mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg; mknod /tmp/disk b 254 0 && cat /tmp/disk";
    let mut spec = vessel.spec(&["sh", "-c", script]);
    let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
        allow,
        kind: kind.into(),
        major,
        minor,
        access: access.into(),
    };
    let mut rules =
        vec![rule(false, "", None, None, "rwm"), rule(true, "c", None, None, "m"), rule(true, "b", None, None, "m")];
    for minor in [3, 5, 7, 8, 9] {
        rules.push(rule(true, "c", Some(1), Some(minor), "rwm"));
    }
    spec.linux.as_mut().unwrap().resources = Some(Resources { devices: rules, ..Resources::default() });
    let done = vessel.run(&spec);
    assert_eq!(
        (done.output.as_str(), done.error.matches("Operation not permitted").count()),
        ("null\n", 2),
        "{}",
        done.error
    );
}

fn freezer() {
    let vessel = Vessel::new();
    let running = vessel.launch(&vessel.spec(&["sh", "-c", "while :; do :; done"])).unwrap();
    running.group.freeze().unwrap();
    assert!(running.group.is_frozen().unwrap());
    let before = running.group.usage().cpu.total;
    let after = running.group.usage().cpu.total;
    assert_eq!(before, after, "a frozen group uses no time");
    running.group.thaw().unwrap();
    assert!(!running.group.is_frozen().unwrap());
    running.group.freeze().unwrap();
    running.group.kill_all().unwrap();
    assert_eq!(running.process.wait().unwrap(), Exit::Signal(9));
    running.group.delete().unwrap();
}

fn kill_all() {
    let vessel = Vessel::new();
    let running = vessel.launch(&vessel.spec(&["sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"])).unwrap();
    await_text(running.streams.stdout.as_ref().unwrap(), "ready");
    assert_eq!(running.group.pids().unwrap().len(), 3);
    running.group.kill_all().unwrap();
    assert_eq!(vessel.finish(running).exit, Exit::Signal(9));
}
