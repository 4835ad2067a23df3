//! `exec` and `top`: joining a running container, as confined as its first process.

use crate::house::House;

fn running() -> House {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "-e", "FROM=run", "busybox", "sleep", "600"]);
    house
}

#[test]
fn exec_answers_with_the_programs_own_code() {
    let house = running();
    assert_eq!(house.ok(["exec", "box", "echo", "hi"]), "hi");
    let ended = house.run(["exec", "box", "sh", "-c", "echo o; echo e >&2; exit 9"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (9, "o\n", "e\n"));
    let ended = house.run(["exec", "box", "no-such-program"]);
    assert_eq!(ended.code, 127, "{}", ended.stderr);
    assert_eq!(house.run(["exec", "box", "/etc/passwd"]).code, 126);
    let said = house.fails(1, ["exec", "nobody", "true"]);
    assert!(said.contains("No such container: nobody"), "{said}");
    house.ok(["stop", "-t", "0", "box"]);
    let said = house.fails(1, ["exec", "box", "true"]);
    assert!(said.contains("is not running"), "{said}");
}

#[test]
fn exec_takes_stdin_user_directory_and_environment() {
    let house = running();
    let ended = house.run_with_input(["exec", "-i", "box", "cat"], b"through");
    assert_eq!(ended.stdout, "through");
    let said = house.ok([
        "exec",
        "-u",
        "www",
        "-w",
        "/tmp",
        "-e",
        "MORE=1",
        "box",
        "sh",
        "-c",
        "id -un; pwd; echo $FROM$MORE",
    ]);
    assert_eq!(said, "www\n/tmp\nrun1");
    assert_eq!(house.ok(["exec", "-d", "box", "touch", "/made"]), "");
    crate::house::await_that("the detached exec to act", || {
        house.run(["exec", "box", "test", "-e", "/made"]).code == 0
    });
}

#[test]
fn exec_is_as_confined_as_run() {
    let house = running();
    let look = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status; cat /proc/self/cgroup | sed 's/^[0-9]*://' | sort; ls /proc/self/fd | wc -l";
    let first = house.ok(["run", "--rm", "busybox", "sh", "-c", look]);
    let joined = house.ok(["exec", "box", "sh", "-c", look]);
    assert_eq!(first, joined);
    let said = house.ok(["exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status"]);
    assert_ne!(said, house.ok(["exec", "box", "grep", "CapEff", "/proc/self/status"]));
}

#[test]
fn top_shows_the_processes_of_the_container() {
    let house = running();
    let said = house.ok(["top", "box"]);
    let mut lines = said.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    );
    assert!(lines.next().unwrap().ends_with("sleep 600"), "{said}");
    assert_eq!(lines.next(), None);
    // What hako keeps to start others from is no process of the container's.
    house.ok(["exec", "box", "true"]);
    assert_eq!(house.ok(["top", "box"]).lines().count(), 2);
    assert_eq!(house.ok(["top", "box", "-eo", "pid,comm"]).lines().count(), 2);
}

#[test]
fn an_init_shows_whom_it_looks_after() {
    let house = House::new();
    let said = house.ok(["run", "--rm", "--init", "--user", "5", "--network", "none", "busybox", "ps", "-o", "args"]);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines[1..], ["init -- ps -o args", "ps -o args"], "{said}");
}

#[test]
fn stats_count_what_the_container_uses() {
    let house = running();
    let said = house.ok(["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "box"]);
    assert!(said.starts_with("box 1 "), "{said}");
    let table = house.ok(["stats", "--no-stream"]);
    assert!(table.contains("CPU %") && table.contains("MEM USAGE / LIMIT") && table.contains("NET I/O"), "{table}");
}
