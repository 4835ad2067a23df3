//! IPv6 host addresses: redirected where the container has IPv6, relayed where it has not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use hako_net::bridge::Bridge;
use hako_net::publish::Published;
use hako_sys::netns;
use lab::{Lab, PATIENCE, ask, ask_from, ask_udp, ask_udp_by, ask_udp_from, knock_from, lab, relay};

const HOST6: &str = "[2001:db8::1]";
const OUTSIDE6: &str = "2001:db8::2";

#[test]
fn a_container_without_ipv6_is_reached_by_relay() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        web.tcp(80);
        web.udp(53);
        let relaying = relay(lab.publish(&web, &["8080:80", "5353:53/udp", "[::1]:8081:80"]).unwrap());
        assert_eq!(ask("127.0.0.1:8080"), "172.17.0.1", "IPv4 as ever");
        assert_eq!(ask("[::1]:8080"), "172.17.0.1");
        assert_eq!(ask("[::1]:8081"), "172.17.0.1");
        assert_eq!(
            ask_from(&lab.outside, &format!("{HOST6}:8080")),
            "172.17.0.1",
            "the source is lost, as with Docker"
        );
        assert_eq!(knock_from(&lab.outside, &format!("{HOST6}:8081")), "ConnectionRefused");
        assert_eq!(ask_udp("[::1]:5353"), "172.17.0.1");
        assert_eq!(ask_udp_from(&lab.outside, &format!("{HOST6}:5353")), "172.17.0.1");
        let client = UdpSocket::bind("[::]:0").unwrap();
        for _ in 0..3 {
            assert_eq!(ask_udp_by(&client, "[::1]:5353".parse().unwrap()), "172.17.0.1");
        }
        relaying.end().withdraw().unwrap();
        assert_eq!(ask("[::1]:8080"), "ConnectionRefused");
    });
}

#[test]
fn a_relay_moves_much_in_both_directions_and_passes_on_each_end() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let listener = netns::within(web.netns.as_fd(), || std::net::TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
        let relaying = relay(lab.publish(&web, &["8080:80"]).unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            }
        });
        // An end may come in the middle of what is moved in one go, or be the last thing in it.
        for size in [0, 1, 65_536, 65_537, 7 * 65_536, 8 * 65_536, 9 * 65_536, 1_000_000, 8 << 20] {
            let sent: Vec<u8> = (0..size).map(|number: u32| (number % 251) as u8).collect();
            assert!(echo("[::1]:8080", &sent) == sent, "{size} bytes came back changed");
        }
        relaying.end();
    });
}

fn echo(to: &str, sent: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(to).unwrap();
    client.set_read_timeout(Some(PATIENCE * 5)).unwrap();
    client.write_all(sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    back
}

#[test]
fn a_relay_refuses_when_nobody_listens_and_stays_idle_afterwards() {
    lab(|lab| {
        let web = lab.ready().container("172.17.0.2");
        let mut published = lab.publish(&web, &["8080:80"]).unwrap();
        let mut client = TcpStream::connect("[::1]:8080").unwrap();
        client.set_nonblocking(true).unwrap();
        let ready = |published: &Published, wait| {
            let watched = published.watch().unwrap();
            hako_sys::poll::wait_one(watched, hako_sys::poll::Interest::Read, Some(wait)).unwrap()
        };
        let start = std::time::Instant::now();
        while client.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            assert!(start.elapsed() < PATIENCE * 5, "the client is told");
            if ready(&published, lab::BRIEF) {
                published.turn();
            }
        }
        assert!(!ready(&published, lab::BRIEF), "nothing wakes the supervisor");
        published.withdraw().unwrap();
    });
}

#[test]
fn a_container_with_ipv6_is_reached_by_the_kernel() {
    lab(|lab| {
        let mut bridge = Bridge { gateway6: Some("fd00:17::1/64".parse().unwrap()), ..lab.bridge.clone() };
        bridge.subnets.push("fd00:17::/64".parse().unwrap());
        bridge.masquerade.clone_from(&bridge.subnets);
        let lab = Lab { bridge, ..lab.beside() };
        let (web, neighbour) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        web.tcp(80);
        web.tcp(81);
        lab::serve_tcp(lab.outside.as_fd(), 9000);
        let published = lab.publish(&web, &["8080:80", "[2001:db8::1]:8081:80", "[::1]:8082:80"]).unwrap();
        assert_eq!(published.bindings().len(), 4);
        assert_eq!(ask_from(&lab.outside, &format!("{HOST6}:8080")), OUTSIDE6);
        assert_eq!(ask_from(&lab.outside, &format!("{HOST6}:8081")), OUTSIDE6);
        assert_eq!(ask(&format!("{HOST6}:8080")), "2001:db8::1");
        assert_eq!(ask_from(&neighbour.netns, &format!("{HOST6}:8080")), "fd00:17::1");
        assert_eq!(ask_from(&web.netns, &format!("{HOST6}:8080")), "fd00:17::1");
        assert_eq!(ask_from(&web.netns, "[2001:db8::2]:9000"), "2001:db8::1", "masqueraded");
        assert_eq!(knock_from(&lab.outside, &format!("{HOST6}:8082")), "ConnectionRefused");
        lab.outside("ip -6 route add fd00:17::/64 via 2001:db8::1");
        assert_eq!(knock_from(&lab.outside, &format!("[{}]:81", web.plan.address6.unwrap().addr())), "TimedOut");
        let relaying = relay(published);
        assert_eq!(ask("[::1]:8082"), "fd00:17::1");
        assert_eq!(ask("[::1]:8080"), "fd00:17::1");
        relaying.end().withdraw().unwrap();
    });
}
