//! How long a start takes: `kernel --bench [N]`.

use std::process::ExitCode;

pub(crate) fn run(_arguments: &[String]) -> ExitCode {
    ExitCode::SUCCESS
}
