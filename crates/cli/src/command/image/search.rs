//! `search`.

use hako_api::image::Found;
use hako_api::query;

use crate::command::{EVENT_FORMAT, filters};
use crate::flags::{Matches, filter, int, switch};
use crate::output;
use crate::render::listing::{Listing, column, text};
use crate::render::units::ellipsis;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

/// How much of a description is shown.
const WIDTH: usize = 45;

pub(crate) static SEARCH: Command = Command {
    usage: &["[OPTIONS] TERM"],
    arity: Arity::Exactly(1),
    flags: &[&[
        filter("Filter output based on conditions provided").short('f'),
        EVENT_FORMAT,
        int("limit", "Max number of search results"),
        switch("no-trunc", "Don't truncate output"),
    ]],
    ..Command::new("Search Docker Hub for images", run!(search))
};

/// One line of the table.
struct Row {
    found: Found,
    whole: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("Name", "NAME", |row: &Row| text(&row.found.name)),
        column("Description", "DESCRIPTION", |row: &Row| text(description(row))),
        column("StarCount", "STARS", |row: &Row| text(row.found.star_count.to_string())),
        column("IsOfficial", "OFFICIAL", |row: &Row| text(if row.found.is_official { "[OK]" } else { "" })),
        column("IsAutomated", "AUTOMATED", |row: &Row| text(if row.found.is_automated { "[OK]" } else { "" })),
    ],
    shown: &["Name", "Description", "StarCount", "IsOfficial"],
    row_type: "*search.searchContext",
    labels: None,
};

fn description(row: &Row) -> String {
    let line = row.found.description.replace(['\n', '\r'], " ");
    if row.whole { line } else { ellipsis(&line, WIDTH) }
}

async fn search(session: &Session, found: &Matches) -> Outcome {
    let options = query::Search {
        term: found.word(0).to_owned(),
        limit: Some(found.int("limit")).filter(|limit| *limit != 0),
        filters: filters(found),
    };
    let whole = found.on("no-trunc");
    let results = session.client()?.images().search(&options).await?;
    let rows: Vec<Row> = results.into_iter().map(|found| Row { found, whole }).collect();
    output::print(ROWS.render(found.text("format"), &rows)?)
}
