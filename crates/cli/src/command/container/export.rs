//! `export`, and writing an archive where `-o` says.

use std::fs::{self, File};
use std::io;

use hako_client::ByteStream;

use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, text};
use crate::output;
use crate::session::Session;
use crate::stream::copy_bytes;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static EXPORT: Command = Command {
    usage: &["[OPTIONS] CONTAINER"],
    aliases: &["hako container export", "hako export"],
    arity: Arity::Exactly(1),
    flags: &[&[text("output", "Write to a file, instead of STDOUT").short('o')]],
    examples: &[("hako export web | tar t", "List all files of a container")],
    offer: Offer::Containers,
    ..Command::new("Export a container's filesystem as a tar archive", run!(export))
};

async fn export(session: &Session, found: &Matches) -> Outcome {
    let path = found.text("output");
    check(path, "export")?;
    let stream = session.client()?.containers().export(found.word(0)).await?;
    write(stream, path).await
}

/// Refuses a terminal as the place of an archive, and a file that cannot be.
pub(crate) fn check(path: &str, verb: &str) -> Result<(), Failure> {
    if path.is_empty() && output::to_terminal() {
        return Err(Failure::local("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    if path.is_empty() {
        return Ok(());
    }
    let wrong = |why: String| Failure::local(format!("failed to {verb}: {why}"));
    crate::archive::rules::check_output(path).map_err(wrong)?;
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(Failure::local(format!("failed to {verb}: {path} is a directory")));
    }
    Ok(())
}

/// Writes to a file that appears under its name only when it is whole, or to standard output.
pub(crate) async fn write(stream: ByteStream, path: &str) -> Outcome {
    if path.is_empty() {
        return copy_bytes(stream, &mut io::stdout().lock()).await.map(drop);
    }
    whole(path, async |mut file| copy_bytes(stream, &mut file).await.map(|_| true)).await.map(drop)
}

/// Fills a file that gets its name only when it is whole: `fill` has said so. Otherwise nothing of it stays.
pub(crate) async fn whole<F>(path: &str, fill: F) -> Result<bool, Failure>
where
    F: AsyncFnOnce(File) -> Result<bool, Failure>,
{
    let fresh = format!("{path}.{}.partial", std::process::id());
    let file = File::create(&fresh).map_err(|error| path_failure("create", path, &error))?;
    let filled = fill(file).await;
    if !matches!(filled, Ok(true)) {
        let _ = fs::remove_file(&fresh);
        return filled;
    }
    fs::rename(&fresh, path).map_err(|error| path_failure("create", path, &error))?;
    Ok(true)
}
