//! Self-healing: what is done about unhealthy containers, the pauses before restarts, and mounts that are not there yet.

use std::path::Path;
use std::time::Instant;

use crate::house::{House, await_that, run_tool};

const SICK: &[&str] =
    &["--health-cmd", "test ! -e /sick", "--health-interval", "50ms", "--health-retries", "1", "--stop-timeout", "0"];

fn run(house: &House, name: &str, flags: &[&str]) {
    let command = ["busybox", "sh", "-c", "echo life; sleep 600"];
    house.ok(["run", "-d", "--name", name].iter().chain(SICK).chain(flags).chain(&command));
    house.await_field(name, "{{.State.Health.Status}}", "healthy");
}

#[test]
fn an_unhealthy_container_is_restarted_stopped_or_killed_without_a_daemon() {
    let house = House::new();
    // Their next lives are as sick: once is enough.
    let once = ["--on-unhealthy-cool-down", "1h"];
    run(&house, "again", &[&["--on-unhealthy", "restart"][..], &once].concat());
    run(&house, "stays", &["--on-unhealthy", "stop", "--restart", "always"]);
    run(&house, "policy", &[&["--on-unhealthy", "kill", "--restart", "on-failure:3"][..], &once].concat());
    for name in ["again", "stays", "policy"] {
        house.prod(name, "/sick");
    }
    house.kill_daemon();
    for (name, field) in [("again", "1"), ("policy", "1")] {
        house.await_field(name, "{{.RestartCount}}", field);
    }
    house.await_field("stays", "{{.State.Status}}", "exited");
    await_that("the second life's word", || house.ok(["logs", "again"]) == "life\nlife");
    house.ok(["update", "--restart", "no", "stays"]);
}

#[test]
fn nothing_is_done_before_the_streak_and_twice_within_the_cool_down() {
    let house = House::new();
    run(&house, "slow", &["--on-unhealthy", "restart", "--on-unhealthy-streak", "1000"]);
    run(&house, "once", &["--on-unhealthy", "restart", "--on-unhealthy-cool-down", "1h"]);
    for name in ["slow", "once"] {
        house.prod(name, "/sick");
    }
    house.await_field("once", "{{.RestartCount}}", "1");
    // Its next life is as sick: /sick is in its writable layer.
    house.await_field("once", "{{.State.Health.Status}}", "unhealthy");
    let streak = |name: &str| house.inspect(name, "{{.State.Health.FailingStreak}}").parse::<u32>().unwrap();
    await_that("five more failures", || streak("once") >= 5 && streak("slow") >= 5);
    assert_eq!(
        (house.inspect("once", "{{.RestartCount}}"), house.inspect("slow", "{{.RestartCount}}")),
        ("1".into(), "0".into())
    );
    let shown = house.inspect("once", "{{json .HostConfig.OnUnhealthy}}");
    assert_eq!(shown, r#"{"Action":"restart","Streak":0,"CoolDown":3600000000000}"#);
    let said = house.fails(125, ["run", "--on-unhealthy", "pray", "busybox"]);
    assert!(said.contains("must be one of"), "{said}");
}

#[test]
fn pauses_before_restarts_are_as_asked() {
    let house = House::new();
    let begun = Instant::now();
    house.ok([
        "run",
        "-d",
        "--name",
        "loop",
        "--restart",
        "on-failure:2",
        "--restart-min-delay",
        "300ms",
        "--restart-max-delay",
        "400ms",
        "busybox",
        "sh",
        "-c",
        "date +%s; exit 1",
    ]);
    house.await_field("loop", "{{.State.Status}} {{.RestartCount}}", "exited 2");
    assert!(begun.elapsed().as_millis() >= 700, "300 ms, then 400 ms");
    let policy = house.inspect("loop", "{{json .HostConfig.RestartPolicy}}");
    assert_eq!(
        policy,
        r#"{"Name":"on-failure","MaximumRetryCount":2,"MinimumDelay":300000000,"MaximumDelay":400000000}"#
    );
}

/// The test has the host's mounts: what it mounts lies below its own root and goes with it.
struct Disk(String);

impl Disk {
    fn mount(house: &House) -> Self {
        let point = house.path().join("disk").to_str().unwrap().to_owned();
        std::fs::create_dir_all(&point).unwrap();
        run_tool("mount", ["-t", "tmpfs", "tmpfs", &point]);
        Self(point)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = std::process::Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_bind_mount_waits_for_its_disk() {
    let house = House::new();
    let disk = Disk::mount(&house);
    let data = format!("{}/data", disk.0);
    std::fs::create_dir(&data).unwrap();
    let show = "ls /data; sleep 600";
    house.ok([
        "run",
        "-d",
        "--name",
        "app",
        "--restart",
        "always",
        "-v",
        &format!("{data}:/data"),
        "busybox",
        "sh",
        "-c",
        show,
    ]);
    // As after a boot: nothing runs, and the disk is not there yet.
    let supervisor = house.inspect("app", "{{.State.Pid}}");
    house.kill_daemon();
    let parent = hako_sys::proc::stat(supervisor.parse().unwrap()).unwrap().parent;
    crate::house::signal(parent, "KILL");
    await_that("the end of the container", || !crate::house::alive(supervisor.parse().unwrap()));
    run_tool("umount", [&disk.0]);
    house.ok(["version"]);
    await_that("the reason", || house.ok(["why", "app"]).contains("a file system that is not mounted"));
    assert_eq!(house.inspect("app", "{{.State.Running}}"), "false");
    assert!(!Path::new(&data).exists(), "nothing was made below the empty mount point");
    run_tool("mount", ["-t", "tmpfs", "tmpfs", &disk.0]);
    house.await_field("app", "{{.State.Running}}", "true");
    house.ok(["rm", "-f", "app"]);
}
