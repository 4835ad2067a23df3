//! How long it takes to plug a container in and to publish a port: medians of 200, in a throw-away network namespace.
//!
//! `cargo run --release -p hako-net --example latency`, as root.

use std::error::Error;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hako_model::port;
use hako_net::bridge::{self, Bridge};
use hako_net::endpoint::{self, Plan};
use hako_net::firewall;
use hako_net::nft::{Policy, Table};
use hako_net::publish::{Published, Target};
use hako_sys::netns;
use hako_sys::process::SingleThreaded;

const ROUNDS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    netns::unshare_network()?;
    endpoint::loopback_up(netns::current()?.as_fd())?;
    let table = Table::of("");
    let bridge = Bridge {
        name: "hako0".into(),
        gateway: Some("172.17.0.1/16".parse()?),
        subnets: vec!["172.17.0.0/16".parse()?],
        masquerade: vec!["172.17.0.0/16".parse()?],
        talk: true,
        ..Bridge::default()
    };
    let policy = Policy { metadata: false };
    bridge::ensure(&bridge)?;
    table.ensure(std::slice::from_ref(&bridge), policy)?;
    let plan = Plan {
        host_name: endpoint::host_name("0123456789abcdef"),
        name: "eth0".into(),
        bridge: bridge.name.clone(),
        address: Some("172.17.0.2/16".parse()?),
        gateway: bridge.gateway.map(|gateway| gateway.addr()),
        way_out: true,
        mac: endpoint::mac_of([172, 17, 0, 2].into()),
        ..Plan::default()
    };
    let target = Target { v4: plan.address.map(|net| net.addr()), v6: None, by_input: false };
    let wanted = port::wanted(&port::publish(["8080:80"], [])?.1, [], false)?;
    let mut clocks: [Vec<Duration>; 9] = Default::default();
    for _ in 0..ROUNDS {
        let container = netns::create()?;
        let witness = SingleThreaded::check()?;
        timed(&mut clocks[0], || endpoint::attach_here(witness, container.as_fd(), &plan))?;
        // Nobody listens: the container's own kernel says so as soon as packets get through.
        timed(&mut clocks[8], || Ok(TcpStream::connect("172.17.0.2:80").is_err()))?;
        let mut published = timed(&mut clocks[1], || Published::publish(&table, target, &wanted))?;
        timed(&mut clocks[2], || published.withdraw())?;
        timed(&mut clocks[3], || {
            drop(published);
            Ok(())
        })?;
        timed(&mut clocks[7], || endpoint::retire(&plan.host_name))?;
        timed(&mut clocks[4], || endpoint::detach(&plan.host_name))?;
        timed(&mut clocks[5], || firewall::admit(&bridge.name))?;
        timed(&mut clocks[6], || table.ensure(std::slice::from_ref(&bridge), policy))?;
    }
    let names = [
        "attach",
        "publish",
        "withdraw",
        "drop published",
        "detach",
        "admit",
        "table ensure",
        "retire",
        "first packet",
    ];
    for (name, mut clock) in names.into_iter().zip(clocks) {
        clock.sort();
        println!(
            "{name:>15}: median {:>9.1?}  fastest {:>9.1?}  slowest {:>9.1?}",
            clock[clock.len() / 2],
            clock[0],
            clock[clock.len() - 1]
        );
    }
    Ok(())
}

fn timed<T>(clock: &mut Vec<Duration>, work: impl FnOnce() -> hako_net::Result<T>) -> hako_net::Result<T> {
    let start = Instant::now();
    let result = work();
    clock.push(start.elapsed());
    result
}
