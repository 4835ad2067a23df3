//! The measures of chapter one, each a function that fills rows.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::engine::{Engine, Engines, field};
use crate::sample::{Plan, Row, milliseconds, timed};

/// A named measure.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) take: fn(&Plan, &Engines) -> Vec<Row>,
}

/// Every measure, in the order of the table.
pub(crate) const ALL: &[Measure] = &[
    Measure { name: "binary", take: binary },
    Measure { name: "run-none", take: run_none },
    Measure { name: "run-bridge", take: run_bridge },
    Measure { name: "exec", take: exec },
    Measure { name: "lifecycle", take: lifecycle },
    Measure { name: "listing", take: listing },
    Measure { name: "parallel", take: parallel },
    Measure { name: "images", take: crate::images::take },
    Measure { name: "build", take: crate::builds::builds },
    Measure { name: "logs", take: logs },
    Measure { name: "copy-up", take: copy_up },
    Measure { name: "memory", take: memory },
    Measure { name: "cold", take: crate::crowd::cold },
    Measure { name: "thousand", take: crate::crowd::thousand },
    Measure { name: "followers", take: crate::crowd::followers },
    Measure { name: "invisible", take: crate::crowd::invisible },
    Measure { name: "oci", take: crate::oci::take },
    Measure { name: "net-changes", take: crate::networks::changes },
    Measure { name: "net-streams", take: crate::networks::streams },
    Measure { name: "net-requests", take: crate::networks::requests },
    Measure { name: "net-names", take: crate::networks::names },
    Measure { name: "net-crowd", take: crate::networks::crowd },
    Measure { name: "compose", take: crate::compose::take },
];

/// Takes turns: every engine once a round, starting with another one each round.
pub(crate) fn interleave(engines: &Engines, rounds: usize, row: &mut Row, sample: impl FnMut(&Engine, usize) -> f64) {
    interleave_some(engines, rounds, row, |_| true, sample);
}

/// As [`interleave`], for some engines only.
pub(crate) fn interleave_some(
    engines: &Engines,
    rounds: usize,
    row: &mut Row,
    takes_part: impl Fn(&Engine) -> bool,
    sample: impl FnMut(&Engine, usize) -> f64,
) {
    let engines: Vec<&Engine> = engines.all.iter().filter(|engine| takes_part(engine)).collect();
    interleave_these(&engines, rounds, row, sample);
}

/// As [`interleave`], for a list of engines.
pub(crate) fn interleave_these(
    engines: &[&Engine],
    rounds: usize,
    row: &mut Row,
    mut sample: impl FnMut(&Engine, usize) -> f64,
) {
    for round in 0..rounds {
        for turn in 0..engines.len() {
            let engine = engines[(turn + round) % engines.len()];
            if let Some(sample) = engine.sound(|| sample(engine, round)) {
                row.add(engine.name, sample);
            }
        }
    }
}

fn binary(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut size = Row::new("size of the binary", "MiB");
    size.add("hako", fs::metadata(&plan.hako).map_or(0.0, |file| file.len() as f64 / (1 << 20) as f64));
    let mut start = Row::new("client start: --version", "ms");
    interleave(engines, plan.rounds, &mut start, |engine, _| timed(|| engine.run(&["--version"])));
    floor(plan, &mut start, &["exec"]);
    vec![size, start]
}

/// Adds the floor program's time to a row.
fn floor(plan: &Plan, row: &mut Row, args: &[&str]) {
    for _ in 0..plan.rounds {
        let took = timed(|| {
            let _ = Command::new(&plan.floor).args(args).stdin(Stdio::null()).status();
        });
        row.add("floor", took);
    }
}

/// The directory the floor program mounts, with `/bin/true` in it.
pub(crate) fn floor_dir(plan: &Plan) -> String {
    let dir = plan.data.join("floor");
    for part in ["lower/bin", "lower/proc", "upper", "work", "merged"] {
        let _ = fs::create_dir_all(dir.join(part));
    }
    let _ = fs::copy("/bin/busybox", dir.join("lower/bin/true"));
    dir.display().to_string()
}

fn run_none(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut row = Row::new("run --rm --network none busybox true", "ms");
    engines.all.iter().for_each(|engine| engine.run(&["run", "--rm", "--network", "none", "busybox", "true"]));
    interleave(engines, plan.rounds, &mut row, |engine, _| {
        timed(|| engine.run(&["run", "--rm", "--network", "none", "busybox", "true"]))
    });
    floor(plan, &mut row, &["none", &floor_dir(plan)]);
    vec![row]
}

fn run_bridge(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut row = Row::new("run --rm busybox true, on the bridge", "ms");
    engines.all.iter().for_each(|engine| engine.run(&["run", "--rm", "busybox", "true"]));
    interleave(engines, plan.rounds, &mut row, |engine, _| timed(|| engine.run(&["run", "--rm", "busybox", "true"])));
    let bridge = "ip link add floor0 type bridge && ip addr add 10.251.0.1/16 dev floor0 && ip link set floor0 up";
    let _ = Command::new("sh").args(["-c", bridge]).status();
    floor(plan, &mut row, &["bridge", &floor_dir(plan)]);
    let _ = Command::new("ip").args(["link", "del", "floor0"]).status();
    vec![row]
}

fn exec(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut row = Row::new("exec c true", "ms");
    engines
        .all
        .iter()
        .for_each(|engine| engine.run(&["run", "-d", "--name", &own("c", engine), "busybox", "sleep", "3600"]));
    interleave(engines, plan.rounds, &mut row, |engine, _| timed(|| engine.run(&["exec", &own("c", engine), "true"])));
    engines.all.iter().for_each(|engine| engine.run(&["rm", "-f", &own("c", engine)]));
    vec![row]
}

/// A container name of this engine's own: docker and docker+crun share a daemon.
pub(crate) fn own(name: &str, engine: &Engine) -> String {
    format!("{name}-{}", engine.name.replace('+', "-"))
}

fn lifecycle(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let steps: [(&str, &[&str]); 7] = [
        ("create", &["create", "--name", "NAME", "busybox", "sleep", "3600"]),
        ("start", &["start", "NAME"]),
        ("stop -t 0", &["stop", "-t", "0", "NAME"]),
        ("start again", &["start", "NAME"]),
        ("kill", &["kill", "NAME"]),
        ("inspect", &["inspect", "NAME"]),
        ("rm", &["rm", "NAME"]),
    ];
    let mut rows: Vec<Row> = steps.iter().map(|(step, _)| Row::new(*step, "ms")).collect();
    for round in 0..plan.rounds {
        for turn in 0..engines.all.len() {
            let engine = &engines.all[(turn + round) % engines.all.len()];
            let name = own("life", engine);
            for ((_, args), row) in steps.iter().zip(&mut rows) {
                let args: Vec<&str> = args.iter().map(|arg| if *arg == "NAME" { name.as_str() } else { arg }).collect();
                if args[0] == "rm" {
                    engine.read(&["wait", &name]);
                }
                if let Some(took) = engine.sound(|| timed(|| engine.run(&args))) {
                    row.add(engine.name, took);
                }
            }
        }
    }
    rows
}

fn listing(plan: &Plan, engines: &Engines) -> Vec<Row> {
    for engine in engines.all.iter().filter(|engine| engine.name != "docker+crun") {
        for number in 0..120 {
            let verb = if number < 20 { &["run", "-d"][..] } else { &["create"][..] };
            let name = format!("list-{number}");
            engine.run(&[verb, &["--network", "none", "--name", &name, "busybox", "sleep", "3600"]].concat());
        }
    }
    let rows = [("ps -a with 120 containers", &["ps", "-a"][..]), ("images", &["images"]), ("version", &["version"])]
        .map(|(label, args)| {
            let mut row = Row::new(label, "ms");
            interleave(engines, plan.rounds, &mut row, |engine, _| timed(|| engine.run(args)));
            row
        });
    for engine in engines.all.iter().filter(|engine| engine.name != "docker+crun") {
        remove_all(engine);
    }
    rows.into()
}

/// Removes all containers.
pub(crate) fn remove_all(engine: &Engine) {
    let ids = engine.read(&["ps", "-aq"]);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    // Podman's `rm -f` asks nicely for ten seconds first; the others kill.
    let force = if engine.name == "podman" { &["rm", "-f", "-t", "0"][..] } else { &["rm", "-f"] };
    engine.run(&[force, ids.as_slice()].concat());
}

/// Starts `count` containers by eight clients at a time.
pub(crate) fn start_many(engine: &Engine, count: usize, flags: &[&str]) {
    std::thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                for _ in (client..count).step_by(8) {
                    engine.run(&[&["run", "-d"], flags, &["busybox", "sleep", "3600"]].concat());
                }
            });
        }
    });
}

fn parallel(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut rows = Vec::new();
    for (label, flags) in [("none", &["--network", "none"][..]), ("bridge", &[])] {
        let mut row = Row::new(format!("run -d of 50 by 8 clients, {label}"), "ms");
        interleave(engines, plan.few(), &mut row, |engine, _| {
            let took = timed(|| start_many(engine, 50, flags));
            remove_all(engine);
            took
        });
        rows.push(row);
    }
    let mut row = Row::new("rm -f of 200", "ms");
    interleave(engines, 1, &mut row, |engine, _| {
        start_many(engine, 200, &["--network", "none"]);
        timed(|| remove_all(engine))
    });
    rows.push(row);
    rows
}

/// Writes to the disk what the one before left in memory, so that everybody pays for their own writing.
pub(crate) fn settle() {
    let _ = Command::new("sync").status();
}

/// Two hundred megabytes in lines of a hundred bytes, as fast as a busybox can.
const LINES: &str = "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 | cut -c 1-99 | head -n 2000000";

fn logs(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let mut write = Row::new("a container writes 200 MB in 100-byte lines", "ms");
    let mut read = Row::new("logs reads them", "MB/s");
    interleave(engines, plan.few(), &mut write, |engine, _| {
        let name = own("log", engine);
        settle();
        let took = timed(|| {
            engine.run(&["run", "-d", "--name", &name, "--log-opt", "max-size=1g", "busybox", "sh", "-c", LINES]);
            engine.read(&["wait", &name]);
        });
        let start = Instant::now();
        let mut child = engine.command(&["logs", &name]).stdout(Stdio::piped()).spawn().expect("a client");
        let bytes =
            child.stdout.take().map_or(0, |mut stream| std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or(0));
        let _ = child.wait();
        read.add(engine.name, bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
        engine.run(&["rm", &name]);
        took
    });
    for _ in 0..plan.few() {
        settle();
        let took = timed(|| {
            let file = fs::File::create(plan.data.join("lines")).expect("a file");
            let _ = Command::new("busybox").args(["sh", "-c", &format!("({LINES}) | cat")]).stdout(file).status();
        });
        write.add("floor", took);
    }
    vec![write, read]
}

fn copy_up(plan: &Plan, engines: &Engines) -> Vec<Row> {
    for engine in engines.all.iter().filter(|engine| engine.name != "docker+crun") {
        let make = "mkdir /f; i=0; while [ $i -lt 2000 ]; do head -c 4096 /bin/busybox > /f/$i; i=$((i+1)); done";
        engine.run(&["run", "--name", "maker", "busybox", "sh", "-c", make]);
        engine.run(&["commit", "maker", "many:1"]);
        engine.run(&["rm", "maker"]);
    }
    let mut row = Row::new("copy-up of 2,000 files of 4 KiB in an --rm container, whole command", "ms");
    interleave(engines, plan.few(), &mut row, |engine, _| {
        timed(|| engine.run(&["run", "--rm", "--network", "none", "many:1", "sh", "-c", "chmod 600 /f/*"]))
    });
    for _ in 0..plan.few() {
        row.add("floor", bare_copy_up(plan));
    }
    vec![row]
}

/// The same on an overlay mounted by hand, without the sync of every file, as is right for what nobody is to keep.
fn bare_copy_up(plan: &Plan) -> f64 {
    let dir = plan.data.join("copy-up");
    for part in ["lower", "upper", "work", "merged"] {
        let _ = fs::create_dir_all(dir.join(part));
    }
    (0..2000).for_each(|file| drop(fs::write(dir.join(format!("lower/{file}")), [0_u8; 4096])));
    let options = "lowerdir=lower,upperdir=upper,workdir=work,volatile";
    let script = format!("mount -t overlay -o {options} overlay merged && busybox chmod 600 merged/*");
    let mut command = Command::new("unshare");
    command.args(["-m", "busybox", "sh", "-c", &script]).current_dir(&dir);
    let took = timed(|| drop(command.status()));
    let _ = fs::remove_dir_all(dir);
    took
}

fn memory(_: &Plan, engines: &Engines) -> Vec<Row> {
    let mut daemon = Row::new("idle daemon, resident", "MiB");
    let mut each = Row::new("engine's processes per idle container at 200, PSS", "MiB");
    let mut bridged = Row::new("the same on the bridge", "MiB");
    let mut port = Row::new("the same on the bridge with one published port", "MiB");
    for engine in engines.all.iter().filter(|engine| engine.name != "docker+crun") {
        // Idle is who has had nothing to do for a while.
        std::thread::park_timeout(std::time::Duration::from_secs(5));
        if let Some(rss) = engine.daemon_rss() {
            daemon.add(engine.name, rss);
        }
        for (row, flags) in [(&mut each, &["--network", "none"][..]), (&mut bridged, &[]), (&mut port, &["-p", "80"])] {
            let before = engine_pss();
            let start = Instant::now();
            start_many(engine, 200, flags);
            eprintln!("{}: 200 started in {:.0} ms", engine.name, milliseconds(start.elapsed()));
            row.add(engine.name, (engine_pss() - before) / 200.0 / 1024.0);
            remove_all(engine);
        }
    }
    vec![daemon, each, bridged, port]
}

/// PSS of all processes that belong to engines, not to containers, in KiB.
pub(crate) fn engine_pss() -> f64 {
    let names = ["hako", "conmon", "containerd-shim", "dockerd", "containerd", "docker-proxy"];
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            names.iter().any(|engine| name.trim().starts_with(engine))
                && Path::new(&entry.path()).join("smaps_rollup").exists()
        })
        .filter_map(|entry| field(&entry.path().join("smaps_rollup").display().to_string(), "Pss:"))
        .sum()
}
