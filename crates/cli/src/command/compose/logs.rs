//! `logs`, `events` and `wait`: what containers say and how they fare.

use futures_util::future::{join_all, select_all};
use hako_api::query;
use hako_compose::{existing, label};
use hako_model::filter::Filters;

use super::attached::{Printer, Show, short_name};
use super::project::{colourful, present};
use crate::failure::Failure;
use crate::flags::{Matches, int, switch, text};
use crate::output;
use crate::render::clock::moment;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static LOGS: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    aliases: &["hako compose logs"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("follow", "Follow log output").short('f'),
        int("index", "index of the container if service has multiple replicas"),
        switch("no-color", "Produce monochrome output"),
        switch("no-log-prefix", "Don't print prefix in logs"),
        text("since", "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
        text("tail", "Number of lines to show from the end of the logs for each container").short('n').default("all"),
        switch("timestamps", "Show timestamps").short('t'),
        text("until", "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"),
    ]],
    examples: &[("hako compose logs -f --tail 20 web", "The last twenty lines of a service, and what comes")],
    ..Command::new("View output from containers", run!(logs))
};

pub(super) static EVENTS: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("json", "Output events as a stream of json objects"),
        text("since", "Show all events created since timestamp"),
        text("until", "Stream events until this timestamp"),
    ]],
    ..Command::new("Receive real time events from containers", run!(events))
};

pub(super) static WAIT: Command = Command {
    usage: &["SERVICE [SERVICE...] [OPTIONS]"],
    arity: Arity::AtLeast(1),
    flags: &[&[super::DRY_RUN, switch("down-project", "Drops project when the first container stops")]],
    ..Command::new("Block until containers of all (or specified) services stop.", run!(wait))
};

async fn logs(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let index = usize::try_from(found.int("index")).unwrap_or(0);
    let mut containers = present.of(found.words(), true)?;
    containers.retain(|one| index == 0 || existing(one).number == index);
    if let Some(service) = found.words().first().filter(|_| index > 0 && containers.is_empty()) {
        return Err(Failure::local(format!("service {service:?} is not running container #{index}")));
    }
    let options = query::Logs {
        follow: found.on("follow"),
        stdout: true,
        stderr: true,
        since: moment(found.text("since")).map_err(|why| format!("invalid value for \"since\": {why}"))?,
        until: moment(found.text("until")).map_err(|why| format!("invalid value for \"until\": {why}"))?,
        timestamps: found.on("timestamps"),
        tail: found.text("tail").to_owned(),
        details: false,
        ..query::Logs::default()
    };
    let show = Show {
        prefix: !found.on("no-log-prefix"),
        colour: colourful(session, found),
        timestamps: found.on("timestamps"),
    };
    let named: Vec<(String, String)> = containers
        .iter()
        .map(|one| (one.id.clone(), short_name(&present.project.name, &existing(one).name).to_owned()))
        .collect();
    let printer = Printer::new(named.iter().map(|(_, name)| name.as_str()), &show);
    let client = session.client()?;
    let each = named.iter().enumerate().map(|(place, (id, name))| printer.log(client, place, (id, name), &options));
    join_all(each).await.into_iter().collect()
}

async fn events(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    present.of(found.words(), true)?;
    let mut filters = Filters::default();
    filters.add("type", "container");
    filters.add("label", format!("{}={}", label::PROJECT, present.project.name));
    let options = query::Events {
        since: moment(found.text("since"))?,
        until: moment(found.text("until"))?,
        filters,
        ..query::Events::default()
    };
    let mut events = session.client()?.system().events(&options).await?;
    while let Some(event) = events.next().await? {
        let attributes = &event.actor.attributes;
        let service = attributes.get(label::SERVICE).cloned().unwrap_or_default();
        if !found.words().is_empty() && !found.words().contains(&service) {
            continue;
        }
        let others = attributes.iter().filter(|(key, _)| !key.starts_with("com.docker.compose"));
        let others: std::collections::BTreeMap<_, _> = others.collect();
        let time = crate::render::clock::event_time(event.time_nano);
        if found.on("json") {
            let object = serde_json::json!({
                "action": event.action, "attributes": others, "id": event.actor.id, "service": service,
                "time": time, "type": "container",
            });
            output::line(object.to_string())?;
        } else {
            let told: Vec<String> = others.iter().map(|(key, value)| format!("{key}={value}")).collect();
            output::line(format!("{time} container {} {} ({})", event.action, event.actor.id, told.join(", ")))?;
        }
    }
    Ok(())
}

async fn wait(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let containers = present.known(found.words(), false);
    let running: Vec<_> = containers.iter().filter(|one| one.state == "running").collect();
    if running.is_empty() {
        return Err(Failure::local(format!("no containers for project {:?}", present.project.name)));
    }
    let client = session.client()?;
    let each = running.iter().map(async |one| -> Result<i64, Failure> {
        let code = client.containers().wait(&one.id, "not-running").await?.exit().await?.status_code;
        output::line(format!("container {:?} exited with status code {code}", one.id))?;
        Ok(code)
    });
    let code = if found.on("down-project") {
        let (first, _, _) = select_all(each.map(Box::pin)).await;
        super::down::drop_project(session, found, &present).await?;
        Some(first?)
    } else {
        let codes: Result<Vec<i64>, Failure> = join_all(each).await.into_iter().collect();
        codes?.into_iter().find(|code| *code != 0)
    };
    match code.filter(|code| *code != 0) {
        Some(code) => Err(Failure::status(u8::try_from(code & 0xff).unwrap_or(1))),
        None => Ok(()),
    }
}
