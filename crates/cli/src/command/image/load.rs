//! `load`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hako_api::progress::Progress;
use hako_api::query;
use hako_client::{JsonStream, Upload, upload};

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
    // Without a terminal docker asks for no bars at all; the lines that name what was loaded come all the same.
    let quiet = found.on("quiet") || !io::stdout().is_terminal();
    let platform = Some(platform_json(found)?).filter(|platform| !platform.is_empty());
    let options = query::Load { quiet, platform: platform.into_iter().collect() };
    let messages = match lend(session, found.text("input"), &options).await? {
        Some(messages) => messages,
        None => {
            let input = open(found.text("input"), "requested load from stdin, but stdin is empty").await?;
            session.client()?.images().load(&options, input).await?
        }
    };
    show(messages, Where::Output).await
}

/// Lets the daemon read the file itself; none where it has to be sent.
async fn lend(session: &Session, path: &str, options: &query::Load) -> Result<Option<JsonStream<Progress>>, Failure> {
    // A pipe must not be opened twice.
    let regular = || std::fs::metadata(path).is_ok_and(|found| found.is_file());
    if path.is_empty() || path == "-" || !regular() || !session.may_lend()? {
        return Ok(None);
    }
    let file = File::open(path).map_err(|error| path_failure("open", path, &error))?;
    let (quiet, platform) = (options.quiet, options.platform.clone());
    let options = query::LoadFrom { fd: Some(file.as_raw_fd().into()), quiet, platform };
    match session.client()?.images().load_from(&options).await {
        Ok(messages) => Ok(Some(messages)),
        Err(error) if cannot_borrow(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a daemon has said that it does not use files of ours: it cannot reach them, or does not know the request.
pub(super) fn cannot_borrow(error: &hako_client::Error) -> bool {
    matches!(error, hako_client::Error::Refused { status: 403 | 404, .. })
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
    // A directory can be opened, but not read: said now, it is not taken for the daemon's fault.
    if file.metadata().await.is_ok_and(|found| found.is_dir()) {
        return Err(path_failure("read", path, &io::ErrorKind::IsADirectory.into()));
    }
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
