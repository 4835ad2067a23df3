//! `debug`: a shell with tools beside a container's own files, whatever the container has and whether it runs or not.

use std::io::IsTerminal as _;

use hako_api::container::CreateBody;
use hako_api::exec::{ExecBody, ExecStart};
use hako_api::query;
use hako_model::container::{Config, HostConfig};

use super::exec::interactive;
use super::run::{Attachment, foreground};
use crate::detach;
use crate::flags::{Matches, switch, text};
use crate::session::Session;
use crate::stream::Ends;
use crate::terminal;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static DEBUG: Command = Command {
    usage: &["[OPTIONS] CONTAINER [COMMAND] [ARG...]"],
    aliases: &["hako container debug", "hako debug"],
    long: "A shell in any container, running, stopped or without a shell of its own. Tools are laid beside its files at \
           /dev/.hako: a static busybox of this host, or the files of an image that is here. Nothing is fetched, and \
           nothing is written into the container.",
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[
        text("image", "Bring the tools of this image (static programs) instead of the host's busybox"),
        switch("interactive", "Keep STDIN open (default: if it is a terminal)").short('i'),
        switch("privileged", "Give extended privileges to the command"),
        switch("tty", "Allocate a pseudo-TTY (default: if there is one)").short('t'),
    ]],
    examples: &[
        ("hako debug web", "A shell in it"),
        ("hako debug web netstat -ltn", "One command, with tools it does not have"),
        ("hako debug --image toolbox web strace -p 1", "With the tools of an image"),
    ],
    offer: Offer::Containers,
    ..Command::new("Enter a container with tools of your own", run!(debug))
};

async fn debug(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let container = client.containers().inspect(found.word(0), false).await?;
    if container.state.running && !container.state.paused && !container.state.restarting {
        return enter(session, found).await;
    }
    examine(session, found, &container.id, &container.config.hostname).await
}

/// Whether input is carried, and whether there is a terminal.
fn streams(found: &Matches) -> (bool, bool) {
    let (input, output) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
    (found.switch_given("interactive").unwrap_or(input), found.switch_given("tty").unwrap_or(input && output))
}

/// A further process in a container that runs.
async fn enter(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let (stdin, tty) = streams(found);
    super::run::check_terminal(tty, stdin)?;
    let size = terminal::size().filter(|_| tty).map(|size| [size.rows.into(), size.columns.into()]);
    let body = ExecBody {
        user: "0".to_owned(),
        privileged: found.on("privileged"),
        tty,
        console_size: size,
        attach_stdin: stdin,
        attach_stderr: true,
        attach_stdout: true,
        detach_keys: detach::DEFAULT.to_owned(),
        cmd: found.words()[1..].to_vec(),
        tools: Some(found.text("image").to_owned()),
        ..ExecBody::default()
    };
    let id = client.execs().create(found.word(0), &body).await?.id;
    let start = ExecStart { detach: false, tty, console_size: size };
    interactive(client, &id, &start, Ends { stdin, tty, detach_keys: detach::DEFAULT.to_owned() }).await
}

/// A process of its own on the files of a container that does not run.
async fn examine(session: &Session, found: &Matches, id: &str, hostname: &str) -> Outcome {
    let client = session.client()?;
    let (stdin, tty) = streams(found);
    super::run::check_terminal(tty, stdin)?;
    let config = Config {
        hostname: hostname.to_owned(),
        user: "0".to_owned(),
        attach_stdin: stdin,
        attach_stdout: true,
        attach_stderr: true,
        tty,
        open_stdin: stdin,
        stdin_once: stdin,
        cmd: Some(found.words()[1..].to_vec()),
        ..Config::default()
    };
    let host = HostConfig {
        network_mode: "none".to_owned(),
        auto_remove: true,
        privileged: found.on("privileged"),
        console_size: terminal::size().filter(|_| tty).map_or([0, 0], |size| [size.rows.into(), size.columns.into()]),
        examines: id.to_owned(),
        examines_with: found.text("image").to_owned(),
        ..HostConfig::default()
    };
    let body = CreateBody { config, host_config: Some(host), networking_config: None };
    let created = client.containers().create(&query::CreateContainer::default(), &body).await?;
    let attachment = Attachment {
        stdin,
        stdout: true,
        stderr: true,
        tty,
        removes: true,
        proxies: !tty,
        detach_keys: detach::DEFAULT.to_owned(),
    };
    foreground(client, &created.id, &attachment).await
}
