//! The default bridge, published ports, host, none and shared network namespaces.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd as _;

use crate::house::{House, await_that, run_tool};

const SERVE: &str = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\npage' | nc -l -p 80 >/dev/null; done";

/// What a server at this address answers to a GET.
fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.rsplit_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

pub(crate) fn serving(house: &House, name: &str, ports: &[&str]) {
    let flags = ports.iter().flat_map(|port| ["-p", port]);
    house.ok(["run", "-d", "--name", name].into_iter().chain(flags).chain(["busybox", "sh", "-c", SERVE]));
}

#[test]
fn a_published_port_answers_from_everywhere() {
    let house = House::new();
    run_tool(
        "sh",
        [
            "-c",
            "ip link add out type veth peer name out0 && ip link set out0 up && ip addr add 192.0.2.1/24 dev out && ip link set out up",
        ],
    );
    serving(&house, "web", &["8888:80"]);
    for address in ["127.0.0.1:8888", "192.0.2.1:8888"] {
        await_that(address, || get(address).as_deref() == Some("page"));
    }
    let port = house.ok(["port", "web", "80"]);
    assert!(port.lines().any(|line| line == "0.0.0.0:8888"), "{port}");
    assert!(house.ok(["ps"]).contains("0.0.0.0:8888->80/tcp"));
    let gateway = house.inspect("web", "{{.NetworkSettings.Networks.bridge.Gateway}}");
    let said = house.ok(["run", "--rm", "busybox", "wget", "-qO-", &format!("http://{gateway}:8888")]);
    assert_eq!(said, "page", "another container reaches it at the host's address");
    house.ok(["rm", "-f", "web"]);
    assert_eq!(get("127.0.0.1:8888"), None);
}

#[test]
fn ports_of_every_form() {
    let house = House::new();
    serving(&house, "local", &["127.0.0.1:9001:80"]);
    assert_eq!(house.ok(["port", "local"]), "80/tcp -> 127.0.0.1:9001");
    serving(&house, "random", &["80"]);
    let said = house.ok(["port", "random", "80/tcp"]);
    let port: u16 = said.lines().next().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
    await_that("the random port", || get(&format!("127.0.0.1:{port}")).as_deref() == Some("page"));
    house.ok(["run", "-d", "--name", "range", "-p", "7000-7002:8000-8002/udp", "busybox", "sleep", "600"]);
    assert_eq!(house.ok(["port", "range"]).lines().filter(|line| line.contains("0.0.0.0")).count(), 3);
    house.ok(["run", "-d", "--name", "all", "--expose", "80", "--expose", "81/udp", "-P", "busybox", "sleep", "600"]);
    assert_eq!(house.ok(["port", "all"]).lines().filter(|line| line.contains("0.0.0.0")).count(), 2);
}

#[test]
fn a_port_is_given_once() {
    let house = House::new();
    serving(&house, "first", &["8080:80"]);
    let said = house.fails(125, ["run", "-d", "--name", "second", "-p", "8080:80", "busybox", "sleep", "600"]);
    assert!(said.contains("port is already allocated (by container first)"), "{said}");
    assert_eq!(house.inspect("second", "{{.State.Status}}"), "created");
    let taken = std::net::TcpListener::bind("0.0.0.0:8081").unwrap();
    let said = house.fails(125, ["run", "-d", "-p", "8081:80", "busybox", "sleep", "600"]);
    assert!(said.contains("address already in use"), "{said}");
    drop(taken);
}

/// Connections linger for a minute where the server closed first, as `[::1]`'s do in the relay.
#[test]
fn a_port_can_be_published_again_at_once() {
    let house = House::new();
    for _ in 0..3 {
        serving(&house, "web", &["18080:80"]);
        for address in ["[::1]:18080", "127.0.0.1:18080"] {
            await_that("the page", || get(address).as_deref() == Some("page"));
        }
        house.ok(["rm", "-f", "web"]);
    }
}

#[test]
fn udp_is_published_too() {
    let house = House::new();
    house.ok(["run", "-d", "--name", "echo", "-p", "5353:53/udp", "busybox", "sleep", "600"]);
    let pid: i32 = house.inspect("echo", "{{.State.Pid}}").parse().unwrap();
    let netns = hako_sys::netns::of(pid).unwrap();
    let server = hako_sys::netns::within(netns.as_fd(), || UdpSocket::bind("0.0.0.0:53")).unwrap().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(crate::house::PATIENCE)).unwrap();
    }
    client.send_to(b"ping", "127.0.0.1:5353").unwrap();
    let mut buffer = [0; 8];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    server.send_to(&buffer[..length], from).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from.to_string().as_str()), (&b"ping"[..], "127.0.0.1:5353"));
}

#[test]
fn ports_outlive_the_daemon() {
    let house = House::new();
    serving(&house, "web", &["8888:80"]);
    await_that("the page", || get("127.0.0.1:8888").as_deref() == Some("page"));
    house.kill_daemon();
    await_that("the page without a daemon", || get("127.0.0.1:8888").as_deref() == Some("page"));
    assert!(house.ok(["port", "web"]).contains("0.0.0.0:8888"));
}

#[test]
fn addresses_are_leased_and_released() {
    let house = House::new();
    let address = |name: &str| house.inspect(name, "{{.NetworkSettings.IPAddress}}");
    house.ok(["run", "-d", "--name", "ann", "busybox", "sleep", "600"]);
    house.ok(["run", "-d", "--name", "bob", "busybox", "sleep", "600"]);
    assert_ne!(address("ann"), address("bob"));
    let said = house.ok(["exec", "ann", "ping", "-c1", "-W2", &address("bob")]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    let hosts = house.ok(["exec", "ann", "cat", "/etc/hosts"]);
    assert!(hosts.contains(&address("ann")) && hosts.contains("127.0.0.1\tlocalhost"), "{hosts}");
    house.ok(["stop", "-t", "0", "ann"]);
    assert_eq!(address("ann"), "");
}

#[test]
fn other_network_modes() {
    let house = House::new();
    let links = |mode: &str| house.ok(["run", "--rm", "--network", mode, "busybox", "ls", "/sys/class/net"]);
    assert_eq!(links("none"), "lo");
    assert!(links("host").contains("hk-") || !links("host").contains("eth0"), "{}", links("host"));
    house.ok(["run", "-d", "--name", "box", "--hostname", "shared", "busybox", "sleep", "600"]);
    let own = house.ok(["exec", "box", "ip", "-4", "addr", "show", "eth0"]);
    let joined = house.ok(["run", "--rm", "--network", "container:box", "busybox", "ip", "-4", "addr", "show", "eth0"]);
    assert_eq!(own, joined);
    // The other container need not be there before the start, nor run; in Docker's words.
    house.ok(["create", "--name", "guest", "--network", "container:host", "busybox", "true"]);
    let said = house.fails(1, ["start", "guest"]);
    assert!(said.contains("joining network namespace of container: No such container: host"), "{said}");
    house.ok(["create", "--name", "host", "busybox", "sleep", "600"]);
    let said = house.fails(1, ["start", "guest"]);
    let wanted = "cannot join network namespace of a non running container: container host is created";
    assert!(said.contains(wanted), "{said}");
    house.ok(["start", "host"]);
    house.ok(["start", "-a", "guest"]);
    house.ok(["stop", "-t", "0", "host"]);
    let said = house.fails(125, ["run", "--ipc", "container:host", "busybox"]);
    assert!(said.contains("failed to join IPC namespace: container ") && said.contains(" is not running"), "{said}");
    let said = house.fails(125, ["run", "--network", "nowhere", "busybox"]);
    assert!(said.contains("network nowhere not found"), "{said}");
}

#[test]
fn names_of_hosts_and_servers() {
    let house = House::new();
    let said = house.ok([
        "run",
        "--rm",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:2",
        "--add-host",
        "db:192.0.2.9",
        "--add-host",
        "up=host-gateway",
        "busybox",
        "cat",
        "/etc/resolv.conf",
        "/etc/hosts",
    ]);
    for line in ["nameserver 192.0.2.53", "search example.org", "options ndots:2", "192.0.2.9\tdb"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(said.lines().any(|line| line.ends_with("\tup") && !line.contains("host-gateway")), "{said}");
}

#[test]
fn a_forward_policy_of_drop_is_survived() {
    for policy in [
        &["iptables-nft", "-P", "FORWARD", "DROP"][..],
        &["iptables-legacy", "-P", "FORWARD", "DROP"],
        &["nft", "add table inet fw; add chain inet fw forward { type filter hook forward priority 0; policy drop; }"],
    ] {
        let house = House::new();
        // Not every kernel has the old tables still.
        let known = std::process::Command::new(policy[0]).args(&policy[1..]).output().unwrap();
        if !known.status.success() && policy[0] == "iptables-legacy" {
            println!("skipped: {}", String::from_utf8_lossy(&known.stderr));
            continue;
        }
        assert!(known.status.success(), "{policy:?}");
        run_tool("sh", ["-c", OUTSIDE]);
        serving(&house, "web", &["8888:80"]);
        await_that("the page from outside", || {
            let said = std::process::Command::new("ip")
                .args(["netns", "exec", &outside(), "curl", "-s", "-m", "2", "http://198.51.100.1:8888"])
                .output();
            said.is_ok_and(|said| said.stdout == b"page")
        });
        house.ok(["rm", "-f", "web"]);
        run_tool("ip", ["netns", "del", &outside()]);
    }
}

/// Another host, joined to this test's namespace by a wire.
pub(crate) const OUTSIDE: &str = "n=out-$(readlink /proc/self/ns/net | tr -dc 0-9); ip netns add $n && ip link add wire type veth peer name wire0 netns $n && \
    ip addr add 198.51.100.1/24 dev wire && ip link set wire up && \
    ip -n $n addr add 198.51.100.2/24 dev wire0 && ip -n $n link set wire0 up && ip -n $n link set lo up";

pub(crate) fn outside() -> String {
    let link = std::fs::read_link("/proc/thread-self/ns/net").unwrap().to_string_lossy().into_owned();
    format!("out-{}", link.chars().filter(char::is_ascii_digit).collect::<String>())
}
