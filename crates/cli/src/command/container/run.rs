//! `run`: make, attach, wait, start, and leave with the container's exit code.

use hako_api::container::CreateBody;
use hako_api::query;
use hako_client::Client;

use super::create::{self, MAKING};
use super::exit::{Ending, outcome, start_code};
use super::signals::{Resized, Signals, deadly, follow_size};
use crate::creation::{CARE, CONTAINER};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, switch, text};
use crate::session::Session;
use crate::stream::{End, Ends, Relay};
use crate::tree::{Arity, Command, Offer, Outcome, run};
use crate::{detach, output};

const RUNNING: &[Flag] = &[
    switch("detach", "Run container in background and print container ID").short('d'),
    text("detach-keys", "Override the key sequence for detaching a container"),
    text("pull", "Pull image before running (\"always\", \"missing\", \"never\")").default("missing"),
    switch("sig-proxy", "Proxy received signals to the process").default("true"),
];

pub(crate) static RUN: Command = Command {
    usage: &["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
    aliases: &["hako container run", "hako run"],
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[CONTAINER, CARE, MAKING, RUNNING],
    examples: &[
        ("hako run --rm hello", "Say hello and leave nothing behind (works without a network)"),
        ("hako run -it --rm ubuntu", "A shell in a container that is thrown away afterwards"),
        ("hako run -d --name web -p 8080:80 nginx", "A web server in the background, on http://localhost:8080"),
        ("hako run --rm -v \"$PWD\":/src -w /src python:3 python app.py", "Run a file of this directory"),
        ("hako run -d --restart unless-stopped -m 256m redis", "Keep it running, within 256 MB"),
    ],
    offer: Offer::ImageThenNothing,
    ..Command::new("Create and run a new container from an image", run!(run))
};

async fn run(session: &Session, found: &Matches) -> Outcome {
    let mut body = create::request(found).map_err(|message| as_run(create::refused(&message, "run")))?;
    let attachment = Attachment::of(session, found, &mut body)?;
    let created = create::make(session, found, &mut body).await.map_err(as_run)?;
    let client = session.client()?;
    match attachment {
        None => {
            start(client, &created.id, String::new()).await?;
            output::line(created.id)
        }
        Some(attachment) => foreground(client, &created.id, &attachment).await,
    }
}

/// How a foreground run is joined to the caller.
pub(crate) struct Attachment {
    /// Input is carried.
    pub(crate) stdin: bool,
    /// Output is shown.
    pub(crate) stdout: bool,
    /// So is what goes wrong.
    pub(crate) stderr: bool,
    /// It has a terminal.
    pub(crate) tty: bool,
    /// It removes itself.
    pub(crate) removes: bool,
    /// Signals are passed on.
    pub(crate) proxies: bool,
    /// The keys that leave it alone.
    pub(crate) detach_keys: String,
}

impl Attachment {
    /// `None` with `-d`, which takes the streams out of the request.
    fn of(session: &Session, found: &Matches, body: &mut CreateBody) -> Result<Option<Self>, Failure> {
        let config = &mut body.config;
        if found.on("detach") {
            if !found.list("attach").is_empty() {
                let message = "conflicting options: cannot specify both --attach and --detach".to_owned();
                return Err(Failure::Status { message, code: 1 });
            }
            (config.attach_stdin, config.attach_stdout, config.attach_stderr) = (false, false, false);
            config.stdin_once = false;
            return Ok(None);
        }
        check_terminal(config.tty, config.attach_stdin)?;
        Ok(Some(Self {
            stdin: config.attach_stdin,
            stdout: config.attach_stdout,
            stderr: config.attach_stderr,
            tty: config.tty,
            removes: found.on("rm"),
            proxies: found.on("sig-proxy"),
            detach_keys: detach_keys(session, found)?,
        }))
    }
}

/// A terminal in the container needs one here, if input is to come from here.
pub(crate) fn check_terminal(tty: bool, stdin: bool) -> Result<(), Failure> {
    if tty && stdin && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Failure::local("the input device is not a TTY"));
    }
    Ok(())
}

/// The keys of `--detach-keys`, of `config.json`, or Docker's own.
pub(crate) fn detach_keys(session: &Session, found: &Matches) -> Result<String, Failure> {
    let keys = match found.text_given("detach-keys") {
        Some(keys) => keys,
        None => session.config().detach_keys.as_str(),
    };
    detach::check(keys).map_err(Failure::local)?;
    Ok(if keys.is_empty() { detach::DEFAULT.to_owned() } else { keys.to_owned() })
}

/// Starts a container that is there and stays with it to its end.
pub(crate) async fn foreground(client: &Client, id: &str, attachment: &Attachment) -> Outcome {
    if !attachment.stdout && !attachment.stderr && !attachment.stdin {
        start(client, id, String::new()).await?;
        return output::line(id);
    }
    // Signals are caught before anything runs, so that none is lost between the start and the first wait.
    let signals = if attachment.proxies { Some(Signals::catch()?) } else { None };
    let options = query::Attach {
        detach_keys: Some(attachment.detach_keys.clone()),
        logs: false,
        stream: true,
        stdin: attachment.stdin,
        stdout: attachment.stdout,
        stderr: attachment.stderr,
    };
    let ends = Ends { stdin: attachment.stdin, tty: attachment.tty, detach_keys: attachment.detach_keys.clone() };
    let hijacked = client.containers().attach(id, &options).await.map_err(|error| as_run(error.into()))?;
    let ending = Ending::begin(client, id, attachment.removes).await.map_err(as_run)?;
    let relay = Relay::begin(hijacked, &ends)?;
    if let Err(failure) = start(client, id, attachment.detach_keys.clone()).await {
        drop(relay);
        return Err(failure);
    }
    together(client, id, relay, ending, signals, attachment.tty).await.map(drop)
}

/// Everything that goes on while an attached container runs.
pub(crate) async fn together(
    client: &Client,
    id: &str,
    relay: Relay,
    ending: Ending<'_>,
    signals: Option<Signals>,
    tty: bool,
) -> Result<End, Failure> {
    let size =
        async { if tty { follow_size(client, Resized::Container(id)).await } else { std::future::pending().await } };
    let signalled = async {
        match signals {
            Some(signals) => signals.forward(client, id).await,
            None => deadly().await,
        }
    };
    let life = async {
        match relay.finish().await? {
            End::Detached => Ok(End::Detached),
            End::Closed => outcome(ending.code().await?).map(|()| End::Closed),
        }
    };
    tokio::select! {
        biased;
        ended = life => ended,
        failure = signalled => Err(failure),
        failure = size => Err(failure),
    }
}

async fn start(client: &Client, id: &str, detach_keys: String) -> Result<(), Failure> {
    client
        .containers()
        .start(id, &query::Start { detach_keys, ..query::Start::default() })
        .await
        .map_err(|error| as_run(error.into()))
}

/// Failures of `run` carry its name, a pointer to help, and 125, 126 or 127.
fn as_run(failure: Failure) -> Failure {
    match failure {
        Failure::Daemon(_) | Failure::Local { .. } => {
            let text = failure.to_string();
            let code = start_code(&text);
            Failure::Status { message: format!("hako: {text}\n\nRun 'hako run --help' for more information"), code }
        }
        other => other,
    }
}
