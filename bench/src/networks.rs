//! The measures of networks.

use crate::engine::{Engine, Engines};
use crate::measures::{interleave, own};
use crate::sample::{Plan, Row, timed};

/// Ports that every engine publishes; more than that takes some of them minutes.
const PORTS: &str = "30000-30199:30000-30199/udp";
/// Ports that only hako is asked for.
const MANY_PORTS: &str = "10000-19999:10000-19999/udp";

/// Making, joining, leaving and removing a network; a container on one; many ports.
pub(crate) fn networks(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut rows = changes(plan, engines);
    rows.push(run_on_a_network(plan, engines));
    rows.push(published(plan, engines));
    rows.push(very_many(plan, engines));
    rows
}

fn changes(plan: &Plan, engines: &Engines) -> Vec<Row> {
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
    vec![whole]
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
    interleave(engines, plan.rounds.min(3), &mut row, |engine, _| started_with(engine, PORTS));
    row
}

fn very_many(plan: &Plan, engines: &Engines) -> Row {
    let mut row = Row::new("run -d -p of 10,000 UDP ports", "ms");
    let hako = engines.hako();
    for _ in 0..plan.rounds.min(3) {
        row.add(hako.name, started_with(hako, MANY_PORTS));
    }
    row
}

fn started_with(engine: &Engine, ports: &str) -> f64 {
    let name = own("ports", engine);
    let took = timed(|| engine.run(&["run", "-d", "--name", &name, "-p", ports, "busybox", "sleep", "3600"]));
    engine.run(&["rm", "-f", &name]);
    took
}
