//! `save`.

use hako_api::query;

use crate::command::container::export::{check, write};
use crate::command::platform_json;
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
    let stream = session.client()?.images().save(&options).await?;
    write(stream, path).await
}
