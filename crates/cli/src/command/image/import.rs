//! `import`.

use hako_api::query;

use super::load::open;
use super::pull::{Where, show};
use crate::command::container::commit::name_and_tag;
use crate::flags::{Matches, list, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(crate) static IMPORT: Command = Command {
    usage: &["[OPTIONS] file|URL|- [REPOSITORY[:TAG]]"],
    aliases: &["hako image import", "hako import"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        list("change", "Apply Dockerfile instruction to the created image").short('c'),
        text("message", "Set commit message for imported image").short('m'),
        text("platform", "Set platform if server is multi-platform capable"),
    ]],
    examples: &[
        ("tar c -C rootfs . | hako import - my/base", "An image of a directory"),
        ("hako import https://example.com/rootfs.tar.gz my/base", "The daemon fetches it"),
    ],
    ..Command::new("Import the contents from a tarball to create a filesystem image", run!(import))
};

async fn import(session: &Session, found: &Matches) -> Outcome {
    let source = found.word(0);
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let (repo, tag) =
        if found.word(1).is_empty() { (String::new(), String::new()) } else { name_and_tag(found.word(1))? };
    let options = query::CreateImage {
        from_src: if remote { source.to_owned() } else { "-".to_owned() },
        repo,
        tag,
        message: found.text("message").to_owned(),
        changes: found.strings("change"),
        platform: found.text("platform").to_owned(),
        ..query::CreateImage::default()
    };
    let input = if remote {
        Box::pin(futures_util::stream::empty())
    } else {
        open(source, "requested import from stdin, but stdin is empty").await?
    };
    let messages = session.client()?.images().import(&options, input).await?;
    show(messages, Where::Output).await
}
