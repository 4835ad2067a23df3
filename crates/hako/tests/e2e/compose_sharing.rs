//! Services that share what others have: namespaces, volumes, the daemon's socket; names, and what profiles keep.

use crate::compose::{Described, docker_compose};
use crate::house::House;

const SHARING: &str = "\
services:
  main:
    image: busybox
    command: sleep 600
    hostname: front.example
    stop_grace_period: 0s
    environment: {LEVEL: one}
    volumes: [/a, '/data:/d']
    expose: ['3000', 4000-4001]
  net: {image: busybox, command: sleep 600, network_mode: 'service:main', stop_grace_period: 0s}
  ipc: {image: busybox, command: sleep 600, ipc: 'service:main', pid: 'service:main', stop_grace_period: 0s}
  files: {image: busybox, command: sleep 600, volumes_from: ['main:ro'], stop_grace_period: 0s}
";

#[test]
fn who_shares_follows_whom_it_shares_with() {
    let house = House::new();
    let text = SHARING.replace("/data", &house.path().display().to_string());
    let text = text.replace("  main:\n", "  main:\n    ipc: shareable\n");
    let shop = Described::new(&house, &text);
    shop.ok(&["up", "-d"]);
    let ids = || ["main", "net", "ipc", "files"].map(|name| shop.id(&format!("shop-{name}-1")));
    let first = ids();
    let mode = |name: &str, field: &str| house.inspect(name, &format!("{{{{.HostConfig.{field}}}}}"));
    assert_eq!(mode("shop-net-1", "NetworkMode"), format!("container:{}", first[0]));
    assert_eq!(mode("shop-files-1", "VolumesFrom"), format!("[{}:ro]", first[0]));
    let ports = house.inspect("shop-main-1", "{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}");
    assert_eq!(ports.trim_end(), "3000 4000/tcp 4001/tcp");
    let found = shop.ok(&["run", "--rm", "-T", "files", "nslookup", "front.example"]);
    assert!(found.contains("Address"), "{found}");
    let routes = shop.ok(&["exec", "-T", "main", "ip", "addr"]);
    assert_eq!(shop.ok(&["run", "--rm", "-T", "net", "ip", "addr"]), routes, "its network is main's");
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    if let Some(docker) = docker_compose() {
        // To docker compose nothing changed either.
        let mut command = std::process::Command::new(docker);
        command.args(["up", "-d"]).current_dir(&shop.directory);
        command.env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
        house.at_home(&mut command);
        assert!(command.output().expect("docker compose").status.success());
        assert_eq!(ids(), first);
    }
    shop.write(&text.replace("LEVEL: one", "LEVEL: two"));
    let plan = shop.ok(&["plan"]);
    assert_eq!(plan.matches("it shares with main, which is made anew").count(), 3, "{plan}");
    shop.ok(&["up", "-d"]);
    let second = ids();
    assert!(first.iter().zip(&second).all(|(before, after)| before != after));
    assert_eq!(mode("shop-net-1", "NetworkMode"), format!("container:{}", second[0]));
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
}

#[test]
fn the_socket_is_there_for_those_who_use_it() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "services: {s: {image: busybox, command: sleep 600, stop_grace_period: 0s, use_api_socket: true}}\n",
    );
    shop.ok(&["up", "-d"]);
    shop.ok(&["exec", "-T", "s", "test", "-S", "/var/run/docker.sock"]);
    let credentials = shop.ok(&["exec", "-T", "s", "sh", "-c", "cat $DOCKER_CONFIG/config.json"]);
    assert!(credentials.contains("\"auths\""), "{credentials}");
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    assert!(!shop.ok(&["config"]).contains("docker.sock"), "what is described stays as it was written");
}

const PROFILES: &str = "\
services:
  web: {image: busybox, command: sleep 600, stop_grace_period: 0s, ports: ['127.0.0.1::80']}
  tool: {image: busybox, command: sh -c 'echo said; exec sleep 600', stop_grace_period: 0s, profiles: [more]}
volumes: {stock: }
";

#[test]
fn what_a_profile_brings_up_it_takes_down() {
    let house = House::new();
    let shop = Described::new(&house, PROFILES);
    shop.ok(&["--profile", "more", "up", "-d"]);
    assert_eq!(shop.ok(&["images"]).lines().count(), 3, "of all containers");
    let row: serde_json::Value = serde_json::from_str(&shop.ok(&["ps", "--format", "json", "web"])).unwrap();
    let published = &row["Publishers"][0];
    assert_eq!((&published["URL"], &published["TargetPort"]), (&"127.0.0.1".into(), &80.into()));
    assert!(published["PublishedPort"].as_u64().is_some_and(|port| port > 0), "{row}");
    let said = shop.ok(&["--profile", "more", "--ansi", "always", "logs", "tool"]);
    assert_eq!(said, "\u{1b}[36mtool-1  | \u{1b}[0msaid");
    assert_eq!(shop.ok(&["--profile", "more", "logs", "tool"]), "tool-1  | said");
    shop.ok(&["down", "--remove-orphans"]);
    assert_eq!(house.ok(["ps", "--format", "{{.Names}}"]), "shop-tool-1");
    let killed = shop.ok(&["--profile", "more", "rm", "-sf"]);
    assert_eq!(killed, "Going to remove shop-tool-1");
    let again = shop.run(&["--profile", "more", "down"]);
    assert!(!again.stderr.contains("No resource found"), "the network was there still: {}", again.stderr);
    let nothing = shop.run(&["down"]);
    assert_eq!(nothing.stderr, "", "to Compose a network that is described is something to remove");
    for (args, said) in [
        (&["--progress", "bogus", "ps"][..], "unsupported --progress value \"bogus\""),
        (&["ls", "--filter", "bogus=1"], "invalid filter 'bogus'"),
    ] {
        let ended = shop.run(args);
        assert!(ended.code == 1 && ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn names_with_underscores_when_they_are_asked_for() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "services:\n  web: {image: busybox, command: sleep 600, stop_grace_period: 0s, links: [db]}\n  db: {image: busybox, \
         command: sh -c 'echo up; exec sleep 600', stop_grace_period: 0s}\n  made: {build: .}\n  short: {image: busybox, command: sh -c 'sleep 3; exit 3', profiles: [more]}\n",
    );
    shop.ok(&["--compatibility", "up", "-d", "web"]);
    assert_eq!(house.ok(["ps", "--filter", "name=web", "--format", "{{.Names}}"]), "shop_web_1");
    assert_eq!(shop.ok(&["--compatibility", "logs", "db"]), "db_1  | up");
    assert!(shop.ok(&["--compatibility", "config", "--images"]).contains("shop_made"));
    assert_eq!(shop.ok(&["--compatibility", "plan", "web"]), "Nothing to do: everything is as described.");
    shop.ok(&["--compatibility", "up", "-d", "short"]);
    let ended = shop.run(&["--compatibility", "--profile", "more", "wait", "--down-project", "db", "short"]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(house.ok(["ps", "-aq"]), "", "the first to end ends all");
}

const ENDING: &str = "\
services:
  ok: {image: busybox, command: 'true'}
  bad: {image: busybox, command: sh -c 'sleep 2; exit 4'}
  long: {image: busybox, command: sleep 600, stop_signal: SIGKILL}
";

#[test]
fn the_first_end_is_the_end_of_all() {
    let house = House::new();
    let shop = Described::new(&house, ENDING);
    let ended = shop.run(&["up", "--abort-on-container-exit", "ok", "long"]);
    assert_eq!(ended.code, 0, "the first one's code: {}{}", ended.stdout, ended.stderr);
    for line in ["ok-1 exited with code 0", "Aborting on container exit...", "long-1 exited with code 137"] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    shop.ok(&["down"]);
    // One end is the end of all; the code is that of the service that was named.
    let named = shop.run(&["up", "--exit-code-from", "long", "ok", "long"]);
    assert_eq!(named.code, 137, "{}{}", named.stdout, named.stderr);
    let failed = shop.run(&["up", "--abort-on-container-failure", "ok", "bad", "long"]);
    assert_eq!(failed.code, 4, "{}{}", failed.stdout, failed.stderr);
    for (args, said) in [
        (&["up", "--exit-code-from", "nosuch", "long"][..], "no such service: nosuch"),
        (&["up", "-d", "--attach", "ok"], "--detach cannot be combined with --abort-on-container-exit"),
        (&["up", "--wait", "--exit-code-from", "ok"], "--wait cannot be combined with --abort-on-container-exit"),
        (&["logs", "--index", "5", "ok"], "service \"ok\" is not running container #5"),
        (&["images", "--format", "bogus"], "format value \"bogus\" could not be parsed"),
    ] {
        let ended = shop.run(args);
        assert!(ended.code == 1 && ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
}
