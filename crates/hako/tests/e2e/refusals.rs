//! Bad input: refused before anything is made, with the offending text.

use crate::house::House;

#[test]
fn bad_flags_and_values_are_named() {
    let house = House::new();
    let cases: &[(&[&str], &str)] = &[
        (&["run", "-p", "notaport:80", "busybox"], "notaport"),
        (&["run", "-p", "80:99999", "busybox"], "99999"),
        (&["run", "-p", "1-3:80-81", "busybox"], "1-3"),
        (&["run", "-m", "12parsecs", "busybox"], "12parsecs"),
        (&["run", "-m", "4k", "busybox"], "Minimum memory limit allowed is 6MB"),
        (&["run", "--cpus", "x", "busybox"], "x"),
        (&["run", "--cpus", "900", "busybox"], "range of CPUs is from 0.01 to"),
        (&["run", "-v", "relative:/a:sideways", "busybox"], "sideways"),
        (&["run", "-v", "/a", "-v", "name:relative", "busybox"], "relative"),
        (&["run", "--mount", "type=bind,src=/tmp", "busybox"], "target is required"),
        (&["run", "--mount", "type=warp,dst=/x", "busybox"], "warp"),
        (&["run", "--mount", "type=bind,src=/tmp,dst=/x,colour=red", "busybox"], "colour"),
        (&["run", "--storage-opt", "speed=1", "busybox"], "Unknown option speed"),
        (&["run", "--storage-opt", "size=x", "busybox"], "invalid size: 'x'"),
        (&["run", "--gpus", "foo=1", "busybox"], "unexpected key 'foo'"),
        (&["run", "--ulimit", "nofile", "busybox"], "nofile"),
        (&["run", "--ulimit", "nosuch=1", "busybox"], "nosuch"),
        (&["run", "--add-host", "nocolon", "busybox"], "nocolon"),
        (&["run", "--dns", "nowhere", "busybox"], "nowhere"),
        (&["run", "--restart", "sometimes", "busybox"], "sometimes"),
        (&["run", "--restart", "always:3", "busybox"], "maximum retry count"),
        (&["run", "--security-opt", "nonsense", "busybox"], "nonsense"),
        (&["run", "--env-file", "/no/such/file", "busybox"], "/no/such/file"),
        (&["run", "--rm", "--network", "container:nobody", "busybox"], "container: No such container: nobody"),
        (&["run", "--pid", "sideways", "busybox"], "invalid PID mode"),
        (&["run", "--platform", "toaster", "busybox"], "toaster"),
        (&["run", "--stop-signal", "SIGNONE", "busybox"], "SIGNONE"),
        (&["run", "--device", "/dev/nothing-here", "busybox"], "/dev/nothing-here"),
        (&["run", "--isolation", "hyperv", "busybox"], "isolation"),
        (&["run", "bad reference!", "x"], "invalid reference format"),
        (&["run", "--health-interval", "1", "busybox"], "health-interval"),
        (&["run"], "requires at least 1 argument"),
    ];
    for (args, wanted) in cases {
        let ended = house.run(*args);
        // Docker takes a missing device for a missing program.
        let codes = if args.contains(&"--device") { [127, 127] } else { [125, 1] };
        assert!(codes.contains(&ended.code), "{args:?} ended with {}", ended.code);
        assert!(ended.stderr.contains(wanted), "{args:?} said {}", ended.stderr);
    }
    assert_eq!(house.ok(["ps", "-aq"]), "", "nothing was created");
    assert_eq!(house.ok(["volume", "ls", "-q"]), "");
}

/// What the daemon refuses ends `create` with 1 and `run` with 125, as docker does; the words are docker's.
#[test]
fn what_the_daemon_refuses_at_creation() {
    let house = House::new();
    let log = |driver: &'static str, options: &'static [&'static str]| {
        let options = options.iter().flat_map(|option| ["--log-opt", option]);
        ["--log-driver", driver].into_iter().chain(options).collect::<Vec<&str>>()
    };
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (log("syslog", &["syslog-address=nope"]), "unsupported scheme: ''"),
        (log("syslog", &["syslog-address=tcp://127.0.0.1:x"]), "invalid port \":x\" after host"),
        (log("syslog", &["syslog-address=unix:///nope"]), "stat /nope: no such file or directory"),
        (log("syslog", &["syslog-facility=nope"]), "invalid syslog facility"),
        (log("syslog", &["syslog-format=nope"]), "Invalid syslog format"),
        (log("gelf", &[]), "gelf-address is a required parameter"),
        (log("gelf", &["gelf-address=udp://127.0.0.1"]), "please provide gelf-address as proto://host:port"),
        (
            log("fluentd", &["fluentd-address=nope://x"]),
            "invalid fluentd-address (nope://x): unsupported scheme: 'nope'",
        ),
        (log("fluentd", &["fluentd-retry-wait=x"]), "time: invalid duration \"x\""),
        (log("json-file", &["mode=nope"]), "logger: logging mode not supported: nope"),
        (
            vec!["--cpu-rt-runtime", "200", "--cpu-rt-period", "100"],
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
        (vec!["--ip", "nope"], "invalid IPv4 address: nope"),
        (vec!["--link-local-ip", "nope"], "invalid link-local IP address: nope"),
        (vec!["--platform", "nope"], "error parsing specified platform"),
    ];
    for (options, wanted) in cases {
        // Docker takes any missing file for a missing program.
        let missing = if wanted.contains("no such file") { 127 } else { 125 };
        for (command, code) in [("create", 1), ("run", missing)] {
            let said = house.fails(code, [command].iter().chain(&options).chain(&["busybox", "true"]));
            assert!(said.contains(wanted), "{command} {options:?} said {said}");
        }
    }
    assert_eq!(house.ok(["ps", "-aq"]), "", "nothing was created");
    // What is not known before it starts is no reason to refuse it now.
    for options in [log("syslog", &["syslog-address=tcp://no.such.host.invalid:1"]), log("syslog", &["tag={{.Nope}}"])]
    {
        house.ok(["create"].iter().chain(&options).chain(&["busybox", "true"]));
    }
    let said = house.fails(1, ["run", "-d", "-a", "stdout", "busybox", "true"]);
    assert_eq!(said, "conflicting options: cannot specify both --attach and --detach\n");
    house.ok(["volume", "create", "one"]);
    let table = "VOLUME NAME   GROUP     DRIVER    AVAILABILITY   STATUS";
    assert_eq!(house.ok(["volume", "ls", "--cluster"]), table, "of a cluster there are none");
    assert_eq!(house.ok(["volume", "ls", "--cluster", "-q"]), "");
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let house = House::empty();
    for command in [&["buildx", "create"][..], &["swarm", "init"], &["plugin", "ls"]] {
        let ended = house.run(command);
        assert_ne!(ended.code, 0, "{command:?}");
        assert!(ended.stderr.contains("not supported yet"), "{command:?}: {}", ended.stderr);
    }
    let said = house.fails(1, ["no-such-command"]);
    assert!(said.contains("hako: unknown command: hako no-such-command"), "{said}");
}

#[test]
fn the_socket_survives_nonsense() {
    use std::io::{Read as _, Write as _};
    let house = House::empty();
    house.ok(["version"]);
    let endless = "x".repeat(4 << 20);
    for bytes in [&b"\0\0\0\0\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":", endless.as_bytes()] {
        let mut stream = std::os::unix::net::UnixStream::connect(house.socket()).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains(" 500 "));
    }
    house.ok(["version"]);
}

#[test]
fn what_dockers_client_leaves_to_the_daemon_has_its_codes() {
    let house = House::new();
    let policy = "Error response from daemon: invalid restart policy: unknown policy 'odd'; use one of 'no', 'always', \
                  'on-failure', or 'unless-stopped'";
    let mount = "Error response from daemon: invalid mount config for type \"odd\": mount type unknown";
    assert_eq!(house.fails(1, ["create", "--restart", "odd", "busybox"]).trim(), policy);
    assert_eq!(house.fails(1, ["create", "--mount", "type=odd,target=/x", "busybox"]).trim(), mount);
    assert!(house.fails(125, ["run", "--restart", "odd", "busybox"]).starts_with(&format!("hako: {policy}\n")));
    assert!(
        house.fails(127, ["run", "--rm", "--sysctl", "net.odd=1", "busybox"]).contains("no such file or directory")
    );
    house.ok(["create", "--name", "box", "busybox", "sleep", "600"]);
    let said = house.fails(1, ["start", "gone", "box"]);
    assert!(said.trim().ends_with("Error: failed to start containers: gone"), "{said}");
    let said = house.run(["exec", "-w", "/bin/sh", "box", "true"]);
    assert!(said.code == 127 && said.stdout.contains("not a directory: Are you trying"), "{}", said.stdout);
    // For another platform the image is fetched, though it is here for this one; nobody answers there.
    let said = house.fails(1, ["create", "--platform", "linux/s390x", "busybox"]);
    assert!(said.contains("Unable to find image 'busybox:latest' locally"), "{said}");
}
