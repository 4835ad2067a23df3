//! Endpoints and published ports, on a throw-away host: a network namespace that the case's own thread enters.

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

use hako_model::port::{Port, Publication};
use hako_model::restart::Policy;
use hako_net::bridge::{self, Bridge};
use hako_net::endpoint::{self, Plan};
use hako_net::nft::{self, Table};
use hako_net::publish;
use hako_supervisor::description::Network;
use hako_supervisor::protocol::{Answer, Ask, Failure};
use hako_sys::netns;

use crate::Case;
use crate::stage::{ENOUGH, Stage};

pub(crate) const CASES: &[Case] = &[
    ("a published port outlives restarts and goes with the container", published),
    ("a port that is taken is refused and leaves nothing", taken),
];

fn on_a_host(test: fn(&Bridge)) {
    let run = move || {
        netns::unshare_network().unwrap();
        endpoint::loopback_up(netns::current().unwrap().as_fd()).unwrap();
        let bridge = Bridge {
            name: "hako0".into(),
            gateway: Some("172.30.0.1/24".parse().unwrap()),
            subnets: vec!["172.30.0.0/24".parse().unwrap()],
            masquerade: vec!["172.30.0.0/24".parse().unwrap()],
            talk: true,
            ..Bridge::default()
        };
        bridge::ensure(&bridge).unwrap();
        Table::of("").ensure(std::slice::from_ref(&bridge), nft::Policy { metadata: false }).unwrap();
        test(&bridge);
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn network(bridge: &Bridge, host_port: Option<u16>) -> Network {
    let address = "172.30.0.9/24".parse::<ipnet::Ipv4Net>().unwrap();
    let plan = Plan {
        host_name: "hktest".into(),
        name: "eth0".into(),
        bridge: bridge.name.clone(),
        address: Some(address),
        gateway: bridge.gateway.map(|gateway| gateway.addr()),
        way_out: true,
        mac: endpoint::mac_of(address.addr()),
        ..Plan::default()
    };
    let publication =
        Publication { container: Port::tcp(8080), host: None, ports: host_port.map(|port| port..=port), more: 0 };
    Network { endpoints: vec![plan], ports: vec![publication], ..Network::default() }
}

/// What a connection to `port` is told, once somebody listens.
fn fetch(port: u16) -> String {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < ENOUGH, "nobody answers at {port}");
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port))
            && stream.read_to_string(&mut text).is_ok()
            && !text.is_empty()
        {
            return text;
        }
        std::thread::yield_now();
    }
}

fn published() {
    on_a_host(|bridge| {
        let mut stage = Stage::new("echo hello | nc -l -p 8080");
        stage.description.restart = Policy::Always;
        stage.description.network = network(bridge, None);
        let mut engine = stage.engine();
        let Ok(Answer::Started { ports, .. }) = engine.ask(Ask::Start(Box::new(stage.description.clone()))) else {
            panic!()
        };
        let port = ports[0].host.port();
        assert_eq!(fetch(port), "hello\n");
        engine.until("die 0");
        assert_eq!(publish::list(&Table::of("")).unwrap().len(), 1, "kept between lives");
        engine.until("start");
        assert_eq!(fetch(port), "hello\n");
        engine.ask(Ask::Stop { signal: Some(9), timeout: None, sender: None }).unwrap();
        engine.finish();
        assert!(publish::list(&Table::of("")).unwrap().is_empty());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    });
}

fn taken() {
    on_a_host(|bridge| {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut stage = Stage::new("sleep 1000");
        stage.description.network = network(bridge, Some(port));
        let mut engine = stage.engine();
        let Err(Failure::Port { error }) = engine.start(&stage) else { panic!() };
        assert!(error.contains(&port.to_string()), "{error}");
        engine.finish();
        assert!(publish::list(&Table::of("")).unwrap().is_empty());
        let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        assert!(!links.contains("hktest"), "{links}");
    });
}
