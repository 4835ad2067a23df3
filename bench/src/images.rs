//! Pull, load and save of an image of some 400 MB in six layers: the command, the command with its data on the disk (the
//! peers leave that to the kernel, hako does it before it answers), and the machine's processor time for both.

use std::fs;

use crate::engine::{ContainerdStore, Engine, Engines};
use crate::measures::{interleave_these, settle};
use crate::registry::Registry;
use crate::sample::{Plan, Row, machine_time, timed};

/// What a command costs beyond its own time.
struct Whole {
    durable: Row,
    processors: Row,
}

impl Whole {
    fn new(what: &str) -> Self {
        Self {
            durable: Row::new(format!("{what}, then `sync`"), "ms"),
            processors: Row::new(format!("{what}, then `sync`: processor time of the machine"), "ms"),
        }
    }

    fn take(&mut self, engine: &Engine, args: &[&str]) -> f64 {
        settle();
        let worked = machine_time();
        let took = timed(|| engine.run(args));
        let durable = took + timed(settle);
        self.durable.add(engine.name, durable);
        self.processors.add(engine.name, machine_time() - worked);
        took
    }

    fn below(self, command: Row) -> [Row; 3] {
        [command, self.durable, self.processors]
    }
}

/// Measures them.
pub(crate) fn take(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let Some(registry) = Registry::filled(plan) else {
        eprintln!("images: skipped, docker-registry or skopeo is not installed");
        return Vec::new();
    };
    let containerd = ContainerdStore::start(plan);
    let mut all: Vec<&Engine> = engines.all.iter().filter(|engine| engine.name != "docker+crun").collect();
    all.extend(containerd.as_ref().map(|store| &store.engine));
    let mut rows = Vec::new();
    for kind in ["gzip", "zstd"] {
        rows.extend(pull(plan, &all, kind));
    }
    rows.extend(load_and_save(plan, &all));
    registry.stop();
    if let Some(store) = containerd {
        store.stop();
    }
    rows
}

fn pull(plan: &Plan, engines: &[&Engine], kind: &str) -> [Row; 3] {
    let reference = format!("127.0.0.1:5000/big:{kind}");
    let what = format!("pull, {kind}");
    let (mut command, mut whole) = (Row::new(&what, "ms"), Whole::new(&what));
    interleave_these(engines, plan.few(), &mut command, |engine, _| {
        let pull: &[&str] =
            if engine.name == "podman" { &["pull", "--tls-verify=false", &reference] } else { &["pull", &reference] };
        let took = whole.take(engine, pull);
        engine.run(&["rmi", &reference]);
        took
    });
    whole.below(command)
}

fn load_and_save(plan: &Plan, engines: &[&Engine]) -> Vec<Row> {
    let archive = plan.data.join("big.tar").display().to_string();
    let file = plan.data.join("saved.tar").display().to_string();
    let (mut load, mut save) = (Row::new("load", "ms"), Row::new("save", "ms"));
    let (mut whole_load, mut whole_save) = (Whole::new("load"), Whole::new("save"));
    interleave_these(engines, plan.few(), &mut load, |engine, _| {
        let took = whole_load.take(engine, &["load", "-i", &archive]);
        let _ = fs::remove_file(&file);
        save.add(engine.name, whole_save.take(engine, &["save", "-o", &file, "localhost/big:plain"]));
        engine.run(&["rmi", "localhost/big:plain"]);
        took
    });
    whole_load.below(load).into_iter().chain(whole_save.below(save)).collect()
}
