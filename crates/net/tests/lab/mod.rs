//! A throw-away network: a host, a machine outside, containers; each a network namespace of its own.
#![allow(dead_code, reason = "each test file uses its own part of the laboratory")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use hako_net::bridge::{self, Bridge};
use hako_net::endpoint::{self, Plan};
use hako_net::nft::{Policy, Table};
use hako_net::publish::{Published, Target};
use hako_sys::netns;
use hako_sys::poll::{Epoll, Event, Interest};

pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Long enough for a packet that is not dropped to arrive.
pub(crate) const BRIEF: Duration = Duration::from_millis(300);

pub(crate) const HOST: &str = "192.0.2.1";
pub(crate) const OUTSIDE: &str = "192.0.2.2";

pub(crate) const POLICY: Policy = Policy { metadata: false };

pub(crate) struct Lab {
    pub(crate) outside: OwnedFd,
    pub(crate) bridge: Bridge,
    pub(crate) table: Table,
}

pub(crate) struct Container {
    pub(crate) netns: OwnedFd,
    pub(crate) plan: Plan,
}

/// Runs a test on a thread whose network namespace is the host.
pub(crate) fn lab(test: impl FnOnce(&Lab) + Send + 'static) {
    let run = || {
        netns::unshare_network().expect("root is needed to make network namespaces");
        let lab = Lab::new();
        test(&lab);
    };
    let thread = std::thread::Builder::new().spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    fn new() -> Self {
        let outside = netns::create().unwrap();
        endpoint::loopback_up(outside.as_fd()).unwrap();
        endpoint::loopback_up(netns::current().unwrap().as_fd()).unwrap();
        run("ip link add out0 type veth peer name eth0");
        run(&format!("ip link set eth0 netns /proc/{}/fd/{}", std::process::id(), outside.as_raw_fd()));
        run("ip addr add 192.0.2.1/24 dev out0");
        run("ip -6 addr add 2001:db8::1/64 dev out0 nodad");
        run("ip link set out0 up");
        let lab = Self { outside, bridge: bridge("hako0", "172.17.0.1/16"), table: Table::of("") };
        lab.outside("ip addr add 192.0.2.2/24 dev eth0");
        lab.outside("ip -6 addr add 2001:db8::2/64 dev eth0 nodad");
        lab.outside("ip link set eth0 up");
        lab
    }

    /// Another instance on the same host.
    pub(crate) fn beside(&self) -> Self {
        Self { outside: self.outside.try_clone().unwrap(), bridge: self.bridge.clone(), table: self.table.clone() }
    }

    /// With bridge and table ready.
    pub(crate) fn ready(&self) -> &Self {
        bridge::ensure(&self.bridge).unwrap();
        self.table.ensure(std::slice::from_ref(&self.bridge), POLICY).unwrap();
        self
    }

    pub(crate) fn outside(&self, command: &str) -> String {
        netns::within(self.outside.as_fd(), || run(command)).unwrap()
    }

    pub(crate) fn container(&self, address: &str) -> Container {
        let netns = netns::create().unwrap();
        endpoint::loopback_up(netns.as_fd()).unwrap();
        let plan = plan(&self.bridge, address);
        endpoint::attach(netns.as_fd(), &plan).unwrap();
        Container { netns, plan }
    }

    pub(crate) fn publish(&self, container: &Container, values: &[&str]) -> Result<Published, hako_net::Error> {
        let (exposed, bindings) = hako_model::port::publish(values.iter().copied(), []).unwrap();
        let wanted = hako_model::port::wanted(&bindings, exposed.keys().map(String::as_str), false).unwrap();
        Published::publish(&self.table, container.target(), &wanted)
    }
}

pub(crate) fn bridge(name: &str, gateway: &str) -> Bridge {
    let gateway: ipnet::Ipv4Net = gateway.parse().unwrap();
    let subnets = vec![ipnet::IpNet::V4(gateway.trunc())];
    Bridge {
        name: name.into(),
        gateway: Some(gateway),
        masquerade: subnets.clone(),
        subnets,
        talk: true,
        ..Bridge::default()
    }
}

pub(crate) fn plan(bridge: &Bridge, address: &str) -> Plan {
    let address: Ipv4Addr = address.parse().unwrap();
    let [.., c, d] = address.octets();
    Plan {
        way_out: true,
        way_out6: true,
        host_name: endpoint::host_name(&format!("{c:02x}{d:02x}0123456789abcdef")),
        name: "eth0".into(),
        bridge: bridge.name.clone(),
        address: Some(ipnet::Ipv4Net::new(address, bridge.gateway.unwrap().prefix_len()).unwrap()),
        gateway: bridge.gateway.map(|gateway| gateway.addr()),
        address6: bridge.gateway6.map(|gateway| {
            let bits = (gateway.addr().to_bits() & !0xffff) | u128::from(d) << 8 | 0x10;
            ipnet::Ipv6Net::new(bits.into(), gateway.prefix_len()).unwrap()
        }),
        gateway6: bridge.gateway6.map(|gateway| gateway.addr()),
        mac: endpoint::mac_of(address),
        mtu: bridge.mtu,
        isolated: !bridge.talk,
        ..Plan::default()
    }
}

impl Container {
    pub(crate) fn target(&self) -> Target {
        Target {
            v4: self.plan.address.map(|net| net.addr()),
            v6: self.plan.address6.map(|net| net.addr()),
            by_input: false,
        }
    }

    pub(crate) fn run(&self, command: &str) -> String {
        netns::within(self.netns.as_fd(), || run(command)).unwrap()
    }

    /// A TCP server that tells each client the address it sees.
    pub(crate) fn tcp(&self, port: u16) {
        serve_tcp(self.netns.as_fd(), port);
    }

    /// The same for UDP: the answer goes back to where the question came from.
    pub(crate) fn udp(&self, port: u16) {
        let any: SocketAddr = (std::net::Ipv6Addr::UNSPECIFIED, port).into();
        let socket = netns::within(self.netns.as_fd(), || UdpSocket::bind(any)).unwrap().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(plain(peer.ip()).as_bytes(), peer);
            }
        });
    }
}

pub(crate) fn serve_tcp(netns: BorrowedFd<'_>, port: u16) {
    let any: SocketAddr = (std::net::Ipv6Addr::UNSPECIFIED, port).into();
    let listener = netns::within(netns, || TcpListener::bind(any)).unwrap().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = stream.write_all(plain(peer.ip()).as_bytes());
        }
    });
}

fn plain(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// What a TCP server at `to` says, asked from the thread's namespace; an error's kind otherwise.
pub(crate) fn ask(to: &str) -> String {
    ask_for(to, PATIENCE)
}

pub(crate) fn ask_for(to: &str, patience: Duration) -> String {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&to.parse().unwrap(), patience)?;
        stream.set_read_timeout(Some(patience))?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    answer().unwrap_or_else(|error: std::io::Error| format!("{:?}", error.kind()))
}

/// [`ask`] from another namespace.
pub(crate) fn ask_from(netns: &OwnedFd, to: &str) -> String {
    netns::within(netns.as_fd(), || ask(to)).unwrap()
}

/// Asks for something that should not be answered.
pub(crate) fn knock_from(netns: &OwnedFd, to: &str) -> String {
    netns::within(netns.as_fd(), || ask_for(to, BRIEF)).unwrap()
}

pub(crate) fn ask_udp(to: &str) -> String {
    let to: SocketAddr = to.parse().unwrap();
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    ask_udp_by(&UdpSocket::bind(any).unwrap(), to)
}

pub(crate) fn ask_udp_by(socket: &UdpSocket, to: SocketAddr) -> String {
    let answer = || {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send_to(b"?", to)?;
        let mut buffer = [0; 64];
        let (length, peer) = socket.recv_from(&mut buffer)?;
        assert_eq!(peer, to, "the answer came from elsewhere");
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    answer().unwrap_or_else(|error: std::io::Error| format!("{:?}", error.kind()))
}

pub(crate) fn ask_udp_from(netns: &OwnedFd, to: &str) -> String {
    netns::within(netns.as_fd(), || ask_udp(to)).unwrap()
}

/// Runs a program in the thread's namespace; fails the test if it fails.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    said
}

/// Until a port is free: programs started by tests on other threads hold its socket between their fork and exec.
pub(crate) fn soon<T, E: std::fmt::Debug>(attempt: impl Fn() -> Result<T, E>) -> T {
    let start = std::time::Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(start.elapsed() < PATIENCE * 5, "{error:?}"),
        }
        std::thread::yield_now();
    }
}

/// Moves relayed bytes as a supervisor would, until the ports are withdrawn.
pub(crate) struct Relaying {
    thread: std::thread::JoinHandle<Published>,
    enough: OwnedFd,
}

pub(crate) fn relay(mut published: Published) -> Relaying {
    let (stop, enough) = rustix::pipe::pipe().unwrap();
    let thread = std::thread::spawn(move || {
        let epoll = Epoll::new().unwrap();
        epoll.add(&stop, 1, Interest::Read).unwrap();
        epoll.add(published.watch().unwrap(), 2, Interest::Read).unwrap();
        let mut events = Vec::new();
        while events.iter().all(|event: &Event| event.token != 1) {
            events.clear();
            epoll.wait(&mut events, None).unwrap();
            published.turn();
        }
        published
    });
    Relaying { thread, enough }
}

impl Relaying {
    pub(crate) fn end(self) -> Published {
        drop(self.enough);
        self.thread.join().unwrap()
    }
}
