//! `compose`: described systems. The describing and the deciding are `hako-compose`'s; here are flags, output and exit
//! codes.

mod artifact;
mod attached;
mod build;
mod config;
mod consent;
mod down;
mod fetch;
mod foresight;
pub(super) mod inside;
mod jobs;
mod listing;
mod lock;
mod logs;
mod oneoff;
mod progress;
mod project;
mod provider;
mod publish;
mod repository;
mod up;
mod version;
mod viz;
mod watch;

pub(crate) use inside::hand_on;

use crate::flags::{Flag, int, list, switch, text};
use crate::tree::{Group, Node};

/// The version of Compose whose behaviour this is.
pub(super) const COMPOSE_VERSION: &str = "2.40.3";

/// `--dry-run`, which every command takes as well.
pub(super) const DRY_RUN: Flag = switch("dry-run", "Execute command in dry run mode");

const PROJECT: &[Flag] = &[
    switch("all-resources", "Include all resources, even those not used by services"),
    text("ansi", "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")").default("auto"),
    switch("compatibility", "Run compose in backward compatibility mode"),
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
    nodes: &[
        Node::group("alpha", &viz::ALPHA),
        Node::command("attach", &inside::ATTACH),
        Node::missing("bridge", "turning projects into Kubernetes manifests or Helm charts is not part of hako"),
        Node::command("build", &build::BUILD),
        Node::command("commit", &inside::COMMIT),
        Node::command("config", &config::CONFIG).also(&["convert"]),
        Node::command("cp", &inside::COPY),
        Node::command("create", &up::CREATE),
        Node::command("down", &down::DOWN),
        Node::command("events", &logs::EVENTS),
        Node::command("exec", &inside::EXEC),
        Node::command("explain", &foresight::EXPLAIN),
        Node::command("export", &inside::EXPORT),
        Node::command("images", &listing::IMAGES),
        Node::command("jobs", &jobs::JOBS),
        Node::command("kill", &down::KILL),
        Node::command("lock", &lock::LOCK),
        Node::command("logs", &logs::LOGS),
        Node::command("ls", &listing::LS),
        Node::command("pause", &down::PAUSE),
        Node::command("plan", &foresight::PLAN),
        Node::command("port", &listing::PORT),
        Node::command("ps", &listing::PS),
        Node::command("publish", &publish::PUBLISH),
        Node::command("pull", &fetch::PULL),
        Node::command("push", &fetch::PUSH),
        Node::command("restart", &down::RESTART),
        Node::command("rm", &down::REMOVE),
        Node::command("run", &oneoff::RUN),
        Node::command("scale", &up::SCALE),
        Node::command("start", &up::START),
        Node::command("stats", &inside::STATS),
        Node::command("stop", &down::STOP),
        Node::command("top", &listing::TOP),
        Node::command("unpause", &down::UNPAUSE),
        Node::command("up", &up::UP),
        Node::command("version", &version::VERSION),
        Node::command("viz", &viz::VIZ),
        Node::command("volumes", &listing::VOLUMES),
        Node::command("wait", &logs::WAIT),
        Node::command("watch", &watch::WATCH),
    ],
};
