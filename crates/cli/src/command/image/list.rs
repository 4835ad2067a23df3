//! `images`.

use std::rc::Rc;

use gotmpl::Value;
use hako_api::image::Summary;
use hako_api::query;

use crate::command::{LIST_FORMAT, filters};
use crate::failure::Failure;
use crate::flags::{Matches, filter, switch};
use crate::output;
use crate::render::clock::{ago, go_local};
use crate::render::listing::{Listing, column, text};
use crate::render::units::{human_size, human_size_with, short_id};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

mod family;

pub(crate) static LIST: Command = Command {
    usage: &["[OPTIONS] [REPOSITORY[:TAG]]"],
    aliases: &["hako image ls", "hako image list", "hako images"],
    arity: Arity::AtMost(1),
    flags: &[&[
        switch("all", "Show all images (default hides intermediate images)").short('a'),
        switch("digests", "Show digests"),
        filter("Filter output based on conditions provided").short('f'),
        LIST_FORMAT,
        switch("no-trunc", "Don't truncate output"),
        switch("quiet", "Only show image IDs").short('q'),
        switch("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
    ]],
    examples: &[
        ("hako images -f dangling=true", "Images without a name, as builds and pulls leave them behind"),
        ("hako images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", "For a script"),
    ],
    offer: Offer::Images,
    ..Command::new("List images", run!(list))
};

/// One line of the table: one name of an image.
struct Row {
    summary: Rc<Summary>,
    repository: String,
    tag: String,
    digest: String,
    whole: bool,
}

const NONE: &str = "<none>";

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("Repository", "REPOSITORY", |row: &Row| text(&row.repository)),
        column("Tag", "TAG", |row: &Row| text(&row.tag)),
        column("Digest", "DIGEST", |row: &Row| text(&row.digest)),
        column("ID", "IMAGE ID", |row: &Row| text(id(row))),
        column("CreatedSince", "CREATED", |row: &Row| text(created(&row.summary))),
        column("CreatedAt", "CREATED AT", |row: &Row| text(go_local(row.summary.created))),
        column("Size", "SIZE", |row: &Row| text(human_size_with(row.summary.size as f64, 3))),
        column("Containers", "CONTAINERS", |row: &Row| text(count(row.summary.containers))),
        column("SharedSize", "SHARED SIZE", |row: &Row| text(size(row.summary.shared_size))),
        column("UniqueSize", "UNIQUE SIZE", |row: &Row| text(unique(&row.summary))),
        column("VirtualSize", "SIZE", |row: &Row| text(human_size(row.summary.size as f64))),
    ],
    shown: &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    row_type: "*formatter.imageContext",
    labels: None,
};

async fn list(session: &Session, found: &Matches) -> Outcome {
    let unfit = ["quiet", "no-trunc", "digests", "format"].into_iter().find(|flag| match *flag {
        "format" => !found.text("format").is_empty(),
        flag => found.on(flag),
    });
    if let Some(flag) = unfit.filter(|_| found.on("tree")) {
        return Err(Failure::local(format!("--{flag} is not yet supported with --tree")));
    }
    let mut filters = filters(found);
    if !found.word(0).is_empty() {
        filters.add("reference", found.word(0));
    }
    let options = query::ListImages {
        all: found.on("all"),
        filters,
        manifests: found.on("tree"),
        ..query::ListImages::default()
    };
    let summaries = session.client()?.images().list(&options).await?;
    if found.on("tree") {
        return output::print(family::tree(&summaries));
    }
    let rows = rows(summaries, found);
    if found.on("quiet") && found.text("format").is_empty() {
        return output::print(rows.iter().map(|row| format!("{}\n", id(row))).collect::<String>());
    }
    let format = match found.text("format") {
        "" => session.config().images_format.as_str(),
        "raw" if found.on("quiet") => "image_id: {{.ID}}",
        "raw" if found.on("digests") => {
            "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\n\
             created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
        }
        "raw" => {
            "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n\
             virtual_size: {{.Size}}\n"
        }
        format => format,
    };
    let mut shown = ROWS.shown.to_vec();
    if found.on("digests") {
        shown.insert(2, "Digest");
    }
    output::print(ROWS.render_columns(format, &shown, &rows)?)
}

/// Images by the names of the columns, as `system df -v` has them: each once, by its first name.
pub(crate) fn described(images: &[Summary]) -> Vec<Value> {
    let row = |image: &Summary| {
        let name = image.repo_tags.first().and_then(|name| name.rsplit_once(':')).unwrap_or((NONE, NONE));
        ROWS.value(&Row {
            summary: Rc::new(image.clone()),
            repository: name.0.to_owned(),
            tag: name.1.to_owned(),
            digest: String::new(),
            whole: true,
        })
    };
    images.iter().map(row).collect()
}

/// A line for each tag; with digests also for each digest of it; `<none>` where there is neither.
fn rows(summaries: Vec<Summary>, found: &Matches) -> Vec<Row> {
    let digests = found.on("digests") || found.text("format").contains(".Digest");
    let whole = found.on("no-trunc");
    let mut rows = Vec::new();
    for summary in summaries.into_iter().map(Rc::new) {
        let mut add = |repository: &str, tag: &str, digest: &str| {
            let text = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
            rows.push(Row {
                summary: summary.clone(),
                repository: text(repository),
                tag: text(tag),
                digest: text(digest),
                whole,
            });
        };
        let tags: Vec<(&str, &str)> = pairs(&summary.repo_tags, ':');
        let ids: Vec<(&str, &str)> = pairs(summary.repo_digests.as_deref().unwrap_or_default(), '@');
        for (name, tag) in &tags {
            let own: Vec<&str> = ids.iter().filter(|(of, _)| of == name).map(|(_, digest)| *digest).collect();
            match own.as_slice() {
                digests_of if digests && !digests_of.is_empty() => {
                    digests_of.iter().for_each(|digest| add(name, tag, digest));
                }
                _ => add(name, tag, ""),
            }
        }
        for (name, digest) in ids.iter().filter(|(of, _)| !tags.iter().any(|(name, _)| name == of)) {
            add(name, "", if digests { digest } else { "" });
        }
        if tags.is_empty() && ids.is_empty() {
            add("", "", "");
        }
    }
    rows
}

/// Names parted at their last mark; Docker's `<none>:<none>` counts as nothing.
fn pairs(names: &[String], mark: char) -> Vec<(&str, &str)> {
    names.iter().filter_map(|name| name.rsplit_once(mark)).filter(|(name, _)| *name != NONE).collect()
}

fn id(row: &Row) -> &str {
    if row.whole { &row.summary.id } else { short_id(&row.summary.id) }
}

fn created(summary: &Summary) -> String {
    if summary.created <= 0 { "N/A".to_owned() } else { ago(summary.created) }
}

fn count(number: i64) -> String {
    if number < 0 { "N/A".to_owned() } else { number.to_string() }
}

fn size(bytes: i64) -> String {
    if bytes < 0 { "N/A".to_owned() } else { human_size(bytes as f64) }
}

fn unique(summary: &Summary) -> String {
    if summary.shared_size < 0 { "N/A".to_owned() } else { size(summary.size - summary.shared_size) }
}
