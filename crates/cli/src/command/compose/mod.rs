//! `compose`: described systems. The describing and the deciding are `hako-compose`'s; here are flags, output and exit
//! codes.

mod config;
mod project;
mod version;

use crate::flags::{Flag, int, list, switch, text};
use crate::tree::{Group, Node};

/// The version of Compose whose behaviour this is.
pub(super) const COMPOSE_VERSION: &str = "2.40.3";

/// `--dry-run`, which every command takes as well.
pub(super) const DRY_RUN: Flag = switch("dry-run", "Execute command in dry run mode");

const PROJECT: &[Flag] = &[
    switch("all-resources", "Include all resources, even those not used by services"),
    text("ansi", "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")").default("auto"),
    switch("compatibility", "Run compose in backward compatibility mode")
        .refused("names with underscores are those of Compose 1"),
    DRY_RUN,
    list("env-file", "Specify an alternate environment file").word("stringArray"),
    list("file", "Compose configuration files").short('f').word("stringArray"),
    int("parallel", "Control max parallelism, -1 for unlimited").default("-1"),
    list("profile", "Specify a profile to enable").word("stringArray"),
    text("progress", "Set type of progress output (auto, tty, plain, json, quiet)"),
    text(
        "project-directory",
        "Specify an alternate working directory\n(default: the path of the, first specified, Compose file)",
    ),
    text("project-name", "Project name").short('p'),
    text("workdir", "").hidden(),
];

/// `hako compose`.
pub(super) static COMPOSE: Group = Group {
    short: "Define and run multi-container applications",
    flags: &[PROJECT],
    nodes: &[Node::command("config", &config::CONFIG).also(&["convert"]), Node::command("version", &version::VERSION)],
};
