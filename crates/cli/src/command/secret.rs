//! `secret`: hako keeps secrets without a cluster.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_api::own::{Secret, SecretBody};

use crate::command::{LIST_FORMAT, each, together};
use crate::creation::{check_label, environment};
use crate::failure::Failure;
use crate::flags::{Matches, list, switch};
use crate::output;
use crate::render::clock;
use crate::render::listing::{Listing, column, joined_labels, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Outcome, run};

/// The most bytes of a secret.
const LIMIT: u64 = 500 * 1024;

/// `secret …`
pub(crate) static SECRET: Group = Group {
    short: "Manage secrets",
    flags: &[],
    nodes: &[
        Node::command("create", &CREATE),
        Node::command("inspect", &INSPECT),
        Node::command("ls", &LIST).also(&["list"]),
        Node::command("rm", &REMOVE).also(&["remove"]),
    ],
};

static CREATE: Command = Command {
    usage: &["[OPTIONS] SECRET [file|-]"],
    long: "Keep a secret, read from a file or from standard input. It is sealed on the disk; containers that are allowed \
           to (--secret) see it as a file in memory. No command and no answer of the API shows it again.",
    arity: Arity::Between(1, 2),
    flags: &[&[list("label", "Secret labels").short('l').check(check_label)]],
    examples: &[
        ("hako secret create db-password password.txt", "Keep what is in a file"),
        ("pwgen 32 1 | hako secret create api-key", "Keep what a program says"),
        ("hako run --secret db-password …", "A container sees it as /run/secrets/db-password"),
    ],
    ..Command::new("Keep a secret from a file or standard input", run!(create))
};

static INSPECT: Command = Command {
    usage: &["SECRET [SECRET...]"],
    arity: Arity::AtLeast(1),
    ..Command::new("Display what is known of secrets, but not what they say", run!(inspect))
};

static LIST: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako secret ls", "hako secret list"],
    flags: &[&[LIST_FORMAT, switch("quiet", "Only display names").short('q')]],
    ..Command::new("List secrets", run!(ls))
};

static REMOVE: Command = Command {
    usage: &["SECRET [SECRET...]"],
    aliases: &["hako secret rm", "hako secret remove"],
    arity: Arity::AtLeast(1),
    ..Command::new("Forget secrets that no container may read", run!(remove))
};

async fn create(session: &Session, found: &Matches) -> Outcome {
    let content = read(found.word(1))?;
    let body = SecretBody {
        name: found.word(0).to_owned(),
        labels: environment::labels(&[], &found.list("label"))?,
        data: STANDARD.encode(content),
    };
    output::line(session.client()?.secrets().create(&body).await?)
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::local(format!("error reading content from {path:?}: {error}"));
    let mut content = Vec::new();
    match path {
        "" | "-" => std::io::stdin().take(LIMIT + 1).read_to_end(&mut content).map_err(failed)?,
        path => std::fs::File::open(path).map_err(failed)?.take(LIMIT + 1).read_to_end(&mut content).map_err(failed)?,
    };
    Ok(content)
}

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    let (mut secrets, mut failures) = (Vec::new(), Vec::new());
    for name in found.words() {
        match session.client()?.secrets().inspect(name).await {
            Ok(secret) => secrets.push(secret),
            Err(error) => failures.push(error.into()),
        }
    }
    output::line(serde_json::to_string_pretty(&secrets).map_err(|error| Failure::local(error.to_string()))?)?;
    together(failures)
}

const ROWS: Listing<Secret> = Listing {
    columns: &[
        column("ID", "ID", |secret: &Secret| text(&secret.id)),
        column("Name", "NAME", |secret: &Secret| text(&secret.name)),
        column("CreatedAt", "CREATED", |secret: &Secret| {
            text(clock::seconds(&secret.created_at).map(clock::ago).unwrap_or_default())
        }),
        column("UsedBy", "USED BY", |secret: &Secret| text(secret.used_by.join(","))),
        column("Labels", "LABELS", |secret: &Secret| text(joined_labels(&secret.labels))),
    ],
    shown: &["ID", "Name", "CreatedAt", "UsedBy"],
    row_type: "*formatter.secretContext",
    labels: Some(|secret: &Secret| secret.labels.clone()),
};

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let secrets = session.client()?.secrets().list().await?;
    if found.on("quiet") && found.text("format").is_empty() {
        return output::print(secrets.iter().map(|secret| format!("{}\n", secret.name)).collect::<String>());
    }
    output::print(ROWS.render(found.text("format"), &secrets)?)
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    each(found.words(), |name| async move {
        client.secrets().remove(name).await?;
        Ok(name.clone())
    })
    .await
}
