//! Checkpoints: a container's processes, saved by CRIU, for a later start to go on from.
//!
//! They lie in the container's own directory and go with it, unless a client names another one. One that is being made
//! has a name no checkpoint can have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_model::state::State;
use hako_supervisor::Image;
use hako_supervisor::protocol::{Answer, Ask, Failure};

use super::Containers;
use super::lifecycle::failure;
use super::start::wait_until;
use crate::blocking::blocking;
use crate::container::Container;
use crate::{Error, Result, caller};

/// Where checkpoints are in a container's directory.
const USUAL: &str = "checkpoints";
/// Where CRIU works and logs, in a container's directory.
const WORK: &str = "criu";

/// A checkpoint to be made.
#[derive(Debug, Clone, Default)]
pub struct CheckpointOptions {
    /// Its name.
    pub name: String,
    /// The directory it is to lie in; the container's own if empty.
    pub directory: String,
    /// Whether the container ends with it.
    pub exit: bool,
}

impl Containers {
    /// Saves the processes of a running container.
    pub async fn checkpoint(&self, name: &str, options: CheckpointOptions) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        check(&container, &options)?;
        let whole = place(&container, &options.directory)?.join(&options.name);
        let program = program()?;
        let work = container.dir.join(WORK);
        let part = whole.with_file_name(format!(".{}", options.name));
        blocking(|| prepare(&whole, &part, &work, &container.record().name))?;
        let image = Image { directory: part.clone(), work, program };
        let ask = Ask::Checkpoint { image, name: whole, goes_on: !options.exit, sender: caller::sender("checkpoint") };
        match container.live_link()?.ask(ask, Vec::new()).await? {
            Ok(Answer::Ended { status }) => {
                wait_until(&container, |phase| phase.status.finished_at >= status.finished_at).await;
            }
            Ok(_) => {}
            Err(refusal) => {
                // What is left is in nobody's way, and made anew by the next attempt.
                let _ = std::fs::remove_dir_all(&part);
                return Err(refused(&container, name, refusal));
            }
        }
        self.house.tell(&container, "checkpoint");
        Ok(())
    }

    /// The names of a container's checkpoints, sorted.
    pub async fn checkpoints(&self, name: &str, directory: &str) -> Result<Vec<String>> {
        let container = self.house.index.find(name)?;
        let place = place(&container, directory)?;
        let read = |place: &Path| -> std::io::Result<Vec<String>> {
            let entries = std::fs::read_dir(place)?.collect::<std::io::Result<Vec<_>>>()?;
            let directories = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            Ok(directories.filter_map(|entry| entry.file_name().into_string().ok()).collect())
        };
        let mut names = match blocking(|| read(&place)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|e| Error::io(format!("list checkpoints in {}", place.display()), e))?,
        };
        names.retain(|name| is_name(name));
        names.sort();
        Ok(names)
    }

    /// Removes a checkpoint.
    pub async fn remove_checkpoint(&self, name: &str, checkpoint: &str, directory: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        let found = find(&container, checkpoint, directory)?;
        let removed = blocking(|| std::fs::remove_dir_all(&found));
        removed.map_err(|e| Error::io(format!("remove checkpoint {checkpoint}"), e))
    }

    /// Starts a container where a checkpoint left it.
    pub async fn start_from(&self, name: &str, checkpoint: &str, directory: &str) -> Result<()> {
        let container = self.house.index.find(name)?;
        let _alone = container.verbs.lock().await;
        let directory = find(&container, checkpoint, directory)?;
        let image = Image { directory, work: container.dir.join(WORK), program: program()? };
        let made = blocking(|| std::fs::create_dir_all(&image.work));
        made.map_err(|e| Error::io(format!("make {}", image.work.display()), e))?;
        self.start_as(&container, false, Some(image)).await
    }
}

/// Refuses what would come to nothing.
fn check(container: &Container, options: &CheckpointOptions) -> Result<()> {
    let record = container.record();
    let name = &record.name;
    if !is_name(&options.name) {
        let text = format!("Invalid checkpoint ID ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", options.name);
        return Err(Error::invalid(text));
    }
    if !matches!(container.status().state, State::Running(_) | State::Paused(_)) {
        return Err(container.not_running());
    }
    if record.config.tty {
        return Err(Error::invalid("checkpoint not supported on containers with tty"));
    }
    if options.exit && options.directory.is_empty() && record.host_config.auto_remove {
        let text = format!(
            "container {name} is removed when it ends (--rm), and its checkpoint would be, too: let it go on \
             (--leave-running) or name another place (--checkpoint-dir)"
        );
        return Err(Error::conflict(text));
    }
    Ok(())
}

/// Makes room for a checkpoint.
fn prepare(whole: &Path, part: &Path, work: &Path, container: &str) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |path: &Path| {
        let what = format!("make {}", path.display());
        move |e: std::io::Error| Error::io(what, e)
    };
    if whole.exists() {
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(Error::conflict(format!("checkpoint with name {name} already exists for container {container}")));
    }
    match std::fs::remove_dir_all(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(part)(error)),
        _ => {}
    }
    // It holds all of their memory.
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(part).map_err(failed(part))?;
    private.create(work).map_err(failed(work))
}

/// The checkpoint that is meant.
fn find(container: &Container, checkpoint: &str, directory: &str) -> Result<PathBuf> {
    let found = place(container, directory)?.join(checkpoint);
    if !is_name(checkpoint) || !found.is_dir() {
        let name = &container.record().name;
        return Err(Error::not_found(format!("checkpoint {checkpoint} does not exist for container {name}")));
    }
    Ok(found)
}

/// Where a container's checkpoints are.
fn place(container: &Container, directory: &str) -> Result<PathBuf> {
    let named = Path::new(directory);
    match directory {
        "" => Ok(container.dir.join(USUAL)),
        _ if named.is_absolute() => Ok(named.to_owned()),
        _ => Err(Error::invalid(format!("checkpoint directory {directory:?} must be an absolute path"))),
    }
}

fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn program() -> Result<PathBuf> {
    hako_supervisor::criu().ok_or_else(|| {
        Error::not_implemented(
            "checkpoints need the program CRIU, and no criu is in the daemon's PATH: install it (package criu); \
             'criu check' tells whether it knows this kernel",
        )
    })
}

fn refused(container: &Arc<Container>, name: &str, refusal: Failure) -> Error {
    failure(container, refusal).during(format!("Cannot checkpoint container {name}"))
}
