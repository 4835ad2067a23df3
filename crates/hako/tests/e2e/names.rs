//! Names on networks of people's own: who answers, what is passed on, what goes on without a daemon.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::house::{House, PATIENCE, await_that, run_tool};

fn run(house: &House, name: &str, flags: &[&str]) {
    house.ok(["run", "-d", "--name", name].into_iter().chain(flags.iter().copied()).chain(["busybox", "sleep", "600"]));
}

fn address(house: &House, container: &str, network: &str) -> String {
    house.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

/// A question for IPv4 addresses (or another kind) as it goes over the wire.
fn question(name: &str, kind: u8) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, kind, 0, 1]);
    out
}

/// A socket inside a container.
fn inside(house: &House, container: &str) -> UdpSocket {
    let pid: i32 = house.inspect(container, "{{.State.Pid}}").parse().unwrap();
    let netns = hako_sys::netns::of(pid).unwrap();
    let socket = hako_sys::netns::within(netns.as_fd(), || UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect("127.0.0.11:53").unwrap();
    socket
}

/// The code of the answer and the last octets of its addresses.
fn ask(socket: &UdpSocket, name: &str, kind: u8) -> (u8, Vec<u8>) {
    let query = question(name, kind);
    socket.send(&query).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    let records = answer[query.len()..length].chunks_exact(16).map(|record| record[15]).collect();
    (answer[3] & 0x0f, records)
}

fn last_octet(address: &str) -> u8 {
    address.rsplit('.').next().unwrap().parse().unwrap()
}

#[test]
fn neighbours_are_found_by_every_name() {
    let house = House::new();
    house.ok(["network", "create", "front"]);
    house.ok(["network", "create", "back"]);
    run(&house, "web", &["--network", "front", "--network-alias", "shop", "--network-alias", "www.example.org"]);
    run(&house, "ann", &["--network", "front", "--network-alias", "shop"]);
    run(&house, "sql", &["--network", "back"]);
    let socket = inside(&house, "ann");
    let web = last_octet(&address(&house, "web", "front"));
    let id = house.inspect("web", "{{.Id}}")[..12].to_owned();
    for name in ["web", "WEB", "web.front", "www.example.org", &id] {
        assert_eq!(ask(&socket, name, 1), (0, vec![web]), "{name}");
    }
    assert_eq!(ask(&socket, "web", 28), (0, vec![]), "no IPv6, but the name exists");
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let (code, shops) = ask(&socket, "shop", 1);
        assert_eq!((code, shops.len()), (0, 2));
        first.insert(shops[0]);
    }
    assert_eq!(first.len(), 2, "several addresses take turns");
    assert_ne!(ask(&socket, "sql", 1).1.len(), 1, "other networks are other worlds");
    let web = address(&house, "web", "front");
    let said = house.ok(["exec", "ann", "nslookup", &web]);
    assert!(said.contains("web.front"), "{said}");
    let said = house.ok(["exec", "ann", "ping", "-c1", "-W2", "web"]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    let resolv = house.ok(["exec", "ann", "cat", "/etc/resolv.conf"]);
    assert!(resolv.contains("nameserver 127.0.0.11\noptions ndots:0"), "{resolv}");
    house.ok(["network", "connect", "--alias", "db", "front", "sql"]);
    assert_eq!(ask(&socket, "db", 1).1, [last_octet(&address(&house, "sql", "front"))]);
    house.ok(["rename", "sql", "pg"]);
    assert_eq!(ask(&socket, "pg", 1).1.len(), 1);
    assert_ne!(ask(&socket, "sql", 1).1.len(), 1);
    house.ok(["network", "disconnect", "front", "pg"]);
    assert_ne!(ask(&socket, "db", 1).1.len(), 1);
}

#[test]
fn names_need_no_daemon() {
    let house = House::new();
    house.ok(["network", "create", "n"]);
    run(&house, "web", &["--network", "n", "--restart", "always"]);
    run(&house, "bob", &["--network", "n"]);
    let socket = inside(&house, "bob");
    house.kill_daemon();
    assert_eq!(ask(&socket, "web", 1).1.len(), 1);
    let supervisor = crate::house::processes().into_iter().find(|(_, line)| line.contains("sleep 600"));
    assert!(supervisor.is_some());
    house.ok(["rm", "-f", "web"]);
    assert_eq!(ask(&socket, "web", 1).1.len(), 0, "who is gone is not named");
}

/// A server of the outside world that knows `known.example` and nothing else; dropping it ends it.
struct Server {
    enough: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u32>>,
}

impl Server {
    fn start(address: &str, code: u8) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let thread = std::thread::spawn(move || {
            let (mut room, mut count) = ([0; 4096], 0);
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
                count += 1;
                let mut answer = room[..length].to_vec();
                answer[2] = 0x81;
                answer[3] = 0x80 | code;
                if code == 0 && answer.windows(5).any(|part| part == b"known") {
                    answer[7] = 1;
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 77]);
                } else if code == 0 {
                    answer[3] = 0x83;
                }
                let _ = socket.send_to(&answer, from);
            }
            count
        });
        Self { enough, thread: Some(thread) }
    }

    fn end(mut self) -> u32 {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

#[test]
fn what_nobody_knows_is_passed_on() {
    let house = House::new();
    run_tool("ip", ["addr", "add", "192.0.2.53/32", "dev", "lo"]);
    run_tool("ip", ["addr", "add", "192.0.2.54/32", "dev", "lo"]);
    let (broken, good) = (Server::start("192.0.2.53:53", 2), Server::start("192.0.2.54:53", 0));
    house.ok(["network", "create", "n"]);
    house.ok(["network", "create", "--internal", "vault"]);
    let servers = ["--dns", "192.0.2.53", "--dns", "192.0.2.54"];
    run(&house, "box", &[&["--network", "n"][..], &servers].concat());
    run(&house, "shut", &[&["--network", "vault"][..], &servers].concat());
    let socket = inside(&house, "box");
    assert_eq!(ask(&socket, "known.example", 1), (0, vec![77]), "the good answer wins");
    assert_eq!(ask(&socket, "other.example", 1), (3, vec![]));
    let began = Instant::now();
    assert_eq!(ask(&inside(&house, "shut"), "known.example", 1).0, 2, "an internal network asks nobody");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(broken.end() >= 2 && good.end() == 2);
    let (began, code) = (Instant::now(), ask(&socket, "known.example", 1).0);
    assert_eq!(code, 2, "refused everywhere");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn ten_thousand_questions_a_second_and_a_server_of_ones_own() {
    let house = House::new();
    house.ok(["network", "create", "n"]);
    run(&house, "web", &["--network", "n"]);
    run(&house, "bob", &["--network", "n"]);
    let pid: i32 = house.inspect("bob", "{{.State.Pid}}").parse().unwrap();
    let netns = hako_sys::netns::of(pid).unwrap();
    let own = hako_sys::netns::within(netns.as_fd(), || UdpSocket::bind("0.0.0.0:53")).unwrap();
    assert!(own.is_ok(), "port 53 is the container's");
    let socket = inside(&house, "bob");
    for _ in 0..5_000 {
        assert_eq!(ask(&socket, "web", 1).1.len(), 1);
    }
}

#[test]
fn links_of_both_kinds() {
    let house = House::new();
    let flags = [
        "run", "-d", "--name", "store", "-e", "A=b", "--expose", "80", "--expose", "90/udp", "busybox", "sleep", "600",
    ];
    house.ok(flags);
    let said = house.ok(["run", "--rm", "--link", "store:my-db", "busybox", "sh", "-c", "env; cat /etc/hosts"]);
    let there = house.inspect("store", "{{.NetworkSettings.IPAddress}}");
    for line in [
        &format!("MY_DB_PORT=tcp://{there}:80"),
        &format!("MY_DB_PORT_90_UDP=udp://{there}:90"),
        "MY_DB_PORT_80_TCP_PROTO=tcp",
        "MY_DB_ENV_A=b",
        &format!("{there}\tmy-db {} store", &house.inspect("store", "{{.Id}}")[..12]),
    ] {
        assert!(said.lines().any(|found| found == line), "{line} in {said}");
    }
    let said = house.fails(125, ["run", "--rm", "--link", "nobody", "busybox", "true"]);
    assert!(said.contains("could not get container for nobody: No such container: nobody"), "{said}");
    house.ok(["stop", "-t", "0", "store"]);
    let said = house.fails(125, ["run", "--rm", "--link", "store", "busybox", "true"]);
    assert!(said.contains("Cannot link to a non running container: /store AS /"), "{said}");
    house.ok(["network", "create", "n"]);
    run(&house, "web", &["--network", "n"]);
    let said =
        house.ok(["run", "--rm", "--network", "n", "--link", "web:other", "busybox", "ping", "-c1", "-W2", "other"]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    await_that("the alias to be nobody else's", || house.run(["exec", "web", "nslookup", "other"]).code != 0);
}
