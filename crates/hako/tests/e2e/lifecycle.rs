//! create, start, stop, kill, restart, pause, wait, rm, rename, restart policies, health, events.

use std::io::Read as _;

use crate::house::{House, await_that};

#[test]
fn a_life_from_create_to_rm() {
    let house = House::new();
    let id = house.ok(["create", "--name", "box", "busybox", "sleep", "600"]);
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.State.Running}} {{.State.Pid}}"), "created false 0");
    assert_eq!(house.ok(["start", "box"]), "box");
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
    assert_eq!(house.ok(["start", "box"]), "box", "started twice is no error");
    assert_eq!(house.ok(["ps", "-q", "--no-trunc"]), id);

    assert_eq!(house.ok(["pause", "box"]), "box");
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    let said = house.fails(1, ["exec", "box", "true"]);
    assert!(said.contains("is paused"), "{said}");
    house.ok(["unpause", "box"]);

    assert_eq!(house.ok(["kill", "-s", "TERM", "box"]), "box");
    let first = house.inspect("box", "{{.Id}}");
    house.ok(["restart", "-t", "0", "box"]);
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.Id}}"), format!("running {first}"));

    let said = house.fails(1, ["rm", "box"]);
    assert!(said.contains("cannot remove container") && said.contains("container is running"), "{said}");
    assert_eq!(house.ok(["rm", "-f", "box"]), "box");
    let said = house.fails(1, ["inspect", "box"]);
    assert!(said.to_lowercase().contains("no such object: box"), "{said}");
}

#[test]
fn stop_is_term_then_kill() {
    let house = House::new();
    house.ok([
        "run",
        "-d",
        "--name",
        "polite",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    // A first process hears nothing before it asks to.
    await_that("the trap to be set", || house.ok(["logs", "polite"]) == "ready");
    house.ok(["stop", "polite"]);
    assert_eq!(house.inspect("polite", "{{.State.ExitCode}}"), "3");
    house.ok(["run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]);
    house.ok(["stop", "-t", "1", "deaf"]);
    assert_eq!(house.inspect("deaf", "{{.State.ExitCode}}"), "137");
    house.ok([
        "run",
        "-d",
        "--name",
        "own",
        "--stop-signal",
        "USR1",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done",
    ]);
    await_that("the trap to be set", || house.ok(["logs", "own"]) == "ready");
    house.ok(["stop", "own"]);
    assert_eq!(house.inspect("own", "{{.State.ExitCode}}"), "9");
}

#[test]
fn wait_answers_the_exit_code() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", "read x; exit 5"]);
    assert_eq!(house.ok(["wait", "box"]), "5");
    house.ok(["run", "-di", "--name", "den", "busybox", "sh", "-c", "read x; exit 6"]);
    let waiting = house.spawn(["wait", "den"]);
    let ended = house.run_with_input(["attach", "den"], b"go\n");
    assert_eq!(ended.code, 6);
    assert_eq!(String::from_utf8(waiting.wait_with_output().unwrap().stdout).unwrap(), "6\n");
}

#[test]
fn rm_on_exit_happens_without_the_client() {
    let house = House::new();
    let mut client = house.spawn([
        "run",
        "--rm",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "echo up; while [ ! -e /stop ]; do sleep 0.05; done",
    ]);
    let mut up = [0; 3];
    client.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    house.prod("box", "/stop");
    await_that("the container to be removed", || house.ok(["ps", "-aq"]).is_empty());
    assert_eq!(std::fs::read_dir(house.data().join("containers")).unwrap().count(), 0);
}

#[test]
fn restart_policies() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "thrice", "--restart", "on-failure:3", "busybox", "sh", "-c", "echo x; exit 4"]);
    house.await_field("thrice", "{{.RestartCount}} {{.State.Status}}", "3 exited");
    assert_eq!(house.ok(["logs", "thrice"]).lines().count(), 4);
    assert_eq!(house.inspect("thrice", "{{.State.ExitCode}}"), "4");

    house.ok(["run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "600"]);
    let before = house.inspect("always", "{{.State.Pid}}");
    crate::house::signal(before.parse().unwrap(), "KILL");
    await_that("a new process", || {
        let now = house.inspect("always", "{{.State.Pid}}");
        now != before && now != "0"
    });
    house.ok(["stop", "-t", "0", "always"]);
    assert_eq!(house.inspect("always", "{{.State.Status}}"), "exited", "a stop by hand is final");
    let said = house.fails(125, ["run", "--rm", "--restart", "always", "busybox"]);
    assert!(said.contains("conflicting options: cannot specify both --restart and --rm"), "{said}");
}

#[test]
fn update_changes_the_restart_policy_of_a_running_container() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.02; done; exit 1"]);
    assert_eq!(house.ok(["update", "--restart", "on-failure:2", "box"]), "box");
    house.prod("box", "/go");
    house.await_field("box", "{{.RestartCount}} {{.State.Status}}", "2 exited");
}

#[test]
fn health_is_probed_by_the_supervisor() {
    let house = House::new();
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "--health-cmd",
        "test -e /well && echo fine",
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
        "busybox",
        "sleep",
        "600",
    ]);
    house.await_field("box", "{{.State.Health.Status}}", "unhealthy");
    house.ok(["exec", "box", "touch", "/well"]);
    house.await_field("box", "{{.State.Health.Status}}", "healthy");
    assert!(house.inspect("box", "{{json .State.Health.Log}}").contains("fine"));
    assert!(house.ok(["ps"]).contains("(healthy)"));
    let events = house.ok([
        "events",
        "--since",
        "5m",
        "--until",
        "0s",
        "--filter",
        "event=health_status",
        "--format",
        "{{.Action}}",
    ]);
    assert!(events.contains("health_status: unhealthy") && events.contains("health_status: healthy"), "{events}");
}

#[test]
fn events_are_told_live_and_from_history() {
    let house = House::new();
    let mut live = house.spawn(["events", "--filter", "container=box", "--format", "{{.Action}}"]);
    house.ok(["run", "--name", "box", "--network", "none", "busybox", "true"]);
    house.ok(["rm", "box"]);
    let history =
        house.ok(["events", "--since", "5m", "--until", "0s", "--filter", "container=box", "--format", "{{.Action}}"]);
    let told: Vec<&str> = history.lines().collect();
    assert_eq!(told.first(), Some(&"create"), "{history}");
    for action in ["attach", "start", "die", "destroy"] {
        assert!(told.contains(&action), "{action} in {history}");
    }
    let mut seen = String::new();
    let mut reader = live.stdout.take().unwrap();
    let mut chunk = [0; 512];
    while !seen.contains("destroy") {
        let n = reader.read(&mut chunk).unwrap();
        assert!(n > 0, "the stream ended early: {seen}");
        seen.push_str(std::str::from_utf8(&chunk[..n]).unwrap());
    }
    live.kill().unwrap();
    live.wait().unwrap();
    assert!(seen.lines().collect::<Vec<_>>().ends_with(&["destroy"]), "{seen}");
}

#[test]
fn listing_filters_and_prune() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "up", "-l", "tier=web", "busybox", "sleep", "600"]);
    house.ok(["create", "--name", "idle", "busybox"]);
    house.fails(3, ["run", "--name", "done", "busybox", "sh", "-c", "exit 3"]);
    let names = |filter: &str| house.ok(["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
    assert_eq!(names("status=running"), "up");
    assert_eq!(names("exited=3"), "done");
    assert_eq!(names("label=tier=web"), "up");
    assert_eq!(names("name=^id"), "idle");
    assert_eq!(names("ancestor=busybox").lines().count(), 3);
    assert_eq!(house.ok(["ps", "-n", "1", "--format", "{{.Names}}"]), "done");
    let said = house.ok(["container", "prune", "-f"]);
    assert!(said.starts_with("Deleted Containers:\n") && said.contains("Total reclaimed space:"), "{said}");
    assert_eq!(house.ok(["ps", "-a", "--format", "{{.Names}}"]), "up");
}

#[test]
fn two_hundred_in_parallel_leave_nothing() {
    let house = House::new();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let command = || {
                let mut command = house.command(["run", "--rm", "--network", "none", "busybox", "true"]);
                command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
                command
            };
            (0..25).map(|_| command()).collect::<Vec<_>>()
        })
        .map(|commands| {
            std::thread::spawn(move || {
                commands.into_iter().map(|mut command| command.output().unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    for client in clients {
        for output in client.join().unwrap() {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert_eq!(house.ok(["ps", "-aq"]), "");
    await_that("the directories to be gone", || {
        std::fs::read_dir(house.data().join("containers")).unwrap().count() == 0
    });
}
