//! `save`.

use std::fs::File;
use std::os::fd::AsRawFd;

use hako_api::query;

use super::load::cannot_borrow;
use crate::command::container::export::{check, whole, write};
use crate::command::platform_json;
use crate::failure::Failure;
use crate::flags::{Matches, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static SAVE: Command = Command {
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    aliases: &["hako image save", "hako save"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        text("output", "Write to a file, instead of STDOUT").short('o'),
        text(
            "platform",
            "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    examples: &[("hako save nginx | ssh far hako load", "Carry an image to another machine")],
    offer: Offer::Images,
    ..Command::new("Save one or more images to a tar archive (streamed to STDOUT by default)", run!(save))
};

async fn save(session: &Session, found: &Matches) -> Outcome {
    let path = found.text("output");
    check(path, "save image")?;
    let platform = Some(platform_json(found)?).filter(|platform| !platform.is_empty());
    let options = query::Save { names: found.words().to_vec(), platform: platform.into_iter().collect() };
    if path.is_empty() || !lend(session, path, &options).await? {
        let stream = session.client()?.images().save(&options).await?;
        return write(stream, path).await;
    }
    Ok(())
}

/// Lets the daemon write the file itself; false where it cannot.
async fn lend(session: &Session, path: &str, options: &query::Save) -> Result<bool, Failure> {
    if !session.may_lend()? {
        return Ok(false);
    }
    let images = session.client()?.images();
    let write = async |file: File| {
        let (names, platform) = (options.names.clone(), options.platform.clone());
        let options = query::SaveTo { fd: Some(file.as_raw_fd().into()), names, platform };
        match images.save_to(&options).await {
            Ok(()) => Ok(true),
            Err(error) if cannot_borrow(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    whole(path, write).await
}
