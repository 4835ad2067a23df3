//! `pull`, and the fetching of a missing image for `run` and `create`.

use std::io::{self, IsTerminal, Write};

use hako_api::progress::Progress;
use hako_api::query;
use hako_model::reference::Reference;
use hako_registry::credentials::{ConfigFile, Credential};

use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::render::clock;
use crate::render::progress::Screen;
use crate::session::Session;
use crate::terminal;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static PULL: Command = Command {
    usage: &["[OPTIONS] NAME[:TAG|@DIGEST]"],
    aliases: &["hako image pull", "hako pull"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("all-tags", "Download all tagged images in the repository").short('a'),
        switch("disable-content-trust", "Skip image verification")
            .default("true")
            .refused("content trust is not part of hako"),
        text("platform", "Set platform if server is multi-platform capable"),
        switch("quiet", "Suppress verbose output").short('q'),
    ]],
    examples: &[
        ("hako pull nginx", "The image tagged latest of docker.io/library/nginx"),
        ("hako pull registry.example.com:5000/team/app:2", "From another registry"),
    ],
    offer: Offer::Images,
    ..Command::new("Download an image from a registry", run!(pull))
};

/// Where progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Where {
    /// On standard output.
    Output,
    /// On standard error.
    Error,
    /// Nowhere.
    Nowhere,
}

async fn pull(session: &Session, found: &Matches) -> Outcome {
    let typed = found.word(0);
    let parsed = Reference::parse(typed).map_err(|error| Failure::local(error.to_string()))?;
    let all = found.on("all-tags");
    if all && !parsed.is_name_only() {
        return Err(Failure::local("tag can't be used with --all-tags/-a"));
    }
    let quiet = found.on("quiet");
    let implied = !all && parsed.is_name_only();
    let reference = if implied { parsed.or_latest() } else { parsed };
    if implied && !quiet {
        output::line("Using default tag: latest")?;
    }
    let place = if quiet { Where::Nowhere } else { Where::Output };
    fetch(session, &reference, found.text("platform"), place).await?;
    output::line(reference.to_string())
}

/// Fetches an image, showing progress.
pub(crate) async fn fetch(session: &Session, image: &Reference, platform: &str, place: Where) -> Result<(), Failure> {
    let tag = match (image.digest(), image.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    };
    let options = query::CreateImage {
        from_image: image.familiar_name(),
        tag,
        platform: platform.to_owned(),
        ..query::CreateImage::default()
    };
    let credentials = credential(session, image)?.map(|credential| credential.to_header());
    let messages = session.client()?.images().pull(&options, credentials.as_deref()).await?;
    show(messages, place).await
}

/// The caller's credential for an image's registry.
pub(crate) fn credential(session: &Session, image: &Reference) -> Result<Option<Credential>, Failure> {
    let file = config_file(session)?;
    file.credential(image.domain()).map_err(|error| Failure::local(error.to_string()))
}

/// The caller's credential file.
pub(crate) fn config_file(session: &Session) -> Result<ConfigFile, Failure> {
    ConfigFile::read(&session.directory().join("config.json")).map_err(|error| Failure::local(error.to_string()))
}

/// Shows the messages of a pull, push, load or import to their end.
pub(crate) async fn show(messages: hako_client::JsonStream<Progress>, place: Where) -> Result<(), Failure> {
    match place {
        Where::Output => draw(messages, io::stdout(), io::stdout().is_terminal()).await,
        Where::Error => draw(messages, io::stderr(), io::stderr().is_terminal()).await,
        Where::Nowhere => draw(messages, io::sink(), false).await,
    }
}

async fn draw(mut messages: hako_client::JsonStream<Progress>, out: impl Write, terminal: bool) -> Result<(), Failure> {
    let columns = terminal.then(terminal::width);
    let mut screen = Screen::new(out, columns);
    while let Some(message) = messages.next().await? {
        let shown = screen.show(&message, clock::now()).map_err(|error| Failure::local(error.to_string()))?;
        shown.map_err(Failure::local)?;
    }
    Ok(())
}
