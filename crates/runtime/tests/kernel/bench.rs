//! How long starting takes: `cargo test --release -p hako-runtime --test kernel -- --bench [N]`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hako_runtime::exec::{Stage, Target};
use hako_runtime::seed::Seed;
use hako_runtime::spec::Seccomp;
use hako_runtime::stdio::Stdio;

use crate::vessel::Vessel;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let rounds = arguments.first().and_then(|count| count.parse().ok()).unwrap_or(50);
    let vessel = Vessel::new();
    let (mut sow, mut warm, mut cold, mut end) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let spare = vessel.cgroup.replace("box", "spare");
        sow.push(timed(|| Seed::prepare(vessel.witness, &spare).unwrap()));
        let seed = sow.last_mut().and_then(|(_, seed)| seed.take());
        let started = timed(|| vessel.launch_with(seed, &vessel.spec(&["true"]), vessel.options(Stdio::Null)).unwrap());
        let finish = |(time, running): (Duration, Option<_>), times: &mut Vec<_>| {
            times.push((time, None::<()>));
            vessel.finish(running.unwrap())
        };
        let done = timed(|| finish(started, &mut warm));
        end.push((done.0, None::<()>));
        let started = timed(|| vessel.launch(&vessel.spec(&["true"])).unwrap());
        finish(started, &mut cold);
    }
    cpu_time(&vessel, rounds);
    report("seed", &sow);
    report("start with seed, until exec", &warm);
    report("exec until group deleted", &end);
    report("start without seed", &cold);
    bench_exec(&vessel, rounds);
    ExitCode::SUCCESS
}

/// On a busy machine time on the clock says little; this is time on a processor, of supervisor and process 1.
fn cpu_time(vessel: &Vessel, rounds: usize) {
    let used = |pid: i32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        text.split(' ').next().and_then(|number| number.parse().ok()).unwrap()
    };
    let own = i32::try_from(std::process::id()).unwrap();
    let (mut parent, mut child, mut sown) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let seed = Seed::prepare(vessel.witness, &vessel.cgroup.replace("box", "spare")).unwrap();
        let (before, seed_used) = (used(own), used(seed.pid()));
        let spec = vessel.spec(&["cat", "/proc/self/schedstat"]);
        let options = vessel.options(Stdio::Pipes { stdin: false });
        let running = vessel.launch_with(Some(seed), &spec, options).unwrap();
        parent.push(used(own) - before);
        let output = vessel.finish(running).output;
        child.push(output.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap() - seed_used);
        sown.push(seed_used);
    }
    for (what, mut times) in [("supervisor", parent), ("process 1, with its execution", child), ("seed", sown)] {
        times.sort_unstable();
        println!("processor time of {what}: median {} us, best {} us", times[times.len() / 2] / 1000, times[0] / 1000);
    }
}

fn bench_exec(vessel: &Vessel, rounds: usize) {
    let running = vessel.launch(&vessel.spec(&["sleep", "1000"])).unwrap();
    let usual = Seccomp::builtin();
    let target = Target::new(&running.process, &running.group, Some(&usual));
    let process = vessel.spec(&["true"]).process.unwrap();
    let (mut open, mut spawn) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        open.push(timed(|| Stage::open(vessel.witness, &target).unwrap()));
        let stage = open.last_mut().and_then(|(_, stage)| stage.take()).unwrap();
        spawn.push(timed(|| stage.spawn(&process, Stdio::Null).unwrap().process.wait().unwrap()));
    }
    report("exec stage", &open);
    report("exec in a stage, until its end", &spawn);
    running.process.kill(9).unwrap();
    vessel.finish(running);
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, Option<T>) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed(), Some(done))
}

fn report<T>(what: &str, times: &[(Duration, Option<T>)]) {
    let mut times: Vec<u128> = times.iter().map(|(time, _)| time.as_micros()).collect();
    times.sort_unstable();
    println!("{what}: median {} us, best {} us, worst {} us", times[times.len() / 2], times[0], times[times.len() - 1]);
}
