//! The measures of chapter two: builds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, Engines};
use crate::measures::interleave;
use crate::sample::{Plan, Row, timed};

/// Files of the large context, and how many of them share a folder.
const FILES: usize = 20_000;
const FOLDER: usize = 100;

const STEPS: &str = "FROM busybox AS one
RUN echo 1 > /1
RUN echo 2 > /2
RUN echo 3 > /3
RUN echo 4 > /4
FROM busybox AS two
RUN echo 5 > /5
RUN echo 6 > /6
RUN echo 7 > /7
FROM busybox
COPY --from=one /4 /from-one
COPY --from=two /7 /from-two
RUN echo 8 > /8
RUN echo 9 > /9
RUN echo 10 > /10
";

/// Ten RUN steps in three stages; a COPY of many small files.
pub(crate) fn builds(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut rows = steps(plan, engines);
    rows.extend(many_files(plan, engines));
    rows.extend(large(plan, engines));
    rows
}

/// An image of 5 GiB in five layers: the memory that building it takes, and what it costs when everything is cached.
fn large(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let context = plan.data.join("build-large");
    fs::create_dir_all(&context).expect("a directory");
    let layers = (1..=5)
        .map(|number| format!("RUN dd if=/dev/zero of=/{number} bs=1M count=1024 && echo {number} >> /{number}\n"));
    fs::write(context.join("Dockerfile"), format!("FROM busybox\n{}", layers.collect::<String>()))
        .expect("a Dockerfile");
    let files = plan.data.join("build-files");
    let mut peak = Row::new("build: peak memory of the daemon, 20,000 files and 5 GiB", "MiB");
    let mut cached = Row::new("build and run of a 5 GiB image, all cached", "ms");
    // podman has no daemon, and would fill the disk.
    for engine in engines.all.iter().filter(|engine| matches!(engine.name, "hako" | "docker")) {
        // A daemon that had nothing to do may have left.
        engine.run(&["version"]);
        engine.forget_peak();
        build(engine, &files, "bench-files", &["--no-cache"]);
        build(engine, &context, "bench-large", &[]);
        if let Some(most) = engine.daemon_peak() {
            peak.add(engine.name, most);
        }
        for _ in 0..plan.rounds {
            let both = || {
                build(engine, &context, "bench-large", &[])
                    + timed(|| engine.run(&["run", "--rm", "bench-large", "true"]))
            };
            if let Some(sample) = engine.sound(both) {
                cached.add(engine.name, sample);
            }
        }
        engine.run(&["rmi", "-f", "bench-large"]);
        engine.run(&["builder", "prune", "-a", "-f"]);
    }
    vec![peak, cached]
}

/// One build.
fn build(engine: &Engine, context: &Path, tag: &str, flags: &[&str]) -> f64 {
    let context = context.display().to_string();
    timed(|| engine.run(&[&["build", "-q", "-t", tag], flags, &[context.as_str()]].concat()))
}

fn steps(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let context = plan.data.join("build-steps");
    fs::create_dir_all(&context).expect("a directory");
    fs::write(context.join("Dockerfile"), STEPS).expect("a Dockerfile");
    let mut fresh = Row::new("build: 10 RUN in 3 stages, no cache", "ms");
    builders(engines, plan.few(), &mut fresh, |engine, _| build(engine, &context, "bench-steps", &["--no-cache"]));
    let mut cached = Row::new("the same, all cached", "ms");
    builders(engines, plan.rounds, &mut cached, |engine, _| build(engine, &context, "bench-steps", &[]));
    vec![fresh, cached]
}

/// Builds have no `--runtime`: docker is measured once.
fn builders(engines: &Engines, rounds: usize, row: &mut Row, mut sample: impl FnMut(&Engine, usize) -> f64) {
    interleave(engines, rounds, row, |engine, round| match engine.name {
        "docker+crun" => f64::NAN,
        _ => sample(engine, round),
    });
    row.forget("docker+crun");
}

fn many_files(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let context = plan.data.join("build-files");
    fill(&context);
    let mut cold = Row::new("build: COPY of 20,000 files, no cache", "ms");
    builders(engines, plan.few(), &mut cold, |engine, _| build(engine, &context, "bench-files", &["--no-cache"]));
    let mut same = Row::new("the same, nothing changed", "ms");
    builders(engines, plan.few(), &mut same, |engine, _| build(engine, &context, "bench-files", &[]));
    let mut one = Row::new("the same, one file changed", "ms");
    let mut count = 0;
    builders(engines, plan.few(), &mut one, |engine, _| {
        count += 1;
        fs::write(file(&context, FILES / 2), format!("changed {count}\n")).expect("a file");
        build(engine, &context, "bench-files", &[])
    });
    vec![cold, same, one]
}

fn file(context: &Path, number: usize) -> PathBuf {
    context.join(format!("files/{:03}/{number:05}", number / FOLDER))
}

/// Files from some hundred bytes to four KiB.
fn fill(context: &Path) {
    fs::create_dir_all(context).expect("a directory");
    fs::write(context.join("Dockerfile"), "FROM busybox\nCOPY files /files\n").expect("a Dockerfile");
    for number in 0..FILES {
        let path = file(context, number);
        if number % FOLDER == 0 {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a directory");
        }
        let line = format!("{number} is the number of this file\n");
        fs::write(path, line.repeat(4 + number % 120)).expect("a file");
    }
}
