//! `--use-api-socket`: a container that may speak to the daemon, with the credentials of the person who starts it.
//!
//! The credentials are written into the container, which keeps them until it is removed, as with Docker.

use hako_api::container::CreateBody;
use hako_api::query;
use hako_client::{Client, Endpoint, upload_bytes};
use hako_model::container::{Mount, MountKind};

use crate::archive::header::{self, Kind, Member};
use crate::command::image::pull::config_file;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::session::Session;

/// Where clients look for the daemon.
const SOCKET: &str = "/var/run/docker.sock";
/// Where the container finds its credentials.
const DIRECTORY: &str = "/run/secrets/docker";

/// The credentials a container is to have, as a file.
pub(crate) struct Credentials(Option<Vec<u8>>);

/// Lets the container that is asked for have the socket; finds the credentials it is to have.
pub(crate) fn add(session: &Session, found: &Matches, body: &mut CreateBody) -> Result<Credentials, Failure> {
    if !found.on("use-api-socket") {
        return Ok(Credentials(None));
    }
    let source = match session.client()?.endpoint() {
        Endpoint::Own(roots) => roots.socket().display().to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        // Another machine has it where everybody has it.
        Endpoint::Tcp { .. } | Endpoint::Ssh(_) => SOCKET.to_owned(),
    };
    let mount = Mount { kind: MountKind::Bind, source, target: SOCKET.to_owned(), ..Mount::default() };
    body.host_config.get_or_insert_default().mounts.get_or_insert_default().push(mount);
    let credentials = config_file(session)?.all_in_one().map_err(|error| Failure::local(error.to_string()))?;
    if credentials.is_some() {
        body.config.env.get_or_insert_default().push(format!("DOCKER_CONFIG={DIRECTORY}"));
    }
    Ok(Credentials(credentials))
}

impl Credentials {
    /// Puts them into the container that was made.
    pub(crate) async fn hand_over(self, client: &Client, id: &str) -> Result<(), Failure> {
        let Some(file) = self.0 else { return Ok(()) };
        let archive = archive(&file).map_err(|error| Failure::local(error.to_string()))?;
        let options = query::PutArchive { path: "/".to_owned(), ..query::PutArchive::default() };
        Ok(client.containers().put_archive(id, &options, upload_bytes(archive.into())).await?)
    }
}

fn archive(file: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let name = format!("{}/config.json", DIRECTORY.trim_start_matches('/')).into_bytes();
    let length = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let member = Member {
        name,
        link: Vec::new(),
        kind: Kind::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
        size: length,
        mtime: 0,
        device: (0, 0),
        xattrs: Vec::new(),
    };
    member.write(&mut out)?;
    out.extend_from_slice(file);
    header::pad(&mut out, length)?;
    header::finish(&mut out)?;
    Ok(out)
}
