//! `rm`.

use hako_api::query;

use crate::command::each;
use crate::failure::Failure;
use crate::flags::{Matches, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static REMOVE: Command = Command {
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    aliases: &["hako container rm", "hako container remove", "hako rm"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
        switch("link", "Remove the specified link").short('l'),
        switch("volumes", "Remove anonymous volumes associated with the container").short('v'),
    ]],
    examples: &[
        ("hako rm -f web", "Remove it, running or not"),
        ("hako rm $(hako ps -aq)", "Remove all containers that do not run"),
    ],
    offer: Offer::Containers,
    ..Command::new("Remove one or more containers", run!(remove))
};

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let options =
        &query::RemoveContainer { volumes: found.on("volumes"), force: found.on("force"), link: found.on("link") };
    each(found.words(), |name| async move {
        let bare = name.trim_matches('/');
        if bare.is_empty() {
            return Err(Failure::local("container name cannot be empty"));
        }
        match client.containers().remove(bare, options).await {
            Err(error) if options.force && error.is_not_found() => {
                output::complain(format!("{}\n", Failure::from(error)))?;
                Ok(String::new())
            }
            outcome => outcome.map(|()| name.clone()).map_err(Failure::from),
        }
    })
    .await
}
