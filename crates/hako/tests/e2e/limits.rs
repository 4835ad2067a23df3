//! Limits, and what the process sees of them.

use crate::house::House;

/// Reads a control file of the container's group: the v2 name, else the v1 name.
fn control(house: &House, flags: &[&str], v1: &str, v2: &str) -> String {
    let look = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    house.ok(["run", "--rm"].into_iter().chain(flags.iter().copied()).chain(["busybox", "sh", "-c", &look]))
}

#[test]
fn limits_reach_the_kernel() {
    let house = House::new();
    assert_eq!(control(&house, &["-m", "64m"], "memory/memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(control(&house, &["--pids-limit", "55"], "pids/pids.max", "pids.max"), "55");
    let cpus = control(&house, &["--cpus", "0.5"], "cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(cpus == "50000" || cpus == "50000 100000", "{cpus}");
    assert_eq!(control(&house, &["--cpuset-cpus", "0"], "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(control(&house, &["-c", "512"], "cpu/cpu.shares", "cpu.shares"), "512");
}

#[test]
fn memory_has_an_end() {
    let house = House::new();
    house.fails(
        137,
        [
            "run",
            "--name",
            "box",
            "-m",
            "16m",
            "--memory-swap",
            "16m",
            "busybox",
            "sh",
            "-c",
            "x=a; while :; do x=$x$x; done",
        ],
    );
    assert_eq!(house.inspect("box", "{{.State.OOMKilled}}"), "true");
}

/// Shells give a soft limit of 1,024 open files and a hard one far above it.
#[test]
fn a_small_limit_on_open_files_is_not_the_number_of_containers() {
    let house = House::new();
    house.end_daemon();
    let mut first = std::process::Command::new("sh");
    first.args(["-c", "ulimit -S -n 48; exec \"$0\" ps", env!("CARGO_BIN_EXE_hako")]);
    house.at_home(&mut first);
    assert!(first.status().unwrap().success());
    for number in 0..30 {
        house.ok(["run", "-d", "--network", "none", "--name", &format!("box{number}"), "busybox", "sleep", "600"]);
    }
    assert_eq!(house.ok(["ps", "-q"]).lines().count(), 30);
    // Programs have the limits the daemon was started with, as with any daemon.
    assert_eq!(house.ok(["exec", "box29", "sh", "-c", "ulimit -S -n"]), "48");
    assert_eq!(house.ok(["run", "--rm", "busybox", "sh", "-c", "ulimit -S -n"]), "48");
}

#[test]
fn update_moves_a_limit_while_running() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "600"]);
    house.ok(["update", "-m", "128m", "--memory-swap", "-1", "--cpus", "1.5", "box"]);
    let look = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    assert_eq!(house.ok(["exec", "box", "sh", "-c", look]), (128 << 20).to_string());
    assert_eq!(house.inspect("box", "{{.HostConfig.NanoCpus}}"), "1500000000");
}

#[test]
fn limits_the_kernel_lacks_are_discarded_aloud() {
    let house = House::new();
    // Kernels have it or not, for block devices of one scheduler: neither is a reason not to start.
    house.ok(["run", "--rm", "--blkio-weight", "300", "busybox", "true"]);
    if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return;
    }
    // cgroup v2 has no such file.
    house.ok(["create", "--name", "box", "--memory-swappiness", "10", "busybox"]);
    assert_eq!(house.inspect("box", "{{.HostConfig.MemorySwappiness}}"), "<nil>");
}

#[test]
fn rlimits_sysctls_and_devices() {
    let house = House::new();
    assert_eq!(
        house.ok(["run", "--rm", "--ulimit", "nofile=64:128", "busybox", "sh", "-c", "ulimit -n; ulimit -Hn"]),
        "64\n128"
    );
    assert_eq!(
        house.ok([
            "run",
            "--rm",
            "--sysctl",
            "net.ipv4.ip_default_ttl=77",
            "busybox",
            "cat",
            "/proc/sys/net/ipv4/ip_default_ttl"
        ]),
        "77"
    );
    let said =
        house.ok(["run", "--rm", "--device", "/dev/null:/dev/mine:r", "busybox", "stat", "-c", "%F", "/dev/mine"]);
    assert_eq!(said, "character special file");
    house.fails(1, ["run", "--rm", "--device", "/dev/kmsg:/dev/mine:r", "busybox", "sh", "-c", "echo x > /dev/mine"]);
    let said = house.fails(125, ["run", "--sysctl", "kernel.panic=1", "busybox"]);
    assert!(said.contains("kernel.panic"), "{said}");
}
