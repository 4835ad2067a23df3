//! `rmi`.

use hako_api::query;

use crate::command::together;
use crate::failure::Failure;
use crate::flags::{Matches, csv, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static REMOVE: Command = Command {
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    aliases: &["hako image rm", "hako image remove", "hako rmi"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        switch("force", "Force removal of the image").short('f'),
        switch("no-prune", "Do not delete untagged parents"),
        csv(
            "platform",
            "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    offer: Offer::Images,
    ..Command::new("Remove one or more images", run!(remove))
};

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let client = session.client()?;
    let mut platforms = Vec::new();
    for text in found.list("platform") {
        let platform =
            hako_model::platform::Platform::parse(text).map_err(|error| Failure::local(error.to_string()))?;
        platforms.push(serde_json::to_string(&platform).map_err(|error| Failure::local(error.to_string()))?);
    }
    let options = query::RemoveImage { force: found.on("force"), noprune: found.on("no-prune"), platforms };
    let mut failures = Vec::new();
    // One after the other: several names of one image must not race for being its last.
    for name in found.words() {
        match client.images().remove(name, &options).await {
            Ok(removed) => {
                for one in removed {
                    match one.deleted.as_str() {
                        "" => output::line(format!("Untagged: {}", one.untagged))?,
                        deleted => output::line(format!("Deleted: {deleted}"))?,
                    }
                }
            }
            Err(error) if options.force && error.is_not_found() => {
                output::complain(format!("{}\n", Failure::from(error)))?;
            }
            Err(error) => failures.push(error.into()),
        }
    }
    together(failures)
}
