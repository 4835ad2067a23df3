//! All commands: the table of words, and what several commands share.

mod bake;
mod build;
mod checkpoint;
mod compose;
mod container;
mod context;
mod doctor;
mod image;
mod inspect;
mod login;
mod manifest;
mod network;
mod prune;
mod secret;
mod system;
mod volume;

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream;
use hako_model::filter::Filters;

use crate::failure::Failure;
use crate::flags::{Flag, Matches, text};
use crate::output;
use crate::tree::{Group, Node, Outcome};

/// `--format` of a listing.
pub(crate) const LIST_FORMAT: Flag = text(
    "format",
    "Format output using a custom template:\n\
     'table':            Print output in table format with column headers (default)\n\
     'table TEMPLATE':   Print output in table format using the given Go template\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template",
);

/// `--format` of what describes objects.
pub(crate) const OBJECT_FORMAT: Flag = text(
    "format",
    "Format output using a custom template:\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template",
)
.short('f');

/// `--format` of a stream of objects, where `-f` means a filter.
pub(crate) const EVENT_FORMAT: Flag = text(
    "format",
    "Format output using a custom template:\n\
     'json':             Print in JSON format\n\
     'TEMPLATE':         Print output using the given Go template",
);

/// How many requests about a list of names run side by side.
const ABREAST: usize = 50;

const SWARM: &str = "swarm mode is not part of hako";

/// Every word after `hako`.
pub(crate) const NODES: &[Node] = &[
    Node::command("run", &container::run::RUN).everyday(),
    Node::command("exec", &container::exec::EXEC).everyday(),
    Node::command("ps", &container::list::LIST).everyday(),
    Node::command("bake", &bake::BAKE),
    Node::command("build", &build::BUILD).everyday(),
    Node::command("pull", &image::pull::PULL).everyday(),
    Node::command("push", &image::push::PUSH).everyday(),
    Node::command("images", &image::list::LIST).everyday(),
    Node::command("login", &login::LOGIN).everyday(),
    Node::command("logout", &login::LOGOUT).everyday(),
    Node::command("version", &system::version::VERSION).everyday(),
    Node::command("info", &system::info::INFO).everyday(),
    Node::group("builder", &build::BUILDER),
    Node::group("buildx", &build::BUILDX),
    Node::group("checkpoint", &checkpoint::CHECKPOINT),
    Node::group("compose", &compose::COMPOSE),
    Node::group("container", &CONTAINER),
    Node::group("context", &context::CONTEXT),
    Node::group("image", &IMAGE),
    Node::group("manifest", &manifest::MANIFEST),
    Node::group("network", &network::NETWORK),
    Node::group("secret", &secret::SECRET),
    Node::group("system", &SYSTEM),
    Node::group("volume", &volume::VOLUME),
    Node::command("attach", &container::attach::ATTACH),
    Node::command("commit", &container::commit::COMMIT),
    Node::command("cp", &container::copy::COPY),
    Node::command("create", &container::create::CREATE),
    Node::command("debug", &container::debug::DEBUG),
    Node::command("diff", &container::diff::DIFF),
    Node::command("doctor", &doctor::DOCTOR),
    Node::command("events", &system::events::EVENTS),
    Node::command("export", &container::export::EXPORT),
    Node::command("history", &image::history::HISTORY),
    Node::command("import", &image::import::IMPORT),
    Node::command("inspect", &inspect::INSPECT),
    Node::command("kill", &container::lifecycle::KILL),
    Node::command("load", &image::load::LOAD),
    Node::command("logs", &container::logs::LOGS),
    Node::command("pause", &container::lifecycle::PAUSE),
    Node::command("port", &container::port::PORT),
    Node::command("rename", &container::lifecycle::RENAME),
    Node::command("restart", &container::lifecycle::RESTART),
    Node::command("rm", &container::remove::REMOVE),
    Node::command("rmi", &image::remove::REMOVE),
    Node::command("save", &image::save::SAVE),
    Node::command("search", &image::search::SEARCH),
    Node::command("start", &container::start::START),
    Node::command("stats", &container::stats::STATS),
    Node::command("stop", &container::lifecycle::STOP),
    Node::command("tag", &image::tag::TAG),
    Node::command("top", &container::top::TOP),
    Node::command("unpause", &container::lifecycle::UNPAUSE),
    Node::command("update", &container::update::UPDATE),
    Node::command("wait", &container::lifecycle::WAIT),
    Node::command("why", &container::why::WHY),
    Node::missing("plugin", "plugins are not part of hako"),
    Node::missing("trust", "content trust is not part of hako"),
    Node::missing("config", SWARM),
    Node::missing("node", SWARM),
    Node::missing("service", SWARM),
    Node::missing("stack", SWARM),
    Node::missing("swarm", SWARM),
];

static CONTAINER: Group = Group {
    short: "Manage containers",
    flags: &[],
    nodes: &[
        Node::command("attach", &container::attach::ATTACH),
        Node::command("commit", &container::commit::COMMIT),
        Node::command("cp", &container::copy::COPY),
        Node::command("create", &container::create::CREATE),
        Node::command("debug", &container::debug::DEBUG),
        Node::command("diff", &container::diff::DIFF),
        Node::command("exec", &container::exec::EXEC),
        Node::command("export", &container::export::EXPORT),
        Node::command("inspect", &container::inspect::INSPECT),
        Node::command("kill", &container::lifecycle::KILL),
        Node::command("logs", &container::logs::LOGS),
        Node::command("ls", &container::list::LIST).also(&["list", "ps"]),
        Node::command("pause", &container::lifecycle::PAUSE),
        Node::command("port", &container::port::PORT),
        Node::command("prune", &prune::CONTAINERS),
        Node::command("rename", &container::lifecycle::RENAME),
        Node::command("restart", &container::lifecycle::RESTART),
        Node::command("rm", &container::remove::REMOVE).also(&["remove"]),
        Node::command("run", &container::run::RUN),
        Node::command("start", &container::start::START),
        Node::command("stats", &container::stats::STATS),
        Node::command("stop", &container::lifecycle::STOP),
        Node::command("top", &container::top::TOP),
        Node::command("unpause", &container::lifecycle::UNPAUSE),
        Node::command("update", &container::update::UPDATE),
        Node::command("wait", &container::lifecycle::WAIT),
        Node::command("why", &container::why::WHY),
    ],
};

static IMAGE: Group = Group {
    short: "Manage images",
    flags: &[],
    nodes: &[
        Node::command("build", &build::BUILD),
        Node::command("history", &image::history::HISTORY),
        Node::command("import", &image::import::IMPORT),
        Node::command("inspect", &image::inspect::INSPECT),
        Node::command("load", &image::load::LOAD),
        Node::command("ls", &image::list::LIST).also(&["list"]),
        Node::command("prune", &prune::IMAGES),
        Node::command("pull", &image::pull::PULL),
        Node::command("push", &image::push::PUSH),
        Node::command("rm", &image::remove::REMOVE).also(&["remove"]),
        Node::command("save", &image::save::SAVE),
        Node::command("tag", &image::tag::TAG),
    ],
};

static SYSTEM: Group = Group {
    short: "Manage hako",
    flags: &[],
    nodes: &[
        Node::command("df", &system::usage::USAGE),
        Node::command("dial-stdio", &system::dial::DIAL),
        Node::command("events", &system::events::EVENTS),
        Node::command("info", &system::info::INFO),
        Node::command("install", &system::install::INSTALL),
        Node::command("prune", &prune::SYSTEM),
        Node::command("uninstall", &system::install::UNINSTALL),
    ],
};

/// Does `verb` to every name, many at a time, prints what each gives in the order of the names, and tells all failures
/// at the end.
pub(crate) async fn each<'a, F, R>(names: &'a [String], verb: F) -> Outcome
where
    F: FnMut(&'a String) -> R,
    R: Future<Output = Result<String, Failure>>,
{
    let mut outcomes = stream::iter(names).map(verb).buffered(ABREAST);
    let mut failures = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(shown) if shown.is_empty() => {}
            Ok(shown) => output::line(shown)?,
            Err(failure) => failures.push(failure),
        }
    }
    together(failures)
}

/// One failure of many: the only one as it is, several as lines of one.
pub(crate) fn together(mut failures: Vec<Failure>) -> Outcome {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => Err(Failure::local(failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))),
    }
}

/// The `--filter` flags as the API wants them.
pub(crate) fn filters(found: &Matches) -> Filters {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.trim().to_lowercase(), value.trim().to_owned())
    };
    found.list("filter").into_iter().filter(|text| !text.is_empty()).map(pair).collect()
}

/// `--platform` as the API wants it for images: JSON.
pub(crate) fn platform_json(found: &Matches) -> Result<String, Failure> {
    match found.text_given("platform").filter(|text| !text.is_empty()) {
        None => Ok(String::new()),
        Some(text) => {
            let platform = hako_model::platform::Platform::parse(text)
                .map_err(|error| Failure::local(format!("invalid platform: {error}")))?;
            serde_json::to_string(&platform).map_err(|error| Failure::local(error.to_string()))
        }
    }
}
