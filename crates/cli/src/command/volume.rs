//! `volume`.

use gotmpl::Value;
use hako_api::volume::{CreateBody, Volume};

use crate::command::inspect::{Asked, Object, show};
use crate::command::{LIST_FORMAT, OBJECT_FORMAT, each, filters, prune};
use crate::creation::{check_label, environment};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, bytes, filter, list, map, switch, text as text_flag};
use crate::output;
use crate::render::listing::{Listing, column, joined_labels, text};
use crate::render::units::human_size;
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Offer, Outcome, run};

/// `volume …`
pub(crate) static VOLUME: Group = Group {
    short: "Manage volumes",
    flags: &[],
    nodes: &[
        Node::command("create", &CREATE),
        Node::command("inspect", &INSPECT),
        Node::command("ls", &LIST).also(&["list"]),
        Node::command("prune", &prune::VOLUMES),
        Node::command("rm", &REMOVE).also(&["remove"]),
        Node::missing("update", "cluster volumes belong to swarm mode"),
    ],
};

const CLUSTER: &str = "cluster volumes belong to swarm mode";

const CLUSTER_FLAGS: &[Flag] = &[
    text_flag("availability", "Cluster Volume availability").default("active").hidden().refused(CLUSTER),
    text_flag("group", "Cluster Volume group (cluster volumes)").hidden().refused(CLUSTER),
    bytes("limit-bytes", "Minimum size of the Cluster Volume in bytes").hidden().refused(CLUSTER),
    bytes("required-bytes", "Maximum size of the Cluster Volume in bytes").hidden().refused(CLUSTER),
    text_flag("scope", "Cluster Volume access scope").default("single").hidden().refused(CLUSTER),
    map("secret", "Cluster Volume secrets").hidden().refused(CLUSTER),
    text_flag("sharing", "Cluster Volume access sharing").default("none").hidden().refused(CLUSTER),
    list("topology-preferred", "A topology that the Cluster Volume would be preferred in").hidden().refused(CLUSTER),
    list("topology-required", "A topology that the Cluster Volume must be accessible from").hidden().refused(CLUSTER),
    text_flag("type", "Cluster Volume access type").default("block").hidden().refused(CLUSTER),
];

static CREATE: Command = Command {
    usage: &["[OPTIONS] [VOLUME]"],
    arity: Arity::AtMost(1),
    flags: &[
        &[
            text_flag("driver", "Specify volume driver name").short('d').default("local"),
            list("label", "Set metadata for a volume").check(check_label),
            text_flag("name", "Specify volume name").hidden(),
            map("opt", "Set driver specific options").short('o'),
        ],
        CLUSTER_FLAGS,
    ],
    examples: &[
        ("hako volume create data", "A place that outlives containers: hako run -v data:/data …"),
        ("hako volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch", "One in memory"),
    ],
    ..Command::new("Create a volume", run!(create))
};

static INSPECT: Command = Command {
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[OBJECT_FORMAT]],
    offer: Offer::Volumes,
    ..Command::new("Display detailed information on one or more volumes", run!(inspect))
};

static LIST: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako volume ls", "hako volume list"],
    flags: &[&[
        switch("cluster", "Display only cluster volumes, and use cluster volume list formatting").hidden(),
        filter("Provide filter values (e.g. \"dangling=true\")").short('f'),
        LIST_FORMAT,
        switch("quiet", "Only display volume names").short('q'),
    ]],
    ..Command::new("List volumes", run!(ls))
};

static REMOVE: Command = Command {
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    aliases: &["hako volume rm", "hako volume remove"],
    long: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    arity: Arity::AtLeast(1),
    flags: &[&[switch("force", "Force the removal of one or more volumes").short('f')]],
    offer: Offer::Volumes,
    ..Command::new("Remove one or more volumes", run!(remove))
};

async fn create(session: &Session, found: &Matches) -> Outcome {
    let name = match (found.word(0), found.text("name")) {
        ("", name) => name,
        (_, name) if !name.is_empty() => {
            return Err(Failure::local(
                "conflicting options: either specify --name or provide positional arg, not both",
            ));
        }
        (name, _) => name,
    };
    let body = CreateBody {
        name: name.to_owned(),
        driver: found.text("driver").to_owned(),
        driver_opts: Some(environment::pairs(found.list("opt").into_iter())),
        labels: Some(environment::labels(&[], &found.list("label"))?),
        cluster_volume_spec: None,
    };
    output::line(session.client()?.volumes().create(&body).await?.name)
}

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    show(session, found, &[Object::Volume], &Asked::default()).await
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let (client, force) = (session.client()?, found.on("force"));
    each(found.words(), |name| async move {
        client.volumes().remove(name, force).await?;
        Ok(name.clone())
    })
    .await
}

/// The table; `system df -v` shows other columns of it.
pub(crate) const ROWS: Listing<Volume> = Listing {
    columns: &[
        column("Name", "VOLUME NAME", |volume: &Volume| text(&volume.name)),
        column("Driver", "DRIVER", |volume: &Volume| text(&volume.driver)),
        column("Scope", "SCOPE", |volume: &Volume| text(&volume.scope)),
        column("Mountpoint", "MOUNTPOINT", |volume: &Volume| text(&volume.mountpoint)),
        column("Labels", "LABELS", |volume: &Volume| text(joined_labels(&volume.labels.clone().unwrap_or_default()))),
        column("Links", "LINKS", |volume: &Volume| {
            text(volume.usage_data.map_or("N/A".to_owned(), |usage| usage.ref_count.to_string()))
        }),
        column("Size", "SIZE", |volume: &Volume| {
            text(volume.usage_data.map_or("N/A".to_owned(), |usage| human_size(usage.size as f64)))
        }),
        column("Availability", "AVAILABILITY", |_: &Volume| not_available()),
        column("Group", "GROUP", |_: &Volume| not_available()),
        column("Status", "STATUS", |_: &Volume| not_available()),
    ],
    shown: &["Driver", "Name"],
    row_type: "*formatter.volumeContext",
    labels: Some(|volume: &Volume| volume.labels.clone().unwrap_or_default()),
};

/// The columns of a list of cluster volumes.
const CLUSTERED: &[&str] = &["Name", "Group", "Driver", "Availability", "Status"];

/// What only cluster volumes have.
fn not_available() -> Value {
    text("N/A")
}

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let mut volumes = session.client()?.volumes().list(&filters(found)).await?.volumes;
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    if found.on("cluster") {
        // As for Docker without a swarm: volumes of a cluster would be listed, and there are none.
        volumes.clear();
        if found.text("format").is_empty() && !found.on("quiet") {
            return output::print(ROWS.render_columns("", CLUSTERED, &volumes)?);
        }
    }
    if found.on("quiet") && found.text("format").is_empty() {
        return output::print(volumes.iter().map(|volume| format!("{}\n", volume.name)).collect::<String>());
    }
    let format = match found.text("format") {
        "" => session.config().volumes_format.as_str(),
        "raw" if found.on("quiet") => "name: {{.Name}}",
        "raw" => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        format => format,
    };
    output::print(ROWS.render(format, &volumes)?)
}
