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
    let plan = match Plan::from_args(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("hako-bench: {error}");
            return ExitCode::from(2);
        }
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
