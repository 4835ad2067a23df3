//! `build` and `builder`.

mod caches;
mod call;
mod context;
mod du;
mod failed;
mod options;
mod output;
pub(crate) mod pruning;
mod screen;
mod tty;
mod verify;
mod warnings;

use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;

use hako_api::build::{Message, Order, Place};
use hako_client::JsonStream;
use hako_registry::credentials::Credential;

use self::caches::Caches;
use self::call::Call;
pub(crate) use self::context::is_archive;
use self::context::{Contexts, Plan};
pub(crate) use self::options::check_progress;
use self::output::Output;
use self::pruning::{GROUP, PRUNE};
use self::screen::{Mode, Screen};
use crate::command::image::pull::config_file;
use crate::failure::Failure;
use crate::flags::{Flag, Matches, bytes, int, list, swap_bytes, switch, text};
use crate::output as out;
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Outcome, run};

const FLAGS: &[Flag] = &[
    list("add-host", "Add a custom host-to-IP mapping (format: \"host:ip\")").word("strings"),
    list("allow", "Allow extra privileged entitlement (\"network.host\")").word("stringArray"),
    list("annotation", "Add annotation to the image").word("stringArray"),
    list("attest", "Attestation parameters (format: \"type=provenance,mode=max\")").word("stringArray"),
    list("build-arg", "Set build-time variables").word("stringArray"),
    list("build-context", "Additional build contexts (e.g., name=path)").word("stringArray"),
    pruning::BUILDER,
    list("cache-from", "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")").word("stringArray"),
    list("cache-to", "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")").word("stringArray"),
    text("call", "Set method for evaluating build (\"check\", \"outline\", \"targets\")").default("build").check(call::check),
    text("cgroup-parent", "Set the parent cgroup for the \"RUN\" instructions during build"),
    switch("check", "Shorthand for \"--call=check\""),
    switch("compress", "Docker's daemon has it for contexts that are sent packed").hidden(),
    int("cpu-period", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    int("cpu-quota", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    int("cpu-shares", "CPU shares (relative weight)").short('c'),
    text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    switch("debug", "Keep the state of a failed step as an image").short('D'),
    text("file", "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'),
    switch("force-rm", "Containers of steps are always removed").default("true").hidden(),
    text("iidfile", "Write the image ID to a file"),
    list("label", "Set metadata for an image").word("stringArray"),
    text("isolation", "Container isolation technology").hidden(),
    switch("load", "Shorthand for \"--output=type=docker\""),
    bytes("memory", "Memory limit of each step").short('m'),
    swap_bytes("memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    text("metadata-file", "Write build result metadata to a file"),
    text("network", "Set the networking mode for the \"RUN\" instructions during build").default("default"),
    switch("no-cache", "Do not use cache when building the image"),
    list("no-cache-filter", "Do not cache specified stages").word("stringArray"),
    list("output", "Output destination (format: \"type=local,dest=path\")").short('o').word("stringArray"),
    list("platform", "Set target platform for build").word("stringArray"),
    text("progress", "Set type of progress output (\"auto\", \"none\",  \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output").default("auto").check(options::check_progress),
    text("provenance", "Shorthand for \"--attest=type=provenance\""),
    switch("pull", "Always attempt to pull all referenced images"),
    switch("push", "Shorthand for \"--output=type=registry\""),
    switch("quiet", "Suppress the build output and print image ID on success").short('q'),
    switch("rm", "Containers of steps are always removed").default("true").hidden(),
    text("sbom", "Shorthand for \"--attest=type=sbom\""),
    list("secret", "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")").word("stringArray"),
    list("security-opt", "Security options").word("stringArray").hidden(),
    bytes("shm-size", "Shared memory size for build containers"),
    switch("squash", "Squash newly built layers into a single new layer").hidden(),
    list("ssh", "SSH agent socket to lend to the build (format: \"default\" or \"id=/socket\")").word("stringArray"),
    list("tag", "Image identifier (format: \"[registry/]repository[:tag]\")").short('t').word("stringArray"),
    text("target", "Set the target build stage to build"),
    list("ulimit", "Ulimit options").word("ulimit").check(options::check_ulimit),
    switch("verify", "Build twice, using nothing of earlier builds, and name the first difference"),
    switch("why", "Say for each step why earlier results could not be used"),
];

pub(crate) static BUILD: Command = Command {
    usage: &["[OPTIONS] PATH | URL | -"],
    aliases: &["hako image build", "hako build", "hako builder build", "hako buildx build"],
    arity: Arity::Exactly(1),
    flags: &[FLAGS],
    examples: &[
        ("hako build -t app .", "The Dockerfile and files of this directory, as the image app:latest"),
        ("hako build --why .", "Why is each step done again?"),
        ("hako build -o out --target files .", "Files of a stage, into the directory out"),
        ("hako build --platform linux/amd64,linux/arm64 -t app .", "One image for two kinds of machine"),
    ],
    ..Command::new("Build an image from a Dockerfile", run!(build))
};

pub(crate) static BUILDER: Group = Group {
    short: "Manage builds",
    flags: &[GROUP],
    nodes: &[Node::command("build", &BUILD), Node::command("du", &du::DU), Node::command("prune", &PRUNE)],
};

pub(crate) static BUILDX: Group = Group {
    short: "Docker Buildx",
    flags: &[GROUP],
    nodes: &[
        Node::command("bake", &super::bake::BAKE),
        Node::command("build", &BUILD),
        Node::command("du", &du::DU),
        Node::command("prune", &PRUNE),
        Node::missing("create", "hako builds by itself"),
        Node::missing("imagetools", "hako manifest does that"),
        Node::missing("inspect", "hako builds by itself"),
        Node::missing("ls", "hako builds by itself"),
        Node::missing("rm", "hako builds by itself"),
        Node::missing("stop", "hako builds by itself"),
        Node::missing("use", "hako builds by itself"),
    ],
};

async fn build(session: &Session, found: &Matches) -> Outcome {
    pruning::heed_group(session);
    let outputs = output::parse(&found.list("output"), found.on("load"), found.on("push"))?;
    options::warn(found)?;
    let plan = Plan::read(found)?;
    let mut order = options::order(found, &plan)?;
    order.keep = outputs.iter().all(Output::needs_image);
    if order.tags.is_empty() && outputs.contains(&Output::Registry) {
        return Err(Failure::local("tag is needed when pushing to registry"));
    }
    order.debug = found.on("debug");
    let call = Call::parse(if found.on("check") { "check" } else { found.text("call") }).map_err(Failure::local)?;
    call.ask(&mut order);
    // Open until the build is over.
    let agents = options::agents(&found.list("ssh"))?;
    order.agents = agents.iter().map(|(id, socket)| (id.clone(), socket.as_raw_fd())).collect();
    let caches = Caches::read(found)?;
    (order.cache_from, order.cache_to) = (caches.from.clone(), caches.to.clone());
    let quiet = found.on("quiet");
    let mode = Mode::chosen(found.text("progress"), quiet, io::stderr().is_terminal());
    let screen = Screen::new(mode, found.on("why"));
    let credentials = credentials(session)?;
    if found.on("verify") {
        return verify(session, found, order, mode, credentials.as_deref()).await;
    }
    let result = perform(session, &mut order, plan, (screen, &call), credentials.as_deref()).await?;
    if matches!(result, Built::Nothing) {
        return Ok(());
    }
    let host = hako_model::platform::Platform::host().normalised().to_string();
    let platform = if order.platform.is_empty() { &host } else { &order.platform };
    output::deliver(session, &outputs, &result, &order.tags, platform).await?;
    tell(found, &order, &result, quiet)
}

/// Builds twice and compares; there is no image, and no output.
async fn verify(
    session: &Session,
    found: &Matches,
    mut order: Order,
    mode: Mode,
    credentials: Option<&str>,
) -> Outcome {
    (order.keep, order.no_cache) = (false, true);
    let mut results = Vec::new();
    for _ in 0..2 {
        let (plan, screen) = (Plan::read(found)?, Screen::new(mode, false));
        let asked = (screen, &Call::default());
        let Built::Layer(layer) = perform(session, &mut order, plan, asked, credentials).await? else {
            return Err(Failure::local("the daemon made an image where none was wanted"));
        };
        results.push(layer);
    }
    match verify::difference(session, results[0].as_deref(), results[1].as_deref()).await? {
        None => out::line("both builds made the same files"),
        Some(difference) => {
            let hint = match order.epoch {
                Some(_) => "",
                None => " (set SOURCE_DATE_EPOCH so that times are the same)",
            };
            Err(Failure::Status { message: format!("ERROR: the builds differ: {difference}{hint}"), code: 1 })
        }
    }
}

/// What a build gave.
pub(crate) enum Built {
    /// An image's id, and the digest of the index it is in, if there is one.
    Image(String, Option<String>),
    /// A topmost layer.
    Layer(Option<String>),
    /// The same for several platforms.
    Layers(Vec<(String, Option<String>)>),
    /// Nothing, as it was only looked at.
    Nothing,
}

async fn perform(
    session: &Session,
    order: &mut Order,
    plan: Plan,
    (mut screen, call): (Screen, &Call),
    credentials: Option<&str>,
) -> Result<Built, Failure> {
    let mut messages = send(session, order, plan, credentials).await?;
    while let Some(message) = screen.next(&mut messages).await? {
        match message {
            Message::Image { id, index } => {
                screen.finish(Some(&id), &order.tags)?;
                return Ok(Built::Image(id, index));
            }
            Message::Layers { layers } => {
                screen.finish(None, &[])?;
                return Ok(Built::Layers(layers));
            }
            Message::Layer { id } => {
                screen.finish(None, &[])?;
                return Ok(Built::Layer(id));
            }
            Message::Answer { answer } => {
                out::print(call.show(&answer))?;
                return Ok(Built::Nothing);
            }
            Message::Checked { failed } => return checked(order, &screen, call, failed.as_deref()),
            Message::Refused { message, first, last, code, image } => {
                let text = order.dockerfile.as_deref().unwrap_or_default();
                screen.fail(&order.name, text, (first, last))?;
                if let Some(image) = image {
                    failed::show(session, &image).await?;
                }
                let code = u8::try_from(code.unwrap_or(1)).unwrap_or(1).max(1);
                let message = format!("ERROR: failed to build: failed to solve: {message}");
                return Err(Failure::Status { message, code: if code > 1 { 1 } else { code } });
            }
            _ => {}
        }
    }
    Err(Failure::local("the daemon went away before the build was done"))
}

/// Sends an order; its contexts, too, if the daemon cannot read them in place.
async fn send(
    session: &Session,
    order: &mut Order,
    plan: Plan,
    credentials: Option<&str>,
) -> Result<JsonStream<Message>, Failure> {
    let client = session.client()?;
    let contexts = Contexts::open(plan, session.may_lend()?)?;
    order.contexts = contexts.places();
    let sent = contexts.files()?;
    match client.builds().build(order, sent, credentials).await {
        Err(hako_client::Error::Refused { status: 403, .. }) if contexts.is_open() => {
            // The daemon cannot reach this process's files: they are sent.
            let contexts = contexts.closed();
            order.contexts = contexts.places();
            client.builds().build(order, contexts.files()?, credentials).await.map_err(refused)
        }
        answered => answered.map_err(refused),
    }
}

/// What the checks found; where they were not asked for, they ended the build.
fn checked(order: &Order, screen: &Screen, call: &Call, failed: Option<&str>) -> Result<Built, Failure> {
    let text = order.dockerfile.as_deref().unwrap_or_default();
    if !order.check {
        out::complain(screen.warnings.summary())?;
        return Err(call::refused(failed.unwrap_or("the checks ended the build")));
    }
    out::print(match call.json {
        true => call.findings(&screen.warnings.told, (&order.name, text), failed),
        false => screen.warnings.report(&order.name, text, failed),
    })?;
    let code = u8::from(!call.forgiving && (failed.is_some() || !screen.warnings.is_empty()));
    if code == 0 { Ok(Built::Nothing) } else { Err(Failure::Status { message: String::new(), code }) }
}

fn refused(error: hako_client::Error) -> Failure {
    match error {
        hako_client::Error::Refused { message, .. } => call::refused(&message),
        other => other.into(),
    }
}

fn tell(found: &Matches, order: &Order, result: &Built, quiet: bool) -> Outcome {
    let Built::Image(id, index) = result else { return Ok(()) };
    let write = |flag: &str, text: String| match found.text(flag) {
        "" => Ok(()),
        path => std::fs::write(path, text).map_err(|error| crate::failure::path_failure("open", path, &error)),
    };
    write("iidfile", id.clone())?;
    let mut metadata = serde_json::json!({
        "containerimage.config.digest": id,
        "containerimage.digest": index.as_ref().unwrap_or(id),
    });
    if !order.tags.is_empty() {
        let name = |tag: &String| {
            hako_model::reference::Reference::parse_tagged(tag).map_or_else(|_| tag.clone(), |r| r.to_string())
        };
        metadata["image.name"] = order.tags.iter().map(name).collect::<Vec<_>>().join(",").into();
    }
    write("metadata-file", serde_json::to_string_pretty(&metadata).unwrap_or_default() + "\n")?;
    if quiet { out::line(id) } else { Ok(()) }
}

/// The caller's credentials for all registries in the file.
fn credentials(session: &Session) -> Result<Option<String>, Failure> {
    let file = config_file(session)?;
    let named =
        |setting: &str| file.setting(setting).and_then(serde_json::Value::as_object).cloned().unwrap_or_default();
    let mut all = std::collections::BTreeMap::new();
    for (key, _) in named("auths").into_iter().chain(named("credHelpers")) {
        let domain = if key.contains("index.docker.io") { "docker.io".to_owned() } else { key };
        let found = file.credential(&domain).map_err(|error| Failure::local(error.to_string()))?;
        all.extend(found.map(|credential| (domain, credential)));
    }
    Ok(Some(all).filter(|all| !all.is_empty()).map(|all| Credential::map_to_header(&all)))
}

/// A place whose files are sent.
pub(crate) fn sent(folder: &str, ignore: Option<String>) -> Place {
    Place::Sent { folder: folder.to_owned(), ignore }
}
