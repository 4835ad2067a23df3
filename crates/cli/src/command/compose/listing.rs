//! `ps`, `ls`, `images`, `top`, `port`, `volumes`: what there is of projects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use gotmpl::Value;
use hako_api::container::{Port, Summary};
use hako_api::query;
use hako_compose::{existing, label};
use hako_model::filter::Filters;

use super::project::present;
use crate::command::container::list::ports;
use crate::failure::Failure;
use crate::flags::{Matches, filter, int, list, switch, text};
use crate::output;
use crate::render::clock::{ago, go_local, seconds};
use crate::render::listing::{Listing, column, joined_labels, text as value};
use crate::render::table::align_with;
use crate::render::units::{ellipsis, human_size_with, short_id};
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};
use hako_model::quote::quote;

const FORMAT: crate::flags::Flag = crate::command::LIST_FORMAT;

pub(super) static PS: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    aliases: &["hako compose ps"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("all", "Show all stopped containers (including those created by the run command)").short('a'),
        text("filter", "Filter services by a property (supported filters: status)"),
        FORMAT,
        switch("no-trunc", "Don't truncate output"),
        switch("orphans", "Include orphaned services (not declared by project)").default("true"),
        switch("quiet", "Only display IDs").short('q'),
        switch("services", "Display services"),
        list(
            "status",
            "Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]",
        )
        .word("stringArray"),
    ]],
    ..Command::new("List containers", run!(ps))
};

pub(super) static LS: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        super::DRY_RUN,
        switch("all", "Show all stopped Compose projects").short('a'),
        filter("Filter output based on conditions provided"),
        text("format", "Format the output. Values: [table | json]").default("table"),
        switch("quiet", "Only display project names").short('q'),
    ]],
    ..Command::new("List running compose projects", run!(ls))
};

pub(super) static IMAGES: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        text("format", "Format the output. Values: [table | json]").default("table"),
        switch("quiet", "Only display IDs").short('q'),
    ]],
    ..Command::new("List images used by the created containers", run!(images))
};

pub(super) static TOP: Command = Command {
    usage: &["[SERVICES...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[super::DRY_RUN]],
    ..Command::new("Display the running processes", run!(top))
};

pub(super) static PORT: Command = Command {
    usage: &["[OPTIONS] SERVICE PRIVATE_PORT"],
    arity: Arity::Exactly(2),
    flags: &[&[
        super::DRY_RUN,
        int("index", "Index of the container if service has multiple replicas"),
        text("protocol", "tcp or udp").default("tcp"),
    ]],
    ..Command::new("Print the public port for a port binding", run!(port))
};

pub(super) static VOLUMES: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[super::DRY_RUN, FORMAT, switch("quiet", "Only display volume names").short('q')]],
    ..Command::new("List volumes", run!(volumes))
};

/// A line of `ps`.
struct Row {
    summary: Summary,
    whole: bool,
    code: i64,
}

fn told(row: &Row, key: &str) -> String {
    row.summary.labels.get(key).cloned().unwrap_or_default()
}

fn health(row: &Row) -> &'static str {
    let status = row.summary.status.as_str();
    let words = [("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", "starting")];
    words.iter().find(|(text, _)| status.contains(text)).map_or("", |(_, word)| word)
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("Command", "COMMAND", |row: &Row| value(command(row))),
        column("CreatedAt", "CREATED AT", |row: &Row| value(go_local(row.summary.created))),
        column("ExitCode", "EXIT CODE", |row: &Row| Value::Int(row.code)),
        column("Health", "HEALTH", |row: &Row| value(health(row))),
        column("ID", "CONTAINER ID", |row: &Row| value(id(row))),
        column("Image", "IMAGE", |row: &Row| value(&row.summary.image)),
        column("Labels", "LABELS", |row: &Row| value(joined_labels(&row.summary.labels))),
        column("LocalVolumes", "LOCAL VOLUMES", |row: &Row| {
            value(row.summary.mounts.iter().filter(|it| it.driver == "local").count().to_string())
        }),
        column("Mounts", "MOUNTS", |row: &Row| {
            value(
                row.summary
                    .mounts
                    .iter()
                    .map(|it| if it.name.is_empty() { it.source.clone() } else { it.name.clone() })
                    .collect::<Vec<_>>()
                    .join(","),
            )
        }),
        column("Name", "NAME", |row: &Row| value(existing(&row.summary).name)),
        column("Names", "NAMES", |row: &Row| value(existing(&row.summary).name)),
        column("Networks", "NETWORKS", |row: &Row| {
            value(row.summary.network_settings.networks.keys().cloned().collect::<Vec<_>>().join(","))
        }),
        column("Ports", "PORTS", |row: &Row| value(ports(&row.summary.ports))),
        column("Project", "PROJECT", |row: &Row| value(told(row, label::PROJECT))),
        column("Publishers", "PUBLISHERS", |row: &Row| Value::List(row.summary.ports.iter().map(publisher).collect())),
        column("RunningFor", "CREATED", |row: &Row| value(ago(row.summary.created))),
        column("Service", "SERVICE", |row: &Row| value(told(row, label::SERVICE))),
        column("Size", "SIZE", |_: &Row| value("0B")),
        column("State", "STATE", |row: &Row| value(&row.summary.state)),
        column("Status", "STATUS", |row: &Row| value(&row.summary.status)),
    ],
    shown: &["Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports"],
    row_type: "*formatter.ContainerContext",
    labels: Some(|row: &Row| row.summary.labels.clone()),
};

/// Whether `--format` wants JSON; other than a table there is nothing.
fn as_json(found: &Matches) -> Result<bool, Failure> {
    match found.text("format") {
        "json" => Ok(true),
        "table" | "" | "pretty" => Ok(false),
        other => Err(Failure::local(format!("format value {other:?} could not be parsed: it is table or json"))),
    }
}

/// A published port, as programs read it.
fn publisher(port: &Port) -> Value {
    let members = [
        ("URL", value(&port.ip)),
        ("TargetPort", Value::Int(port.private_port.into())),
        ("PublishedPort", Value::Int(port.public_port.into())),
        ("Protocol", value(&port.protocol)),
    ];
    Value::Map(Arc::new(members.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}

fn id(row: &Row) -> &str {
    if row.whole { &row.summary.id } else { short_id(&row.summary.id) }
}

fn command(row: &Row) -> String {
    let command = if row.whole { row.summary.command.clone() } else { ellipsis(&row.summary.command, 20) };
    quote(&command)
}

/// The code in `Exited (3) 2 seconds ago`.
fn exit_code(status: &str) -> i64 {
    let code = status.strip_prefix("Exited (").and_then(|rest| rest.split(')').next());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

async fn ps(session: &Session, found: &Matches) -> Outcome {
    let mut statuses = found.strings("status");
    match found.text("filter").split_once('=') {
        Some(("status", status)) => statuses.push(status.to_owned()),
        None if found.text("filter").is_empty() => {}
        _ => return Err(Failure::local(format!("unknown filter {}: only status is known", found.text("filter")))),
    }
    let all = found.on("all") || !statuses.is_empty();
    let present = present(session, all).await?;
    let mut containers: Vec<&Summary> = present.of(found.words(), all)?;
    if found.words().is_empty() && found.on("orphans") {
        let known: BTreeSet<&str> = containers.iter().map(|one| one.id.as_str()).collect();
        let oneoff = |one: &Summary| one.labels.get(label::ONEOFF).is_some_and(|value| value == "True");
        let orphans = present.containers.iter().filter(|one| !known.contains(one.id.as_str()) && (all || !oneoff(one)));
        containers.extend(orphans.collect::<Vec<_>>());
    }
    containers.retain(|one| statuses.is_empty() || statuses.contains(&one.state));
    containers.sort_by_key(|one| existing(one).name);
    if found.on("quiet") {
        return output::print(containers.iter().map(|one| format!("{}\n", one.id)).collect::<String>());
    }
    if found.on("services") {
        let names: BTreeSet<&str> =
            containers.iter().filter_map(|one| one.labels.get(label::SERVICE)).map(String::as_str).collect();
        return output::line(names.into_iter().collect::<Vec<_>>().join("\n"));
    }
    let whole = found.on("no-trunc");
    let row = |one: &&Summary| Row { code: exit_code(&one.status), summary: (*one).clone(), whole };
    let rows: Vec<Row> = containers.iter().map(row).collect();
    output::print(ROWS.render(found.text("format"), &rows)?)
}

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let mut filters = Filters::default();
    filters.add("label", label::PROJECT);
    let options = query::ListContainers { all: found.on("all"), filters, ..query::ListContainers::default() };
    let containers = session.client()?.containers().list(&options).await?;
    let wanted = found.strings("filter");
    if let Some(other) = wanted.iter().map(|filter| filter.split('=').next().unwrap_or(filter)).find(|it| *it != "name")
    {
        return Err(Failure::local(format!("invalid filter '{other}'")));
    }
    let mut projects: BTreeMap<String, Vec<&Summary>> = BTreeMap::new();
    for one in &containers {
        let name = one.labels.get(label::PROJECT).cloned().unwrap_or_default();
        if wanted.iter().all(|filter| filter.strip_prefix("name=").is_none_or(|part| name.contains(part))) {
            projects.entry(name).or_default().push(one);
        }
    }
    if found.on("quiet") {
        return output::print(projects.keys().map(|name| format!("{name}\n")).collect::<String>());
    }
    let status = |members: &[&Summary]| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        members.iter().for_each(|one| *counts.entry(one.state.as_str()).or_default() += 1);
        counts.iter().map(|(state, count)| format!("{state}({count})")).collect::<Vec<_>>().join(", ")
    };
    let files = |members: &[&Summary]| {
        let files = members.iter().filter_map(|one| one.labels.get(label::FILES));
        files.collect::<BTreeSet<_>>().into_iter().cloned().collect::<Vec<_>>().join(",")
    };
    if as_json(found)? {
        let row = |(name, members): (&String, &Vec<&Summary>)| {
            // Programs may read it in any order; people compare it with Compose's.
            let [name, status, files] = [name.clone(), status(members), files(members)].map(serde_json::Value::from);
            format!("{{\"Name\":{name},\"Status\":{status},\"ConfigFiles\":{files}}}")
        };
        return output::line(format!("[{}]", projects.iter().map(row).collect::<Vec<_>>().join(",")));
    }
    let mut table = String::from("NAME\tSTATUS\tCONFIG FILES\n");
    for (name, members) in &projects {
        let _ = writeln!(table, "{name}\t{}\t{}", status(members), files(members));
    }
    output::print(crate::render::table::align_from(&table, 20))
}

async fn images(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let client = session.client()?;
    let (mut rows, mut ids) = (Vec::new(), BTreeSet::new());
    let all = present.containers.iter().collect();
    for one in if found.words().is_empty() { all } else { present.known(found.words(), true) } {
        let image = client.images().inspect(&one.image_id, &query::InspectImage::default()).await?;
        ids.insert(image.id.trim_start_matches("sha256:").to_owned());
        let reference = hako_model::reference::Reference::parse(&one.image).ok();
        let repository =
            reference.as_ref().map_or("<none>".to_owned(), hako_model::reference::Reference::familiar_name);
        let tag =
            reference.as_ref().and_then(|it| it.tag()).unwrap_or(if reference.is_some() { "latest" } else { "<none>" });
        let platform = format!("{}/{}", image.os, image.architecture);
        rows.push((existing(one).name, repository, tag.to_owned(), platform, image));
    }
    if found.on("quiet") {
        return output::print(ids.iter().map(|id| format!("{id}\n")).collect::<String>());
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    if as_json(found)? {
        let each = rows.iter().map(|(name, repository, tag, platform, image)| {
            let tagged = &image.metadata.last_tag_time;
            let texts = [&image.id, name, repository, tag, platform, tagged].map(|text| serde_json::Value::from(text.as_str()));
            let [id, name, repository, tag, platform, tagged] = texts;
            format!(
                "{{\"ID\":{id},\"ContainerName\":{name},\"Repository\":{repository},\"Tag\":{tag},\"Platform\":{platform},\
                 \"Size\":{},\"LastTagTime\":{tagged}}}",
                image.size
            )
        });
        // The empty line is Compose's.
        return output::line(format!("[{}]\n", each.collect::<Vec<_>>().join(",")));
    }
    let mut table = String::from("CONTAINER\tREPOSITORY\tTAG\tPLATFORM\tIMAGE ID\tSIZE\tCREATED\n");
    for (name, repository, tag, platform, image) in &rows {
        #[allow(clippy::cast_precision_loss)]
        let size = human_size_with(image.size as f64, 3);
        let created = seconds(&image.metadata.last_tag_time).map_or("N/A".to_owned(), ago);
        let _ = writeln!(table, "{name}\t{repository}\t{tag}\t{platform}\t{}\t{size}\t{created}", short_id(&image.id));
    }
    output::print(crate::render::table::align_from(&table, 20))
}

async fn top(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, false).await?;
    let client = session.client()?;
    let mut table = String::new();
    for one in present.known(found.words(), false) {
        let reply = client.containers().top(&one.id, None).await?;
        let name = one.labels.get(label::SERVICE).cloned().unwrap_or_default();
        if table.is_empty() {
            let _ = writeln!(table, "SERVICE\t#\t{}", reply.titles.join("\t"));
        }
        for process in reply.processes {
            let _ = writeln!(table, "{name}\t{}\t{}", existing(one).number, process.join("\t"));
        }
    }
    output::print(align_with(&table, 4, 2))
}

async fn port(session: &Session, found: &Matches) -> Outcome {
    let (wanted, protocol) = found.word(1).split_once('/').unwrap_or((found.word(1), found.text("protocol")));
    let number: u16 = wanted.parse().map_err(|_| Failure::local(format!("invalid port: {wanted}")))?;
    let present = present(session, false).await?;
    let container = present.one(found.word(0), found.int("index"))?;
    let fits = |port: &&hako_api::container::Port| {
        port.private_port == number && port.protocol == protocol && port.public_port != 0
    };
    match container.ports.iter().find(fits) {
        Some(port) if port.ip.contains(':') => output::line(format!("[{}]:{}", port.ip, port.public_port)),
        Some(port) => output::line(format!("{}:{}", port.ip, port.public_port)),
        None => {
            let name = existing(container).name;
            let there = container.ports.iter().filter(|port| port.public_port != 0);
            let there: Vec<String> = there.map(|port| format!("{}/{}", port.public_port, port.protocol)).collect();
            let what = if there.is_empty() { String::new() } else { format!(": {}", there.join(", ")) };
            Err(Failure::local(format!("no port {number}/{protocol} for container {name}{what}")))
        }
    }
}

async fn volumes(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let mut filters = Filters::default();
    filters.add("label", format!("{}={}", label::PROJECT, present.project.name));
    let mut volumes = session.client()?.volumes().list(&filters).await?.volumes;
    if !found.words().is_empty() {
        let containers = present.of(found.words(), true)?;
        volumes.retain(|volume| containers.iter().any(|one| one.mounts.iter().any(|mount| mount.name == volume.name)));
    }
    volumes.sort_by(|left, right| left.name.cmp(&right.name));
    if found.on("quiet") {
        return output::print(volumes.iter().map(|volume| format!("{}\n", volume.name)).collect::<String>());
    }
    output::print(crate::command::volume::ROWS.render(found.text("format"), &volumes)?)
}
