//! `history`.

use hako_api::image::History;
use hako_api::query;

use crate::command::{LIST_FORMAT, platform_json};
use crate::flags::{Matches, switch, text as text_flag};
use crate::output;
use crate::render::clock::{ago, rfc3339_local};
use crate::render::listing::{Listing, column, text};
use crate::render::units::{ellipsis, human_size_with, short_id};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static HISTORY: Command = Command {
    usage: &["[OPTIONS] IMAGE"],
    aliases: &["hako image history", "hako history"],
    arity: Arity::Exactly(1),
    flags: &[&[
        LIST_FORMAT,
        switch("human", "Print sizes and dates in human readable format").short('H').default("true"),
        switch("no-trunc", "Don't truncate output"),
        text_flag(
            "platform",
            "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        switch("quiet", "Only show image IDs").short('q'),
    ]],
    offer: Offer::Images,
    ..Command::new("Show the history of an image", run!(history))
};

/// One line of the table.
struct Row {
    step: History,
    whole: bool,
    human: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("ID", "IMAGE", |row: &Row| text(id(row))),
        column("CreatedAt", "CREATED AT", |row: &Row| text(rfc3339_local(row.step.created))),
        column("CreatedSince", "CREATED", |row: &Row| text(created(row))),
        column("CreatedBy", "CREATED BY", |row: &Row| text(created_by(row))),
        column("Size", "SIZE", |row: &Row| text(size(row))),
        column("Comment", "COMMENT", |row: &Row| text(&row.step.comment)),
    ],
    shown: &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
    row_type: "*image.historyContext",
    labels: None,
};

async fn history(session: &Session, found: &Matches) -> Outcome {
    let options = query::InspectImage { platform: platform_json(found)?, manifests: false };
    let steps = session.client()?.images().history(found.word(0), &options).await?;
    let (whole, human) = (found.on("no-trunc"), found.on("human"));
    let rows: Vec<Row> = steps.into_iter().map(|step| Row { step, whole, human }).collect();
    if found.on("quiet") && found.text("format").is_empty() {
        return output::print(rows.iter().map(|row| format!("{}\n", id(row))).collect::<String>());
    }
    let mut shown = ROWS.shown.to_vec();
    if !human {
        shown[1] = "CreatedAt";
    }
    output::print(ROWS.render_columns(found.text("format"), &shown, &rows)?)
}

fn id(row: &Row) -> &str {
    if row.whole || row.step.id.starts_with('<') { &row.step.id } else { short_id(&row.step.id) }
}

fn created(row: &Row) -> String {
    match row.step.created {
        never if never <= -62_135_596_800 => "N/A".to_owned(),
        created if row.human => ago(created),
        created => rfc3339_local(created),
    }
}

fn created_by(row: &Row) -> String {
    let line = row.step.created_by.replace('\t', " ");
    if row.whole { line } else { ellipsis(&line, 45) }
}

fn size(row: &Row) -> String {
    if row.human { human_size_with(row.step.size as f64, 3) } else { row.step.size.to_string() }
}
