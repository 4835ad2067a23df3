//! Editing a container that exists: while it runs, in the same process; or by another process that is put on trial.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::house::{House, await_that};

const SERVE: &str = "mkdir -p /www; cat /etc/page >/www/index.html 2>/dev/null || echo page >/www/index.html; \
                     trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait";

fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
}

fn serve(house: &House, flags: &[&str]) {
    let fixed = ["run", "-d", "--name", "web"];
    house.ok(fixed.iter().chain(flags).chain(&["busybox", "sh", "-c", SERVE]));
}

fn pid(house: &House) -> String {
    house.inspect("web", "{{.State.Pid}}")
}

#[test]
fn ports_come_and_go_while_it_runs() {
    let house = House::new();
    serve(&house, &["-p", "8081:80"]);
    let before = pid(&house);
    await_that("the page", || page(8081).as_deref() == Some("page"));
    house.ok(["update", "-p", "8082:80", "-p", "127.0.0.1:8083:80", "web"]);
    for port in [8081, 8082, 8083] {
        assert_eq!(page(port).as_deref(), Some("page"), "{port}");
    }
    house.ok(["update", "--publish-rm", "8081:80/tcp", "web"]);
    assert_eq!((page(8081), page(8082).is_some()), (None, true));
    // The port is free again, for everybody.
    drop(std::net::TcpListener::bind("0.0.0.0:8081").expect("a free port"));
    drop(std::net::TcpListener::bind("[::]:8081").expect("a free port"));
    let said = house.fails(1, ["update", "--publish-rm", "81", "web"]);
    assert!(said.contains("does not publish 81"), "{said}");
    house.ok(["run", "-d", "--name", "other", "-p", "8090:80", "busybox", "sleep", "600"]);
    let said = house.fails(1, ["update", "-p", "8090:80", "web"]);
    assert!(said.contains("port is already allocated (by container other)"), "{said}");
    assert_eq!(page(8082).as_deref(), Some("page"), "what was published stays");
    assert_eq!(pid(&house), before, "the same process");
    // What was edited is what the next life has, with or without a daemon.
    house.kill_daemon();
    assert!(page(8082).is_some());
    house.ok(["restart", "-t", "1", "web"]);
    await_that("the page again", || page(8083).as_deref() == Some("page"));
    assert_eq!(page(8081), None);
    house.ok(["update", "--publish-rm", "80", "web"]);
    assert_eq!((house.ok(["port", "web"]).as_str(), page(8082)), ("", None));
}

/// Says something to a server that says it back.
fn said_back(stream: &mut TcpStream, word: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(crate::house::PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_thousand_ports_change_by_what_differs() {
    let house = House::new();
    // More than what is held by a socket each: one element of the table for all that follow each other.
    let server = "nc -ll -p 10500 -e cat & nc -ll -p 80 -e cat & wait";
    house.ok(["run", "-d", "--name", "web", "-p", "10000-10999:10000-10999", "busybox", "sh", "-c", server]);
    let connect = |port: u16| TcpStream::connect(("127.0.0.1", port));
    let published = || house.ok(["port", "web"]).lines().filter(|line| line.contains("0.0.0.0:")).count();
    let answers = |port: u16| connect(port).is_ok_and(|mut stream| said_back(&mut stream, "you").is_ok());
    await_that("the server", || answers(10500));
    let mut kept = connect(10500).unwrap();
    assert_eq!(said_back(&mut kept, "before").unwrap(), "before");
    assert_eq!(published(), 1000);
    // Single ports out of the midst of the run, and others beside it.
    let less = ["--publish-rm", "10499", "--publish-rm", "10501", "--publish-rm", "10999"];
    house.ok([&["update"][..], &less, &["-p", "20000-20009:20000-20009", "-p", "8080:80", "web"]].concat());
    assert_eq!(published(), 1008);
    assert_eq!(said_back(&mut kept, "after").unwrap(), "after");
    assert!(answers(10500));
    await_that("the other server", || answers(8080));
    let gone = std::net::TcpListener::bind("0.0.0.0:10501").expect("a free port");
    drop((connect(10501).expect("the host's own"), gone));
    // What was not published again is, in the same place; what stands in the way is another's.
    house.ok(["update", "-p", "10501:10501", "-p", "10499:80", "web"]);
    assert!(answers(10499) && published() == 1010);
    let said = house.fails(125, ["run", "--rm", "-p", "10700:1", "busybox", "true"]);
    assert!(said.contains("port is already allocated"), "{said}");
    // Below the number from which they are one, too, nobody notices.
    let ports: Vec<String> = (10000..10490).chain(10502..10990).map(|port| port.to_string()).collect();
    let less = ports.iter().flat_map(|port| ["--publish-rm", port]);
    house.ok(["update"].into_iter().chain(less).chain(["web"]));
    assert_eq!(published(), 1010 - ports.len());
    assert_eq!(said_back(&mut kept, "still").unwrap(), "still");
    assert!(answers(10500) && answers(8080) && !answers(10700));
    // The next life has the same.
    let before = house.ok(["port", "web"]);
    house.kill_daemon();
    house.ok(["restart", "-t", "0", "web"]);
    assert_eq!(house.ok(["port", "web"]).lines().filter(|line| line.contains("0.0.0.0:")).count(), published());
    assert!(
        before.lines().filter(|line| line.contains("0.0.0.0:")).all(|line| house.ok(["port", "web"]).contains(line))
    );
    house.ok(["rm", "-f", "web"]);
    assert!(connect(10500).is_err() && connect(8080).is_err());
}

#[test]
fn mounts_come_and_go_while_it_runs() {
    let house = House::new();
    let source = house.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "told\n").unwrap();
    serve(&house, &[]);
    let before = pid(&house);
    let source = source.to_str().unwrap();
    house.ok(["update", "-v", &format!("{source}:/data"), "-v", &format!("{source}/file:/etc/one:ro"), "web"]);
    assert_eq!(house.ok(["exec", "web", "cat", "/data/file", "/etc/one"]), "told\ntold");
    house.ok(["exec", "web", "touch", "/data/new"]);
    assert!(std::fs::exists(format!("{source}/new")).unwrap());
    assert!(house.fails(1, ["exec", "web", "sh", "-c", "echo x >/etc/one"]).contains("Read-only"));
    house.ok(["update", "-v", "kept:/kept", "web"]);
    house.ok(["exec", "web", "touch", "/kept/here"]);
    for (flags, expect) in [
        (["-v", &format!("{source}:/data")], "Duplicate mount point: /data"),
        (["-v", &format!("{source}:/etc")], "would hide the one at /etc/one"),
        (["--volume-rm", "/nothing"], "has no mount at /nothing"),
        (["--mount", "type=bind,source=/does/not/exist,target=/x"], "bind source path does not exist"),
        (["--mount", "type=tmpfs,target=/x"], "can only be given at creation"),
    ] {
        let said = house.fails(1, ["update"].into_iter().chain(flags).chain(["web"]));
        assert!(said.contains(expect), "{flags:?}: {said}");
    }
    house.ok(["update", "--volume-rm", "/data", "web"]);
    assert_eq!(house.ok(["exec", "web", "ls", "/data"]), "");
    assert_eq!(pid(&house), before, "the same process");
    assert_eq!(house.inspect("web", "{{range .Mounts}}{{.Destination}} {{end}}"), "/etc/one /kept ");
    house.ok(["restart", "-t", "1", "web"]);
    assert_eq!(house.ok(["exec", "web", "sh", "-c", "cat /etc/one; ls /kept /data"]), "told\n/data:\n\n/kept:\nhere");
    house.ok(["rm", "-f", "web"]);
    house.ok(["volume", "rm", "kept"]);
}

#[test]
fn a_mount_never_leaves_the_container() {
    let house = House::new();
    let source = house.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let victim = house.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("own"), "").unwrap();
    serve(&house, &[]);
    let plant = format!("mkdir -p {0}; ln -s {0} /out; ln -s ../../../../../../..{0} /up", victim.display());
    house.ok(["exec", "web", "sh", "-c", &plant]);
    for target in ["/out", "/up"] {
        house.ok(["update", "-v", &format!("{}:{target}", source.display()), "web"]);
        house.ok(["exec", "web", "touch", &format!("{target}/inside")]);
    }
    let found: Vec<_> = std::fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, ["own"], "the host's directory is untouched");
    let said = house.fails(1, ["update", "-v", &format!("{}:/proc/sys", source.display()), "web"]);
    assert!(said.contains("inside /proc"), "{said}");
}

#[test]
fn health_policies_labels_and_networks_follow_at_once() {
    let house = House::new();
    serve(&house, &[]);
    let before = pid(&house);
    house.ok(["network", "create", "back"]);
    house.ok([
        "update",
        "--health-cmd",
        "test -e /well",
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
        "--label",
        "tier=front",
        "--network",
        "name=back,alias=shop",
        "--restart",
        "unless-stopped",
        "--restart-min-delay",
        "2s",
        "--stop-timeout",
        "3",
        "web",
    ]);
    house.await_field("web", "{{.State.Health.Status}}", "unhealthy");
    house.ok(["exec", "web", "touch", "/well"]);
    house.await_field("web", "{{.State.Health.Status}}", "healthy");
    assert_eq!(house.ok(["ps", "--filter", "label=tier=front", "--format", "{{.Names}}"]), "web");
    let known = house.ok(["run", "--rm", "--network", "back", "busybox", "nslookup", "shop"]);
    assert!(known.contains("Address"), "{known}");
    let policy = house.inspect("web", "{{json .HostConfig.RestartPolicy}} {{.Config.StopTimeout}}");
    assert_eq!(policy, r#"{"Name":"unless-stopped","MaximumRetryCount":0,"MinimumDelay":2000000000} 3"#);
    house.ok(["update", "--label-rm", "tier", "--network-rm", "back", "--no-healthcheck", "web"]);
    assert_eq!(house.inspect("web", "{{.Config.Labels}} {{len .NetworkSettings.Networks}}"), "map[] 1");
    assert!(!house.inspect("web", "{{json .State}}").contains("Health"));
    assert_eq!(pid(&house), before, "the same process");
}

#[test]
fn an_edit_takes_less_than_fifty_milliseconds() {
    let house = House::new();
    let source = house.path().join("source");
    std::fs::create_dir(&source).unwrap();
    serve(&house, &[]);
    house.ok(["network", "create", "back"]);
    let bind = format!("{}:/data", source.display());
    let mut best = Duration::MAX;
    for round in 0..10 {
        let (publish, label) = (format!("{}:80", 9000 + round), format!("round={round}"));
        let begun = Instant::now();
        house.ok([
            "update",
            "-p",
            &publish,
            "-v",
            &bind,
            "-m",
            "64m",
            "--memory-swap",
            "64m",
            "--label",
            &label,
            "web",
        ]);
        best = best.min(begun.elapsed());
        house.ok(["update", "--publish-rm", "80", "--volume-rm", "/data", "web"]);
    }
    assert!(best < Duration::from_millis(50), "{best:?}");
}

#[test]
fn another_environment_keeps_everything_else() {
    let house = House::new();
    serve(&house, &["-p", "8081:80", "-v", "kept:/kept", "-e", "ONE=1", "-e", "TWO=2"]);
    house.ok(["exec", "web", "sh", "-c", "echo written >/layer; echo kept >/kept/file; echo said >/proc/1/fd/1"]);
    let facts = "{{.Id}} {{.NetworkSettings.IPAddress}} {{.Created}} {{.Name}}";
    let (before, first) = (house.inspect("web", facts), pid(&house));
    // Another container would get the address if it were given back for good.
    house.ok(["update", "--env", "TWO=22", "--env", "NEW=3", "--env-rm", "ONE", "web"]);
    assert_eq!(house.inspect("web", facts), before);
    assert_ne!(pid(&house), first);
    let env = house.ok(["exec", "web", "sh", "-c", "echo $ONE.$TWO.$NEW; cat /layer /kept/file"]);
    assert_eq!(env, ".22.3\nwritten\nkept");
    assert!(house.ok(["logs", "web"]).contains("said"), "the log goes on");
    await_that("the page", || page(8081).as_deref() == Some("page"));
    house.ok(["rm", "-f", "web"]);
    house.ok(["volume", "rm", "kept"]);
}

#[test]
fn another_image_is_put_on_trial() {
    let house = House::new();
    let dir = house.path().join("build");
    std::fs::create_dir(&dir).unwrap();
    for (tag, command) in [("good", "echo better >/etc/page"), ("bad", "echo broken >/etc/page; touch /etc/sick")] {
        let file = format!("FROM busybox\nRUN {command}\nENV FROM_IMAGE={tag}\n");
        std::fs::write(dir.join("Dockerfile"), file).unwrap();
        house.ok(["build", "-q", "-t", &format!("app:{tag}"), dir.to_str().unwrap()]);
    }
    let check = ["--health-cmd", "test ! -e /etc/sick", "--health-interval", "100ms", "--health-retries", "2"];
    serve(&house, &[&check[..], &["-p", "8081:80"]].concat());
    house.await_field("web", "{{.State.Health.Status}}", "healthy");
    let facts = "{{.Id}} {{.NetworkSettings.IPAddress}}";
    let before = house.inspect("web", facts);
    house.ok(["update", "--image", "app:good", "web"]);
    assert_eq!(page(8081).as_deref(), Some("better"));
    assert_eq!(house.inspect("web", "{{.Config.Image}} {{index .Config.Env 1}}"), "app:good FROM_IMAGE=good");
    let said = house.fails(1, ["update", "--image", "app:bad", "web"]);
    assert!(said.contains("the old one is back and runs"), "{said}");
    assert_eq!(house.inspect("web", "{{.Config.Image}} {{.State.Running}}"), "app:good true");
    await_that("the page of the old one", || page(8081).is_some());
    let said = house.fails(1, ["update", "--command", "[\"/nowhere\"]", "web"]);
    assert!(said.contains("the old one is back and runs"), "{said}");
    await_that("the page after all", || page(8081).is_some());
    assert_eq!(house.inspect("web", facts), before);
}

#[test]
fn the_stock_cli_neither_sees_nor_disturbs_what_it_does_not_know() {
    let house = House::new();
    serve(&house, &["--on-unhealthy", "restart", "--restart-max-delay", "5s"]);
    let ended = house.docker(["update", "--restart", "always", "--cpus", "0.5", "web"]);
    assert_eq!((ended.code, ended.stdout.trim()), (0, "web"), "{}", ended.stderr);
    let kept = house.inspect("web", "{{json .HostConfig.OnUnhealthy}} {{.HostConfig.RestartPolicy.MaximumDelay}}");
    assert_eq!(kept, r#"{"Action":"restart","Streak":0,"CoolDown":0} 5000000000"#);
    let ended = house.docker(["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "web"]);
    assert_eq!(ended.stdout.trim(), "always");
    house.docker(["update", "--restart", "no", "web"]);
}
