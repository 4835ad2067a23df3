//! The measures of chapter three: a described system up, up again, down; and a large file read.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, Engines, PodmanService};
use crate::measures::interleave_these;
use crate::sample::{Plan, Row, timed};

/// Services in a chain, each started after the one before; the others stand beside it.
const CHAIN: usize = 5;

/// Compose rows: hako, and docker's compose on docker and on podman.
pub(crate) fn take(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let service = PodmanService::start(plan);
    let own = engines.all.iter().filter(|engine| matches!(engine.name, "hako" | "docker"));
    let all: Vec<&Engine> = own.chain(service.as_ref().map(|service| &service.engine)).collect();
    let rows = rows(plan, &all);
    if let Some(service) = service {
        service.stop();
    }
    rows
}

fn rows(plan: &Plan, engines: &[&Engine]) -> Vec<Row> {
    let few = described(&plan.data.join("compose-20"), 20);
    let many = described(&plan.data.join("compose-50"), 50);
    let mut up = Row::new(format!("compose up -d of 20 services, {CHAIN} in a chain"), "ms");
    let mut down = Row::new("compose down of them", "ms");
    let mut idle = Row::new("compose up -d with nothing to change, 50 services", "ms");
    let mut config = Row::new("compose config of a 250 kB file", "ms");
    let rounds = plan.rounds.min(5);
    interleave_these(engines, rounds, &mut up, |engine, _| {
        let took = timed(|| compose(engine, &few, &["up", "-d"]));
        down.add(engine.name, timed(|| compose(engine, &few, &["down", "-t", "0"])));
        took
    });
    engines.iter().for_each(|engine| compose(engine, &many, &["up", "-d"]));
    interleave_these(engines, plan.rounds, &mut idle, |engine, _| timed(|| compose(engine, &many, &["up", "-d"])));
    engines.iter().for_each(|engine| compose(engine, &many, &["down", "-t", "0"]));
    let large = large(&plan.data.join("compose-large"));
    interleave_these(engines, plan.rounds, &mut config, |engine, _| timed(|| compose(engine, &large, &["config"])));
    vec![up, down, idle, config]
}

fn compose(engine: &Engine, file: &Path, args: &[&str]) {
    let file = file.display().to_string();
    let mut words = vec!["compose", "--progress", "quiet", "-f", &file];
    words.extend_from_slice(args);
    engine.run(&words);
}

/// A file of so many services.
fn described(directory: &Path, services: usize) -> PathBuf {
    let mut text = String::from("services:\n");
    for number in 0..services {
        let _ = write!(text, "  s{number}:\n    image: busybox\n    command: sleep 3600\n    stop_grace_period: 0s\n");
        if (1..CHAIN).contains(&number) {
            let _ = writeln!(text, "    depends_on: [s{}]", number - 1);
        }
    }
    written(directory, &text)
}

/// A file of 250 kB, with what such files are full of.
fn large(directory: &Path) -> PathBuf {
    let mut text = String::from("services:\n");
    let mut number = 0;
    while text.len() < 250_000 {
        let _ = write!(
            text,
            "  service-{number}:\n    image: example/service-{number}:${{TAG:-1.0}}\n    command: [serve, --port, \"80\"]\n    \
             environment:\n      LOG_LEVEL: info\n      URL: http://service-{number}:8080/${{PREFIX:-x}}\n    \
             ports: [\"{}:80\", \"127.0.0.1:{}:81/udp\"]\n    volumes: [\"data:/data\", \"./conf/{number}:/etc/conf:ro\"]\n    \
             networks: [front, back]\n    labels: {{a: b, c: \"{number}\"}}\n    \
             healthcheck: {{test: [CMD, \"true\"], interval: 10s, retries: 3}}\n    \
             deploy: {{resources: {{limits: {{cpus: \"0.5\", memory: 64m}}}}}}\n",
            10_000 + number,
            20_000 + number,
        );
        number += 1;
    }
    text += "networks: {front: {}, back: {}}\nvolumes: {data: {}}\n";
    written(directory, &text)
}

fn written(directory: &Path, text: &str) -> PathBuf {
    let file = directory.join("compose.yaml");
    let _ = fs::create_dir_all(directory);
    let _ = fs::write(&file, text);
    file
}
