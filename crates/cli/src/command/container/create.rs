//! `create`, and the part of `run` that is the same: the image is fetched when it is missing, the id may go to a file.

use std::fs;
use std::path::Path;

use hako_api::container::{CreateBody, Created};
use hako_api::query;
use hako_model::container::MountKind;
use hako_model::platform::Platform;
use hako_model::reference::Reference;

use super::api_socket;
use crate::command::image::pull::{self, Where};
use crate::creation::{self, CARE, CONTAINER};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

/// What `create` and `run` have besides the container itself.
pub(crate) const MAKING: &[Flag] = &[
    switch("disable-content-trust", "Skip image verification")
        .default("true")
        .refused("content trust is not part of hako"),
    text("name", "Assign a name to the container"),
    text("platform", "Set platform if server is multi-platform capable"),
    switch("quiet", "Suppress the pull output").short('q'),
];

const PULL: &[Flag] =
    &[text("pull", "Pull image before creating (\"always\", \"missing\", \"never\")").default("missing")];

pub(crate) static CREATE: Command = Command {
    usage: &["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
    aliases: &["hako container create", "hako create"],
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[CONTAINER, CARE, MAKING, PULL],
    examples: &[
        ("hako create --name web -p 8080:80 nginx", "Make it now …"),
        ("hako start web", "… and start it later"),
    ],
    offer: Offer::ImageThenNothing,
    ..Command::new("Create a new container", run!(create))
};

async fn create(session: &Session, found: &Matches) -> Outcome {
    let mut body = request(found).map_err(|message| refused(&message, "create"))?;
    let created = make(session, found, &mut body).await?;
    output::line(created.id)
}

/// A command line that makes no sense: Docker's text and its exit code.
pub(crate) fn refused(message: &str, command: &str) -> Failure {
    // Docker's client sends these to the daemon, which then refuses them.
    if message.starts_with("invalid restart policy: unknown") || message.starts_with("invalid mount config for type") {
        return Failure::local(format!("Error response from daemon: {message}"));
    }
    Failure::Usage {
        message: format!("hako: {message}\n\nRun 'hako {command} --help' for more information"),
        code: 125,
    }
}

/// The create request the command line asks for, or why it makes no sense.
pub(crate) fn request(found: &Matches) -> Result<CreateBody, String> {
    let pull = found.text("pull");
    if !["always", "missing", "never"].contains(&pull) {
        return Err(format!("invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""));
    }
    let image = found.word(0);
    creation::assemble(found, image, &found.words()[1..])
}

/// Makes the container, fetching its image first if need be; prints the daemon's warnings.
pub(crate) async fn make(session: &Session, found: &Matches, body: &mut CreateBody) -> Result<Created, Failure> {
    let client = session.client()?;
    let credentials = api_socket::add(session, found, body)?;
    let id_file = IdFile::claim(found.text("cidfile"))?;
    let image = found.word(0);
    // A name that is an id, whole or short, is looked up as it is; anything else must be a reference.
    let reference = match Reference::parse_tagged(image) {
        Ok(reference) => Some(reference),
        Err(_) if is_id(image) => None,
        Err(error) => return Err(Failure::local(error.to_string())),
    };
    if let Some(platform) = found.text_given("platform").filter(|platform| !platform.is_empty()) {
        let parsed = Platform::parse(platform).map_err(|error| format!("error parsing specified platform: {error}"));
        parsed.map_err(Failure::local)?;
    }
    let policy = found.text("pull");
    if policy == "always" {
        fetch(session, found, reference.as_ref()).await?;
    }
    let options =
        query::CreateContainer { name: found.text("name").to_owned(), platform: found.text("platform").to_owned() };
    let created = match client.containers().create(&options, body).await {
        Err(error)
            if error.is_not_found()
                && policy == "missing"
                && lacks_image(&error)
                && !lacks_mounted(&error, body)
                && reference.is_some() =>
        {
            let shown = reference.as_ref().map(Reference::familiar).unwrap_or_default();
            if !found.on("quiet") {
                output::complain(format!("Unable to find image '{shown}' locally\n"))?;
            }
            fetch(session, found, reference.as_ref()).await?;
            client.containers().create(&options, body).await?
        }
        outcome => outcome?,
    };
    for warning in &created.warnings {
        output::complain(format!("WARNING: {warning}\n"))?;
    }
    warn_about_published_loopback(body)?;
    credentials.hand_over(client, &created.id).await?;
    id_file.write(&created.id)?;
    Ok(created)
}

fn is_id(image: &str) -> bool {
    let hex = image.strip_prefix("sha256:").unwrap_or(image);
    !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn lacks_image(error: &hako_client::Error) -> bool {
    let text = error.to_string();
    text.starts_with("No such image") || text.starts_with("image with reference") && text.contains("but its platform")
}

/// Whether the image that is missing is one to be mounted, which nobody pulls.
fn lacks_mounted(error: &hako_client::Error, body: &CreateBody) -> bool {
    let error = error.to_string();
    let Some(missing) = error.strip_prefix("No such image: ") else { return false };
    let mut mounts = body.host_config.iter().flat_map(|host| host.mounts.iter().flatten());
    mounts.any(|mount| {
        let source = mount.source.as_str();
        mount.kind == MountKind::Image && (missing == source || missing.strip_suffix(":latest") == Some(source))
    })
}

fn warn_about_published_loopback(body: &CreateBody) -> Result<(), Failure> {
    let host = body.host_config.as_ref();
    let discarded = host.is_some_and(|host| {
        host.network_mode == "host" && host.port_bindings.as_ref().is_some_and(|bindings| !bindings.is_empty())
    });
    if discarded {
        output::complain("WARNING: Published ports are discarded when using host network mode\n")?;
    }
    Ok(())
}

async fn fetch(session: &Session, found: &Matches, reference: Option<&Reference>) -> Result<(), Failure> {
    let Some(reference) = reference else { return Ok(()) };
    let quiet = found.on("quiet");
    pull::fetch(session, reference, found.text("platform"), if quiet { Where::Nowhere } else { Where::Error }).await
}

/// `--cidfile`: must not exist yet, holds the id afterwards, and is removed again when nothing was made.
struct IdFile<'a> {
    path: &'a str,
    written: bool,
}

impl<'a> IdFile<'a> {
    fn claim(path: &'a str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self { path, written: true });
        }
        if Path::new(path).exists() {
            return Err(Failure::local(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        fs::File::create(path)
            .map_err(|error| Failure::local(format!("failed to create the container ID file: {error}")))?;
        Ok(Self { path, written: false })
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        if !self.written {
            fs::write(self.path, id)
                .map_err(|error| Failure::local(format!("failed to write the container ID to the file: {error}")))?;
        }
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(self.path);
        }
    }
}
