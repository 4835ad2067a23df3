//! `compose version`.

use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(super) static VERSION: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        super::DRY_RUN,
        text("format", "Format the output. Values: [pretty | json]. (Default: pretty)").short('f'),
        switch("short", "Shows only Compose's version number"),
    ]],
    ..Command::new("Show the Docker Compose version information", run!(version))
};

async fn version(_: &Session, found: &Matches) -> Outcome {
    let version = super::COMPOSE_VERSION;
    if found.on("short") {
        return output::line(version);
    }
    match found.text("format") {
        "" | "pretty" => output::line(format!("Docker Compose version v{version} (hako {})", crate::VERSION)),
        "json" => output::line(format!("{{\"version\":\"v{version}\"}}")),
        other => Err(Failure::local(format!("format value {other:?} could not be parsed: it is pretty or json"))),
    }
}
