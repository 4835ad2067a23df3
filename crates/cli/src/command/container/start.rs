//! `start`, attached or not.

use std::sync::{Mutex, PoisonError};

use hako_api::query;

use super::exit::Ending;
use super::run::{detach_keys, together};
use super::signals::Signals;
use crate::command::each;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::session::Session;
use crate::stream::{Ends, Relay};
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static START: Command = Command {
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    aliases: &["hako container start", "hako start"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
        text("checkpoint", "Restore from this checkpoint"),
        text("checkpoint-dir", "Use a custom checkpoint storage directory"),
        text("detach-keys", "Override the key sequence for detaching a container"),
        switch("interactive", "Attach container's STDIN").short('i'),
    ]],
    examples: &[
        ("hako start web db", "Start two containers in the background"),
        ("hako start -ai shell", "Start one and join it"),
        ("hako start --checkpoint before job", "Go on where a checkpoint was made"),
    ],
    offer: Offer::Stopped,
    ..Command::new("Start one or more stopped containers", run!(start))
};

async fn start(session: &Session, found: &Matches) -> Outcome {
    if !found.text("checkpoint").is_empty() && found.words().len() > 1 {
        return Err(Failure::local("you cannot restore multiple containers at once"));
    }
    if found.on("attach") || found.on("interactive") {
        return attached(session, found).await;
    }
    let client = session.client()?;
    let options = &beginning(found);
    let failed = &Mutex::new(Vec::new());
    let outcome = each(found.words(), |name| async move {
        if let Err(error) = client.containers().start(name, options).await {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(name.as_str());
            return Err(error.into());
        }
        Ok(name.clone())
    })
    .await;
    outcome.map_err(|failure| {
        let mut failed = std::mem::take(&mut *failed.lock().unwrap_or_else(PoisonError::into_inner));
        // They were started side by side, and are named in the order of the command line.
        failed.sort_by_key(|name| found.words().iter().position(|word| word == name));
        let names = failed.join(", ");
        Failure::local(format!("{failure}\nError: failed to start containers: {names}"))
    })
}

fn beginning(found: &Matches) -> query::Start {
    let (checkpoint, checkpoint_dir) = (found.text("checkpoint").to_owned(), found.text("checkpoint-dir").to_owned());
    query::Start { checkpoint, checkpoint_dir, ..query::Start::default() }
}

async fn attached(session: &Session, found: &Matches) -> Outcome {
    let [name] = found.words() else {
        return Err(Failure::local("you cannot start and attach multiple containers at once"));
    };
    let client = session.client()?;
    let container = client.containers().inspect(name, false).await?;
    let (tty, stdin) = (container.config.tty, found.on("interactive") && container.config.open_stdin);
    let keys = detach_keys(session, found)?;
    let signals = if tty { None } else { Some(Signals::catch()?) };
    let options =
        query::Attach { detach_keys: Some(keys.clone()), logs: false, stream: true, stdin, stdout: true, stderr: true };
    let hijacked = client.containers().attach(&container.id, &options).await?;
    let removes = container.host_config.auto_remove;
    let ending = Ending::begin(client, &container.id, removes).await?;
    let relay = Relay::begin(hijacked, &Ends { stdin, tty, detach_keys: keys })?;
    client.containers().start(&container.id, &beginning(found)).await?;
    together(client, &container.id, relay, ending, signals, tty).await.map(drop)
}
