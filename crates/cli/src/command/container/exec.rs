//! `exec`: a further process in a running container.

use hako_api::exec::{ExecBody, ExecStart};
use hako_client::Client;

use super::run::{check_terminal, detach_keys};
use super::signals::{Resized, deadly, follow_size};
use crate::creation::{check_variable, environment};
use crate::failure::Failure;
use crate::flags::{Matches, list, switch, text};
use crate::reconnect::Attempts;
use crate::session::Session;
use crate::stream::{End, Ends, Relay};
use crate::terminal;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static EXEC: Command = Command {
    usage: &["[OPTIONS] CONTAINER COMMAND [ARG...]"],
    aliases: &["hako container exec", "hako exec"],
    arity: Arity::AtLeast(2),
    interspersed: false,
    flags: &[&[
        switch("detach", "Detached mode: run command in the background").short('d'),
        text("detach-keys", "Override the key sequence for detaching a container"),
        list("env", "Set environment variables").short('e').check(check_variable),
        list("env-file", "Read in a file of environment variables"),
        switch("interactive", "Keep STDIN open even if not attached").short('i'),
        switch("privileged", "Give extended privileges to the command"),
        switch("tty", "Allocate a pseudo-TTY").short('t'),
        text("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
        text("workdir", "Working directory inside the container").short('w'),
    ]],
    examples: &[
        ("hako exec -it web sh", "A shell in it"),
        ("hako exec web cat /etc/os-release", "One command"),
        ("hako exec -u 0 -w /tmp web touch here", "As root, in another directory"),
    ],
    offer: Offer::Running,
    ..Command::new("Execute a command in a running container", run!(exec))
};

async fn exec(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let keys = detach_keys(session, found)?;
    let body = body(found, &keys)?;
    let container = found.word(0);
    let id = client.execs().create(container, &body).await?.id;
    if id.is_empty() {
        return Err(Failure::local("exec ID empty"));
    }
    let start = ExecStart { detach: found.on("detach"), tty: body.tty, console_size: body.console_size };
    if found.on("detach") {
        return Ok(client.execs().start_detached(&id, &start).await?);
    }
    check_terminal(body.tty, body.attach_stdin)?;
    interactive(client, &id, &start, Ends { stdin: body.attach_stdin, tty: body.tty, detach_keys: keys }).await
}

fn body(found: &Matches, keys: &str) -> Result<ExecBody, Failure> {
    let attaches = !found.on("detach");
    let tty = found.on("tty");
    let size = terminal::size().filter(|_| tty).map(|size| [size.rows.into(), size.columns.into()]);
    Ok(ExecBody {
        user: found.text("user").to_owned(),
        privileged: found.on("privileged"),
        tty,
        console_size: size,
        attach_stdin: attaches && found.on("interactive"),
        attach_stderr: attaches,
        attach_stdout: attaches,
        detach_keys: keys.to_owned(),
        env: Some(environment::variables(&found.list("env-file"), &found.list("env"))?).filter(|env| !env.is_empty()),
        working_dir: found.text("workdir").to_owned(),
        cmd: found.words()[1..].to_vec(),
        tools: None,
    })
}

/// Starts an exec and stays with it to its end.
pub(super) async fn interactive(client: &Client, id: &str, start: &ExecStart, ends: Ends) -> Outcome {
    let hijacked = client.execs().start(id, start).await?;
    let relay = Relay::begin(hijacked, &ends)?;
    let size =
        async { if ends.tty { follow_size(client, Resized::Exec(id)).await } else { std::future::pending().await } };
    // Docker does not pass signals on to an exec; but raw mode must end with the command.
    let raw = relay.is_raw();
    let signalled = async { if raw { deadly().await } else { std::future::pending().await } };
    let ended = tokio::select! {
        biased;
        ended = relay.finish() => ended?,
        failure = signalled => return Err(failure),
        failure = size => return Err(failure),
    };
    if ended == End::Detached {
        return Err(Failure::local("read escape sequence"));
    }
    let mut attempts = Attempts::default();
    // The session may have outlived the daemon that began it.
    let ended = loop {
        match client.execs().inspect(id).await {
            Ok(ended) => break ended,
            Err(error) => attempts.pause(error).await?,
        }
    };
    match ended.exit_code {
        None | Some(0) => Ok(()),
        Some(code) => Err(Failure::status(u8::try_from(code & 0xff).unwrap_or(125))),
    }
}
