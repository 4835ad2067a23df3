//! The measures of networks.

mod lookup;
mod place;
mod request;
mod stream;

use std::fmt::Write as _;

use crate::engine::{Engine, Engines};
use crate::measures::{engine_pss, interleave, own, remove_all, start_many};
use crate::sample::{Plan, Row, timed};

pub(crate) use lookup::resolve;

/// Ports that every engine publishes; more than that takes some of them minutes.
const PORTS: &str = "30000-30199:30000-30199/udp";
/// Ports that only hako is asked for.
const MANY_PORTS: &str = "10000-19999:10000-19999/udp";
/// A network full of containers; only hako is asked for it, as its peers would take some minutes.
const CROWD: usize = 1000;

/// Making, joining, leaving and removing a network; a container on one; many ports.
pub(crate) fn changes(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut rows = vec![joined_and_left(plan, engines), run_on_a_network(plan, engines), published(plan, engines)];
    rows.extend(very_many(plan, engines));
    rows
}

/// Bytes that go through.
pub(crate) fn streams(plan: &Plan, engines: &Engines) -> Vec<Row> {
    with_address(|| stream::take(plan, engines))
}

/// Requests that go through.
pub(crate) fn requests(plan: &Plan, engines: &Engines) -> Vec<Row> {
    with_address(|| request::take(plan, engines))
}

/// Names that are looked up.
pub(crate) fn names(plan: &Plan, engines: &Engines) -> Vec<Row> {
    lookup::take(plan, engines)
}

/// Gives the host an address: there is none in this namespace but loopback's.
fn with_address(take: impl FnOnce() -> Vec<Row>) -> Vec<Row> {
    place::Place::Host.sh(&format!(
        "ip link add host0 type veth peer name host1; ip link set host1 up; ip addr add {HOST}/32 dev host0; ip link set host0 up"
    ));
    let rows = take();
    place::Place::Host.sh("ip link del host0");
    rows
}

/// The host's address.
const HOST: &str = "10.99.0.1";

fn joined_and_left(plan: &Plan, engines: &Engines) -> Row {
    let keep = |engine: &Engine| own("member", engine);
    let mut whole = Row::new("network create + connect + disconnect + rm", "ms");
    engines
        .all
        .iter()
        .for_each(|engine| engine.run(&["run", "-d", "--name", &keep(engine), "busybox", "sleep", "3600"]));
    interleave(engines, plan.rounds, &mut whole, |engine, round| {
        let (network, member) = (format!("{}-{round}", own("bench", engine)), keep(engine));
        timed(|| {
            engine.run(&["network", "create", &network]);
            engine.run(&["network", "connect", &network, &member]);
            engine.run(&["network", "disconnect", &network, &member]);
            engine.run(&["network", "rm", &network]);
        })
    });
    engines.all.iter().for_each(|engine| engine.run(&["rm", "-f", &keep(engine)]));
    whole
}

fn run_on_a_network(plan: &Plan, engines: &Engines) -> Row {
    let mut row = Row::new("run --rm --network own busybox true", "ms");
    engines.all.iter().for_each(|engine| engine.run(&["network", "create", &own("own", engine)]));
    interleave(engines, plan.rounds, &mut row, |engine, _| {
        timed(|| engine.run(&["run", "--rm", "--network", &own("own", engine), "busybox", "true"]))
    });
    engines.all.iter().for_each(|engine| engine.run(&["network", "rm", &own("own", engine)]));
    row
}

fn published(plan: &Plan, engines: &Engines) -> Row {
    let mut row = Row::new("run -d -p of 200 UDP ports", "ms");
    interleave(engines, plan.rounds.min(3), &mut row, |engine, _| {
        let took = started_with(engine, PORTS);
        engine.run(&["rm", "-f", &own("ports", engine)]);
        took
    });
    row
}

/// Time and memory of as many ports as a media server wants: one range, and as many that do not follow each other.
fn very_many(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    let scattered = plan.data.join("ports.env");
    let single = (0..10_000).fold(String::new(), |mut all, number| {
        let _ = write!(all, "-p\n{}:{}/udp\n", 20_000 + number, 40_000 - number);
        all
    });
    let _ = std::fs::write(&scattered, &single);
    let words: Vec<&str> = single.lines().collect();
    let mut rows = Vec::new();
    for (label, flags) in [("in a range", &["-p", MANY_PORTS][..]), ("one by one", &words)] {
        let mut took = Row::new(format!("run -d -p of 10,000 UDP ports, {label}"), "ms");
        let mut memory = Row::new(format!("memory they take, {label}"), "MiB");
        for _ in 0..plan.rounds.min(5) {
            let name = own("ports", hako);
            let before = engine_pss();
            let verb = ["run", "-d", "--name", &name];
            took.add(hako.name, timed(|| hako.run(&[&verb, flags, &["busybox", "sleep", "3600"]].concat())));
            memory.add(hako.name, (engine_pss() - before) / 1024.0);
            hako.run(&["rm", "-f", &name]);
        }
        rows.extend([took, memory]);
    }
    rows
}

fn started_with(engine: &Engine, ports: &str) -> f64 {
    let name = own("ports", engine);
    timed(|| engine.run(&["run", "-d", "--name", &name, "-p", ports, "busybox", "sleep", "3600"]))
}

/// The start of a container on an empty network, and on one with a thousand.
pub(crate) fn crowd(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    hako.run(&["network", "create", "--subnet", "10.250.0.0/16", "crowd"]);
    let sample = |row: &mut Row| {
        for _ in 0..plan.rounds {
            hako.run(&["create", "--name", "newest", "--network", "crowd", "busybox", "sleep", "3600"]);
            row.add(hako.name, timed(|| hako.run(&["start", "newest"])));
            hako.run(&["rm", "-f", "newest"]);
        }
    };
    let mut first = Row::new("start of the 1st container on a network", "ms");
    let mut last = Row::new(format!("start of container {CROWD} on it"), "ms");
    // Whoever comes first finds the engine cold.
    hako.run(&["run", "--rm", "--network", "crowd", "busybox", "true"]);
    sample(&mut first);
    start_many(hako, CROWD - 1, &["--network", "crowd"]);
    sample(&mut last);
    remove_all(hako);
    hako.run(&["network", "rm", "crowd"]);
    vec![first, last]
}
