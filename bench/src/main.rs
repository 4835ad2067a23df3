//! hako's benchmark: the same commands typed at hako, Docker and Podman, interleaved in one run, as medians and ratios.
//!
//! `bench/run` prepares the surroundings (peers' root, journalled disk, namespaces) and starts this program in them.
//! See `bench/README.md`.

mod builds;
mod compose;
mod crowd;
mod engine;
mod images;
mod measures;
mod networks;
mod oci;
mod registry;
mod sample;
mod table;

use std::process::ExitCode;

use engine::Engines;
use sample::Plan;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, server, name] = args.as_slice()
        && flag == "--resolve"
    {
        return match networks::resolve(server, name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refused(&error),
        };
    }
    let plan = match Plan::from_args(args.into_iter()) {
        Ok(plan) => plan,
        Err(error) => return refused(&error),
    };
    let engines = Engines::start(&plan);
    let mut rows = Vec::new();
    for measure in measures::ALL.iter().filter(|measure| plan.wants(measure.name)) {
        eprintln!("measuring {}", measure.name);
        let taken = (measure.take)(&plan, &engines);
        eprint!("{}", table::progress(&taken));
        rows.extend(taken);
    }
    print!("{}", table::render(&plan, &engines, &rows));
    engines.stop();
    ExitCode::SUCCESS
}

fn refused(error: &str) -> ExitCode {
    eprintln!("hako-bench: {error}");
    ExitCode::from(2)
}
