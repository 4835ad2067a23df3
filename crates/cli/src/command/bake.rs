//! `bake`: the builds that a file describes.

mod change;
mod functions;
mod language;
mod list;
mod plan;
mod system;
mod target;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::change::Change;
use self::language::Definition;
use self::list::Listing;
use self::plan::Plan;
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
    let refused = |why: String| Failure::Status { message: format!("ERROR: {why}"), code: 1 };
    if let Some(text) = found.text_given("list") {
        let listing = Listing::parse(text).map_err(refused)?;
        let definition = gather(&found.list("file")).map_err(refused)?;
        return output::print(listing.show(&definition));
    }
    let plan = plan(found).map_err(refused)?;
    if found.on("print") {
        return output::line(plan.print());
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

/// What the files and the flags ask for.
fn plan(found: &Matches) -> Result<Plan, String> {
    let is_address =
        |word: &&str| ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| word.starts_with(scheme));
    let mut words = found.list("file").into_iter().chain(found.words().iter().map(String::as_str));
    if let Some(address) = words.find(is_address) {
        return Err(format!("{address}: bake files from elsewhere are not supported: fetch it, and name it with -f"));
    }
    let definition = gather(&found.list("file"))?;
    Plan::make(&definition, found.words(), &changes(found)?)
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
    // Files and agents are read as their owner may read them, anyway.
    let own = |word: &&&str| !matches!(word.split('=').next(), Some("fs" | "fs.read" | "fs.write" | "ssh"));
    words.splice(0..0, found.list("allow").iter().filter(own).map(|word| format!("--allow={word}")));
    hand_on(session, &BUILD, words).await?;
    let text = std::fs::read_to_string(told.path());
    let text = text.map_err(|error| path_failure("read", &told.path().display().to_string(), &error))?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
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
        words.extend(match text {
            "" => None,
            "true" => Some(format!("*.attest=type={kind}")),
            "false" => Some(format!("*.attest=type={kind},disabled=true")),
            text => Some(format!("*.attest=type={kind},{text}")),
        });
    }
    let call = if found.on("check") { "check" } else { found.text("call") };
    words.extend((!call.is_empty()).then(|| format!("*.call={call}")));
    Change::read(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Reads the files; composed systems come first, whatever the order.
fn gather(named: &[&str]) -> Result<Definition, String> {
    let files: Vec<PathBuf> = match named {
        [] => USUAL.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
        named => named.iter().map(PathBuf::from).collect(),
    };
    if files.is_empty() {
        return Err("couldn't find a bake definition".to_owned());
    }
    let is_system = |path: &PathBuf| matches!(ending(path), "yml" | "yaml");
    let (systems, files): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(is_system);
    let mut definition = if systems.is_empty() { Definition::default() } else { system::read(systems)? };
    let mut bodies = Vec::new();
    for path in &files {
        let name = path.display().to_string();
        let text = match name.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()),
            _ => std::fs::read_to_string(path),
        };
        let text = text.map_err(|error| format!("open {name}: {}", crate::failure::go_cause(&error)))?;
        let is_json = ending(path) == "json" || text.trim_start().starts_with('{');
        bodies.push(language::parse(&name, &text, is_json)?);
    }
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let read = language::read(bodies, &environment)?;
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
