//! Bridges and endpoints: what is made, what is left, and how long it takes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::net::UdpSocket;
use std::os::fd::AsFd;

use hako_net::endpoint::Plan;
use hako_net::publish::Published;
use hako_net::{bridge, endpoint, route, traffic};
use hako_sys::netns;
use lab::{BRIEF, Container, HOST, ask, ask_for, ask_from, lab, run};

#[test]
fn a_container_looks_as_dockers_does() {
    lab(|lab| {
        let container = lab.ready().container("172.17.0.2");
        let link = container.run("ip -o link show eth0");
        assert!(link.contains("02:42:ac:11:00:02") && link.contains("LOWER_UP"), "{link}");
        let addresses = container.run("ip -o addr show eth0");
        assert!(addresses.contains("172.17.0.2/16 brd 172.17.255.255 scope global"), "{addresses}");
        assert!(!addresses.contains("inet6"), "{addresses}");
        assert_eq!(
            container.run("ip route"),
            "default via 172.17.0.1 dev eth0 \n172.17.0.0/16 dev eth0 proto kernel scope link src 172.17.0.2 \n"
        );
        let host = run("ip -o addr show");
        assert!(host.contains("hako0    inet 172.17.0.1/16 brd 172.17.255.255"), "{host}");
        assert!(!host.contains("hk0002"), "the host's end has no address: {host}");
    });
}

#[test]
fn a_bridge_is_made_once_and_changed_when_told() {
    lab(|lab| {
        let mut wanted = lab.bridge.clone();
        bridge::ensure(&wanted).unwrap();
        let before = run("ip -o addr show hako0");
        bridge::ensure(&wanted).unwrap();
        assert_eq!(before, run("ip -o addr show hako0"));
        wanted.gateway = Some("10.9.0.1/24".parse().unwrap());
        wanted.mtu = Some(1400);
        bridge::ensure(&wanted).unwrap();
        let after = run("ip -o addr show hako0");
        assert!(after.contains("10.9.0.1/24") && !after.contains("172.17"), "{after}");
        assert!(run("ip -o link show hako0").contains("mtu 1400"));
        assert_eq!(run("sysctl -n net.ipv4.ip_forward").trim(), "1");
        bridge::remove("hako0").unwrap();
        bridge::remove("hako0").unwrap();
        run("ip link add hako0 type veth peer name other");
        let refused = bridge::ensure(&wanted).unwrap_err();
        assert_eq!(refused.to_string(), "existing interface hako0 is not a bridge");
    });
}

#[test]
fn a_retired_bridge_is_in_nobodys_way() {
    lab(|lab| {
        let mut wanted = lab.bridge.clone();
        wanted.gateway6 = Some("fd00:1::1/64".parse().unwrap());
        bridge::ensure(&wanted).unwrap();
        let name = bridge::retired_name(&wanted).unwrap().expect("it is there");
        bridge::retire(&wanted, &name).unwrap();
        bridge::retire(&wanted, &name).unwrap();
        assert_eq!(bridge::retired_name(&wanted).unwrap(), None);
        let old = run(&format!("ip addr show {name}"));
        assert!(old.contains("DOWN") && !old.contains("inet"), "{old}");
        assert!(!run("ip route show table all").contains("172.17.0.1"));
        bridge::ensure(&wanted).unwrap();
        bridge::remove(&name).unwrap();
        let left = run("ip -o addr show");
        assert!(left.contains("hako0    inet 172.17.0.1/16") && left.contains("fd00:1::1/64"), "{left}");
        assert!(run("ip route show table local").contains("172.17.0.1"), "its successor's addresses are untouched");
        assert!(!left.contains(&name), "{left}");
    });
}

/// Stand-ins for neighbours: a bridge counts ports only, also those of devices that are down. Two are a pair.
fn stand_ins(from: usize, to: usize, bridge: &str) {
    use std::io::Write as _;
    let line = |number| {
        let join = |end: &str| format!("link set {end}{number} master {bridge}\n");
        format!("link add d{number} type veth peer name e{number}\n{}{}", join("d"), join("e"))
    };
    let lines: String = (from..to).step_by(2).map(line).collect();
    let mut ip = std::process::Command::new("ip");
    let mut child = ip.args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The kernel gives a bridge 1,023 ports; a network may have more containers.
#[test]
fn more_than_a_thousand_containers_on_one_network() {
    lab(|lab| {
        let first = lab.ready().container("172.17.0.2");
        first.tcp(80);
        stand_ins(0, 956, "hako0");
        let master = |container: &Container| {
            let shown = run(&format!("ip -o link show {}", container.plan.host_name));
            shown.split("master ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
        };
        let late: Vec<Container> = (1..9).map(|number| lab.container(&format!("172.17.4.{number}"))).collect();
        let homes: Vec<String> = late.iter().map(master).collect();
        assert_eq!(&homes[..2], ["hako0", "hako0"]);
        assert!(homes[7].starts_with("hk.") && homes[7].ends_with(".1"), "{homes:?}");
        stand_ins(956, 1920, &homes[7]);
        let last = lab.container("172.17.8.1");
        assert!(master(&last).ends_with(".2"), "a full annex is followed by the next");
        last.tcp(80);

        for container in late.iter().chain([&last]) {
            assert_eq!(ask_from(&container.netns, "172.17.0.2:80"), container.plan.address.unwrap().addr().to_string());
        }
        assert_eq!(ask_from(&late[7].netns, "172.17.8.1:80"), "172.17.4.8", "from one annex to another");
        let _published = lab.publish(&last, &["8080:80"]).unwrap();
        assert_eq!(ask("127.0.0.1:8080"), "172.17.0.1");
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), lab::OUTSIDE);
        bridge::remove("hako0").unwrap();
        let left = run("ip -o link show");
        assert!(!left.contains("hk.") && !left.contains("hk_"), "{left}");
    });
}

/// Neighbours that must not talk to each other do not by way of an annex either.
#[test]
fn annexes_keep_neighbours_apart() {
    lab(|lab| {
        let mut lab = lab.beside();
        lab.bridge.talk = false;
        let lab = &lab;
        let first = lab.ready().container("172.17.0.2");
        first.tcp(80);
        stand_ins(0, 960, "hako0");
        let _last_at_home = lab.container("172.17.4.1");
        let (one, two) = (lab.container("172.17.4.2"), lab.container("172.17.4.3"));
        one.tcp(80);
        let shown = run(&format!("ip -o link show {}", one.plan.host_name));
        assert!(shown.contains("master hk."), "{shown}");
        assert_eq!(lab::knock_from(&two.netns, "172.17.4.2:80"), "TimedOut", "in one annex");
        assert_eq!(lab::knock_from(&one.netns, "172.17.0.2:80"), "TimedOut", "out of the annex");
        lab::serve_tcp(lab.outside.as_fd(), 9000);
        assert_eq!(ask_from(&one.netns, &format!("{}:9000", lab::OUTSIDE)), HOST, "the world is reached");
    });
}

#[test]
fn a_refused_endpoint_leaves_nothing() {
    lab(|lab| {
        let container = lab.ready().container("172.17.0.2");
        let before = names();
        let mut again = container.plan.clone();
        assert!(endpoint::attach(container.netns.as_fd(), &again).is_err(), "the name is taken");
        assert_eq!(before, names(), "the first endpoint stands");
        again.host_name = "hkother".into();
        assert!(endpoint::attach(container.netns.as_fd(), &again).is_err(), "eth0 is taken");
        again.name = "eth1".into();
        again.gateway = Some("10.1.1.1".parse().unwrap());
        assert!(endpoint::attach(container.netns.as_fd(), &again).is_err(), "the gateway cannot be reached");
        again.bridge = "nobridge".into();
        let refused = endpoint::attach(container.netns.as_fd(), &again).unwrap_err();
        assert!(refused.to_string().contains("nobridge"), "{refused}");
        assert_eq!(before, names());
        endpoint::detach(&container.plan.host_name).unwrap();
        endpoint::detach(&container.plan.host_name).unwrap();
    });
}

#[test]
fn an_isolated_endpoint_reaches_only_the_host_and_the_world() {
    lab(|lab| {
        let bridge = bridge::Bridge { talk: false, ..lab.bridge.clone() };
        let lab = lab::Lab { bridge, ..lab.beside() };
        let (web, neighbour) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        web.tcp(80);
        lab::serve_tcp(lab.outside.as_fd(), 9000);
        let _published = lab.publish(&web, &["8080:80"]).unwrap();
        assert_ne!(lab::knock_from(&neighbour.netns, "172.17.0.2:80"), "172.17.0.3");
        assert_eq!(ask_from(&neighbour.netns, "192.0.2.2:9000"), HOST);
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), lab::OUTSIDE);
    });
}

#[test]
fn traffic_is_counted_from_the_containers_side() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let socket = netns::within(web.netns.as_fd(), || UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
        let echo = UdpSocket::bind("172.17.0.1:7").unwrap();
        for _ in 0..3 {
            socket.send_to(&[0; 1000], "172.17.0.1:7").unwrap();
            let (length, peer) = echo.recv_from(&mut [0; 2000]).unwrap();
            echo.send_to(&[0; 1500][..length + 100], peer).unwrap();
            socket.recv(&mut [0; 2000]).unwrap();
        }
        let seen = traffic::of_endpoint(&web.plan.host_name).unwrap().unwrap();
        assert!((3000..3300).contains(&seen.tx_bytes) && seen.tx_packets >= 3, "{seen:?}");
        assert!((3300..4000).contains(&seen.rx_bytes) && seen.rx_packets >= 3, "{seen:?}");
        assert_eq!(traffic::of_endpoint("nobody").unwrap(), None);
    });
}

#[test]
fn routes_and_addresses_are_taken() {
    lab(|lab| {
        lab.ready();
        run("ip route add 10.77.0.0/16 via 192.0.2.2");
        run("ip route add default via 192.0.2.2");
        let taken = route::taken().unwrap();
        for subnet in ["172.17.0.0/16", "192.0.2.0/24", "10.77.0.0/16", "192.0.2.1/32"] {
            assert!(taken.contains(&subnet.parse().unwrap()), "{subnet} in {taken:?}");
        }
        assert!(taken.iter().all(|subnet| subnet.prefix_len() > 0), "{taken:?}");
    });
}

#[test]
fn a_retired_endpoint_gives_its_address_and_its_name_free() {
    lab(|lab| {
        let first = lab.ready().container("172.17.0.2");
        first.tcp(80);
        assert_eq!(ask("172.17.0.2:80"), "172.17.0.1");
        endpoint::retire(&first.plan.host_name).unwrap();
        endpoint::retire("nobody").unwrap();
        // The first container's namespace, and with it the pair, is still there.
        let second = Container { netns: netns::create().unwrap(), plan: first.plan.clone() };
        endpoint::attach(second.netns.as_fd(), &second.plan).unwrap();
        second.tcp(80);
        assert_eq!(ask("172.17.0.2:80"), "172.17.0.1");
        let third = Container {
            netns: netns::create().unwrap(),
            plan: Plan { host_name: "hkthird".into(), ..first.plan.clone() },
        };
        endpoint::retire(&second.plan.host_name).unwrap();
        endpoint::attach(third.netns.as_fd(), &third.plan).unwrap();
        third.tcp(80);
        assert_eq!(ask_for("172.17.0.2:80", BRIEF), "172.17.0.1", "at once, by the neighbour's old entry");
    });
}

/// The devices of the host; their states change a moment after they are made.
fn names() -> Vec<String> {
    let list = run("ip -o link");
    list.lines().filter_map(|line| Some(line.split_whitespace().nth(1)?.to_owned())).collect()
}

fn devices() -> usize {
    names().len()
}

#[test]
fn two_hundred_endpoints_and_ports_come_and_go_and_leave_nothing() {
    lab(|lab| {
        let netns = netns::create().unwrap();
        let plan = lab::plan(&lab.ready().bridge, "172.17.0.2");
        let target = hako_net::publish::Target { v4: plan.address.map(|net| net.addr()), v6: None, by_input: false };
        let (_, bindings) = hako_model::port::publish(["8080:80"], []).unwrap();
        let wanted = hako_model::port::wanted(&bindings, [], false).unwrap();
        let (before, table) = (devices(), run("nft list table inet hako"));
        let mut ended = Vec::new();
        for _ in 0..200 {
            endpoint::attach(netns.as_fd(), &plan).unwrap();
            let mut published = lab::soon(|| Published::publish(&lab.table, target, &wanted));
            published.withdraw().unwrap();
            ended.push(published);
            endpoint::detach(&plan.host_name).unwrap();
        }
        assert_eq!(before, devices());
        assert_eq!(table, run("nft list table inet hako"));
    });
}

#[test]
fn eight_hundred_endpoints_vanish_with_their_containers() {
    lab(|lab| {
        lab.ready();
        let before = devices();
        for wave in 0..8 {
            let containers: Vec<_> = (0..100).map(|n| lab.container(&format!("172.17.{wave}.{}", n + 2))).collect();
            assert_eq!(before + containers.len(), devices());
            drop(containers);
            lab::soon(|| if devices() == before { Ok(()) } else { Err("devices are left") });
        }
    });
}
