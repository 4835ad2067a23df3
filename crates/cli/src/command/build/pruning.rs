//! `builder prune`, and the flags that name a builder: there is one.

use std::collections::HashMap;

use hako_api::query;
use hako_api::usage::BuildCache;
use hako_model::time::Timestamp;

use crate::failure::Failure;
use crate::flags::{Flag, Matches, bytes, filter, switch, text};
use crate::level::Level;
use crate::output as out;
use crate::render::clock::ago;
use crate::render::units::human_size;
use crate::session::Session;
use crate::terminal;
use crate::tree::{Command, Outcome, run};

/// Which builder is meant.
pub(crate) const BUILDER: Flag = text("builder", "Override the configured builder instance").check(known);

/// What stands between `builder` and its commands.
pub(super) const GROUP: &[Flag] = &[BUILDER, switch("debug", "Enable debug logging").short('D')];

pub(super) static PRUNE: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[
        &[
            switch("all", "Remove all unused build cache, not just dangling ones").short('a'),
            filter("Provide filter values (e.g., \"until=24h\")"),
            switch("force", "Do not prompt for confirmation").short('f'),
            bytes("keep-storage", "Amount of disk space to keep for cache"),
            bytes("max-used-space", "Maximum amount of disk space allowed to keep for cache"),
            bytes("min-free-space", "Target amount of free disk space after pruning"),
            bytes("reserved-space", "Amount of disk space always allowed to keep for cache"),
            switch("verbose", "Say of everything that was removed what it was"),
        ],
        GROUP,
    ],
    ..Command::new("Remove build cache", run!(prune))
};

/// The name that stands for the engine itself is the only one, as with Docker when nobody made builders.
fn known(name: &str) -> Result<(), String> {
    match name {
        "" | "default" => Ok(()),
        other => Err(format!("no builder {other:?} found: hako builds by itself, its only builder is \"default\"")),
    }
}

/// Heeds what was said before the command's word.
pub(crate) fn heed_group(session: &Session) {
    if session.group().is_some_and(|group| group.on("debug")) {
        Level::Debug.begin();
    }
}

async fn prune(session: &Session, found: &Matches) -> Outcome {
    heed_group(session);
    if found.on("debug") {
        Level::Debug.begin();
    }
    let warning = if found.on("all") {
        "WARNING! This will remove all build cache."
    } else {
        "WARNING! This will remove all dangling build cache."
    };
    let asked = || terminal::confirm(&format!("{warning} Are you sure you want to continue?"));
    if !found.on("force") && !asked().map_err(|error| Failure::local(error.to_string()))? {
        return Err(Failure::local("builder prune has been cancelled"));
    }
    let filters = crate::command::filters(found);
    let bytes = |flag: &str| Some(found.bytes(flag)).filter(|bytes| *bytes > 0);
    let options = query::PruneBuilds {
        all: found.on("all"),
        keep_storage: bytes("keep-storage"),
        reserved_space: bytes("reserved-space"),
        max_used_space: bytes("max-used-space"),
        min_free_space: bytes("min-free-space"),
        filters,
    };
    let client = session.client()?;
    let before = match found.on("verbose") {
        true => client.system().disk_usage(&["build-cache"]).await?.build_cache.unwrap_or_default(),
        false => Vec::new(),
    };
    let pruned = client.builds().prune(&options).await?;
    let ids = pruned.caches_deleted.unwrap_or_default();
    let listed = match (ids.is_empty(), found.on("verbose")) {
        (true, _) => String::new(),
        (false, true) => described(&ids, before),
        (false, false) => format!("ID\n{}\n\n", ids.join("\n")),
    };
    out::print(format!("{listed}Total reclaimed space: {}\n", human_size(pruned.space_reclaimed as f64)))
}

/// What went, a paragraph each, as buildx writes them.
fn described(ids: &[String], known: Vec<BuildCache>) -> String {
    let known: HashMap<String, BuildCache> = known.into_iter().map(|kept| (kept.id.clone(), kept)).collect();
    let one = |id: &String| match known.get(id) {
        // It came after the question.
        None => format!("ID:\t\t{id}\n\n"),
        Some(kept) => {
            let used = kept.last_used_at.as_deref().and_then(|text| Timestamp::parse(text).ok());
            let used = used.map_or_else(String::new, |time| format!("Last used:\t{}\n", ago(time.secs())));
            format!(
                "ID:\t\t{id}\nCreated at:\t{}\nMutable:\t{}\nReclaimable:\ttrue\nShared:\t\t{}\nSize:\t\t{}\n\
                 Description:\t{}\n{used}Type:\t\t{}\n\n",
                kept.created_at,
                kept.kind != "regular",
                kept.shared,
                human_size(kept.size as f64),
                kept.description,
                kept.kind,
            )
        }
    };
    ids.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_builder_is_known() {
        assert!(known("").is_ok() && known("default").is_ok());
        assert!(known("other").unwrap_err().starts_with("no builder \"other\" found"));
    }

    #[test]
    fn what_went_is_described() {
        let kept = BuildCache {
            id: "abc".to_owned(),
            kind: "regular".to_owned(),
            description: "[1/2] COPY f /f".to_owned(),
            size: 2000,
            created_at: "2026-11-22T09:00:00Z".to_owned(),
            ..BuildCache::default()
        };
        let text = described(&["abc".to_owned(), "new".to_owned()], vec![kept]);
        assert!(text.starts_with("ID:\t\tabc\nCreated at:\t2026-11-22T09:00:00Z\nMutable:\tfalse\n"), "{text}");
        assert!(
            text.contains("Size:\t\t2kB\nDescription:\t[1/2] COPY f /f\nType:\t\tregular\n\nID:\t\tnew\n"),
            "{text}"
        );
    }
}
