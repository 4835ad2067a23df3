//! `manifest`: lists of images put together here and pushed to a registry, without a daemon, as Docker's CLI does it.

mod document;
mod remote;
mod shelf;

use hako_model::reference::Reference;

use self::document::{Entry, index};
use self::remote::Registry;
use self::shelf::Shelf;
use crate::failure::Failure;
use crate::flags::{Matches, csv, switch, text};
use crate::output;
use crate::render::json::indent;
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Outcome, run};

/// `manifest …`
pub(crate) static MANIFEST: Group = Group {
    short: "Manage image manifests and manifest lists",
    flags: &[],
    nodes: &[
        Node::command("annotate", &ANNOTATE),
        Node::command("create", &CREATE),
        Node::command("inspect", &INSPECT),
        Node::command("push", &PUSH),
        Node::command("rm", &REMOVE),
    ],
};

static ANNOTATE: Command = Command {
    usage: &["[OPTIONS] MANIFEST_LIST MANIFEST"],
    arity: Arity::Exactly(2),
    flags: &[&[
        text("arch", "Set architecture"),
        text("os", "Set operating system"),
        csv("os-features", "Set operating system feature"),
        text("os-version", "Set operating system version"),
        text("variant", "Set architecture variant"),
    ]],
    ..Command::new("Add additional information to a local image manifest", run!(annotate))
};

static CREATE: Command = Command {
    usage: &["MANIFEST_LIST MANIFEST [MANIFEST...]"],
    arity: Arity::AtLeast(2),
    flags: &[&[
        switch("amend", "Amend an existing manifest list").short('a'),
        switch("insecure", "Allow communication with an insecure registry"),
    ]],
    examples: &[(
        "hako manifest create reg.example/app:2 reg.example/app:2-amd64 reg.example/app:2-arm64",
        "One name for both",
    )],
    ..Command::new("Create a local manifest list for annotating and pushing to a registry", run!(create))
};

static INSPECT: Command = Command {
    usage: &["[OPTIONS] [MANIFEST_LIST] MANIFEST"],
    arity: Arity::Between(1, 2),
    flags: &[&[
        switch("insecure", "Allow communication with an insecure registry"),
        switch("verbose", "Output additional info including layers and platform").short('v'),
    ]],
    ..Command::new("Display an image manifest, or manifest list", run!(inspect))
};

static PUSH: Command = Command {
    usage: &["[OPTIONS] MANIFEST_LIST"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("insecure", "Allow push to an insecure registry"),
        switch("purge", "Remove the local manifest list after push").short('p'),
    ]],
    ..Command::new("Push a manifest list to a repository", run!(push))
};

static REMOVE: Command = Command {
    usage: &["MANIFEST_LIST [MANIFEST_LIST...]"],
    arity: Arity::AtLeast(1),
    ..Command::new("Delete one or more manifest lists from local storage", run!(remove))
};

fn named(text: &str, what: &str) -> Result<Reference, Failure> {
    Reference::parse_tagged(text)
        .map_err(|error| Failure::local(format!("error parsing name for {what} {text}: {error}")))
}

async fn create(session: &Session, found: &Matches) -> Outcome {
    let list = named(found.word(0), "manifest list")?;
    let shelf = Shelf::of(session);
    if shelf.has(&list) && !found.on("amend") {
        return Err(Failure::local("refusing to amend an existing manifest list with no --amend flag"));
    }
    let registry = Registry::open(session, found.on("insecure"));
    // All or none: a list that lacks one of them is nobody's wish.
    let mut entries = Vec::new();
    for word in &found.words()[1..] {
        let image = named(word, "manifest")?;
        let entry = match shelf.entry(&list, &image)? {
            Some(entry) => entry,
            None => registry.image(&image).await?,
        };
        entries.push((image, entry));
    }
    for (image, entry) in &entries {
        shelf.keep(&list, image, entry)?;
    }
    output::line(format!("Created manifest list {list}"))
}

async fn annotate(session: &Session, found: &Matches) -> Outcome {
    let (list, image) = (named(found.word(0), "manifest list")?, named(found.word(1), "manifest")?);
    let shelf = Shelf::of(session);
    let Some(mut entry) = shelf.entry(&list, &image)? else {
        let text = format!("manifest for image {} does not exist in {}", found.word(1), found.word(0));
        return Err(Failure::local(text));
    };
    let platform = entry.descriptor.platform.get_or_insert_default();
    let texts = [
        ("os", &mut platform.os),
        ("arch", &mut platform.architecture),
        ("variant", &mut platform.variant),
        ("os-version", &mut platform.os_version),
    ];
    for (flag, field) in texts {
        if !found.text(flag).is_empty() {
            found.text(flag).clone_into(field);
        }
    }
    for feature in found.strings("os-features") {
        if !platform.os_features.contains(&feature) {
            platform.os_features.push(feature);
        }
    }
    if !document::is_known(&platform.os, &platform.architecture) {
        let text = "manifest entry for image has unsupported os/arch combination";
        return Err(Failure::local(format!("{text}: {}/{}", platform.os, platform.architecture)));
    }
    shelf.keep(&list, &image, &entry)
}

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    let (shelf, verbose) = (Shelf::of(session), found.on("verbose"));
    let registry = Registry::open(session, found.on("insecure"));
    if found.words().len() == 2 {
        let (list, image) = (named(found.word(0), "manifest list")?, named(found.word(1), "manifest")?);
        let entry = match shelf.entry(&list, &image)? {
            Some(entry) => entry,
            None => registry.image(&image).await?,
        };
        return show_one(&entry, verbose);
    }
    let name = named(found.word(0), "manifest")?;
    let local = shelf.list(&name)?;
    if !local.is_empty() {
        return show_list(&local, verbose);
    }
    match registry.find(&name).await? {
        remote::Found::Image(entry) => show_one(&entry, verbose),
        remote::Found::List(entries) => show_list(&entries, verbose),
    }
}

fn show_one(entry: &Entry, verbose: bool) -> Outcome {
    let text = if verbose { document::json(entry)? } else { entry.text()? };
    output::line(indent(&text, "\t"))
}

fn show_list(entries: &[Entry], verbose: bool) -> Outcome {
    match verbose {
        true => output::line(indent(&document::json(&entries)?, "\t")),
        false => output::line(index(entries)?.text),
    }
}

async fn push(session: &Session, found: &Matches) -> Outcome {
    let list = named(found.word(0), "manifest list")?;
    let shelf = Shelf::of(session);
    let entries = shelf.list(&list)?;
    if entries.is_empty() {
        return Err(Failure::local(format!("{list} not found")));
    }
    let registry = Registry::open(session, found.on("insecure"));
    let digest = registry.push(&list, &entries).await?;
    output::line(digest.to_string())?;
    if found.on("purge") { shelf.remove(&list) } else { Ok(()) }
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let shelf = Shelf::of(session);
    let mut failures = Vec::new();
    for word in found.words() {
        let list = named(word, "manifest list")?;
        match shelf.has(&list) {
            true => shelf.remove(&list)?,
            false => failures.push(Failure::local(format!("No such manifest: {word}"))),
        }
    }
    super::together(failures)
}
