//! Making an image of a container.

use std::sync::Arc;

use hako_model::event::Kind;
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_model::state::State;
use hako_store::{Limits, Staged};

use super::{CommitRequest, Containers};
use crate::container::Container;
use crate::{Error, Result, images};

impl Containers {
    /// Makes an image of it; gives the image's id.
    pub async fn commit(&self, request: CommitRequest) -> Result<String> {
        let container = self.house.index.find(&request.container)?;
        let freeze = request.pause && matches!(container.status().state, State::Running(_));
        // It may end at any moment; what has ended needs no pause.
        let frozen = freeze && still(&container, self.hold(container.id.as_str()).await)?;
        let (comment, reference) = (request.comment.clone(), request.reference.clone().unwrap_or_default());
        let made = self.commit_layer(&container, request).await;
        if frozen {
            still(&container, self.unpause(container.id.as_str()).await)?;
        }
        let image = made?;
        let mut facts = container.attributes();
        facts.extend([("comment", comment), ("imageID", image.clone()), ("imageRef", familiar(&reference))].map(named));
        self.house.hub.tell(Kind::Container, "commit", container.id.as_str(), facts);
        Ok(image)
    }

    async fn commit_layer(&self, container: &Arc<Container>, request: CommitRequest) -> Result<String> {
        let images = self.house.images.get().ok_or_else(|| Error::system("commit: engine is not open"))?;
        let record = container.record();
        let (repository, tag) = split_reference(request.reference.as_deref().unwrap_or_default());
        let layer = self.layer(container).await?;
        let commit = images::CommitRequest {
            repository,
            tag,
            author: request.author,
            message: request.comment,
            changes: request.changes,
            parent: Some(record.image.clone()).filter(|_| record.layer.is_some()),
            container: container.id.to_string(),
            config: request.config.unwrap_or_else(|| record.config.clone()),
            made_of: record.config.clone(),
            platform: Platform::host(),
        };
        Ok(images.commit(layer, commit).await?.to_string())
    }

    async fn layer(&self, container: &Container) -> Result<Staged> {
        let (writable, layers) = (self.house.store.writable(&container.dir), self.house.store.layers());
        let staged = tokio::task::spawn_blocking(move || writable.commit(&layers, &Limits::default())).await;
        staged.map_err(|e| Error::io("copy layer", e))?.map_err(|e| Error::io("copy layer", e))
    }
}

/// Whether a pause, or its end, took place; one that failed because the container is gone did not, and that is no error.
fn still(container: &Container, outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(_) if !container.status().state.is_running() => Ok(false),
        Err(error) => Err(error),
    }
}

fn named((name, value): (&str, String)) -> (String, String) {
    (name.to_owned(), value)
}

/// A new image's name as people know it, with its tag.
fn familiar(text: &str) -> String {
    Reference::parse_tagged(text).map_or_else(|_| text.to_owned(), |reference| reference.familiar())
}

/// `host:5000/name:tag` → name and tag.
fn split_reference(text: &str) -> (String, String) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (text.to_owned(), String::new()),
    }
}
