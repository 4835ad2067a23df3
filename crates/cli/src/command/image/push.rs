//! `push`.

use hako_api::query;
use hako_model::reference::Reference;
use hako_registry::credentials::Credential;

use super::pull::{Where, credential, show};
use crate::command::platform_json;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static PUSH: Command = Command {
    usage: &["[OPTIONS] NAME[:TAG]"],
    aliases: &["hako image push", "hako push"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("all-tags", "Push all tags of an image to the repository").short('a'),
        switch("disable-content-trust", "Skip image signing")
            .default("true")
            .refused("content trust is not part of hako"),
        text(
            "platform",
            "Push a platform-specific manifest as a single-platform image to the registry.\n\
             Image index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n\
             'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
        switch("quiet", "Suppress verbose output").short('q'),
    ]],
    examples: &[("hako push registry.example.com:5000/team/app:2", "Upload what the registry does not have yet")],
    offer: Offer::Images,
    ..Command::new("Upload an image to a registry", run!(push))
};

async fn push(session: &Session, found: &Matches) -> Outcome {
    let parsed = Reference::parse(found.word(0)).map_err(|error| Failure::local(error.to_string()))?;
    let (all, quiet) = (found.on("all-tags"), found.on("quiet"));
    if all && !parsed.is_name_only() {
        return Err(Failure::local("tag can't be used with --all-tags/-a"));
    }
    if parsed.digest().is_some() {
        return Err(Failure::local("cannot push a digest reference"));
    }
    let implied = !all && parsed.is_name_only();
    let reference = if implied { parsed.or_latest() } else { parsed };
    if implied && !quiet {
        output::line("Using default tag: latest")?;
    }
    upload(session, &reference, platform_json(found)?, if quiet { Where::Nowhere } else { Where::Output }).await?;
    if quiet { output::line(reference.to_string()) } else { Ok(()) }
}

/// Uploads the image of one name, or, without a tag, all of the name's images.
pub(crate) async fn upload(session: &Session, reference: &Reference, platform: String, told: Where) -> Outcome {
    let options = query::Push { tag: reference.tag().unwrap_or_default().to_owned(), platform };
    let credential = credential(session, reference)?.unwrap_or_else(Credential::default);
    let name = reference.familiar_name();
    let messages = session.client()?.images().push(&name, &options, &credential.to_header()).await?;
    show(messages, told).await
}
