//! How many bytes go through, by iperf3: from a container to the host, to a published port, between containers; and the same
//! through a pair of devices with nothing else.

use std::process::Command;

use super::HOST;
use super::place::{Empty, Place};
use crate::engine::{Engine, Engines};
use crate::measures::own;
use crate::sample::{Plan, Row};

const PORT: u16 = 5201;

/// Where one engine's packets go: from, to and at which port.
struct Way {
    from: Place,
    address: String,
    port: String,
}

pub(super) fn take(plan: &Plan, engines: &Engines) -> Vec<Row> {
    if Command::new("iperf3").arg("--version").output().is_err() {
        eprintln!("no iperf3: nothing is known of throughput");
        return Vec::new();
    }
    let labels = [
        "container to host",
        "host to published port",
        "container to container",
        "container to container on an internal network",
    ];
    let mut rows = labels.map(|label| Row::new(format!("{label}, iperf3"), "Gbit/s"));
    let one_each = engines.all.iter().filter(|engine| engine.name != "docker+crun");
    let mut parties: Vec<(&str, [Way; 4])> =
        one_each.clone().enumerate().map(|(place, engine)| (engine.name, started(engine, place))).collect();
    let bare = [Empty::new(), Empty::new()];
    parties.push(("floor", pairs(&bare)));
    let serve = |place: &Place| place.serve("iperf3", &["-s"], PORT);
    let mut servers = vec![serve(&Place::Host), serve(&bare[0].place()), serve(&bare[1].place())];
    servers.extend(one_each.clone().map(|engine| serve(&Place::container(engine, &own("near", engine)))));
    for round in 0..plan.rounds {
        for (row, which) in rows.iter_mut().zip(0..) {
            for turn in 0..parties.len() {
                let (name, ways) = &parties[(turn + round) % parties.len()];
                // The server may still be busy with the one before.
                if let Some(rate) = (0..3).find_map(|_| measured(&ways[which])) {
                    row.add(name, rate);
                }
            }
        }
    }
    drop(servers);
    one_each.for_each(|engine| {
        engine.run(&["rm", "-f", &own("near", engine), &own("far", engine)]);
        engine.run(&["network", "rm", &own("stream", engine), &own("inside", engine)]);
    });
    rows.into()
}

/// Two containers on a network, one with a published port.
fn started(engine: &Engine, place: usize) -> [Way; 4] {
    let (network, inside) = (own("stream", engine), own("inside", engine));
    let (near, far) = (own("near", engine), own("far", engine));
    let port = (15_000 + place).to_string();
    engine.run(&["network", "create", &network]);
    let publish = format!("{port}:{PORT}");
    engine.run(&["run", "-d", "--name", &near, "--network", &network, "-p", &publish, "busybox", "sleep", "3600"]);
    engine.run(&["run", "-d", "--name", &far, "--network", &network, "busybox", "sleep", "3600"]);
    engine.run(&["network", "create", "--internal", &inside]);
    engine.run(&["network", "connect", &inside, &near]);
    engine.run(&["network", "connect", &inside, &far]);
    let address = |network: &str| {
        let template = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        engine.read(&["inspect", "-f", &template, &near])
    };
    let own = PORT.to_string();
    [
        Way { from: Place::container(engine, &near), address: HOST.to_owned(), port: own.clone() },
        Way { from: Place::Host, address: HOST.to_owned(), port },
        Way { from: Place::container(engine, &far), address: address(&network), port: own.clone() },
        Way { from: Place::container(engine, &far), address: address(&inside), port: own },
    ]
}

/// Pairs of devices between the host and an empty network, and between two of them.
fn pairs(bare: &[Empty; 2]) -> [Way; 4] {
    let [Place::Of(one), Place::Of(two)] = [bare[0].place(), bare[1].place()] else {
        unreachable!("both are a process's")
    };
    Place::Host.sh(&format!(
        "ip link add bare0 type veth peer name bare0 netns {one} && ip addr add 10.252.0.1/30 dev bare0 && ip link set bare0 up"
    ));
    bare[0].place().sh(&format!(
        "ip addr add 10.252.0.2/30 dev bare0; ip link set bare0 up; \
         ip link add bare1 type veth peer name bare1 netns {two}; ip addr add 10.252.0.5/30 dev bare1; ip link set bare1 up"
    ));
    bare[1].place().sh("ip addr add 10.252.0.6/30 dev bare1; ip link set bare1 up");
    let way = |from, address: &str| Way { from, address: address.to_owned(), port: PORT.to_string() };
    let between = || way(bare[0].place(), "10.252.0.6");
    [way(bare[0].place(), "10.252.0.1"), way(Place::Host, "10.252.0.2"), between(), between()]
}

/// A second of it, in Gbit/s, as it arrived.
fn measured(way: &Way) -> Option<f64> {
    let told = way.from.read("iperf3", &["-c", &way.address, "-p", &way.port, "-t", "1", "-f", "g"]);
    let line = told.lines().find(|line| line.ends_with("receiver"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "Gbits/sec")?;
    words[unit.checked_sub(1)?].parse().ok()
}
