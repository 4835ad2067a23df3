//! `run` and what it answers: output, exit codes, environment, users, entry points.

use crate::house::{HAKO, House};

#[test]
fn hello_runs_without_any_registry() {
    let house = House::empty();
    let said = house.ok(["run", "--rm", "hello"]);
    assert!(said.contains("hako"), "{said}");
    assert!(said.lines().count() > 3, "it says what happened and what to try next: {said}");
    assert_eq!(house.ok(["ps", "-aq"]), "");
}

#[test]
fn output_and_exit_codes_follow_docker() {
    let house = House::new();
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "hi"]), "hi");
    let ended = house.run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (7, "out\n", "err\n"));

    let said = house.fails(127, ["run", "--rm", "busybox", "no-such-program"]);
    assert!(said.contains("exec: \"no-such-program\": executable file not found in $PATH"), "{said}");
    let said = house.fails(126, ["run", "--rm", "busybox", "/etc/passwd"]);
    assert!(said.contains("permission denied"), "{said}");
    let said = house.fails(125, ["run", "--no-such-flag", "busybox"]);
    assert!(said.contains("unknown flag: --no-such-flag"), "{said}");
    // Docker's compose is a program of its own.
    let said = house.fails(1, ["compose", "up", "--no-such-flag"]);
    assert!(said.contains("unknown flag: --no-such-flag"), "{said}");
    house.fails(137, ["run", "--rm", "--init", "busybox", "sh", "-c", "kill -KILL $$"]);
    house.fails(143, ["run", "--rm", "--init", "busybox", "sh", "-c", "kill -TERM $$"]);
}

#[test]
fn flags_end_where_the_image_begins() {
    let house = House::new();
    assert_eq!(house.ok(["run", "--rm", "busybox", "echo", "--rm", "-it", "--", "x"]), "--rm -it -- x");
    assert_eq!(house.ok(["run", "--rm=true", "-e=A=1", "-eB=2", "busybox", "sh", "-c", "echo $A$B"]), "12");
}

#[test]
fn the_environment_is_dockers() {
    let house = House::new();
    let said = house.ok(["run", "--rm", "-e", "A=b c", "--hostname", "box", "--env", "GONE", "busybox", "env"]);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=b c", "HOME=/root", "HOSTNAME=box", path]);
    let said = house.ok(["run", "--rm", "-t", "busybox", "sh", "-c", "echo $TERM"]);
    assert_eq!(said.trim_end(), "xterm");
}

#[test]
fn environment_files_and_labels_are_read() {
    let house = House::new();
    let env = house.path().join("env");
    std::fs::write(&env, "# a comment\nA=1\n\nB=two words\nHOME\n").unwrap();
    let said = house.ok([
        "run",
        "--rm",
        "--env-file",
        env.to_str().unwrap(),
        "-e",
        "A=2",
        "busybox",
        "sh",
        "-c",
        "echo $A,$B",
    ]);
    assert_eq!(said, "2,two words");
    std::fs::write(&env, "x.y=z\n").unwrap();
    house.ok(["create", "--name", "box", "--label-file", env.to_str().unwrap(), "-l", "k=v", "busybox"]);
    assert_eq!(house.inspect("box", "{{json .Config.Labels}}"), r#"{"k":"v","x.y":"z"}"#);
}

#[test]
fn users_and_groups_come_from_the_image() {
    let house = House::new();
    let id = |user: &str| house.ok(["run", "--rm", "-u", user, "busybox", "id"]);
    assert_eq!(id("www"), "uid=33(www) gid=33(www) groups=29(audio),33(www)");
    assert_eq!(id("33"), "uid=33(www) gid=33(www) groups=29(audio),33(www)");
    assert_eq!(id("www:audio"), "uid=33(www) gid=29(audio) groups=29(audio)");
    assert_eq!(id("4242:4343"), "uid=4242 gid=4343 groups=4343");
    let said =
        house.ok(["run", "--rm", "-u", "1:1", "--group-add", "audio", "--group-add", "777", "busybox", "id", "-G"]);
    assert_eq!(said, "1 29 777");
    let said = house.fails(125, ["run", "--rm", "-u", "nobody-knows", "busybox", "id"]);
    assert!(said.contains("unable to find user nobody-knows: no matching entries in passwd file"), "{said}");
}

#[test]
fn entry_points_and_working_directories() {
    let house = House::new();
    assert_eq!(house.ok(["run", "--rm", "--entrypoint", "echo", "busybox", "a", "b"]), "a b");
    assert_eq!(house.ok(["run", "--rm", "-w", "/made/anew", "busybox", "pwd"]), "/made/anew");
    let said = house.fails(125, ["run", "--rm", "-w", "relative", "busybox", "pwd"]);
    assert!(said.contains("the working directory 'relative' is invalid, it needs to be an absolute path"), "{said}");
}

#[test]
fn names_are_kept_apart() {
    let house = House::new();
    let id = house.ok(["create", "--name", "web", "busybox"]);
    assert_eq!(id.len(), 64);
    let said = house.fails(125, ["run", "--name", "web", "busybox"]);
    assert!(said.contains("Conflict. The container name \"/web\" is already in use by container"), "{said}");
    let said = house.fails(125, ["run", "--name", "a b", "busybox"]);
    assert!(said.contains("Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"), "{said}");
    house.ok(["rename", "web", "shop"]);
    assert_eq!(house.inspect(&id[..10], "{{.Name}}"), "/shop");
    let made = house.inspect(&house.ok(["create", "busybox"]), "{{.Name}}");
    assert!(made.contains('_'), "a name is made up: {made}");
}

#[test]
fn stdin_reaches_the_process() {
    let house = House::new();
    let ended = house.run_with_input(["run", "--rm", "-i", "busybox", "wc", "-c"], &vec![b'x'; 300_000]);
    assert_eq!((ended.code, ended.stdout.trim()), (0, "300000"));
    let ended = house.run_with_input(["run", "--rm", "busybox", "wc", "-c"], b"not attached");
    assert_eq!(ended.stdout.trim(), "0");
}

#[test]
fn an_id_file_is_written_once() {
    let house = House::new();
    let file = house.path().join("cid");
    let id = house.ok(["run", "-d", "--cidfile", file.to_str().unwrap(), "busybox", "true"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
    let said = house.fails(125, ["run", "-d", "--cidfile", file.to_str().unwrap(), "busybox", "true"]);
    assert!(said.contains("container ID file found"), "{said}");
}

#[test]
fn init_reaps_and_forwards() {
    let house = House::new();
    let said =
        house.ok(["run", "--rm", "--init", "busybox", "sh", "-c", "echo $$; (sleep 0 &) ; ps -o pid,comm | head -3"]);
    assert_ne!(said.lines().next(), Some("1"), "pid 1 is the init: {said}");
    house.ok(["run", "-d", "--name", "box", "--init", "busybox", "sleep", "600"]);
    house.ok(["stop", "-t", "30", "box"]);
    assert_eq!(house.inspect("box", "{{.State.ExitCode}}"), "143", "TERM reached the sleeper through the init");
}

#[test]
fn the_log_level_decides_what_is_said_beside_the_answer() {
    let house = House::new();
    let told = house.run(["-l", "debug", "ps"]).stderr;
    assert!(told.contains("DEBUG GET /containers/json") && told.contains("status=200"), "{told}");
    assert!(house.run(["-D", "ps"]).stderr.contains("DEBUG"));
    assert_eq!(house.run(["ps"]).stderr, "");
    let nowhere = format!("unix://{}/none.sock", house.path().display());
    assert!(house.run(["-H", &nowhere, "ps"]).stderr.contains("Hint:"));
    assert!(!house.run(["-l", "error", "-H", &nowhere, "ps"]).stderr.contains("Hint:"));
    assert!(house.fails(125, ["-l", "loud", "ps"]).contains("unable to parse logging level: loud"));
}

#[test]
fn a_container_may_speak_to_the_daemon_as_who_started_it() {
    let house = House::new();
    let program = format!("{HAKO}:/bin/hako:ro");
    let run = ["run", "--rm", "--name", "box", "--use-api-socket", "-v", &program, "busybox", "sh", "-c"];
    let ask = "hako -H unix:///var/run/docker.sock ps --format {{.Names}}";
    // The program may be faster than the news that it runs.
    let both = format!("i=0; until {ask} | grep . || [ $((i += 1)) = 200 ]; do :; done; echo \"($DOCKER_CONFIG)\"");
    assert_eq!(
        house.ok(run.into_iter().chain([both.as_str()])),
        "box\n()",
        "nothing is handed over where there is nothing"
    );
    let config = house.path().join("home/.docker/config.json");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let auths = r#"{"auths":{"r.example:5000":{"auth":"bWU6c2VjcmV0"}}}"#;
    std::fs::write(&config, auths.replacen('{', r#"{"psFormat":"{{.ID}}","#, 1)).unwrap();
    let told = house
        .ok(run.into_iter().chain(["cat $DOCKER_CONFIG/config.json; stat -c ' %a %u' $DOCKER_CONFIG/config.json"]));
    assert_eq!(told, format!("{auths} 600 0"), "credentials, and nothing else of the file");
}

#[test]
fn inspect_shows_settings_as_docker_keeps_them() {
    let house = House::new();
    std::fs::write(house.path().join("labels"), "x=1\ny\n").unwrap();
    let labels = house.path().join("labels");
    house.ok([
        "create",
        "--name",
        "box",
        "--cap-add",
        "net_admin",
        "--cap-drop",
        "all",
        "--pid",
        "host",
        "--label-file",
        labels.to_str().unwrap(),
        "busybox",
    ]);
    let shown = |format: &str| house.inspect("box", format);
    assert_eq!(shown("{{json .HostConfig.CapAdd}} {{json .HostConfig.CapDrop}}"), r#"["CAP_NET_ADMIN"] ["ALL"]"#);
    assert_eq!(shown("{{json .HostConfig.SecurityOpt}}"), r#"["label=disable"]"#);
    assert_eq!(shown("{{json .Config.Labels}}"), r#"{"x":"1"}"#);
    assert!(!shown("{{json .Config}}").contains("ExposedPorts"));
    assert_eq!(shown("{{index .HostConfig.MaskedPaths 0}}"), "/proc/asound");
}
