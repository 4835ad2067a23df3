//! `logs`.

use hako_api::query;

use crate::flags::{Matches, switch, text};
use crate::reconnect::follow_log;
use crate::render::clock::moment;
use crate::session::Session;
use crate::stream::copy_log;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static LOGS: Command = Command {
    usage: &["[OPTIONS] CONTAINER"],
    aliases: &["hako container logs", "hako logs"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("details", "Show extra details provided to logs"),
        switch("follow", "Follow log output").short('f'),
        text(
            "since",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        text("tail", "Number of lines to show from the end of the logs").short('n').default("all"),
        switch("timestamps", "Show timestamps").short('t'),
        text(
            "until",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ]],
    examples: &[
        ("hako logs -f --tail 20 web", "The last twenty lines, and what comes"),
        ("hako logs -t --since 10m web", "The last ten minutes, each line with its time"),
    ],
    offer: Offer::Containers,
    ..Command::new("Fetch the logs of a container", run!(logs))
};

async fn logs(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let container = client.containers().inspect(found.word(0), false).await?;
    let options = query::Logs {
        follow: found.on("follow"),
        stdout: true,
        stderr: true,
        since: moment(found.text("since")).map_err(|why| format!("invalid value for \"since\": {why}"))?,
        until: moment(found.text("until")).map_err(|why| format!("invalid value for \"until\": {why}"))?,
        timestamps: found.on("timestamps"),
        tail: found.text("tail").to_owned(),
        details: found.on("details"),
        ..query::Logs::default()
    };
    if options.follow {
        return follow_log(client, &container.id, options, container.config.tty).await;
    }
    let stream = client.containers().logs(&container.id, &options).await?;
    copy_log(stream, container.config.tty).await
}
