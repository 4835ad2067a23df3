//! `ps`.

use gotmpl::Value;
use hako_api::container::{Port, Summary};
use hako_api::query;

use crate::command::{LIST_FORMAT, filters};
use crate::failure::Failure;
use crate::flags::{Matches, filter, int, switch};
use crate::output;
use crate::render::clock::{ago, go_local};
use crate::render::json::Order;
use crate::render::listing::{Listing, column, joined_labels, text};
use crate::render::template::{Format, unescape};
use crate::render::units::{ellipsis, human_size_with, short_id};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};
use hako_model::quote::quote;

pub(crate) static LIST: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako container ls", "hako container list", "hako container ps", "hako ps"],
    flags: &[&[
        switch("all", "Show all containers (default shows just running)").short('a'),
        filter("Filter output based on conditions provided").short('f'),
        LIST_FORMAT,
        int("last", "Show n last created containers (includes all states)").short('n').default("-1"),
        switch("latest", "Show the latest created container (includes all states)").short('l'),
        switch("no-trunc", "Don't truncate output"),
        switch("quiet", "Only display container IDs").short('q'),
        switch("size", "Display total file sizes").short('s'),
    ]],
    examples: &[
        ("hako ps -a", "All containers, running or not"),
        ("hako ps -f status=exited -f name=web", "Those that ended and have web in their names"),
        ("hako ps --format 'table {{.Names}}\\t{{.Ports}}'", "Columns of your choice"),
    ],
    ..Command::new("List containers", run!(list))
};

/// One line of the table.
struct Row {
    summary: Summary,
    whole: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("ID", "CONTAINER ID", |row: &Row| text(id(row))),
        column("Image", "IMAGE", |row: &Row| text(image(row))),
        column("Command", "COMMAND", |row: &Row| text(command(row))),
        column("CreatedAt", "CREATED AT", |row: &Row| text(go_local(row.summary.created))),
        column("RunningFor", "CREATED", |row: &Row| text(ago(row.summary.created))),
        column("Status", "STATUS", |row: &Row| text(&row.summary.status)),
        column("Ports", "PORTS", |row: &Row| text(ports(&row.summary.ports))),
        column("Names", "NAMES", |row: &Row| text(names(row))),
        column("Size", "SIZE", |row: &Row| text(size(&row.summary))),
        column("State", "STATE", |row: &Row| text(&row.summary.state)),
        column("Labels", "LABELS", |row: &Row| text(joined_labels(&row.summary.labels))),
        column("LocalVolumes", "LOCAL VOLUMES", |row: &Row| text(local_volumes(&row.summary).to_string())),
        column("Mounts", "MOUNTS", |row: &Row| text(mounts(row))),
        column("Networks", "NETWORKS", |row: &Row| text(networks(&row.summary))),
        column("Platform", "PLATFORM", |_: &Row| Value::Nil),
    ],
    shown: &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"],
    row_type: "*formatter.ContainerContext",
    labels: Some(|row: &Row| row.summary.labels.clone()),
};

/// Docker's `--format raw`.
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
                   state:{{pad .State 1 0}}\nstatus:{{pad .Status 1 0}}\nnames: {{.Names}}\nlabels:{{pad .Labels 1 0}}\n\
                   ports:{{pad .Ports 1 0}}\n";

/// Containers by the names of the columns, as `system df -v` has them.
pub(crate) fn described(containers: &[Summary]) -> Vec<Value> {
    let row = |summary: &Summary| Row { summary: Summary { size_root_fs: 0, ..summary.clone() }, whole: true };
    containers.iter().map(|summary| ROWS.value(&row(summary))).collect()
}

async fn list(session: &Session, found: &Matches) -> Outcome {
    let mut limit = Some(found.int("last")).filter(|last| *last >= 0);
    if found.on("latest") && !found.given("last") {
        limit = Some(1);
    }
    let format = match found.text("format") {
        "" if !found.on("quiet") => session.config().ps_format.clone(),
        format => format.to_owned(),
    };
    check(&format)?;
    let size = found.on("size") || (asks_for_size(&format) && !found.given("size"));
    let options = query::ListContainers { all: found.on("all"), limit, size, filters: filters(found) };
    let summaries = session.client()?.containers().list(&options).await?;
    let whole = found.on("no-trunc");
    let rows: Vec<Row> = summaries.into_iter().map(|summary| Row { summary, whole }).collect();
    if found.on("quiet") {
        if format == "raw" {
            return output::print(rows.iter().map(|row| format!("container_id: {}\n", id(row))).collect::<String>());
        }
        if !format.is_empty() && format != "table" {
            output::complain("WARNING: Ignoring custom format, because both --format and --quiet are set.\n")?;
        }
        return output::print(rows.iter().map(|row| format!("{}\n", id(row))).collect::<String>());
    }
    if format == "raw" {
        let size = if size { "size: {{.Size}}\n" } else { "" };
        return output::print(ROWS.render(&format!("{RAW}{size}"), &rows)?);
    }
    if !size {
        return output::print(ROWS.render(&format, &rows)?);
    }
    let shown: Vec<&str> = ROWS.shown.iter().copied().chain(["Size"]).collect();
    output::print(ROWS.render_columns(&format, &shown, &rows)?)
}
/// A template is tried before anything is asked, the word `table` and all.
fn check(format: &str) -> Result<(), Failure> {
    if matches!(format, "" | "json" | "raw" | "table") {
        return Ok(());
    }
    let words = |error: String, what: &str| error.replacen("template parsing error", what, 1);
    let template = Format::parse(&unescape(format), Order::default());
    let template = template.map_err(|error| Failure::local(words(error, "failed to parse template")))?;
    let nothing = ROWS.value(&Row { summary: Summary::default(), whole: false });
    let tried = template.run(&nothing).map_err(|error| ROWS.as_docker_says(error));
    tried.map(drop).map_err(|error| Failure::local(words(error, "failed to execute template")))
}

/// Whether a template shows the size, which takes the daemon long: by its name, or with everything else.
fn asks_for_size(format: &str) -> bool {
    let bare: String = format.split_whitespace().collect();
    format.contains(".Size") || bare.contains("json.}") || bare.contains("json.|") || bare.contains("json.)")
}

fn id(row: &Row) -> &str {
    if row.whole { &row.summary.id } else { short_id(&row.summary.id) }
}

/// The image as it was named; an id only in its short form.
fn image(row: &Row) -> &str {
    let image = row.summary.image.as_str();
    match image {
        "" => "<no image>",
        _ if row.whole => image,
        _ if image.starts_with("sha256:") || image == row.summary.image_id => short_id(image),
        _ => image.split_once('@').map_or(image, |(name, _)| name),
    }
}

fn command(row: &Row) -> String {
    let command = if row.whole { row.summary.command.clone() } else { ellipsis(&row.summary.command, 20) };
    quote(&command)
}

/// Names without the leading slash; those that are links of others only when nothing is left out.
fn names(row: &Row) -> String {
    let bare = row.summary.names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    let kept: Vec<&str> = bare.filter(|name| row.whole || !name.contains('/')).collect();
    kept.join(",")
}

fn size(summary: &Summary) -> String {
    let own = human_size_with(summary.size_rw as f64, 3);
    match summary.size_root_fs {
        0 => own,
        all => format!("{own} (virtual {})", human_size_with(all as f64, 3)),
    }
}

fn local_volumes(summary: &Summary) -> usize {
    summary.mounts.iter().filter(|mount| mount.driver == "local").count()
}

fn mounts(row: &Row) -> String {
    let name = |mount: &hako_model::container::MountPoint| {
        let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
        if row.whole { name.clone() } else { ellipsis(name, 15) }
    };
    row.summary.mounts.iter().map(name).collect::<Vec<_>>().join(",")
}

fn networks(summary: &Summary) -> String {
    summary.network_settings.networks.keys().cloned().collect::<Vec<_>>().join(",")
}

/// A run of neighbouring ports with the same host address and protocol.
struct Span {
    first: (u16, u16),
    last: (u16, u16),
}

/// `0.0.0.0:8080->80/tcp, 9000-9001/udp`: neighbours are drawn together.
pub(crate) fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.private_port, port.ip.clone(), port.public_port, port.protocol.clone()));
    let mut spans: Vec<((&str, &str), Span)> = Vec::new();
    let (mut plain, mut published) = (Vec::new(), Vec::new());
    for port in sorted {
        let key = (port.ip.as_str(), port.protocol.as_str());
        let pair = (port.private_port, port.public_port);
        // A port published under another number stands alone, as docker shows it.
        if !port.ip.is_empty() && port.private_port != port.public_port {
            published.push(shown(key, &Span { first: pair, last: pair }));
            continue;
        }
        match spans.iter_mut().find(|(known, _)| *known == key) {
            Some((_, span)) if span.last.0 + 1 == pair.0 => span.last = pair,
            Some((_, span)) => {
                plain.push(shown(key, span));
                *span = Span { first: pair, last: pair };
            }
            None => spans.push((key, Span { first: pair, last: pair })),
        }
    }
    plain.extend(spans.iter().map(|(key, span)| shown(*key, span)));
    plain.extend(published);
    plain.join(", ")
}

fn shown((address, protocol): (&str, &str), span: &Span) -> String {
    let range = |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let inner = range(span.first.0, span.last.0);
    if address.is_empty() {
        return format!("{inner}/{protocol}");
    }
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("{address}:{}->{inner}/{protocol}", range(span.first.1, span.last.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private_port: u16, public_port: u16) -> Port {
        Port { ip: ip.into(), private_port, public_port, protocol: "tcp".into() }
    }

    #[test]
    fn neighbouring_ports_are_drawn_together() {
        assert_eq!(ports(&[port("", 80, 0), port("", 81, 0), port("", 90, 0)]), "80-81/tcp, 90/tcp");
        assert_eq!(ports(&[port("0.0.0.0", 80, 8080)]), "0.0.0.0:8080->80/tcp");
        assert_eq!(ports(&[port("0.0.0.0", 80, 80), port("0.0.0.0", 81, 81)]), "0.0.0.0:80-81->80-81/tcp");
        assert_eq!(
            ports(&[port("::", 80, 8080), port("0.0.0.0", 80, 8080)]),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(ports(&[]), "");
    }

    #[test]
    fn a_row_as_docker_shows_it() {
        let summary = Summary {
            id: "0123456789abcdef".into(),
            names: vec!["/web".into(), "/other/alias".into()],
            image: "nginx".into(),
            command: "/docker-entrypoint.sh nginx -g 'daemon off;'".into(),
            created: crate::render::clock::now() - 120,
            status: "Up 2 minutes".into(),
            ports: vec![port("0.0.0.0", 80, 8080)],
            ..Summary::default()
        };
        let shown = ROWS.render("", &[Row { summary, whole: false }]).unwrap();
        let expect = "CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS                  NAMES\n\
                      0123456789ab   nginx     \"/docker-entrypoint.…\"   2 minutes ago   Up 2 minutes   0.0.0.0:8080->80/tcp   web\n";
        assert_eq!(shown, expect);
    }
}
