//! `network`.

mod connect;
mod create;
mod trace;

use hako_api::network::Network;

use crate::command::inspect::{Asked, Object, show};
use crate::command::{LIST_FORMAT, OBJECT_FORMAT, filters, prune, together};
use crate::flags::{Matches, filter, switch};
use crate::output;
use crate::render::clock;
use crate::render::listing::{Listing, column, joined_labels, text};
use crate::render::units::short_id;
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Offer, Outcome, run};

/// `network …`
pub(crate) static NETWORK: Group = Group {
    short: "Manage networks",
    flags: &[],
    nodes: &[
        Node::command("connect", &connect::CONNECT),
        Node::command("create", &create::CREATE),
        Node::command("disconnect", &connect::DISCONNECT),
        Node::command("inspect", &INSPECT),
        Node::command("ls", &LIST).also(&["list"]),
        Node::command("prune", &prune::NETWORKS),
        Node::command("rm", &REMOVE).also(&["remove"]),
        Node::command("trace", &trace::TRACE),
    ],
};

static INSPECT: Command = Command {
    usage: &["[OPTIONS] NETWORK [NETWORK...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[OBJECT_FORMAT, switch("verbose", "Verbose output for diagnostics").short('v')]],
    examples: &[("hako network inspect bridge", "Its addresses, and the containers on it")],
    offer: Offer::Networks,
    ..Command::new("Display detailed information on one or more networks", run!(inspect))
};

static REMOVE: Command = Command {
    usage: &["NETWORK [NETWORK...]"],
    aliases: &["hako network rm", "hako network remove"],
    arity: Arity::AtLeast(1),
    flags: &[&[switch("force", "Do not error if the network does not exist").short('f')]],
    offer: Offer::Networks,
    ..Command::new("Remove one or more networks", run!(remove))
};

static LIST: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako network ls", "hako network list"],
    flags: &[&[
        filter("Provide filter values (e.g. \"driver=bridge\")").short('f'),
        LIST_FORMAT,
        switch("no-trunc", "Do not truncate the output"),
        switch("quiet", "Only display network IDs").short('q'),
    ]],
    ..Command::new("List networks", run!(ls))
};

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    show(session, found, &[Object::Network], &Asked { verbose: found.on("verbose"), ..Asked::default() }).await
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let mut failures = Vec::new();
    for name in found.words() {
        match client.networks().remove(name).await {
            Ok(()) => output::line(name)?,
            Err(error) if found.on("force") && error.is_not_found() => {}
            Err(error) => failures.push(error.into()),
        }
    }
    together(failures)
}

/// One line of the table.
struct Row {
    network: Network,
    whole: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("ID", "NETWORK ID", |row: &Row| text(id(row))),
        column("Name", "NAME", |row: &Row| text(&row.network.name)),
        column("Driver", "DRIVER", |row: &Row| text(&row.network.driver)),
        column("Scope", "SCOPE", |row: &Row| text(&row.network.scope)),
        column("IPv4", "IPV4", |row: &Row| text(row.network.enable_ipv4.to_string())),
        column("IPv6", "IPV6", |row: &Row| text(row.network.enable_ipv6.to_string())),
        column("Internal", "INTERNAL", |row: &Row| text(row.network.internal.to_string())),
        column("Labels", "LABELS", |row: &Row| text(joined_labels(&row.network.labels.clone().unwrap_or_default()))),
        column("CreatedAt", "CREATED AT", |row: &Row| text(clock::go_moment(&row.network.created))),
    ],
    shown: &["ID", "Name", "Driver", "Scope"],
    row_type: "*network.networkContext",
    labels: Some(|row: &Row| row.network.labels.clone().unwrap_or_default()),
};

fn id(row: &Row) -> &str {
    if row.whole { &row.network.id } else { short_id(&row.network.id) }
}

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let mut networks = session.client()?.networks().list(&filters(found)).await?;
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let whole = found.on("no-trunc");
    let rows: Vec<Row> = networks.into_iter().map(|network| Row { network, whole }).collect();
    if found.on("quiet") && found.text("format").is_empty() {
        return output::print(rows.iter().map(|row| format!("{}\n", id(row))).collect::<String>());
    }
    let format = match found.text("format") {
        "" => session.config().networks_format.as_str(),
        "raw" if found.on("quiet") => "network_id: {{.ID}}",
        "raw" => "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        format => format,
    };
    output::print(ROWS.render(format, &rows)?)
}
