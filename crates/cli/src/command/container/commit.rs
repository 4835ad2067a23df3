//! `commit`.

use hako_api::query;
use hako_model::reference::Reference;

use crate::failure::Failure;
use crate::flags::{Matches, list, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static COMMIT: Command = Command {
    usage: &["[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"],
    aliases: &["hako container commit", "hako commit"],
    arity: Arity::Between(1, 2),
    flags: &[&[
        text("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")").short('a'),
        list("change", "Apply Dockerfile instruction to the created image").short('c'),
        text("message", "Commit message").short('m'),
        switch("pause", "Pause container during commit").short('p').default("true"),
    ]],
    examples: &[("hako commit -c 'CMD [\"nginx\"]' web my/web:1", "Make an image of a container as it is now")],
    offer: Offer::ContainerThenFiles,
    ..Command::new("Create a new image from a container's changes", run!(commit))
};

async fn commit(session: &Session, found: &Matches) -> Outcome {
    output::line(image_of(session, found, found.word(0)).await?)
}

/// Makes an image of a container as the flags want it; gives the image.
pub(crate) async fn image_of(session: &Session, found: &Matches, container: &str) -> Result<String, Failure> {
    let (repo, tag) = name_and_tag(found.word(1))?;
    let options = query::Commit {
        container: container.to_owned(),
        repo,
        tag,
        comment: found.text("message").to_owned(),
        author: found.text("author").to_owned(),
        pause: Some(found.on("pause")),
        changes: found.strings("change"),
    };
    Ok(session.client()?.containers().commit(&options, None).await?.id)
}

/// A repository and a tag; `latest` is implied, a digest refused.
pub(crate) fn name_and_tag(text: &str) -> Result<(String, String), Failure> {
    if text.is_empty() {
        return Ok((String::new(), String::new()));
    }
    let reference = Reference::parse(text).map_err(|error| Failure::local(error.to_string()))?;
    if reference.digest().is_some() {
        return Err(Failure::local("cannot commit to digest reference"));
    }
    Ok((reference.familiar_name(), reference.tag().unwrap_or("latest").to_owned()))
}
