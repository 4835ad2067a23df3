//! `load`.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use hako_api::query;
use hako_client::{Upload, upload};

use super::pull::{Where, show};
use crate::command::platform_json;
use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, switch, text};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static LOAD: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako image load", "hako load"],
    flags: &[&[
        text("input", "Read from tar archive file, instead of STDIN").short('i'),
        text(
            "platform",
            "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        switch("quiet", "Suppress the load output").short('q'),
    ]],
    examples: &[("hako load -i images.tar", "From a file that docker or hako saved")],
    ..Command::new("Load an image from a tar archive or STDIN", run!(load))
};

async fn load(session: &Session, found: &Matches) -> Outcome {
    let input = open(found.text("input"), "requested load from stdin, but stdin is empty").await?;
    // Without a terminal docker asks for no bars at all; the lines that name what was loaded come all the same.
    let quiet = found.on("quiet") || !io::stdout().is_terminal();
    let platform = Some(platform_json(found)?).filter(|platform| !platform.is_empty());
    let options = query::Load { quiet, platform: platform.into_iter().collect() };
    let messages = session.client()?.images().load(&options, input).await?;
    show(messages, Where::Output).await
}

/// A file, or standard input when there is none named; a terminal is nobody's archive.
pub(crate) async fn open(path: &str, empty: &str) -> Result<Upload, Failure> {
    if path.is_empty() || path == "-" {
        if io::stdin().is_terminal() {
            return Err(Failure::local(empty));
        }
        return stdin();
    }
    let file = tokio::fs::File::open(path).await.map_err(|error| path_failure("open", path, &error))?;
    Ok(upload(file))
}

/// Standard input as an upload.
pub(crate) fn stdin() -> Result<Upload, Failure> {
    Ok(upload(tokio::fs::File::from_std(stdin_fd()?.into())))
}

/// Standard input without a buffer.
pub(crate) fn stdin_fd() -> Result<OwnedFd, Failure> {
    io::stdin().as_fd().try_clone_to_owned().map_err(|error| path_failure("open", "stdin", &error))
}
