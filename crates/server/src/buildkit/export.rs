//! What becomes of a result: an image, or files that the client takes.

use std::collections::HashMap;

use futures_util::StreamExt;
use hako_buildkit::Status;
use hako_buildkit::caller::Caller;
use hako_buildkit::wire::client::BytesMessage;
use hako_buildkit::wire::control::Exporter;
use hako_buildkit::wire::fault;
use hako_engine::builds::{Builds, Made, Outside};
use hako_model::reference::Reference;
use hako_sys::confined::Root;
use tokio::runtime::Handle;

use super::job::Job;

/// Exports a result; gives what the client is told of it.
pub(super) async fn export(
    job: &Job,
    builds: &Builds,
    number: usize,
    exporter: &Exporter,
    made: &Made,
) -> Result<HashMap<String, String>, Status> {
    let caller = || {
        let session = job.session.as_ref().map(|session| session.caller.clone());
        session.ok_or_else(|| failed("the client has no session to send files by"))
    };
    // How clients tell several outputs apart.
    let id = exporter.attrs.get("id").cloned().unwrap_or_else(|| number.to_string());
    match exporter.kind.as_str() {
        "moby" | "image" => image(job, builds, exporter, made).await,
        "local" => files(job, builds, &caller()?, &id, made).await,
        "tar" => tar(job, builds, &caller()?, &id, made).await,
        other => Err(Status::unimplemented(format!(
            "hako has no exporter {other:?} for BuildKit's clients: use image, local or tar, or `hako build --output`"
        ))),
    }
}

fn failed(message: impl Into<String>) -> Status {
    fault::Status::about(message, None).into()
}

async fn image(
    job: &Job,
    builds: &Builds,
    exporter: &Exporter,
    made: &Made,
) -> Result<HashMap<String, String>, Status> {
    if let Some(name) = ["push", "push-by-digest"].iter().find(|name| is_on(exporter, name)) {
        let why = format!("the output's {name}=true is not supported: push the image after the build");
        return Err(Status::unimplemented(why));
    }
    if let Some(name) = exporter.attrs.keys().find(|name| name.starts_with("annotation")) {
        let why = format!("{name} is not supported: images get their manifest when they are pushed; use --label");
        return Err(Status::unimplemented(why));
    }
    let names = exporter.attrs.get("name").map(String::as_str).unwrap_or_default();
    let full = |name: &str| Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.to_string());
    let names: Vec<String> = names.split(',').filter(|name| !name.is_empty()).map(full).collect();
    let shown = job.begin("exporting to image").await;
    job.part(&shown, "exporting layers", "", 0, true).await;
    let inline = job.caches.iter().any(|target| matches!(target.place, Outside::Inline));
    let kept = builds.keep(made, names.clone(), inline).await;
    let id = match kept {
        Ok(id) => id.to_string(),
        Err(error) => {
            job.end(shown, false, Some(&error.to_string())).await;
            return Err(failed(error.to_string()));
        }
    };
    job.part(&shown, &format!("writing image {id}"), "", 0, true).await;
    for name in &names {
        job.part(&shown, &format!("naming to {name}"), "", 0, true).await;
    }
    job.end(shown, false, None).await;
    let mut answer = HashMap::from([
        ("containerimage.config.digest".to_owned(), id.clone()),
        ("containerimage.digest".to_owned(), id),
    ]);
    if !names.is_empty() {
        answer.insert("image.name".to_owned(), names.join(","));
    }
    Ok(answer)
}

fn is_on(exporter: &Exporter, name: &str) -> bool {
    exporter.attrs.get(name).is_some_and(|value| matches!(value.as_str(), "1" | "t" | "true" | "TRUE" | "True"))
}

async fn files(
    job: &Job,
    builds: &Builds,
    caller: &Caller,
    id: &str,
    made: &Made,
) -> Result<HashMap<String, String>, Status> {
    let shown = job.begin("exporting to client directory").await;
    let (builds, caller, id, made) = (builds.clone(), caller.clone(), id.to_owned(), made.clone());
    let runtime = Handle::current();
    let sent = tokio::task::spawn_blocking(move || {
        let root = builds.view(&made).map_err(|error| error.to_string())?;
        caller.send_files(&id, &Root::from_fd(root), &runtime).map_err(|error| error.to_string())
    });
    let sent = sent.await.unwrap_or_else(|error| Err(error.to_string()));
    job.part(&shown, "copying files", "", 0, true).await;
    job.end(shown, false, sent.as_ref().err().map(String::as_str)).await;
    sent.map(|()| HashMap::new()).map_err(failed)
}

async fn tar(
    job: &Job,
    builds: &Builds,
    caller: &Caller,
    id: &str,
    made: &Made,
) -> Result<HashMap<String, String>, Status> {
    let shown = job.begin("exporting to client tarball").await;
    let archive = builds.export(made.layer()).map_err(|error| failed(error.to_string()))?;
    let (broke, mut broken) = tokio::sync::mpsc::unbounded_channel();
    let pieces = archive.scan(broke, |broke, piece| {
        // An archive that breaks off must not pass for a whole one.
        let piece = piece.map_err(|error| broke.send(error.to_string())).ok();
        std::future::ready(piece.map(|piece| BytesMessage { data: piece.to_vec() }))
    });
    let sent = caller.send_file(id, pieces).await.map_err(|error| error.to_string());
    let sent = broken.try_recv().map_or(sent, Err);
    job.part(&shown, "sending tarball", "", 0, true).await;
    job.end(shown, false, sent.as_ref().err().map(String::as_str)).await;
    sent.map(|()| HashMap::new()).map_err(failed)
}
