//! What becomes of a result: an image, or files that the client takes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use hako_buildkit::Status;
use hako_buildkit::caller::Caller;
use hako_buildkit::wire::client::BytesMessage;
use hako_buildkit::wire::control::Exporter;
use hako_buildkit::wire::fault;
use hako_engine::Engine;
use hako_engine::builds::{Annotations, Builds, Made, NewImage, Outside, Trimmings};
use hako_engine::images::{PushRequest, SaveRequest};
use hako_engine::stream::ByteStream;
use hako_model::reference::Reference;
use hako_sys::confined::Root;
use rustix::fs::FileType;
use tokio::runtime::Handle;

use super::control::desk;
use super::job::Job;

/// Exports a result for each platform; gives what the client is told of it.
pub(super) async fn export(
    job: &Job,
    engine: &Engine,
    number: usize,
    exporter: &Exporter,
    made: &[Made],
) -> Result<HashMap<String, String>, Status> {
    let builds = &engine.builds();
    let caller = || {
        let session = job.session.as_ref().map(|session| session.caller.clone());
        session.ok_or_else(|| failed("the client has no session to send files by"))
    };
    // How clients tell several outputs apart.
    let id = exporter.attrs.get("id").cloned().unwrap_or_else(|| number.to_string());
    match (exporter.kind.as_str(), made) {
        ("moby" | "image", _) => {
            let (names, _, answer) = image(job, builds, exporter, made).await?;
            push(job, engine, exporter, &names).await?;
            Ok(answer)
        }
        ("oci" | "docker", _) => archive(job, engine, (&caller()?, &id), exporter, made).await,
        ("local", made) => {
            let is_split = is_split(exporter, made);
            if !is_split && made.len() > 1 {
                check_apart(builds, made).await?;
            }
            for one in made {
                files(job, builds, (&caller()?, &id), one, is_split).await?;
            }
            Ok(HashMap::new())
        }
        ("tar", made) => {
            let is_split = is_split(exporter, made);
            if !is_split && made.len() > 1 {
                let why =
                    "several platforms in one tar have folders of their own: platform-split=false is for type=local";
                return Err(Status::unimplemented(why));
            }
            tar(job, builds, (&caller()?, &id), made, is_split).await
        }
        (other, _) => Err(Status::unimplemented(format!(
            "hako has no exporter {other:?} for BuildKit's clients: use image, oci, docker, local or tar"
        ))),
    }
}

fn failed(message: impl Into<String>) -> Status {
    fault::Status::about(message, None).into()
}

/// The names of an image, the image, and what the client is told of it.
type Imaged = (Vec<String>, NewImage, HashMap<String, String>);

async fn image(job: &Job, builds: &Builds, exporter: &Exporter, made: &[Made]) -> Result<Imaged, Status> {
    if is_on(exporter, "push-by-digest") {
        let why = "the output's push-by-digest=true is not supported: give the image a name";
        return Err(Status::unimplemented(why));
    }
    let mut annotations = Annotations::default();
    for (name, value) in &exporter.attrs {
        annotations.take_attribute(name, value).map_err(Status::invalid_argument)?;
    }
    let names = exporter.attrs.get("name").map(String::as_str).unwrap_or_default();
    let full = |name: &str| Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.to_string());
    let names: Vec<String> = names.split(',').filter(|name| !name.is_empty()).map(full).collect();
    let shown = job.begin("exporting to image").await;
    job.part(&shown, "exporting layers", "", 0, true).await;
    let inline = job.caches.iter().any(|target| matches!(target.place, Outside::Inline));
    let trimmings = Trimmings { tags: names.clone(), inline, attest: job.attestations(), annotations };
    let kept = match builds.keep(made, trimmings).await {
        Ok(kept) => kept,
        Err(error) => {
            job.end(shown, false, Some(&error.to_string())).await;
            return Err(failed(error.to_string()));
        }
    };
    let id = kept.id.to_string();
    let digest = kept.index.as_ref().map_or_else(|| id.clone(), |index| index.digest.to_string());
    job.part(&shown, &format!("writing image {digest}"), "", 0, true).await;
    for name in &names {
        job.part(&shown, &format!("naming to {name}"), "", 0, true).await;
    }
    job.end(shown, false, None).await;
    let mut answer =
        HashMap::from([("containerimage.config.digest".to_owned(), id), ("containerimage.digest".to_owned(), digest)]);
    if let Some(index) = &kept.index {
        let described = serde_json::to_vec(index).unwrap_or_default();
        answer.insert("containerimage.descriptor".to_owned(), STANDARD.encode(described));
    }
    if !names.is_empty() {
        answer.insert("image.name".to_owned(), names.join(","));
    }
    Ok((names, kept, answer))
}

/// Pushes an image if its client wants that, with the client's credentials.
async fn push(job: &Job, engine: &Engine, exporter: &Exporter, names: &[String]) -> Result<(), Status> {
    if !is_on(exporter, "push") {
        return Ok(());
    }
    if names.is_empty() {
        return Err(Status::invalid_argument("tag is needed when pushing to registry"));
    }
    for name in names {
        let reference = Reference::parse_tagged(name).map_err(|error| failed(error.to_string()))?;
        let credential = match desk(job) {
            Some(desk) => desk.credential(reference.domain()).await.map_err(|error| failed(error.to_string()))?,
            None => None,
        };
        let shown = job.begin(format!("pushing {name}")).await;
        let request = PushRequest { image: reference.to_string(), credential, ..PushRequest::default() };
        let mut lines = engine.images().push(request);
        let mut broke = None;
        while let Some(line) = lines.next().await {
            broke = broke.or(line.err().map(|error| error.to_string()));
        }
        job.end(shown, false, broke.as_deref()).await;
        if let Some(message) = broke {
            return Err(failed(format!("failed to push {name}: {message}")));
        }
    }
    Ok(())
}

/// An image as an archive, which the client writes.
async fn archive(
    job: &Job,
    engine: &Engine,
    (caller, id): (&Caller, &str),
    exporter: &Exporter,
    made: &[Made],
) -> Result<HashMap<String, String>, Status> {
    if exporter.attrs.get("tar").is_some_and(|value| value == "false") {
        return Err(Status::unimplemented("an image is sent as an archive: tar=false is not supported"));
    }
    let (names, kept, answer) = image(job, &engine.builds(), exporter, made).await?;
    let names = if names.is_empty() { vec![kept.id.to_string()] } else { names };
    let shown = job.begin("sending tarball").await;
    let archive = engine.images().save(SaveRequest { names, ..SaveRequest::default() }).await;
    let sent = match archive {
        Ok(archive) => stream(caller, id, archive).await,
        Err(error) => Err(error.to_string()),
    };
    job.end(shown, false, sent.as_ref().err().map(String::as_str)).await;
    sent.map(|()| answer).map_err(failed)
}

fn is_on(exporter: &Exporter, name: &str) -> bool {
    exporter.attrs.get(name).is_some_and(|value| matches!(value.as_str(), "1" | "t" | "true" | "TRUE" | "True"))
}

/// Whether each platform's files have a folder of their own: if there are several, unless it is said otherwise.
fn is_split(exporter: &Exporter, made: &[Made]) -> bool {
    match exporter.attrs.get("platform-split").map(String::as_str) {
        Some("false" | "0") => false,
        Some("true" | "1") => true,
        _ => made.len() > 1,
    }
}

/// Refuses files that two platforms would write to one directory under the same name, before anything is sent.
async fn check_apart(builds: &Builds, made: &[Made]) -> Result<(), Status> {
    let (builds, made) = (builds.clone(), made.to_vec());
    let checked = tokio::task::spawn_blocking(move || {
        let mut seen = HashMap::new();
        made.iter().try_for_each(|made| {
            let root = builds.view(made).map_err(|error| error.to_string())?;
            note_files(&Root::from_fd(root), &made.platform().to_string(), &mut seen)
        })
    });
    checked.await.unwrap_or_else(|error| Err(error.to_string())).map_err(failed)
}

/// Notes whose the files below a directory are.
fn note_files(root: &Root, platform: &str, seen: &mut HashMap<PathBuf, String>) -> Result<(), String> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        for entry in root.read_dir(place).map_err(|error| error.to_string())? {
            let path = folder.join(&entry.name);
            let stat = root.symlink_metadata(&path).map_err(|error| error.to_string())?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.push(path);
            } else if let Some(other) = seen.insert(path.clone(), platform.to_owned()) {
                let path = path.display();
                return Err(format!(
                    "cannot overwrite {path} from {other} with {platform} when split option is disabled"
                ));
            }
        }
    }
    Ok(())
}

/// The folder of a platform's files.
fn folder(made: &Made) -> String {
    made.platform().to_string().replace('/', "_")
}

async fn files(
    job: &Job,
    builds: &Builds,
    (caller, id): (&Caller, &str),
    made: &Made,
    is_split: bool,
) -> Result<(), Status> {
    let shown = job.begin("exporting to client directory").await;
    let (builds, caller, id, made) = (builds.clone(), caller.clone(), id.to_owned(), made.clone());
    let folder = if is_split { folder(&made) } else { String::new() };
    let runtime = Handle::current();
    let sent = tokio::task::spawn_blocking(move || {
        let root = builds.view(&made).map_err(|error| error.to_string())?;
        caller.send_files(&id, &Root::from_fd(root), &folder, &runtime).map_err(|error| error.to_string())
    });
    let sent = sent.await.unwrap_or_else(|error| Err(error.to_string()));
    job.part(&shown, "copying files", "", 0, true).await;
    job.end(shown, false, sent.as_ref().err().map(String::as_str)).await;
    sent.map_err(failed)
}

async fn tar(
    job: &Job,
    builds: &Builds,
    (caller, id): (&Caller, &str),
    made: &[Made],
    is_split: bool,
) -> Result<HashMap<String, String>, Status> {
    let shown = job.begin("exporting to client tarball").await;
    let archive = match made {
        [made] if !is_split => builds.export(made.layer()),
        made => builds.export_all(made.iter().map(|made| (folder(made), made.layer())).collect()),
    };
    let archive = archive.map_err(|error| failed(error.to_string()))?;
    let sent = stream(caller, id, archive).await;
    job.part(&shown, "sending tarball", "", 0, true).await;
    job.end(shown, false, sent.as_ref().err().map(String::as_str)).await;
    sent.map(|()| HashMap::new()).map_err(failed)
}

/// Sends a file to the client. One that breaks off must not pass for a whole one.
async fn stream(caller: &Caller, id: &str, archive: ByteStream) -> Result<(), String> {
    let (broke, mut broken) = tokio::sync::mpsc::unbounded_channel();
    let pieces = archive.scan(broke, |broke, piece| {
        let piece = piece.map_err(|error| broke.send(error.to_string())).ok();
        std::future::ready(piece.map(|piece| BytesMessage { data: piece.to_vec() }))
    });
    let sent = caller.send_file(id, pieces).await.map_err(|error| error.to_string());
    broken.try_recv().map_or(sent, Err)
}
