//! Who reaches whom: internal networks, neighbours that must not talk, gateway modes, spoofing, metadata addresses.

use std::os::fd::AsFd as _;

use crate::house::{House, await_that, run_tool};

const SERVE: &str = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\npage' | nc -l -p 80 >/dev/null; done";

fn run(house: &House, name: &str, flags: &[&str]) {
    house.ok(["run", "-d", "--name", name]
        .into_iter()
        .chain(flags.iter().copied())
        .chain(["busybox", "sh", "-c", SERVE]));
}

fn address(house: &House, container: &str, network: &str) -> String {
    house.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

fn pings(house: &House, from: &str, to: &str) -> bool {
    house.run(["exec", from, "ping", "-c1", "-W1", to]).code == 0
}

fn fetches(house: &House, from: &str, to: &str) -> bool {
    house.run(["exec", from, "timeout", "2", "wget", "-qO-", &format!("http://{to}/")]).stdout == "page"
}

/// A host outside, at 198.51.100.2, that knows the way to the containers' networks; gone with the value.
struct Outside(String);

impl Outside {
    fn new() -> Self {
        let link = std::fs::read_link("/proc/thread-self/ns/net").unwrap().to_string_lossy().into_owned();
        let name = format!("far-{}", link.chars().filter(char::is_ascii_digit).collect::<String>());
        let script = format!(
            "ip netns add {name} && ip link add wire type veth peer name wire0 netns {name} && ip addr add 198.51.100.1/24 dev wire && \
             ip link set wire up && ip -n {name} addr add 198.51.100.2/24 dev wire0 && ip -n {name} link set wire0 up && \
             ip -n {name} link set lo up && ip -n {name} route add default via 198.51.100.1"
        );
        run_tool("sh", ["-c", &script]);
        Self(name)
    }

    fn fetches(&self, address: &str) -> bool {
        let url = format!("http://{address}/");
        let ended =
            std::process::Command::new("ip").args(["netns", "exec", &self.0, "curl", "-s", "-m", "1", &url]).output();
        ended.is_ok_and(|ended| ended.stdout == b"page")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        run_tool("ip", ["netns", "del", &self.0]);
    }
}

#[test]
fn an_internal_network_is_a_world_of_its_own() {
    let house = House::new();
    let outside = Outside::new();
    house.ok(["network", "create", "--internal", "vault"]);
    run(&house, "ann", &["--network", "vault", "-p", "8080:80"]);
    run(&house, "bob", &["--network", "vault"]);
    await_that("neighbours to talk", || fetches(&house, "bob", &address(&house, "ann", "vault")));
    assert!(!pings(&house, "bob", "198.51.100.2"), "no way out");
    assert_eq!(house.inspect("ann", "{{json .NetworkSettings.Ports}}"), "{\"80/tcp\":null}", "nothing is published");
    let gateway = house.ok(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "vault"]);
    let listener = std::net::TcpListener::bind("0.0.0.0:7777").unwrap();
    let dial = house.run(["exec", "bob", "nc", "-w", "1", &gateway, "7777"]);
    assert_ne!(dial.code, 0, "nor to the host's services");
    drop(listener);
    let pid: i32 = house.inspect("bob", "{{.State.Pid}}").parse().unwrap();
    let netns = hako_sys::netns::of(pid).unwrap();
    hako_sys::netns::within(netns.as_fd(), || run_tool("ip", ["route", "add", "default", "via", &gateway])).unwrap();
    assert!(!pings(&house, "bob", "198.51.100.2"), "not even with a route");
    assert!(!outside.fetches(&address(&house, "ann", "vault")));
}

#[test]
fn neighbours_may_be_kept_apart() {
    let house = House::new();
    house.ok(["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart"]);
    run(&house, "ann", &["--network", "apart", "-p", "8080:80"]);
    run(&house, "bob", &["--network", "apart"]);
    assert!(!fetches(&house, "bob", &address(&house, "ann", "apart")));
    let gateway = house.inspect("ann", "{{.NetworkSettings.Networks.apart.Gateway}}");
    await_that("the published port", || fetches(&house, "bob", &format!("{gateway}:8080")));
}

#[test]
fn gateway_modes() {
    let house = House::new();
    let outside = Outside::new();
    let mode = |mode: &str| format!("com.docker.network.bridge.gateway_mode_ipv4={mode}");
    for (network, flag) in [("nat", "nat"), ("routed", "routed"), ("bare", "nat-unprotected")] {
        house.ok(["network", "create", "-o", &mode(flag), network]);
    }
    run(&house, "shut", &["--network", "nat"]);
    run(&house, "open", &["--network", "routed", "-p", "80"]);
    run(&house, "closed", &["--network", "routed"]);
    run(&house, "bare", &["--network", "bare"]);
    await_that("the routed port", || outside.fetches(&address(&house, "open", "routed")));
    assert!(!outside.fetches(&address(&house, "closed", "routed")), "only what is published");
    await_that("the unprotected port", || outside.fetches(&address(&house, "bare", "bare")));
    assert!(!outside.fetches(&address(&house, "shut", "nat")));
    house.ok(["network", "create", "--internal", "-o", &mode("isolated"), "alone"]);
    run(&house, "alone", &["--network", "alone"]);
    assert!(address(&house, "alone", "alone").ends_with(".0.1"), "the host has no address there");
}

#[test]
fn nobody_speaks_for_others() {
    let house = House::new();
    house.ok(["network", "create", "--subnet", "10.3.0.0/24", "safe"]);
    house.ok(["network", "create", "--subnet", "10.4.0.0/24", "-o", "io.hako.network.spoofing=true", "free"]);
    for network in ["safe", "free"] {
        let name = format!("{network}-peer");
        run(&house, &name, &["--network", network]);
        run(&house, &format!("{network}-liar"), &["--network", network, "--cap-add", "NET_ADMIN"]);
    }
    let lies = |network: &str, subnet: u8| {
        let (liar, peer) = (format!("{network}-liar"), address(&house, &format!("{network}-peer"), network));
        assert!(pings(&house, &liar, &peer), "while it is honest");
        let take = format!(
            "ip addr add 10.{subnet}.0.99/24 dev eth0; ip addr flush dev eth0; ip addr add 10.{subnet}.0.99/24 dev eth0"
        );
        house.ok(["exec", &liar, "sh", "-c", &take]);
        let other_address = pings(&house, &liar, &peer);
        house.ok([
            "exec",
            &liar,
            "sh",
            "-c",
            "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99; ip link set eth0 up",
        ]);
        (other_address, pings(&house, &liar, &peer))
    };
    assert_eq!(lies("safe", 3), (false, false), "neither another's address nor another's MAC");
    assert_eq!(lies("free", 4), (true, true), "unless its owner wants it");
}

#[test]
fn metadata_addresses_are_out_of_reach() {
    let house = House::new();
    let _outside = Outside::new();
    run_tool("ip", ["route", "add", "169.254.169.254/32", "via", "198.51.100.2"]);
    let far = _outside.0.as_str();
    run_tool("ip", ["-n", far, "addr", "add", "169.254.169.254/32", "dev", "lo"]);
    run(&house, "box", &[]);
    await_that("the world", || pings(&house, "box", "198.51.100.2"));
    assert!(!pings(&house, "box", "169.254.169.254"));
}

#[test]
fn metadata_addresses_are_reached_if_allowed() {
    let house = House::empty();
    house.configure(r#"{"allow-metadata": true}"#);
    house.import_busybox();
    let outside = Outside::new();
    run_tool("ip", ["route", "add", "169.254.169.254/32", "via", "198.51.100.2"]);
    run_tool("ip", ["-n", &outside.0, "addr", "add", "169.254.169.254/32", "dev", "lo"]);
    run(&house, "box", &[]);
    await_that("the metadata", || pings(&house, "box", "169.254.169.254"));
}

#[test]
fn ipv6_is_one_flag() {
    let house = House::empty();
    house.configure(r#"{"ipv6": true, "fixed-cidr-v6": "fd00:77::/64", "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}}"#);
    house.import_busybox();
    run(&house, "box", &["-p", "8080:80"]);
    assert_eq!(house.inspect("box", "{{.NetworkSettings.GlobalIPv6Address}}"), "fd00:77::2");
    house.ok(["network", "create", "--ipv6", "both"]);
    house.ok(["network", "create", "--ipv6", "--ipv4=false", "six"]);
    run(&house, "one", &["--network", "both"]);
    house.ok(["run", "-d", "--name", "two", "--network", "six", "busybox", "sleep", "600"]);
    assert!(house.ok(["exec", "one", "cat", "/sys/class/net/eth0/mtu"]).contains("1400"), "the daemon's default");
    let six = house.inspect("two", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}");
    assert!(six.starts_with("fd") && house.ok(["exec", "two", "ip", "addr"]).contains(&six), "{six}");
    assert_eq!(address(&house, "two", "six"), "");
    house.ok(["network", "connect", "six", "one"]);
    await_that("IPv6 between them", || house.run(["exec", "one", "ping", "-c1", "-W1", "two"]).code == 0);
    let sysctl = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    let flag = format!("name=both,driver-opt={sysctl}");
    let said =
        house.ok(["run", "--rm", "--network", &flag, "busybox", "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"]);
    assert_eq!(said, "1");
}

/// Where nothing leads out of the host, or its owner says so, TCP sends in larger segments: what is sent arrives.
#[test]
fn large_segments_arrive_whole() {
    let house = House::new();
    house.ok(["network", "create", "--internal", "inside"]);
    house.ok(["network", "create", "-o", "io.hako.network.large-segments=true", "wide"]);
    for network in ["inside", "wide"] {
        let serve = "head -c 20000000 /dev/urandom > /data; sha256sum < /data > /sum; exec httpd -f -h / -p 80";
        house.ok(["run", "-d", "--name", "giver", "--network", network, "busybox", "sh", "-c", serve]);
        let take = "until wget -q -O /got http://giver/data; do sleep 0.1; done; sha256sum < /got";
        let got = house.ok(["run", "--rm", "--network", network, "busybox", "sh", "-c", take]);
        assert_eq!(house.ok(["exec", "giver", "cat", "/sum"]), got, "{network}");
        house.ok(["rm", "-f", "giver"]);
    }
}
