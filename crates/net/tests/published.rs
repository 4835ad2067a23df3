//! Published ports with real traffic: who reaches what, and as whom.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::net::{SocketAddr, TcpListener, UdpSocket};

use hako_model::port::Port;
use hako_net::Error;
use hako_net::publish::{self, Published};
use lab::{HOST, Lab, OUTSIDE, ask, ask_from, ask_udp, ask_udp_by, ask_udp_from, knock_from, lab, soon};

fn hosts(published: &Published) -> Vec<String> {
    let v4 = published.bindings().iter().filter(|binding| binding.host.is_ipv4());
    v4.map(|binding| format!("{}>{}", binding.host, binding.container)).collect()
}

#[test]
fn from_everywhere_with_the_right_source_address() {
    lab(|lab| {
        let (web, neighbour) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        web.tcp(80);
        web.udp(53);
        let mut published = lab.publish(&web, &["8080:80", "5353:53/udp"]).unwrap();
        for loopback in ["127.0.0.1:8080", "127.0.0.53:8080", "172.17.0.1:8080", "172.17.0.2:80"] {
            assert_eq!(ask(loopback), "172.17.0.1", "{loopback}");
        }
        assert_eq!(ask(&format!("{HOST}:8080")), HOST);
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE);
        assert_eq!(ask_from(&neighbour.netns, &format!("{HOST}:8080")), "172.17.0.1");
        assert_eq!(ask_from(&neighbour.netns, "172.17.0.1:8080"), "172.17.0.1");
        assert_eq!(ask_from(&web.netns, &format!("{HOST}:8080")), "172.17.0.1");
        assert_eq!(ask_from(&neighbour.netns, "172.17.0.2:80"), "172.17.0.3");
        assert_eq!(ask_udp("127.0.0.1:5353"), "172.17.0.1");
        assert_eq!(ask_udp_from(&lab.outside, &format!("{HOST}:5353")), OUTSIDE);
        assert_eq!(ask_udp_from(&neighbour.netns, &format!("{HOST}:5353")), "172.17.0.1");
        published.withdraw().unwrap();
        assert_eq!(knock_from(&lab.outside, &format!("{HOST}:8080")), "ConnectionRefused");
        assert_eq!(ask("127.0.0.1:8080"), "ConnectionRefused");
    });
}

#[test]
fn containers_reach_the_world_with_the_hosts_address() {
    lab(|lab| {
        let client = lab.ready().container("172.17.0.2");
        lab::serve_tcp(std::os::fd::AsFd::as_fd(&lab.outside), 9000);
        assert_eq!(ask_from(&client.netns, &format!("{OUTSIDE}:9000")), HOST);
    });
}

#[test]
fn what_was_not_published_stays_closed() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(80);
        web.tcp(81);
        let _published = lab.publish(&web, &["8080:80", "127.0.0.1:8081:81"]).unwrap();
        // A neighbour of the host that knows where containers live, and where the host keeps its loopback address.
        lab.outside("ip route add 172.17.0.0/16 via 192.0.2.1");
        lab.outside("ip route add 127.0.0.9/32 via 192.0.2.1");
        lab::run("sysctl -qw net.ipv4.conf.out0.route_localnet=1");
        assert_eq!(ask("127.0.0.1:8081"), "172.17.0.1");
        assert_eq!(knock_from(&lab.outside, "172.17.0.2:80"), "TimedOut");
        assert_eq!(knock_from(&lab.outside, "172.17.0.2:81"), "TimedOut");
        assert_eq!(knock_from(&lab.outside, &format!("{HOST}:8081")), "ConnectionRefused");
        assert_ne!(knock_from(&lab.outside, "127.0.0.9:8080"), OUTSIDE);
    });
}

#[test]
fn containers_do_not_reach_the_hosts_loopback() {
    lab(|lab| {
        let bad = lab.ready().container("172.17.0.2");
        lab::serve_tcp(std::os::fd::AsFd::as_fd(&hako_sys::netns::current().unwrap()), 631);
        assert_eq!(ask("127.0.0.1:631"), "127.0.0.1");
        bad.run("ip addr del 127.0.0.1/8 dev lo");
        bad.run("sysctl -qw net.ipv4.conf.all.route_localnet=1");
        bad.run("ip route add 127.0.0.1/32 via 172.17.0.1");
        assert_eq!(knock_from(&bad.netns, "127.0.0.1:631"), "TimedOut");
    });
}

#[test]
fn a_host_address_limits_who_reaches_it() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(80);
        lab::run("ip addr add 192.0.2.10/24 dev out0");
        let _published = lab.publish(&web, &["192.0.2.10:8080:80"]).unwrap();
        assert_eq!(ask_from(&lab.outside, "192.0.2.10:8080"), OUTSIDE);
        assert_eq!(ask("192.0.2.10:8080"), HOST);
        assert_eq!(knock_from(&lab.outside, &format!("{HOST}:8080")), "ConnectionRefused");
        assert_eq!(ask("127.0.0.1:8080"), "ConnectionRefused");
    });
}

#[test]
fn the_same_port_on_two_addresses_leads_to_two_containers() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        lab::run("ip addr add 192.0.2.10/24 dev out0");
        one.tcp(80);
        let _one = lab.publish(&one, &["192.0.2.1:8080:80", "127.0.0.1:8080:80"]).unwrap();
        let _two = lab.publish(&two, &["192.0.2.10:8080:80"]).unwrap();
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE);
        two.tcp(80);
        assert_eq!(ask_from(&lab.outside, "192.0.2.10:8080"), OUTSIDE);
    });
}

#[test]
fn a_port_of_another_container_is_allocated() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        let mut first = lab.publish(&one, &["8080:80", "8081:81"]).unwrap();
        let refused = lab.publish(&two, &["9090:80", "8080:80"]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
        assert_eq!(publish::list(&lab.table).unwrap().len(), 2, "all or nothing");
        assert!(lab.publish(&two, &["127.0.0.1:8080:80"]).is_err());
        assert!(lab.publish(&two, &["8080:80/udp"]).is_ok(), "another protocol is another port");
        first.withdraw().unwrap();
        soon(|| lab.publish(&two, &["9091:80", "8080:80"]));
    });
}

#[test]
fn a_port_of_a_process_is_in_use() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let _process = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _resolver = UdpSocket::bind("127.0.0.1:53").unwrap();
        let refused = lab.publish(&web, &["8080:80"]).unwrap_err();
        let expected = "failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use";
        assert_eq!(refused.to_string(), expected);
        let refused = lab.publish(&web, &["127.0.0.1:53:53/udp"]).unwrap_err();
        assert!(refused.to_string().ends_with("127.0.0.1:53:172.17.0.2:53/udp: address already in use"), "{refused}");
        let refused = lab.publish(&web, &["198.51.100.7:8080:80"]).unwrap_err();
        assert!(refused.to_string().ends_with("cannot assign requested address"), "{refused}");
        assert!(publish::list(&lab.table).unwrap().is_empty());
    });
}

#[test]
fn a_published_port_is_kept_from_processes() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let mut published = lab.publish(&web, &["8080:80", "5353:53/udp"]).unwrap();
        // The standard library asks for address reuse, as most servers do.
        assert!(TcpListener::bind("0.0.0.0:8080").is_err());
        assert!(TcpListener::bind("127.0.0.1:8080").is_err());
        assert!(UdpSocket::bind("0.0.0.0:5353").is_err());
        published.withdraw().unwrap();
        soon(|| TcpListener::bind("0.0.0.0:8080"));
    });
}

#[test]
fn a_killed_supervisors_elements_are_found_and_swept() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        drop(lab.publish(&one, &["8000:80"]).unwrap());
        let refused = lab.publish(&two, &["8000:80"]).unwrap_err();
        assert!(matches!(refused, Error::PortAllocated { .. }), "{refused}");
        let moved = lab.publish(&two, &["8000-8005:80"]).unwrap();
        assert_eq!(hosts(&moved), ["0.0.0.0:8001>80/tcp"], "a range goes on to the next port");
        publish::sweep(&lab.table, "172.17.0.2".parse().unwrap()).unwrap();
        let left: Vec<_> = publish::list(&lab.table).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].1.to_string(), "172.17.0.3");
        soon(|| lab.publish(&two, &["8000:80"]));
    });
}

#[test]
fn ranges_and_random_ports() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(81);
        let published = lab.publish(&web, &["7000-7002:80-82", "9000-9005:90", "9000-9005:91", "85"]).unwrap();
        let (hosts, random) = (hosts(&published), published.bindings()[6].host.port());
        let fixed = ["0.0.0.0:7000>80/tcp", "0.0.0.0:7001>81/tcp", "0.0.0.0:7002>82/tcp"];
        assert_eq!(hosts[..3], fixed);
        assert_eq!(hosts[3], format!("0.0.0.0:{random}>85/tcp"));
        assert_eq!(hosts[4], "0.0.0.0:9000>90/tcp");
        assert_eq!(hosts[5], "0.0.0.0:9001>91/tcp");
        assert!(random >= 1024);
        assert_eq!(ask("127.0.0.1:7001"), "172.17.0.1");
        let map = publish::port_map(published.bindings(), [Port::udp(53), Port::tcp(80)]);
        let json = serde_json::to_value(map).unwrap();
        assert_eq!(json["53/udp"], serde_json::Value::Null);
        let both = serde_json::json!([{"HostIp": "0.0.0.0", "HostPort": "7000"}, {"HostIp": "::", "HostPort": "7000"}]);
        assert_eq!(json["80/tcp"], both);
    });
}

#[test]
fn a_range_that_is_full() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        let _all = lab.publish(&one, &["8000-8001:80-81"]).unwrap();
        let refused = lab.publish(&two, &["8000-8001:80"]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:8000 failed: all ports are allocated");
    });
}

#[test]
fn a_thousand_ports_at_once() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(4999);
        let start = std::time::Instant::now();
        let mut published = lab.publish(&web, &["4000-4999:4000-4999"]).unwrap();
        println!("1000 ports published in {:?}", start.elapsed());
        assert_eq!(publish::list(&lab.table).unwrap().len(), 1000);
        assert_eq!(ask("127.0.0.1:4999"), "172.17.0.1");
        let start = std::time::Instant::now();
        published.withdraw().unwrap();
        println!("and withdrawn in {:?}", start.elapsed());
        assert!(publish::list(&lab.table).unwrap().is_empty());
    });
}

/// What [`Lab::publish`] publishes, ports that follow each other in one piece.
fn publish_runs(lab: &Lab, container: &lab::Container, values: &[&str]) -> Result<Published, Error> {
    let (exposed, bindings) = hako_model::port::publish(values.iter().copied(), []).unwrap();
    let wanted = hako_model::port::wanted(&bindings, exposed.keys().map(String::as_str), false).unwrap();
    Published::publish(&lab.table, container.target(), &publish::condensed(wanted))
}

#[test]
fn ten_thousand_ports_are_one_element() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        one.udp(10_000);
        one.udp(19_999);
        two.udp(53);
        let start = std::time::Instant::now();
        let mut published = publish_runs(lab, &one, &["10000-19999:10000-19999/udp"]).unwrap();
        println!("10000 ports published in {:?}", start.elapsed());
        assert_eq!(publish::list(&lab.table).unwrap().len(), 1);
        for port in [10_000, 19_999] {
            assert_eq!(ask_udp(&format!("127.0.0.1:{port}")), "172.17.0.1");
            assert_eq!(ask_udp_from(&lab.outside, &format!("{HOST}:{port}")), OUTSIDE);
        }
        let map = publish::port_map(published.bindings(), []);
        assert_eq!((map.len(), map.contains_key("12345/udp")), (10_000, true));
        let refused = lab.publish(&two, &["12345:53/udp"]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:12345 failed: port is already allocated");
        let refused = publish_runs(lab, &two, &["19000-20999:19000-20999/udp"]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:19000 failed: port is already allocated");
        let other = lab.publish(&two, &["19998-20005:53/udp"]).unwrap();
        assert_eq!(hosts(&other), ["0.0.0.0:20000>53/udp"], "the first that is free");
        let refused = publish_runs(lab, &two, &["20000-20999:20000-20999/udp"]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:20000 failed: port is already allocated");
        assert_eq!(publish::list(&lab.table).unwrap().len(), 2, "what was refused leaves nothing");
        published.withdraw().unwrap();
        assert_eq!(publish::list(&lab.table).unwrap().len(), 1);
        let process = UdpSocket::bind("127.0.0.1:15000").unwrap();
        let refused = publish_runs(lab, &one, &["10000-19999:10000-19999/udp"]).unwrap_err();
        assert!(refused.to_string().contains("address already in use"), "{refused}");
        drop(process);
        let _tcp = publish_runs(lab, &one, &["10000-10999:10000-10999"]).unwrap();
    });
}

/// While clients ask without a pause, a port goes from one container to the next and back.
#[test]
fn a_port_passes_to_a_successor_without_a_gap() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        one.tcp(80);
        two.tcp(80);
        let values = ["8080:80", "81"];
        let mut current = lab.publish(&one, &values).unwrap();
        let random = current.bindings().last().unwrap().host.port();
        for round in 0..20 {
            let (from, to) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
            let (ours, theirs) = hako_sys::fdpass::Channel::pair().unwrap();
            Published::cede(std::slice::from_mut(&mut current), &theirs).unwrap();
            let addresses = [from.plan.address.unwrap().addr().into()];
            let heritage = publish::Heritage::receive(&ours, &lab.table, &addresses).unwrap();
            let (exposed, bindings) = hako_model::port::publish(values, []).unwrap();
            let wanted = hako_model::port::wanted(&bindings, exposed.keys().map(String::as_str), false).unwrap();
            let next = Published::inherit(&lab.table, to.target(), &wanted, &heritage).unwrap();
            if round == 7 {
                // A predecessor that was never told takes nothing back.
                current.restore().unwrap();
                current.withdraw().unwrap();
            }
            current.step_back();
            current = next;
            assert_eq!(ask("127.0.0.1:8080"), "172.17.0.1", "round {round}");
            assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE, "round {round}");
            assert_eq!(publish::list(&lab.table).unwrap().len(), 2);
            assert_eq!(current.bindings().last().unwrap().host.port(), random, "random ports stay");
        }
        current.withdraw().unwrap();
        assert!(publish::list(&lab.table).unwrap().is_empty());
    });
}

#[test]
fn udp_clients_follow_the_port_to_its_next_container() {
    lab(|lab| {
        let (one, two) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        two.udp(53);
        let client = UdpSocket::bind("127.0.0.1:40000").unwrap();
        let to: SocketAddr = "127.0.0.1:5353".parse().unwrap();
        client.send_to(b"too early", to).unwrap();
        let mut first = lab.publish(&one, &["5353:53/udp"]).unwrap();
        client.send_to(b"nobody there", to).unwrap();
        first.withdraw().unwrap();
        let _second = soon(|| lab.publish(&two, &["5353:53/udp"]));
        // A refusal of the earlier packets may still be queued on the socket.
        while client.take_error().unwrap().is_some() {}
        assert_eq!(ask_udp_by(&client, to), "172.17.0.1");
    });
}

#[test]
fn the_table_is_made_anew_without_losing_what_is_published() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(80);
        let mut published = lab.publish(&web, &["8080:80"]).unwrap();
        let before = lab::run("nft list table inet hako");
        lab.ready();
        assert_eq!(before, lab::run("nft list table inet hako"));
        assert_eq!(ask("127.0.0.1:8080"), "172.17.0.1");
        lab::run("nft flush ruleset");
        assert!(!lab.table.exists().unwrap());
        published.withdraw().unwrap();
        lab.table.remove().unwrap();
        assert!(publish::list(&lab.table).unwrap().is_empty());
        lab.ready();
        assert!(lab.table.exists().unwrap());
        lab.table.remove().unwrap();
        assert!(!lab.table.exists().unwrap());
    });
}

#[test]
fn the_table_reads_as_it_is_described() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let _published = lab.publish(&web, &["8080:80", "127.0.0.1:5353:53/udp"]).unwrap();
        let table = lab::run("nft list table inet hako");
        for line in [
            "elements = { tcp . 8080 : 172.17.0.2 . 80 }",
            "elements = { 127.0.0.1 . udp . 5353 : 172.17.0.2 . 53 }",
            "elements = { \"hako0\" }",
            "iifname @bridges ip daddr 127.0.0.0/8 drop",
            "iifname @bridges ip saddr 127.0.0.0/8 drop",
            "fib daddr type local jump publish",
            "dnat ip to ip daddr . meta l4proto . th dport map @publish4_at",
            "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @publish4",
            "oifname @bridges ct state established,related accept",
            "oifname @bridges ct status dnat accept",
            "oifname @bridges drop",
            "elements = { \"hako0\" . 172.17.0.0/16 }",
            "oifname @bridges ip saddr 127.0.0.0/8 masquerade",
            "ct status dnat oifname . ip saddr @hairpin4 masquerade",
            "oifname != @bridges ip saddr @masquerade4 masquerade",
        ] {
            assert!(table.lines().any(|found| found.trim() == line), "{line} in {table}");
        }
    });
}

#[test]
fn two_instances_live_side_by_side() {
    lab(|lab: &Lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(80);
        let other = Lab {
            bridge: lab::bridge("hk-12345678", "172.18.0.1/16"),
            table: hako_net::nft::Table::of("12345678"),
            ..lab.beside()
        };
        let second = other.ready().container("172.18.0.3");
        second.tcp(80);
        let _first = lab.publish(&web, &["8080:80"]).unwrap();
        let refused = other.publish(&second, &["8080:80"]).unwrap_err();
        assert!(refused.to_string().contains("8080"), "{refused}");
        let _second = other.publish(&second, &["8081:80"]).unwrap();
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8081")), OUTSIDE);
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE);
        assert_eq!(ask_from(&web.netns, &format!("{HOST}:8081")), "172.18.0.1", "by way of the host");
        assert_eq!(knock_from(&web.netns, "172.18.0.3:80"), "TimedOut", "but not directly");
        other.table.remove().unwrap();
    });
}

#[test]
fn without_rights_the_kernel_refuses() {
    lab(|lab| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(rustix::thread::CapabilitySet::NET_ADMIN);
        rustix::thread::set_capabilities(None, sets).unwrap();
        let refused = lab.table.ensure(&[], lab::POLICY).unwrap_err();
        assert!(refused.to_string().contains("Operation not permitted"), "{refused}");
    });
}

#[test]
fn some_ports_are_taken_back_and_the_others_do_not_notice() {
    lab(|lab| {
        let container = lab.ready().container("172.17.0.2");
        container.tcp(80);
        let mut published = lab.publish(&container, &["8080:80", "8081:80"]).unwrap();
        published.withdraw_some(|binding| binding.host.port() == 8080).unwrap();
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8081")), OUTSIDE);
        assert!(published.bindings().iter().all(|binding| binding.host.port() == 8081));
        drop(TcpListener::bind("0.0.0.0:8080").expect("the host port is free again"));
        published.withdraw().unwrap();
        assert!(publish::list(&lab.table).unwrap().is_empty());
    });
}
