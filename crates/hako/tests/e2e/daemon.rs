//! The daemon: started by need, leaving when idle, replaced without anyone noticing.

use std::path::Path;

use crate::house::{HAKO, House, alive, await_that, run_tool, signal};

#[test]
fn it_is_started_by_need_and_leaves_when_idle() {
    let house = House::empty();
    house.configure(r#"{"idle-timeout": "200ms"}"#);
    assert_eq!(house.daemon_pid(), None);
    house.ok(["version"]);
    let pid = house.daemon_pid().expect("a daemon was started");
    await_that("the daemon to leave", || !alive(pid));
    house.ok(["ps"]);
}

#[test]
fn many_first_commands_start_one_daemon() {
    let house = House::empty();
    let clients: Vec<_> = (0..8).map(|_| house.spawn(["ps", "-q"])).collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let root = house.path().to_str().unwrap().to_owned();
    let daemons = crate::house::processes()
        .into_iter()
        .filter(|(_, command)| command.contains("hako daemon") && command.contains(&root));
    assert_eq!(daemons.count(), 1);
}

#[test]
fn a_dead_daemon_is_not_missed() {
    let house = House::new();
    house.ok([
        "run",
        "-d",
        "--name",
        "box",
        "--restart",
        "on-failure:5",
        "busybox",
        "sh",
        "-c",
        "while [ ! -e /go ]; do echo tick; sleep 0.02; done; rm /go; echo again; exit 1",
    ]);
    let pid = house.inspect("box", "{{.State.Pid}}");
    house.kill_daemon();
    let pid: i32 = pid.parse().unwrap();
    assert!(alive(pid));
    signal(pid, "KILL");
    await_that("the supervisor to restart it without a daemon", || {
        crate::house::processes().iter().any(|(other, command)| *other != pid && command.contains("echo tick"))
    });
    assert_eq!(house.daemon_pid(), None);
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.RestartCount}}"), "running 1");
    let events =
        house.ok(["events", "--since", "5m", "--until", "0s", "--filter", "container=box", "--format", "{{.Action}}"]);
    let told: Vec<&str> = events.lines().collect();
    assert_eq!(told, ["create", "start", "die", "start"], "what happened meanwhile is told");
    assert!(house.ok(["logs", "box"]).contains("tick"));
}

#[test]
fn an_attached_client_survives_the_daemon() {
    let house = House::new();
    let client = house.spawn([
        "run",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "echo up; while [ ! -e /go ]; do sleep 0.02; done; echo down; exit 6",
    ]);
    await_that("the container", || house.run(["inspect", "box"]).code == 0);
    house.await_field("box", "{{.State.Status}}", "running");
    house.kill_daemon();
    house.prod("box", "/go");
    let output = client.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "up\ndown\n");
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn exit_codes_are_kept_while_no_daemon_runs() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 0.5; exit 42"]);
    let pid: i32 = house.inspect("box", "{{.State.Pid}}").parse().unwrap();
    house.kill_daemon();
    await_that("the container to end", || !alive(pid));
    assert_eq!(house.inspect("box", "{{.State.Status}} {{.State.ExitCode}}"), "exited 42");
}

#[test]
fn always_restarting_containers_come_back_with_the_daemon() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "--restart", "always", "busybox", "sleep", "600"]);
    house.ok(["run", "-d", "--name", "den", "--restart", "unless-stopped", "busybox", "sleep", "600"]);
    house.ok(["stop", "-t", "0", "den"]);
    let root = house.path().to_str().unwrap().to_owned();
    house.kill_daemon();
    for (pid, command) in crate::house::processes() {
        if command.contains(&root) && command.contains("supervise") {
            signal(pid, "KILL");
        }
    }
    await_that("its processes to be gone", || house.leftovers().iter().all(|left| !left.starts_with("process")));
    house.await_field("box", "{{.State.Status}}", "running");
    assert_eq!(house.inspect("den", "{{.State.Status}}"), "exited");
}

#[test]
fn a_foreground_daemon_with_dockerds_flags() {
    let house = House::empty();
    let socket = house.path().join("own.sock");
    let pidfile = house.path().join("own.pid");
    let mut daemon = house
        .command([
            "daemon",
            "-H",
            &format!("unix://{}", socket.display()),
            "--pidfile",
            pidfile.to_str().unwrap(),
            "--bip",
            "10.77.0.1/24",
        ])
        .spawn()
        .unwrap();
    await_that("the socket", || socket.exists());
    let host = format!("unix://{}", socket.display());
    assert!(house.ok(["-H", &host, "info", "--format", "{{.Driver}}"]).contains("overlay"));
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), daemon.id().to_string());
    let gateway = house.ok(["-H", &host, "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
    assert_eq!(gateway, "10.77.0.1");
    signal(daemon.id() as i32, "TERM");
    assert!(daemon.wait().unwrap().success());
    assert!(!socket.exists() && !pidfile.exists());
}

#[test]
fn bad_settings_are_named() {
    let house = House::empty();
    house.configure(r#"{"bip": "10.0.0.1/24", "colour": "red"}"#);
    let output = house.command(["daemon"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("colour"), "{said}");
    let output = std::process::Command::new(HAKO).args(["daemon", "--no-such-flag"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-flag"));
}

#[test]
fn a_daemon_that_leaves_takes_its_traces_with_it() {
    let house = House::new();
    run_tool("iptables-nft", ["-P", "FORWARD", "DROP"]);
    house.ok(["run", "-d", "--name", "box", "-p", "8080:80", "busybox", "sleep", "600"]);
    let parent = cgroup_parent(&house, "box");
    assert!(!cgroups_of(&parent).is_empty());
    let seen = || run_tool("sh", ["-c", "ip -o link; nft list ruleset; iptables-nft -S"]);
    assert!(seen().contains("hk-") && seen().contains("by hako"), "{}", seen());

    let leave = || {
        let pid = house.daemon_pid().unwrap();
        signal(pid, "TERM");
        await_that("the daemon to leave", || !alive(pid));
    };
    leave();
    assert!(seen().contains("hk-"), "a running container keeps its network");
    house.ok(["rm", "-f", "box"]);
    leave();
    assert!(!seen().contains("hk-") && !seen().contains("hako"), "{}", seen());
    assert_eq!(cgroups_of(&parent), Vec::<String>::new());
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "again"]), "again");
}

#[test]
fn a_daemon_told_to_leave_while_it_begins_spares_takes_them_with_it() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "box", "busybox", "sleep", "600"]);
    let parent = cgroup_parent(&house, "box");
    house.ok(["rm", "-f", "box"]);
    // Spares begin some milliseconds after the start: the rounds meet them at different points.
    for round in 0..20 {
        house.ok(["ps"]);
        let pid = house.daemon_pid().unwrap();
        for _ in 0..round {
            house.ok(["ps"]);
        }
        signal(pid, "TERM");
        await_that("the daemon to leave", || !alive(pid));
        assert_eq!(cgroups_of(&parent), Vec::<String>::new(), "round {round}");
    }
}

/// The word by which the control groups of a house differ from others'.
fn cgroup_parent(house: &House, container: &str) -> String {
    let pid = house.inspect(container, "{{.State.Pid}}");
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.lines().find_map(|line| line.split("/hako-").nth(1)?.split('/').next()).unwrap().to_owned()
}

fn cgroups_of(parent: &str) -> Vec<String> {
    let roots = ["", "unified", "memory", "pids", "devices", "freezer"];
    roots
        .map(|root| format!("/sys/fs/cgroup/{root}/hako-{parent}"))
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .collect()
}

#[test]
fn metrics_are_told_to_prometheus() {
    let house = House::new();
    house.kill_daemon();
    house.configure(r#"{"metrics-addr": "127.0.0.1:9323", "log-format": "json"}"#);
    house.ok(["run", "-d", "--name", "box", "busybox", "sleep", "600"]);
    let page = run_tool("curl", ["-sf", "http://127.0.0.1:9323/metrics"]);
    assert!(page.contains("\nhako_containers{state=\"running\"} 1\n"), "{page}");
    assert!(page.contains("\nprocess_resident_memory_bytes "), "{page}");
    // Nothing else is answered there, and the API's socket tells the same.
    let status =
        run_tool("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9323/containers/json"]);
    assert_eq!(status, "404");
    let page = run_tool("curl", ["-sf", "--unix-socket", house.socket().to_str().unwrap(), "http://d/metrics"]);
    assert!(page.contains("hako_http_requests_total{status=\"2xx\"}"), "{page}");
    let log = std::fs::read_to_string(house.path().join("run/daemon.log")).unwrap();
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");
    house.ok(["rm", "-f", "box"]);
}

#[test]
fn the_doctor_looks_at_the_host() {
    let house = House::new();
    let said = house.run(["doctor"]);
    for subject in ["kernel", "namespaces", "cgroups", "overlay", "firewall", "id ranges", "disk", "daemon"] {
        assert!(said.stdout.contains(subject), "{}", said.stdout);
    }
    // Whatever is doubtful has an advice.
    let json = house.run(["doctor", "--format", "json"]);
    for line in json.stdout.lines().filter(|line| !line.contains(r#""Verdict":"ok""#)) {
        assert!(!line.contains(r#""Advice":"""#), "{line}");
    }
}

#[test]
fn what_is_installed_can_be_taken_back() {
    let house = House::empty();
    let root = house.path().join("installed");
    let destination = root.to_str().unwrap();
    house.ok(["system", "install", "--destdir", destination]);
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert!(read("etc/systemd/system/hako.socket").contains("ListenStream=/run/docker.sock"));
    assert!(read("etc/systemd/system/hako.service").contains("daemon -H fd://"));
    assert!(read("usr/local/share/zsh/site-functions/_hako").starts_with("#compdef hako"));
    assert!(read("usr/local/share/man/man1/hako-run.1").contains(".TH HAKO-RUN 1"));
    // A file of somebody else's is neither overwritten nor removed.
    let foreign = root.join("usr/local/share/man/man1/hako.1");
    std::fs::write(&foreign, "mine").unwrap();
    assert!(house.fails(1, ["system", "install", "--destdir", destination]).contains("is not hako's"));
    house.ok(["system", "uninstall", "--destdir", destination]);
    let left = run_tool("find", [destination, "-type", "f"]);
    assert_eq!(left.trim(), foreign.to_str().unwrap());
    assert_eq!(run_tool("find", [destination, "-type", "d", "-empty"]).trim(), "", "no empty directories stay");
}

/// Takes one batch of spans, as a collector does, and gives its JSON.
fn collect(listener: &std::net::TcpListener) -> serde_json::Value {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut accepted = None;
    await_that("a batch of spans", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (mut stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(crate::house::PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn spans_of_requests_go_to_a_collector() {
    let house = House::empty();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // In the daemon's environment: one that a command starts has none of that person's.
    let mut daemon = house.command(["daemon"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).spawn().unwrap();
    await_that("the daemon", || std::os::unix::net::UnixStream::connect(house.socket()).is_ok());
    house.fails(1, ["inspect", "nobody"]);
    let mut names = Vec::new();
    // What was asked may come in several batches.
    while !names.contains(&"ContainerInspect 404".to_owned()) {
        let told = collect(&listener);
        let scope = &told["resourceSpans"][0];
        assert_eq!(scope["resource"]["attributes"][0]["value"]["stringValue"], "hako");
        for span in scope["scopeSpans"][0]["spans"].as_array().unwrap() {
            let status = span["attributes"][2]["value"]["intValue"].as_str().unwrap();
            assert_eq!(span["traceId"].as_str().map(str::len), Some(32));
            names.push(format!("{} {status}", span["name"].as_str().unwrap()));
        }
    }
    signal(house.daemon_pid().unwrap(), "TERM");
    // Spans made since are taken, or not: nobody waits long for them.
    drop(listener);
    assert!(daemon.wait().unwrap().success());
}
