//! `attach`: join a container that runs already.

use hako_api::query;

use super::exit::Ending;
use super::run::{check_terminal, detach_keys, together};
use super::signals::Signals;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::session::Session;
use crate::stream::{End, Ends, Relay};
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static ATTACH: Command = Command {
    usage: &["[OPTIONS] CONTAINER"],
    aliases: &["hako container attach", "hako attach"],
    arity: Arity::Exactly(1),
    flags: &[&[
        text("detach-keys", "Override the key sequence for detaching a container"),
        switch("no-stdin", "Do not attach STDIN"),
        switch("sig-proxy", "Proxy all received signals to the process").default("true"),
    ]],
    examples: &[("hako attach shell", "Join it; ctrl-p ctrl-q leaves it running")],
    offer: Offer::Running,
    ..Command::new("Attach local standard input, output, and error streams to a running container", run!(attach))
};

async fn attach(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let name = found.word(0);
    let container = client.containers().inspect(name, false).await?;
    let state = &container.state;
    if !state.running {
        return Err(Failure::local("You cannot attach to a stopped container, start it first"));
    }
    if state.paused {
        return Err(Failure::local("You cannot attach to a paused container, unpause it first"));
    }
    if state.restarting {
        return Err(Failure::local("You cannot attach to a restarting container, wait until it is running"));
    }
    let tty = container.config.tty;
    let stdin = !found.on("no-stdin") && container.config.open_stdin;
    check_terminal(tty, stdin)?;
    let keys = detach_keys(session, found)?;
    let signals = if found.on("sig-proxy") && !tty { Some(Signals::catch()?) } else { None };
    let options =
        query::Attach { detach_keys: Some(keys.clone()), logs: false, stream: true, stdin, stdout: true, stderr: true };
    let ending = Ending::begin(client, &container.id, false).await?;
    let hijacked = client.containers().attach(name, &options).await?;
    let relay = Relay::begin(hijacked, &Ends { stdin, tty, detach_keys: keys })?;
    match together(client, &container.id, relay, ending, signals, tty).await? {
        End::Detached => Err(Failure::local("read escape sequence")),
        End::Closed => Ok(()),
    }
}
