//! `tag`.

use hako_api::query;
use hako_model::reference::Reference;

use crate::failure::Failure;
use crate::flags::Matches;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static TAG: Command = Command {
    usage: &["SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"],
    aliases: &["hako image tag", "hako tag"],
    arity: Arity::Exactly(2),
    examples: &[("hako tag app registry.example.com:5000/team/app:2", "Another name, for instance to push it")],
    offer: Offer::Images,
    ..Command::new("Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", run!(tag))
};

async fn tag(session: &Session, found: &Matches) -> Outcome {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::local(format!("Error parsing reference: {:?} is not a valid repository/tag: {error}", found.word(1)))
    };
    let target = Reference::parse(found.word(1)).map_err(|error| wrong(&error))?;
    if target.digest().is_some() {
        return Err(Failure::local("refusing to create a tag with a digest reference"));
    }
    let options = query::Tag { repo: target.familiar_name(), tag: target.tag().unwrap_or("latest").to_owned() };
    Ok(session.client()?.images().tag(found.word(0), &options).await?)
}
