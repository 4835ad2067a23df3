//! `lock`: which images a project means today, pinned in `compose.lock` beside its files; `up --locked` uses those.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hako_api::query;
use hako_compose::Project;
use hako_compose::yaml::{Node, Value};
use serde::{Deserialize, Serialize};

use super::project::{credentials, failed, project};
use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static LOCK: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("remote", "Ask the registry what each name means now, even if the image is here"),
    ]],
    examples: &[
        ("hako compose lock", "Pin what is here; commit compose.lock with the project"),
        ("hako compose up -d --locked", "Use exactly that, here or on another machine"),
    ],
    ..Command::new("Pin the images of services by digest in compose.lock", run!(lock))
};

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lock {
    /// Image names, and what each is pinned to.
    images: BTreeMap<String, String>,
}

fn path(project: &Project) -> PathBuf {
    project.directory.join("compose.lock")
}

async fn lock(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    let mut lock = Lock::default();
    for service in project.services.values() {
        let image = service.text("image");
        if image.is_empty() || image.contains('@') || lock.images.contains_key(image) {
            continue;
        }
        let pinned = pin(session, image, found.on("remote")).await?;
        output::line(format!("{image} {pinned}"))?;
        lock.images.insert(image.to_owned(), pinned);
    }
    if super::project::dry_run(session, found) {
        return Ok(());
    }
    let path = path(&project);
    let text = serde_json::to_string_pretty(&lock).map_err(|error| Failure::local(error.to_string()))? + "\n";
    std::fs::write(&path, text).map_err(|error| path_failure("open", &path.display().to_string(), &error))
}

/// The digest a name means: the one it was pulled by, or the registry's, or for an image of no registry its id.
async fn pin(session: &Session, image: &str, remote: bool) -> Result<String, Failure> {
    let client = session.client()?;
    let here = match client.images().inspect(image, &query::InspectImage::default()).await {
        Ok(here) if !remote => Some(here),
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => None,
    };
    if let Some(here) = here {
        return Ok(here.repo_digests.first().cloned().unwrap_or(here.id));
    }
    let header = credentials(session)(image);
    let described = client.images().distribution(image, header.as_deref()).await?;
    let name = hako_model::reference::Reference::parse(image).map_err(|error| Failure::local(error.to_string()))?;
    Ok(format!("{}@{}", name.familiar_name(), described.descriptor.digest))
}

/// Puts what the lock pins into the place of the names; what it does not pin is refused.
pub(super) fn apply_to(project: &mut Project) -> Outcome {
    let path = path(project);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| path_failure("open", &shown, &error))?;
    let lock: Lock = serde_json::from_str(&text).map_err(|error| Failure::local(format!("{shown}: {error}")))?;
    for (name, service) in &mut project.services {
        let image = service.text("image").to_owned();
        if image.is_empty() || image.contains('@') {
            continue;
        }
        let pinned = lock.images.get(&image).ok_or_else(|| {
            Failure::local(format!("{shown} does not pin {image:?} of service {name:?}: run `hako compose lock`"))
        })?;
        if let Some(map) = service.map_mut() {
            map.insert("image", Node::made(Value::Text(pinned.clone().into())));
        }
    }
    Ok(())
}
