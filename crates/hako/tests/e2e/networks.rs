//! Networks of people's own: made, joined, left, removed; what is refused.

use crate::house::{House, alive, await_that, run_tool, signal};

fn run(house: &House, name: &str, flags: &[&str]) {
    house.ok(["run", "-d", "--name", name].into_iter().chain(flags.iter().copied()).chain(["busybox", "sleep", "600"]));
}

fn pings(house: &House, from: &str, to: &str) -> bool {
    house.run(["exec", from, "ping", "-c1", "-W1", to]).code == 0
}

fn address(house: &House, container: &str, network: &str) -> String {
    house.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

#[test]
fn a_network_is_made_joined_and_removed() {
    let house = House::new();
    let id = house.ok(["network", "create", "--label", "k=v", "front"]);
    assert_eq!(id.len(), 64);
    assert!(house.ok(["network", "ls"]).contains("front"));
    assert_eq!(house.ok(["network", "ls", "-q", "--filter", "label=k=v"]), id[..12]);
    run(&house, "ann", &["--network", "front", "--network-alias", "a"]);
    run(&house, "bob", &["--network", "front"]);
    run(&house, "out", &[]);
    assert!(pings(&house, "ann", &address(&house, "bob", "front")));
    assert!(!pings(&house, "out", &address(&house, "bob", "front")), "networks are kept apart");
    let names = house.inspect("ann", "{{json (index .NetworkSettings.Networks \"front\").DNSNames}}");
    assert!(names.starts_with(r#"["ann","a","#), "{names}");
    let members = house.ok(["network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", "front"]);
    assert!(members.contains("ann") && members.contains("bob") && !members.contains("out"), "{members}");
    assert_eq!(house.ok(["ps", "--filter", "network=front", "--format", "{{.Names}}"]), "bob\nann");
    let said = house.fails(1, ["network", "rm", "front"]);
    assert!(said.contains("network front has active endpoints (name:\""), "{said}");
    house.ok(["rm", "-f", "ann", "bob"]);
    assert_eq!(house.ok(["network", "rm", "front"]), "front");
    assert!(!run_tool("ip", ["-o", "link"]).contains(&id[..12]), "its bridge went with it");
    house.ok(["network", "rm", "-f", "front"]);
}

#[test]
fn a_running_container_joins_and_leaves() {
    let house = House::new();
    house.ok(["network", "create", "one"]);
    house.ok(["network", "create", "--subnet", "10.7.0.0/24", "--gateway", "10.7.0.254", "two"]);
    run(&house, "box", &["--network", "one", "-p", "7070:70"]);
    run(&house, "peer", &["--network", "two"]);
    assert!(!pings(&house, "box", &address(&house, "peer", "two")));
    house.ok(["network", "connect", "--ip", "10.7.0.77", "--alias", "b", "two", "box"]);
    assert_eq!(address(&house, "box", "two"), "10.7.0.77");
    assert!(pings(&house, "box", &address(&house, "peer", "two")));
    assert!(house.ok(["exec", "box", "cat", "/etc/hosts"]).contains("10.7.0.77\t"));
    let route = || house.ok(["exec", "box", "ip", "route"]);
    assert!(route().contains("default via 172."), "the first by name leads out: {}", route());
    house.kill_daemon();
    assert!(pings(&house, "box", &address(&house, "peer", "two")), "and it stays so");
    house.ok(["network", "disconnect", "one", "box"]);
    assert!(route().contains("default via 10.7.0.254 dev eth1"), "{}", route());
    assert!(house.ok(["port", "box"]).contains("0.0.0.0:7070"), "published ports moved along");
    house.ok(["network", "connect", "bridge", "box"]);
    assert!(house.ok(["exec", "box", "ip", "addr"]).contains("eth0"), "the free name is used again");
    house.ok(["network", "disconnect", "two", "box"]);
    assert!(!house.ok(["exec", "box", "cat", "/etc/hosts"]).contains("10.7.0.77"));
    let said = house.fails(1, ["network", "disconnect", "two", "box"]);
    assert!(said.contains("is not connected to network two"), "{said}");
    house.ok(["restart", "-t", "0", "box"]);
    assert_eq!(house.inspect("box", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"), "bridge ");
}

#[test]
fn stopped_containers_are_joined_when_they_start() {
    let house = House::new();
    for network in ["a", "b", "c"] {
        house.ok(["network", "create", network]);
    }
    house.ok([
        "create",
        "--name",
        "box",
        "--network",
        "b",
        "--network",
        "name=a,gw-priority=1",
        "busybox",
        "sleep",
        "600",
    ]);
    house.ok(["network", "connect", "c", "box"]);
    house.ok(["start", "box"]);
    let devices = house.ok(["exec", "box", "ls", "/sys/class/net"]);
    assert_eq!(devices.split_whitespace().collect::<Vec<_>>(), ["eth0", "eth1", "eth2", "lo"]);
    let way = house.ok(["exec", "box", "ip", "route"]);
    let gateway = house.inspect("box", "{{(index .NetworkSettings.Networks \"a\").Gateway}}");
    assert!(way.contains(&format!("default via {gateway} dev eth1")), "{way}");
    house.ok(["stop", "-t", "0", "box"]);
    house.ok(["network", "rm", "c"]);
    let said = house.fails(1, ["start", "box"]);
    assert!(said.contains("network c not found"), "{said}");
    house.ok(["network", "create", "c"]);
    house.ok(["start", "box"]);
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let house = House::new();
    house.ok(["network", "create", "--subnet", "10.8.0.0/24", "there"]);
    let before = (house.ok(["network", "ls", "--no-trunc"]), run_tool("ip", ["-o", "link"]));
    let create = |flags: &[&str]| house.fails(1, ["network", "create"].into_iter().chain(flags.iter().copied()));
    run_tool("ip", ["link", "add", "dummy9", "type", "veth", "peer", "name", "dummy8"]);
    for (flags, expect) in [
        (&["there"][..], "network with name there already exists"),
        (&["bridge"], "operation is not permitted on predefined bridge network"),
        (&["--subnet", "10.8.0.0/16", "x"], "Pool overlaps with other one on this address space"),
        (&["--subnet", "10.9.0.0/33", "x"], "invalid subnet 10.9.0.0/33: invalid CIDR block notation"),
        (&["--subnet", "10.9.0.1/24", "x"], "it should be 10.9.0.0/24"),
        (&["--subnet", "10.9.0.0/24", "--gateway", "10.1.0.1", "x"], "no matching subnet for gateway 10.1.0.1"),
        (&["--subnet", "10.9.0.0/24", "--ip-range", "10.1.0.0/24", "x"], "no matching subnet for range 10.1.0.0/24"),
        (&["--gateway", "10.9.0.1", "x"], "every ip-range or gateway must have a corresponding subnet"),
        (&["--subnet", "10.9.0.0/24", "--subnet", "10.10.0.0/24", "x"], "doesn't support multiple subnets"),
        (&["-d", "nope", "x"], "plugin \"nope\" not found"),
        (&["-d", "host", "x"], "only one instance of \"host\" network is allowed"),
        (&["-o", "com.docker.network.bridge.enable_icc=maybe", "x"], "enable_icc value: maybe"),
        (&["-o", "com.docker.network.bridge.name=dummy9", "x"], "existing interface dummy9 is not a bridge"),
        (&["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "x"], "only be used for an internal network"),
        (&["--ipv4=false", "x"], "IPv4 or IPv6 must be enabled"),
        (&["--ipam-driver", "foo", "x"], "plugin \"foo\" not found"),
        (&["--scope", "swarm", "x"], "swarm is not active"),
        (&["-d", "ipvlan", "-o", "ipvlan_mode=l4", "x"], "requested ipvlan mode 'l4' is not valid"),
        (&["-d", "ipvlan", "-o", "ipvlan_flag=both", "x"], "ipvlan flag 'both' is not valid, 'bridge' is the"),
        (&["-d", "macvlan", "-o", "parent=nope", "x"], "invalid subinterface vlan name nope"),
        (&["-d", "macvlan", "-o", "parent=nope.5", "x"], "-o parent interface was not found on the host: nope"),
        (&["-d", "macvlan", "-o", "parent=dummy9.5000", "x"], "invalid subinterface vlan name dummy9.5000"),
        (&["-o", "com.docker.network.bridge.name=a/b", "x"], "no slash, colon or space"),
        (&["--config-only", "--config-from", "there", "x"], "cannot depend on another configuration network"),
    ] {
        let said = create(flags);
        assert!(said.contains(expect), "{flags:?}: {said}");
    }
    run_tool("ip", ["link", "del", "dummy9"]);
    assert_eq!(before, (house.ok(["network", "ls", "--no-trunc"]), run_tool("ip", ["-o", "link"])));
    let said = house.fails(125, ["run", "--network", "there", "--ip", "10.9.0.9", "busybox"]);
    assert!(said.contains("no configured subnet or ip-range contain the IP address 10.9.0.9"), "{said}");
    run(&house, "one", &["--network", "there", "--ip", "10.8.0.9"]);
    let said = house.fails(125, ["run", "--rm", "--network", "there", "--ip", "10.8.0.9", "busybox"]);
    assert!(said.contains("Address already in use"), "{said}");
    let said = house.fails(1, ["network", "connect", "there", "one"]);
    assert!(said.contains("endpoint with name one already exists in network there"), "{said}");
    let said = house.fails(1, ["network", "connect", "host", "one"]);
    assert!(said.contains("cannot connect container to host network"), "{said}");
    house.ok(["network", "create", "auto"]);
    let said = house.fails(1, ["network", "connect", "--ip", "10.8.0.10", "auto", "one"]);
    assert!(said.contains("only when connecting to networks with user configured subnets"), "{said}");
}

#[test]
fn endpoints_are_refused_in_dockers_words() {
    let house = House::new();
    house.ok(["network", "create", "--subnet", "10.8.0.0/24", "there"]);
    house.ok(["network", "create", "auto"]);
    run(&house, "on", &["--network", "auto"]);
    house.ok(["create", "--name", "off", "busybox"]);
    let id = |name: &str| house.inspect(name, "{{.Id}}");
    let contains = "no configured subnet or ip-range contain the IP address";
    let sysctls = "com.docker.network.endpoint.sysctls";
    for (words, expect) in [
        ("connect --ip banana there on", format!("* invalid IPv4 address: banana\n* {contains} banana")),
        ("connect --ip6 banana there on", "* invalid IPv6 address: banana\n* user specified IP address".to_owned()),
        ("connect --ip 172.17.0.77 bridge off", "is supported on user defined networks only\n* user spec".to_owned()),
        (&format!("connect --driver-opt {sysctls}=x there on"), "unrecognised network interface sysctl 'x'".to_owned()),
        ("disconnect there on", format!("container {} is not connected to network there", id("on"))),
        ("disconnect there off", format!("container {} is not connected to the network there", id("off"))),
        ("disconnect -f gone on", format!("container {} is not connected to the network gone", id("on"))),
        ("disconnect gone on", "network gone not found".to_owned()),
        ("disconnect -f there gone", "endpoint gone not found".to_owned()),
        ("ls --filter dangling=x", "invalid value for filter 'dangling', must be \"true\" (or \"1\")".to_owned()),
        ("ls --filter dangling=1 --filter dangling=0", "more than one value for filter key \"dangling\"".to_owned()),
        ("prune -f --filter until=x", "failed to parse value as time or duration: \"x\"".to_owned()),
    ] {
        let said = house.fails(1, ["network"].into_iter().chain(words.split(' ')));
        assert!(said.contains(&expect), "{words}: {said}");
    }
    let small = format!("{sysctls}=net.ipv4.conf.ifname.log_martians=1");
    house.ok(["network", "connect", "--driver-opt", &small, "there", "on"]);
    assert_eq!(house.ok(["exec", "on", "cat", "/proc/sys/net/ipv4/conf/eth1/log_martians"]), "1");
    for (pattern, expect) in [("^there$", "there"), ("^the$", ""), ("a.t", "auto"), ("auto|there", "auto\nthere")] {
        let filter = format!("name={pattern}");
        assert_eq!(house.ok(["network", "ls", "--filter", &filter, "--format", "{{.Name}}"]), expect, "{pattern}");
    }
    assert_eq!(house.ok(["ps", "-a", "--filter", "name=^/o[nf]+$", "--format", "{{.Names}}"]), "off\non");
    assert_eq!(house.inspect("on", "{{.NetworkSettings.Networks.gone.IPAddress}}"), "<no value>");
    house.ok(["run", "--rm", "--network", "there", "--link", "comes-later", "busybox", "true"]);
    let mac = ["run", "--rm", "--network", "there", "--mac-address", "02:42:0a:00:00:07", "busybox", "ip", "link"];
    let ended = house.run(mac);
    assert!(ended.stdout.contains("02:42:0a:00:00:07") && ended.stderr.is_empty(), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_small_network_is_full() {
    let house = House::new();
    house.ok(["network", "create", "--subnet", "10.9.0.0/29", "--aux-address", "printer=10.9.0.2", "small"]);
    for name in ["aa", "bb", "cc", "dd"] {
        run(&house, name, &["--network", "small"]);
    }
    assert_eq!(address(&house, "aa", "small"), "10.9.0.3", "the printer keeps its address");
    let said = house.fails(125, ["run", "-d", "--name", "ee", "--network", "small", "busybox", "sleep", "600"]);
    assert!(said.contains("no available IPv4 addresses on this network's address pools: small"), "{said}");
    house.ok(["rm", "-f", "bb"]);
    house.ok(["start", "ee"]);
    assert_eq!(address(&house, "ee", "small"), "10.9.0.4");
}

#[test]
fn somebody_elses_bridge_is_used_and_stays() {
    let house = House::new();
    run_tool("ip", ["link", "add", "br-mine", "type", "bridge"]);
    run_tool("ip", ["addr", "add", "10.66.0.1/24", "dev", "br-mine"]);
    let option = "com.docker.network.bridge.name=br-mine";
    house.ok(["network", "create", "--subnet", "10.6.0.0/24", "-o", option, "mine"]);
    let said = house.fails(1, ["network", "create", "-o", option, "other"]);
    assert!(said.contains("networks have same bridge name"), "{said}");
    run(&house, "box", &["--network", "mine"]);
    assert!(run_tool("ip", ["addr", "show", "br-mine"]).contains("10.66.0.1/24"));
    house.ok(["rm", "-f", "box"]);
    house.ok(["network", "rm", "mine"]);
    assert!(run_tool("ip", ["addr", "show", "br-mine"]).contains("10.66.0.1/24"));
    run_tool("ip", ["link", "del", "br-mine"]);
}

#[test]
fn networks_survive_the_daemon() {
    let house = House::new();
    house.ok(["network", "create", "--ipv6", "kept"]);
    run(&house, "old", &["--network", "kept"]);
    let shown = || house.ok(["network", "inspect", "kept"]);
    let before = shown();
    house.kill_daemon();
    assert_eq!(shown(), before);
    run(&house, "new", &["--network", "kept"]);
    assert_ne!(address(&house, "old", "kept"), address(&house, "new", "kept"), "the address in use is known");
    assert!(pings(&house, "new", &address(&house, "old", "kept")));
    let six = house.inspect("old", "{{(index .NetworkSettings.Networks \"kept\").GlobalIPv6Address}}");
    await_that("IPv6 between them", || pings(&house, "new", &six));
    house.ok(["stop", "-t", "0", "old", "new"]);
    assert_eq!(house.ok(["network", "prune", "-f"]).trim(), "Deleted Networks:\nkept");
}

#[test]
fn events_tell_of_networks() {
    let house = House::new();
    house.ok(["version"]);
    house.ok(["network", "create", "n"]);
    run(&house, "box", &["--network", "none"]);
    house.ok(["rm", "-f", "box"]);
    run(&house, "box", &[]);
    house.ok(["network", "connect", "n", "box"]);
    house.ok(["network", "disconnect", "n", "box"]);
    house.ok(["network", "rm", "n"]);
    let format = "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}";
    let flags = ["events", "--since", "10m", "--until", "0s", "--filter", "type=network", "--format", format];
    assert_eq!(
        house.ok(flags),
        "create n bridge\nconnect bridge bridge\nconnect n bridge\ndisconnect n bridge\ndestroy n bridge"
    );
}

#[test]
fn a_configuration_is_shared() {
    let house = House::new();
    house.ok(["network", "create", "--config-only", "--subnet", "10.5.0.0/24", "--label", "a=b", "plan"]);
    house.ok(["network", "create", "--config-from", "plan", "real"]);
    assert_eq!(
        house.ok(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}", "real"]),
        "10.5.0.0/24 b"
    );
    let said = house.fails(1, ["network", "rm", "plan"]);
    assert!(said.contains("configuration network \"plan\" is in use"), "{said}");
    let said = house.fails(125, ["run", "--rm", "--network", "plan", "busybox", "true"]);
    assert!(said.contains("cannot create endpoint on configuration-only network"), "{said}");
}

#[test]
fn who_answers_and_who_reaches_is_told() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    run(&house, "web", &["--network", "front", "-p", "8080:80", "-p", "127.0.0.1:9090:90"]);
    run(&house, "bob", &["--network", "front", "--dns", "127.0.0.1"]);
    let said = house.ok(["network", "trace", "--from", "bob", "web"]);
    let there = address(&house, "web", "front");
    assert!(said.starts_with("bob asks:\n-> network front") && said.contains(&there), "{said}");
    let said = house.ok(["network", "trace", "--from", "bob", "nowhere.example"]);
    assert!(said.contains("   network front") && said.contains("no such name"), "{said}");
    assert!(said.contains("server 127.0.0.1:53"), "{said}");
    assert!(house.ok(["network", "trace", "web"]).contains(&there));
    run_tool(
        "nft",
        ["add table inet fw; add chain inet fw forward { type filter hook forward priority 0; policy drop; }"],
    );
    run_tool("nft", ["add chain inet fw input { type filter hook input priority 0; policy drop; }"]);
    await_that("the firewall to know us", || run_tool("nft", ["list", "ruleset"]).contains("by hako"));
    let said = house.ok(["port", "--who", "web"]);
    for line in [
        "80/tcp -> 0.0.0.0:8080",
        "    who  every host that reaches one of this host's addresses",
        "90/tcp -> 127.0.0.1:9090",
        "    who  this host only",
    ] {
        assert!(said.lines().any(|found| found == line), "{line} in {said}");
    }
    assert!(
        said.contains("tcp 8080 leads to ")
            && said.contains("table inet fw, chain forward (forward): lets it pass by the rule"),
        "{said}"
    );
    assert!(said.contains("not table inet fw, chain input: packets to this port do not pass the input hook"), "{said}");
    assert!(house.ok(["port", "--who", "web", "90"]).starts_with("90/tcp"));
    run_tool("nft", ["delete", "table", "inet", "fw"]);
}

#[test]
fn published_ports_may_obey_the_input_rules() {
    let house = House::empty();
    house.configure(r#"{"publish-by-input": true, "ip": "127.0.0.1"}"#);
    house.import_busybox();
    let serve = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\npage' | nc -l -p 80 >/dev/null; done";
    house.ok(["run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", serve]);
    assert_eq!(house.ok(["port", "web"]), "80/tcp -> 127.0.0.1:8080", "the default address");
    let page = || {
        let ended = std::process::Command::new("curl").args(["-s", "-m", "1", "http://127.0.0.1:8080/"]).output();
        ended.is_ok_and(|ended| ended.stdout == b"page")
    };
    await_that("the page", page);
    assert!(house.ok(["port", "--who", "web"]).contains("the host's input rules decide"));
    run_tool(
        "nft",
        [
            "add table inet fw; add chain inet fw input { type filter hook input priority 0; }; add rule inet fw input tcp dport 8080 drop",
        ],
    );
    assert!(!page(), "the input rules decide");
    run_tool("nft", ["delete", "table", "inet", "fw"]);
    await_that("the page again", page);
}

#[test]
fn ten_thousand_udp_ports() {
    let house = House::new();
    house.ok(["network", "create", "n"]);
    let flags = [
        "run",
        "-d",
        "--name",
        "box",
        "--network",
        "n",
        "-p",
        "10000-19999:10000-19999/udp",
        "busybox",
        "sleep",
        "600",
    ];
    house.ok(flags);
    assert_eq!(house.ok(["port", "box"]).lines().filter(|line| line.contains("0.0.0.0")).count(), 10_000);
    let said = house.fails(125, ["run", "--rm", "-p", "12345:1/udp", "busybox", "true"]);
    assert!(said.contains("port is already allocated"), "{said}");
    house.ok(["rm", "-f", "box"]);
    house.ok(["run", "--rm", "-p", "12345:1/udp", "busybox", "true"]);
}

#[test]
fn what_a_network_was_made_of_is_out_of_the_way_at_once() {
    let house = House::new();
    run(&house, "box", &[]);
    let links = || run_tool("ip", ["-o", "link"]);
    for round in 0..8 {
        // Name, device and subnet of the one before, whose device the kernel may still be removing.
        let device = ["--subnet", "10.7.0.0/24", "-o", "com.docker.network.bridge.name=br-own"];
        house.ok(["network", "create", "--ipv6"].into_iter().chain(device).chain(["one"]));
        run(&house, "peer", &["--network", "one", "--ip", "10.7.0.9"]);
        house.ok(["network", "connect", "--ip", "10.7.0.8", "one", "box"]);
        assert!(pings(&house, "box", "peer"), "round {round}");
        house.ok(["network", "disconnect", "one", "box"]);
        let devices = house.ok(["exec", "box", "ls", "/sys/class/net"]);
        assert_eq!(devices.split_whitespace().collect::<Vec<_>>(), ["eth0", "lo"], "round {round}");
        assert!(!pings(&house, "box", "10.7.0.9"), "round {round}");
        house.ok(["network", "connect", "--ip", "10.7.0.8", "one", "box"]);
        assert!(pings(&house, "box", "peer"), "round {round}");
        house.ok(["network", "disconnect", "one", "box"]);
        house.ok(["rm", "-f", "peer"]);
        house.ok(["network", "rm", "one"]);
        assert!(!links().contains("br-own"), "{}", links());
        assert!(!run_tool("ip", ["addr"]).contains("10.7.0."), "the host has no part in it any more");
        assert_eq!(house.ok(["network", "ls", "-q", "--filter", "driver=bridge", "--filter", "name=one"]), "");
    }
    await_that("the last device to be removed", || !links().contains("hk~"));
}

#[test]
fn what_a_killed_daemon_did_not_come_to_goes_with_the_next() {
    let house = House::new();
    house.ok(["network", "create", "keep"]);
    let lost = house.ok(["network", "create", "lost"]);
    house.kill_daemon();
    // As if it was killed in the middle of removing one network, and of removing the devices of another.
    std::fs::remove_file(house.data().join(format!("network/{lost}.json"))).unwrap();
    run_tool("ip", ["link", "add", "hk~77", "type", "bridge"]);
    let noted = house.path().join("run/network.json");
    let mut blueprint: serde_json::Value = serde_json::from_slice(&std::fs::read(&noted).unwrap()).unwrap();
    blueprint["retired"] = serde_json::json!(["hk-000000000000", "hk~77"]);
    std::fs::write(&noted, blueprint.to_string()).unwrap();
    assert!(!house.ok(["network", "ls"]).contains("lost"));
    let links = || run_tool("ip", ["-o", "link"]);
    await_that("the devices to be removed", || !links().contains("hk~") && !links().contains(&lost[..12]));
    let keep = house.ok(["network", "inspect", "-f", "{{.Id}}", "keep"]);
    assert!(links().contains(&keep[..12]), "{}", links());
    house.ok(["network", "rm", "keep"]);
    let pid = house.daemon_pid().unwrap();
    signal(pid, "TERM");
    await_that("the daemon to leave", || !alive(pid));
    assert!(!links().contains("hk"), "it waits for what it began: {}", links());
}

/// `HAKO_TEST_CYCLES=1000` takes a minute.
#[test]
fn many_networks_come_and_go_without_a_trace() {
    let cycles = std::env::var("HAKO_TEST_CYCLES").ok().and_then(|number| number.parse().ok()).unwrap_or(30);
    let house = House::new();
    // Five addresses: one that is not given back is missed soon.
    house.ok(["network", "create", "--subnet", "10.77.0.0/29", "small"]);
    let entries = |path: &str| std::fs::read_dir(house.path().join(path)).map_or(0, Iterator::count);
    let seen = || {
        let host = [run_tool("ip", ["-o", "link"]), run_tool("nft", ["list", "ruleset"]), run_tool("ip", ["rule"])];
        let places = ["run/names", "run/supervisors", "data/network", "data/containers"].map(entries);
        (host.map(|text| text.lines().count()), places)
    };
    let cycle = |name: &str| {
        house.ok(["network", "create", name]);
        house.ok(["run", "-d", "--name", "box", "--network", name, "-p", "9999:80", "busybox", "sleep", "600"]);
        house.ok(["network", "connect", "small", "box"]);
        house.ok(["rm", "-f", "box"]);
        house.ok(["network", "rm", name]);
    };
    cycle("warm");
    let mut before = seen();
    // The daemon keeps spares; their number settles.
    await_that("a state of rest", || std::mem::replace(&mut before, seen()) == before);
    (0..cycles).for_each(|round| cycle(&format!("net{round}")));
    await_that("everything to be gone", || seen() == before);
}
