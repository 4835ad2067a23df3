//! The plain verbs: stop, restart, kill, pause, unpause, wait, rename.

use hako_api::query;

use crate::command::each;
use crate::failure::Failure;
use crate::flags::{Matches, int, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

const MANY: &[&str] = &["[OPTIONS] CONTAINER [CONTAINER...]"];
const MANY_PLAIN: &[&str] = &["CONTAINER [CONTAINER...]"];
const STOP_FLAGS: &[&[crate::flags::Flag]] = &[&[
    text("signal", "Signal to send to the container").short('s'),
    int("timeout", "Seconds to wait before killing the container").short('t'),
    int("time", "Seconds to wait before killing the container").hidden(),
]];

pub(crate) static STOP: Command = Command {
    usage: MANY,
    aliases: &["hako container stop", "hako stop"],
    arity: Arity::AtLeast(1),
    flags: STOP_FLAGS,
    examples: &[("hako stop web", "Ask it to end, and kill it after its time-out")],
    offer: Offer::Running,
    ..Command::new("Stop one or more running containers", run!(stop))
};

pub(crate) static RESTART: Command = Command {
    usage: MANY,
    aliases: &["hako container restart", "hako restart"],
    arity: Arity::AtLeast(1),
    flags: STOP_FLAGS,
    offer: Offer::Containers,
    ..Command::new("Restart one or more containers", run!(restart))
};

pub(crate) static KILL: Command = Command {
    usage: MANY,
    aliases: &["hako container kill", "hako kill"],
    arity: Arity::AtLeast(1),
    flags: &[&[text("signal", "Signal to send to the container").short('s')]],
    examples: &[("hako kill -s HUP web", "Tell a server to read its configuration again")],
    offer: Offer::Running,
    ..Command::new("Kill one or more running containers", run!(kill))
};

pub(crate) static PAUSE: Command = Command {
    usage: MANY_PLAIN,
    aliases: &["hako container pause", "hako pause"],
    arity: Arity::AtLeast(1),
    offer: Offer::Running,
    ..Command::new("Pause all processes within one or more containers", run!(pause))
};

pub(crate) static UNPAUSE: Command = Command {
    usage: MANY_PLAIN,
    aliases: &["hako container unpause", "hako unpause"],
    arity: Arity::AtLeast(1),
    offer: Offer::Running,
    ..Command::new("Unpause all processes within one or more containers", run!(unpause))
};

pub(crate) static WAIT: Command = Command {
    usage: MANY_PLAIN,
    aliases: &["hako container wait", "hako wait"],
    arity: Arity::AtLeast(1),
    offer: Offer::Running,
    ..Command::new("Block until one or more containers stop, then print their exit codes", run!(wait))
};

pub(crate) static RENAME: Command = Command {
    usage: &["CONTAINER NEW_NAME"],
    aliases: &["hako container rename", "hako rename"],
    arity: Arity::Exactly(2),
    offer: Offer::Containers,
    ..Command::new("Rename a container", run!(rename))
};

fn stop_options(found: &Matches) -> query::Stop {
    let timeout = found.int_given("timeout").or(found.int_given("time"));
    query::Stop { signal: found.text("signal").to_owned(), timeout, ..query::Stop::default() }
}

async fn stop(session: &Session, found: &Matches) -> Outcome {
    let (client, options) = (session.client()?, &stop_options(found));
    each(found.words(), |name| async move {
        client.containers().stop(name, options).await?;
        Ok(name.clone())
    })
    .await
}

async fn restart(session: &Session, found: &Matches) -> Outcome {
    let (client, options) = (session.client()?, &stop_options(found));
    each(found.words(), |name| async move {
        client.containers().restart(name, options).await?;
        Ok(name.clone())
    })
    .await
}

async fn kill(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    each(found.words(), |name| async move {
        client.containers().kill(name, found.text("signal")).await?;
        Ok(name.clone())
    })
    .await
}

async fn pause(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    each(found.words(), |name| async move {
        client.containers().pause(name).await?;
        Ok(name.clone())
    })
    .await
}

async fn unpause(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    each(found.words(), |name| async move {
        client.containers().unpause(name).await?;
        Ok(name.clone())
    })
    .await
}

async fn wait(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    each(found.words(), |name| async move {
        let reply = client.containers().wait(name, "").await?.exit().await?;
        Ok(reply.status_code.to_string())
    })
    .await
}

async fn rename(session: &Session, found: &Matches) -> Outcome {
    let (old, new) = (found.word(0).trim(), found.word(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::local("Error: Neither old nor new names may be empty"));
    }
    let renamed = session.client()?.containers().rename(old, new).await;
    renamed.map_err(|error| {
        Failure::local(format!("{}\nError: failed to rename container named {old}", Failure::from(error)))
    })
}
