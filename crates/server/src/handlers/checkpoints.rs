//! Checkpoint requests. They need no experimental daemon; the docker CLI does ([`crate::reply::dress`]).

use hako_api::container::{Checkpoint, CheckpointBody};
use hako_api::query;
use hako_engine::containers::CheckpointOptions;
use http::StatusCode;

use crate::reply::{self, Outcome};
use crate::request::Asked;
use crate::router::OnCheckpoints;

pub(super) async fn answer(verb: OnCheckpoints, asked: Asked) -> Outcome {
    match verb {
        OnCheckpoints::List => list(asked).await,
        OnCheckpoints::Create => create(asked).await,
        OnCheckpoints::Remove => remove(asked).await,
    }
}

async fn list(asked: Asked) -> Outcome {
    let query = query::Checkpoints::read(&asked.query)?;
    let names = asked.engine.containers().checkpoints(&asked.name, &query.dir).await?;
    reply::json(&names.into_iter().map(|name| Checkpoint { name }).collect::<Vec<_>>())
}

async fn create(mut asked: Asked) -> Outcome {
    let body: CheckpointBody = asked.json().await?;
    let options = CheckpointOptions { name: body.checkpoint_id, directory: body.checkpoint_dir, exit: body.exit };
    asked.engine.containers().checkpoint(&asked.name, options).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

/// The name is that of the container and, behind `/checkpoints/`, that of the checkpoint.
async fn remove(asked: Asked) -> Outcome {
    let query = query::Checkpoints::read(&asked.query)?;
    let (container, checkpoint) = asked.name.split_once("/checkpoints/").unwrap_or((&asked.name, ""));
    asked.engine.containers().remove_checkpoint(container, checkpoint, &query.dir).await?;
    reply::no_content()
}
