//! OCI runtimes: one bundle with `true`, run at once and in steps, by hako's command line, crun, runc, and the floor.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::Engines;
use crate::measures::floor_dir;
use crate::sample::{Plan, Row};

/// A runtime's name in the table, and its program.
struct Runtime {
    name: &'static str,
    program: PathBuf,
}

/// What one command took.
struct Usage {
    wall: f64,
    cpu: f64,
    peak: f64,
}

fn runtimes(plan: &Plan, bundle: &Path) -> Vec<Runtime> {
    let link = bundle.join("hako-runtime");
    let _ = symlink(&plan.hako, &link);
    let mut found = vec![Runtime { name: "hako", program: link }];
    for name in ["crun", "runc"] {
        let places = ["/usr/bin", "/usr/sbin"].map(|place| Path::new(place).join(name));
        found.extend(places.into_iter().find(|path| path.exists()).map(|program| Runtime { name, program }));
    }
    found
}

/// A bundle as `spec` describes it, but without a terminal and with `true`.
fn bundle(plan: &Plan) -> PathBuf {
    let bundle = plan.data.join("bundle");
    for name in ["bin", "proc", "dev", "sys"] {
        let _ = fs::create_dir_all(bundle.join("rootfs").join(name));
    }
    let _ = fs::copy("/bin/busybox", bundle.join("rootfs/bin/true"));
    let _ = Command::new(&plan.hako).args(["runtime", "spec"]).current_dir(&bundle).status();
    let config = bundle.join("config.json");
    let text = fs::read_to_string(&config).unwrap_or_default();
    let _ = fs::write(&config, text.replace("\"terminal\": true", "\"terminal\": false").replace("\"sh\"", "\"true\""));
    bundle
}

/// Runs a program by the floor's `usage`; `None` if it failed, which is no sample.
fn usage(plan: &Plan, directory: &Path, program: &Path, args: &[&str]) -> Option<Usage> {
    let output = Command::new(&plan.floor)
        .arg("usage")
        .arg(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().filter_map(|text| text.parse::<f64>().ok());
    let usage = Usage { wall: numbers.next()? / 1000.0, cpu: numbers.next()? / 1000.0, peak: numbers.next()? / 1024.0 };
    output.status.success().then_some(usage)
}

/// Waits until a started container has stopped: only then may it be deleted.
fn await_stopped(directory: &Path, program: &Path, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let state = Command::new(program).args(["state", id]).current_dir(directory).output();
        if state.is_ok_and(|state| String::from_utf8_lossy(&state.stdout).contains("\"stopped\"")) {
            return;
        }
    }
}

const STEPS: [&str; 4] = ["create", "start", "state", "delete"];

/// The measure.
pub(crate) fn take(plan: &Plan, _: &Engines) -> Vec<Row> {
    let bundle = bundle(plan);
    let runtimes = runtimes(plan, &bundle);
    let mut run = ["ms", "ms", "MiB"].map(|unit| Row::new("", unit));
    for (row, what) in run.iter_mut().zip(["oci run", "oci run: processor time", "oci run: peak memory"]) {
        what.clone_into(&mut row.measure);
    }
    let mut steps = STEPS.map(|step| Row::new(format!("oci {step}"), "ms"));
    let mut peak = Row::new("oci create: peak memory", "MiB");
    let floor = floor_dir(plan);
    for round in 0..plan.rounds {
        for turn in 0..runtimes.len() {
            let runtime = &runtimes[(turn + round) % runtimes.len()];
            if let Some(used) = usage(plan, &bundle, &runtime.program, &["run", "bench"]) {
                add(&mut run, runtime.name, &used);
            }
            let id = format!("bench{round}");
            for (step, row) in STEPS.iter().zip(&mut steps) {
                if *step == "delete" {
                    await_stopped(&bundle, &runtime.program, &id);
                }
                let Some(used) = usage(plan, &bundle, &runtime.program, &[step, &id]) else { continue };
                row.add(runtime.name, used.wall);
                if *step == "create" {
                    peak.add(runtime.name, used.peak);
                }
            }
        }
        if let Some(used) = usage(plan, &bundle, &plan.floor, &["none", &floor]) {
            add(&mut run, "floor", &used);
        }
    }
    run.into_iter().chain(steps).chain([peak]).collect()
}

fn add(rows: &mut [Row; 3], name: &str, used: &Usage) {
    for (row, value) in rows.iter_mut().zip([used.wall, used.cpu, used.peak]) {
        row.add(name, value);
    }
}
