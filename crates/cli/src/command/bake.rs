//! `bake`: the builds that a file describes.

mod change;
mod check;
mod fault;
mod functions;
mod kind;
mod language;
mod list;
mod page;
mod plan;
mod remote;
mod rights;
mod system;
mod target;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::change::Change;
use self::language::Definition;
use self::list::Listing;
use self::plan::Plan;
use self::remote::{Asked, Remote};
use self::rights::Rights;
use self::target::Target;
use self::words::Links;
use crate::command::build::{self, BUILD};
use crate::command::compose::inside::hand_on;
use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, list, switch, text};
use crate::output;
use crate::scratch::Scratch;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

/// The mark of a file of the caller's, where the definition lies elsewhere.
const HERE: &str = "cwd://";

/// The files that are read when none is named, in this order, as far as they exist.
const USUAL: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

pub(crate) static BAKE: Command = Command {
    usage: &["[OPTIONS] [TARGET...]"],
    aliases: &["hako buildx bake", "hako bake"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        list("allow", "Allow build to access specified resources").word("stringArray"),
        super::build::pruning::BUILDER,
        text("call", "Set method for evaluating build (\"check\", \"outline\", \"targets\")"),
        switch("check", "Shorthand for \"--call=check\""),
        list("file", "Build definition file").short('f').word("stringArray"),
        text("list", "List targets or variables"),
        switch("load", "Shorthand for \"--set=*.output=type=docker\". Conditional."),
        text("metadata-file", "Write build result metadata to a file"),
        switch("no-cache", "Do not use cache when building the image"),
        switch("print", "Print the options without building"),
        text("progress", "Set type of progress output (\"auto\", \"none\",  \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output").default("auto").check(build::check_progress),
        text("provenance", "Shorthand for \"--set=*.attest=type=provenance\""),
        switch("pull", "Always attempt to pull all referenced images"),
        switch("push", "Shorthand for \"--set=*.output=type=registry\". Conditional."),
        text("sbom", "Shorthand for \"--set=*.attest=type=sbom\""),
        list("set", "Override target value (e.g., \"targetpattern.key=value\")").word("stringArray"),
    ]],
    examples: &[
        ("hako bake", "Everything of the group or target `default`"),
        ("hako bake --print app", "What would be built as app?"),
        ("hako bake --set '*.args.VERSION=2' app", "With another argument"),
    ],
    ..Command::new("Build from a file", run!(bake))
};

async fn bake(session: &Session, found: &Matches) -> Outcome {
    super::build::pruning::heed_group(session);
    let asked = Asked::of(found.words());
    let named = found.list("file");
    // With an address, only names with this mark are of files here.
    let (here, there): (Vec<&str>, Vec<&str>) = named.iter().partition(|name| name.starts_with(HERE));
    let remote = match asked.address {
        Some(address) => Some(Remote::fetch(session, address, &there).await?),
        None => None,
    };
    let mut texts = remote.as_ref().map_or(Ok(Vec::new()), |remote| remote.files(&there)).map_err(refused)?;
    if remote.is_none() || !here.is_empty() {
        texts.extend(local(if remote.is_none() { &named } else { &here }).map_err(refused)?);
    }
    let definition = || gather(&texts, asked.directory).map_err(refused);
    if let Some(text) = found.text_given("list") {
        if found.on("print") {
            return Err(refused("--print and --list are mutually exclusive".to_owned()));
        }
        let listing = Listing::parse(text).map_err(refused)?;
        return output::print(listing.show(&definition()?));
    }
    let directory = std::env::current_dir().map_err(|error| path_failure("getcwd", ".", &error))?;
    let mut rights = Rights::allowed(&found.list("allow"), &directory).map_err(refused)?;
    let changes = changes(found).map_err(refused)?;
    rights.imply(&changes, &directory);
    let mut plan = Plan::make(&definition()?, asked.targets, &changes).map_err(refused)?;
    plan.targets.values().try_for_each(check::check_files).map_err(refused)?;
    if let Some(remote) = &remote {
        plan.targets.values_mut().try_for_each(|target| remote.place(target)).map_err(refused)?;
    }
    if found.on("print") {
        return output::line(plan.print());
    }
    let files = !matches!(std::env::var("BUILDX_BAKE_ENTITLEMENTS_FS").as_deref(), Ok("0" | "false"));
    if let Some(message) = rights.missing(plan.targets.values(), &directory, files).refusal(&directory, &typed()) {
        return Err(Failure::Status { message, code: 1 });
    }
    let mut metadata = serde_json::Map::new();
    let mut links = Links::new();
    for name in plan.order().map_err(refused)? {
        let made = build(session, found, &plan, name, &links).await?;
        links.insert(name.to_owned(), made["containerimage.config.digest"].as_str().unwrap_or_default().to_owned());
        metadata.insert(name.to_owned(), made);
    }
    match found.text("metadata-file") {
        "" => Ok(()),
        path => {
            let text = serde_json::to_string_pretty(&metadata).unwrap_or_default() + "\n";
            std::fs::write(path, text).map_err(|error| path_failure("open", path, &error))
        }
    }
}

/// The words after the command's own name.
fn typed() -> Vec<String> {
    std::env::args().skip_while(|word| word != "bake").skip(1).collect()
}

/// A refusal; one that shows lines of a file says itself where the message begins.
fn refused(why: String) -> Failure {
    let message = if why.contains("\nERROR: ") { why } else { format!("ERROR: {why}") };
    Failure::Status { message, code: 1 }
}

/// Builds one target; gives what there is to tell of its result.
async fn build(
    session: &Session,
    found: &Matches,
    plan: &Plan,
    name: &str,
    links: &Links,
) -> Result<serde_json::Value, Failure> {
    let mut target: Target = plan.targets[name].clone();
    if plan.is_needed(name) {
        // Whoever needs it takes it as an image.
        target.output.retain(|output| output.get("type") != "cacheonly");
        if let Some(files) = target.output.iter().find(|output| matches!(output.get("type"), "local" | "tar")) {
            let kind = files.get("type");
            return Err(Failure::local(format!(
                "target {name} is needed by others: it cannot be of output type={kind}"
            )));
        }
    }
    let inline = target.dockerfile_inline.as_deref().map(Scratch::with).transpose()?;
    let told = Scratch::with("{}")?;
    let mut words = words::words(&target, links, inline.as_ref().map(Scratch::path));
    words.insert(0, format!("--metadata-file={}", told.path().display()));
    words.insert(0, format!("--progress={}", found.text("progress")));
    // What the target wants was allowed, or else it would not be built.
    hand_on(session, &BUILD, words).await?;
    let text = std::fs::read_to_string(told.path());
    let text = text.map_err(|error| path_failure("read", &told.path().display().to_string(), &error))?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// What is to be attested, by its kind and what the caller says of it.
fn attest(kind: &str, text: &str) -> String {
    match text {
        "true" | "1" => format!("type={kind}"),
        "false" | "0" => format!("type={kind},disabled=true"),
        text => format!("type={kind},{text}"),
    }
}

/// A file that was read.
struct Text {
    name: String,
    text: String,
    path: PathBuf,
}

/// All changes that the flags ask for.
fn changes(found: &Matches) -> Result<Vec<Change>, String> {
    let mut words: Vec<String> = found.strings("set");
    for flag in ["push", "load", "no-cache", "pull"] {
        let given = found.text_given(flag).is_some();
        words.extend(given.then(|| format!("*.{flag}={}", found.on(flag))));
    }
    for (flag, kind) in [("sbom", "sbom"), ("provenance", "provenance")] {
        let text = found.text(flag);
        words.extend((!text.is_empty()).then(|| format!("*.attest={}", attest(kind, text))));
    }
    let call = if found.on("check") { "check" } else { found.text("call") };
    // So it is called between clients and frontends.
    let call = if call == "check" { "lint" } else { call };
    words.extend((!call.is_empty()).then(|| format!("*.call={call}")));
    Change::read(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Names and texts of files here.
fn local(named: &[&str]) -> Result<Vec<Text>, String> {
    let names: Vec<&str> = match named {
        [] => USUAL.into_iter().filter(|name| Path::new(name).exists()).collect(),
        named => named.iter().map(|name| name.strip_prefix(HERE).unwrap_or(name)).collect(),
    };
    let read = |name: &&str| {
        let text = match *name {
            "-" => std::io::read_to_string(std::io::stdin()),
            path => std::fs::read_to_string(path),
        };
        let text = text.map_err(|error| format!("open {name}: {}", crate::failure::go_cause(&error)))?;
        Ok(Text { name: (*name).to_owned(), text, path: PathBuf::from(name) })
    };
    names.iter().map(read).collect()
}

/// What the files say; composed systems come first, whatever the order. `directory` is what the caller's own is called.
fn gather(files: &[Text], directory: &str) -> Result<Definition, String> {
    if files.is_empty() {
        return Err("couldn't find a bake definition".to_owned());
    }
    let is_system = |file: &&Text| matches!(ending(Path::new(&file.name)), "yml" | "yaml");
    let (systems, files): (Vec<_>, Vec<_>) = files.iter().partition(is_system);
    let mut definition = if systems.is_empty() { Definition::default() } else { system::read(&systems)? };
    let mut pages = Vec::new();
    for Text { name, text, .. } in files {
        let is_json = ending(Path::new(name)) == "json" || text.trim_start().starts_with('{');
        pages.push(page::parse(name, text, is_json)?);
    }
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let platform = hako_model::platform::Platform::host().normalised().to_string();
    let own = [("BAKE_CMD_CONTEXT", directory), ("BAKE_LOCAL_PLATFORM", &platform)];
    let read = language::read(pages, &own, &environment)?;
    definition.groups.extend(read.groups);
    definition.about.extend(read.about);
    definition.variables.extend(read.variables);
    for (name, target) in read.targets {
        definition.targets.entry(name).or_default().merge(&target);
    }
    Ok(definition)
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
