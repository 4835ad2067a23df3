//! Images, and the progress of verbs on them, on the wire.

use std::collections::BTreeMap;

use hako_api::image as wire;
use hako_api::inspect::GraphDriver;
use hako_api::progress as message;
use hako_api::version::ApiVersion;
use hako_engine::images::{
    Amount, Details, Distribution, HistoryEntry, Part, PartKind, Progress, Pruned, Removed, Summary,
};
use serde_json::{Map, Value, json};

use super::null_if_empty;
use crate::former::empty_config;

/// What dangling images were called until 1.42.
const NONE: &str = "<none>";

/// A line of the list, for a client of `version`.
pub(crate) fn summary(found: Summary, version: ApiVersion) -> wire::Summary {
    let dangling = found.repo_tags.is_empty() && found.repo_digests.is_empty();
    let mut line = wire::Summary {
        // Since 1.51 the list counts them.
        containers: if version < ApiVersion::minor(51) { -1 } else { found.containers },
        created: found.created.secs(),
        id: found.id.to_string(),
        labels: found.labels,
        parent_id: found.parent,
        descriptor: found.index.filter(|_| version >= ApiVersion::minor(48)),
        manifests: found.manifests.map(|parts| parts.into_iter().map(part).collect()),
        repo_digests: (version >= ApiVersion::minor(43) || !found.repo_digests.is_empty())
            .then_some(found.repo_digests),
        repo_tags: found.repo_tags,
        shared_size: found.shared_size,
        size: found.size,
        virtual_size: if version < ApiVersion::minor(44) { found.size } else { 0 },
    };
    if dangling && version < ApiVersion::minor(43) {
        line.repo_tags = vec![format!("{NONE}:{NONE}")];
        line.repo_digests = Some(vec![format!("{NONE}@{NONE}")]);
    }
    line
}

/// Everything about an image, for a client of `version`.
pub(crate) fn details(found: Details, version: ApiVersion) -> wire::Image {
    let graph_driver = GraphDriver { data: null_if_empty(directories(&found)), name: "overlay2".to_owned() };
    let image = serde_json::to_value(&found.config).unwrap_or_default();
    let text = |name: &str| image.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let run = match image.get("config") {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    };
    let former = version < ApiVersion::minor(45);
    let layers = image.pointer("/rootfs/diff_ids").and_then(Value::as_array).into_iter().flatten();
    wire::Image {
        id: found.id.to_string(),
        repo_tags: found.repo_tags,
        repo_digests: found.repo_digests,
        parent: found.parent,
        comment: last_comment(&image),
        created: text("created"),
        container: former.then(|| text("container")).filter(|container| !container.is_empty()),
        container_config: former.then(|| image.get("container_config").cloned().unwrap_or_else(empty_config)),
        docker_version: text("docker_version"),
        author: text("author"),
        config: Some(wire::shown_config(run, version)),
        architecture: text("architecture"),
        variant: text("variant"),
        os: text("os"),
        os_version: text("os.version"),
        size: found.size,
        virtual_size: if version < ApiVersion::minor(44) { found.size } else { 0 },
        graph_driver,
        root_fs: wire::RootFs {
            kind: "layers".to_owned(),
            layers: layers.filter_map(Value::as_str).map(str::to_owned).collect(),
        },
        metadata: wire::Metadata { last_tag_time: found.last_tag_time.to_string() },
        descriptor: found.descriptor,
        manifests: None,
    }
}

/// One manifest of an image's index.
pub(crate) fn part(found: Part) -> wire::Part {
    let mut part = wire::Part {
        id: found.descriptor.digest.to_string(),
        descriptor: found.descriptor,
        available: found.available,
        size: wire::PartSize { content: found.content, total: found.content },
        ..wire::Part::default()
    };
    match found.kind {
        PartKind::Attestation(about) => {
            part.kind = "attestation".to_owned();
            part.attestation = Some(wire::PartAttestation { r#for: about });
        }
        PartKind::Image { platform, unpacked, containers, .. } => {
            part.kind = "image".to_owned();
            part.size.total += unpacked;
            part.image = Some(wire::PartImage { platform, containers, size: wire::PartUnpacked { unpacked } });
        }
    }
    part
}

/// The image's own comment, or else that of its newest step, as Docker does.
fn last_comment(image: &Value) -> String {
    let own = image.get("comment").and_then(Value::as_str).filter(|comment| !comment.is_empty());
    let newest = || image.get("history")?.as_array()?.last()?.get("comment")?.as_str();
    own.or_else(newest).unwrap_or_default().to_owned()
}

fn directories(found: &Details) -> BTreeMap<String, String> {
    let paths: Vec<_> = found.lower_dirs.iter().map(|path| path.display().to_string()).collect();
    let Some((upper, lowers)) = paths.split_first() else { return BTreeMap::new() };
    let mut directories = BTreeMap::from([("UpperDir".to_owned(), upper.clone())]);
    if !lowers.is_empty() {
        directories.insert("LowerDir".to_owned(), lowers.join(":"));
    }
    directories
}

pub(crate) fn history(found: HistoryEntry) -> wire::History {
    wire::History {
        id: found.id,
        created: found.created.secs(),
        created_by: found.created_by,
        tags: (!found.tags.is_empty()).then_some(found.tags),
        size: found.size,
        comment: found.comment,
    }
}

pub(crate) fn removed(found: Removed) -> wire::Removed {
    match found {
        Removed::Untagged(untagged) => wire::Removed { untagged, ..wire::Removed::default() },
        Removed::Deleted(deleted) => wire::Removed { deleted, ..wire::Removed::default() },
    }
}

pub(crate) fn pruned(found: Pruned) -> wire::Pruned {
    let removed: Vec<_> = found.removed.into_iter().map(removed).collect();
    wire::Pruned { images_deleted: (!removed.is_empty()).then_some(removed), space_reclaimed: found.reclaimed }
}

pub(crate) fn distribution(found: Distribution) -> wire::Distribution {
    wire::Distribution { descriptor: found.descriptor, platforms: found.platforms }
}

/// One message of a verb's progress.
pub(crate) fn progress(found: Progress) -> message::Progress {
    match found {
        Progress::Status { id, status } => {
            message::Progress { id: id.unwrap_or_default(), status, ..message::Progress::default() }
        }
        Progress::Layer { id, status, amount } => message::Progress {
            id,
            status,
            progress: amount.map(bar).unwrap_or_default(),
            detail: Some(amount.map(detail).unwrap_or_default()),
            ..message::Progress::default()
        },
        Progress::Stream { text } => message::Progress { stream: text, ..message::Progress::default() },
        Progress::Pushed { tag, digest, size } => message::Progress {
            detail: Some(message::Detail::default()),
            aux: Some(json!({"Tag": tag, "Digest": digest, "Size": size})),
            ..message::Progress::default()
        },
    }
}

fn detail(amount: Amount) -> message::Detail {
    message::Detail {
        current: super::signed(amount.current),
        total: super::signed(amount.total),
        ..message::Detail::default()
    }
}

/// Docker's bar of fifty characters, for clients that print it as it is.
fn bar(amount: Amount) -> String {
    let current = human(amount.current);
    if amount.total == 0 {
        return format!("{current:>8}");
    }
    let filled = usize::try_from(amount.current.min(amount.total).saturating_mul(50) / amount.total).unwrap_or(50);
    let arrow = if filled < 50 { ">" } else { "" };
    let blank = 50_usize.saturating_sub(filled + arrow.len());
    format!("[{}{arrow}{}] {current:>8}/{}", "=".repeat(filled), " ".repeat(blank), human(amount.total))
}

/// Four significant digits and a decimal unit, as Docker's `HumanSize`.
fn human(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", significant(value), UNITS[unit])
}

/// Go's `%.4g` for numbers below 1000.
fn significant(value: f64) -> String {
    let decimals = if value >= 100.0 {
        1
    } else if value >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_dockers() {
        let table = [(0, "0B"), (512, "512B"), (1_500, "1.5kB"), (2_811_478, "2.811MB"), (30_430_000, "30.43MB")];
        for (size, expect) in table {
            assert_eq!(human(size), expect);
        }
    }

    #[test]
    fn bars_have_fifty_characters() {
        let check = |current, total| bar(Amount { current, total });
        assert_eq!(check(0, 1000), format!("[>{}]       0B/1kB", " ".repeat(49)));
        assert_eq!(
            check(500, 1000),
            format!("[{}>{}]     512B/1kB", "=".repeat(25), " ".repeat(24)).replace("512B", "500B")
        );
        assert_eq!(check(1000, 1000), format!("[{}]      1kB/1kB", "=".repeat(50)));
        assert_eq!(check(1000, 0), "     1kB");
    }

    #[test]
    fn messages_are_dockers() {
        let json = |found| serde_json::to_value(progress(found)).unwrap();
        let waiting = Progress::Layer { id: "a".to_owned(), status: "Waiting".to_owned(), amount: None };
        assert_eq!(json(waiting), json!({"status": "Waiting", "progressDetail": {}, "id": "a"}));
        let pulling = Progress::Status { id: Some("latest".to_owned()), status: "Pulling from a".to_owned() };
        assert_eq!(json(pulling), json!({"status": "Pulling from a", "id": "latest"}));
    }
}
