//! A build's files on the client: the Dockerfile, what is to be left out, and contexts that are fetched when a step needs
//! them, as differences from what an earlier build left here.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hako_buildkit::Status;
use hako_buildkit::caller::{Caller, Wanted};
use hako_buildkit::wire::fault;
use hako_engine::builds::context::{self, Origin, Tree};
use hako_engine::builds::request::Remote;
use hako_engine::builds::{BuildError, Builds};
use hako_sys::confined::Root;
use tokio::runtime::Handle;

use super::job::{Job, Shown};

/// How often a client is told how far a transfer is.
const PACE: Duration = Duration::from_millis(100);

/// A directory of the client's.
pub(super) struct Local {
    job: Arc<Job>,
    caller: Caller,
    /// What the client calls it.
    name: String,
    /// What people are told that goes on.
    title: String,
    /// The ignore file's text.
    ignore: Vec<u8>,
    origin: Origin,
    runtime: Handle,
    here: Mutex<Here>,
}

/// What of a directory is here.
#[derive(Default)]
struct Here {
    tree: Option<Arc<Tree>>,
    /// These paths and all below; the empty one is everything.
    paths: BTreeSet<String>,
}

impl Local {
    pub(super) fn new(
        job: Arc<Job>,
        caller: Caller,
        builds: &Builds,
        name: &str,
        ignore: Vec<u8>,
    ) -> Result<Self, Status> {
        let title = match name {
            "context" => "[internal] load build context".to_owned(),
            other => format!("[context {other}] load from client"),
        };
        let key = job.session.as_ref().map(|session| session.shared_key.clone()).unwrap_or_default();
        let origin = if key.is_empty() { builds.place() } else { builds.standing(&format!("{key}\n{name}")) };
        let origin = origin.map_err(|error| fault::Status::about(error.to_string(), None))?;
        let (name, runtime) = (name.to_owned(), Handle::current());
        Ok(Self { job, caller, name, title, ignore, origin, runtime, here: Mutex::default() })
    }

    fn fetch(&self, paths: &BTreeSet<String>) -> Result<Arc<Tree>, BuildError> {
        let refused = |message: String| BuildError::refused(message);
        let paths = if paths.contains("") { Vec::new() } else { paths.iter().cloned().collect() };
        let text = String::from_utf8_lossy(&self.ignore);
        let exclude = lines(&text).map(str::to_owned).collect();
        let wanted = Wanted { name: self.name.clone(), exclude, paths };
        let shown = self.runtime.block_on(self.job.begin(&self.title));
        let root = self.origin.open().map_err(|error| refused(error.to_string()))?;
        let outcome = transfer(&self.job, &self.caller, &shown, &wanted, root, "transferring context:", &self.runtime);
        let message = outcome.as_ref().err().map(ToString::to_string);
        self.runtime.block_on(self.job.end(shown, false, message.as_deref()));
        outcome.map_err(|error| refused(error.to_string()))?;
        let root = self.origin.open().map_err(|error| refused(error.to_string()))?;
        context::tree(root, Some(&self.ignore)).map_err(|error| refused(error.to_string()))
    }
}

impl Remote for Local {
    fn tree(&self, paths: &[String], likely: &[String]) -> Result<Arc<Tree>, BuildError> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeSet<String> = match paths {
            [] => BTreeSet::from([String::new()]),
            paths => paths.iter().map(|path| clean(path)).collect(),
        };
        if let Some(tree) = here.tree.as_ref().filter(|_| wanted.iter().all(|path| is_covered(&here.paths, path))) {
            return Ok(Arc::clone(tree));
        }
        let mut all = here.paths.clone();
        all.extend(wanted);
        if here.tree.is_none() {
            all.extend(likely.iter().map(|path| clean(path)));
        }
        let tree = self.fetch(&all)?;
        *here = Here { tree: Some(Arc::clone(&tree)), paths: all };
        Ok(tree)
    }
}

/// Whether a path is among those that are here, or below one.
fn is_covered(here: &BTreeSet<String>, path: &str) -> bool {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    here.contains("") || here.contains(path) || above.into_iter().any(|folder| here.contains(folder))
}

/// A path from the context's root on, without `.` and `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The patterns of an ignore file.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
}

/// Fetches, and tells how far it is. Blocks.
fn transfer(
    job: &Job,
    caller: &Caller,
    shown: &Shown,
    wanted: &Wanted,
    root: OwnedFd,
    id: &str,
    runtime: &Handle,
) -> hako_buildkit::Result<()> {
    let mut told = Instant::now();
    let mut tell = |bytes: u64| {
        if told.elapsed() >= PACE {
            told = Instant::now();
            runtime.block_on(job.part(shown, id, "transferring", bytes, false));
        }
    };
    let received = caller.receive_files(wanted, &Root::from_fd(root), runtime, &mut tell)?;
    runtime.block_on(job.part(shown, id, "transferring", received.bytes, true));
    Ok(())
}

/// A few small files of the client's, and the step that people saw fetch them.
pub(super) async fn texts(
    job: &Arc<Job>,
    caller: &Caller,
    builds: &Builds,
    (name, title, id): (&str, &str, &'static str),
    paths: Vec<String>,
) -> Result<(OwnedFd, Origin, String), Status> {
    let failed = |message: String| Status::from(fault::Status::about(message, None));
    let origin = builds.place().map_err(|error| failed(error.to_string()))?;
    let root = origin.open().map_err(|error| failed(error.to_string()))?;
    let held = root.try_clone().map_err(|error| failed(error.to_string()))?;
    let shown = job.begin(title).await;
    let wanted = Wanted { name: name.to_owned(), exclude: Vec::new(), paths };
    let (working, caller, going) = (Arc::clone(job), caller.clone(), shown.clone());
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || {
        let outcome = transfer(&working, &caller, &going, &wanted, held, id, &runtime);
        (outcome, origin)
    });
    let (outcome, origin) = done.await.map_err(|error| failed(error.to_string()))?;
    let message = outcome.as_ref().err().map(ToString::to_string);
    let vertex = shown.digest();
    job.end(shown, false, message.as_deref()).await;
    outcome.map_err(|error| failed(error.to_string()))?;
    Ok((root, origin, vertex))
}
