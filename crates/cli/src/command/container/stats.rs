//! `stats`: a screen that is drawn anew twice a second, or one table.

mod figures;
mod live;

use hako_api::query;

use crate::command::LIST_FORMAT;
use crate::failure::Failure;
use crate::flags::{Matches, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Command, Offer, Outcome, run};

use figures::{Figures, ROWS};

pub(crate) static STATS: Command = Command {
    usage: &["[OPTIONS] [CONTAINER...]"],
    aliases: &["hako container stats", "hako stats"],
    arity: crate::tree::Arity::AtLeast(0),
    flags: &[&[
        switch("all", "Show all containers (default shows just running)").short('a'),
        LIST_FORMAT,
        switch("no-stream", "Disable streaming stats and only pull the first result"),
        switch("no-trunc", "Do not truncate output"),
    ]],
    examples: &[
        ("hako stats", "All running containers, until ctrl-c"),
        ("hako stats --no-stream --format '{{.Name}} {{.MemPerc}}'", "Once, for a script"),
    ],
    offer: Offer::Running,
    ..Command::new("Display a live stream of container(s) resource usage statistics", run!(stats))
};

async fn stats(session: &Session, found: &Matches) -> Outcome {
    let format = match found.text("format") {
        "" => session.config().stats_format.clone(),
        format => format.to_owned(),
    };
    if found.on("no-stream") {
        return once(session, found, &format).await;
    }
    live::show(session, found, &format).await
}

/// The names on the command line, or the ids of the containers there are.
async fn targets(session: &Session, found: &Matches) -> Result<Vec<String>, Failure> {
    if !found.words().is_empty() {
        return Ok(found.words().to_vec());
    }
    let options = query::ListContainers { all: found.on("all"), ..query::ListContainers::default() };
    let listed = session.client()?.containers().list(&options).await?;
    Ok(listed.into_iter().map(|summary| summary.id).collect())
}

/// A table of nobody.
pub(crate) fn of_nobody(format: &str) -> Outcome {
    output::print(ROWS.render(format, &[])?)
}

async fn once(session: &Session, found: &Matches, format: &str) -> Outcome {
    let (client, targets) = (session.client()?, targets(session, found).await?);
    let options = &query::Stats { stream: Some(false), one_shot: false };
    let asked = targets.iter().map(|id| async move {
        let sample = client.containers().stats(id, options).await?.next().await?;
        Ok::<_, Failure>(sample.unwrap_or_default())
    });
    let mut rows = Vec::new();
    for (asked_for, sample) in targets.iter().zip(futures_util::future::join_all(asked).await) {
        rows.push(Figures::of(&sample?, asked_for, !found.on("no-trunc")));
    }
    output::print(ROWS.render(format, &rows)?)
}
