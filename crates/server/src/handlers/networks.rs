//! Network requests: looking at the three that exist.

use hako_api::network::Pruned;
use hako_api::query;
use http::StatusCode;

use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;
use crate::wire;

pub(super) async fn list(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.networks().list(filters).await?;
    reply::json(&found.into_iter().map(|network| wire::storage::network(network, false)).collect::<Vec<_>>())
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let found = asked.engine.networks().inspect(&asked.name).await?;
    reply::json(&wire::storage::network(found, true))
}

/// The three networks are never removed: `docker system prune` asks all the same.
pub(super) fn prune(asked: &Asked) -> Outcome {
    query::Filtered::read(&asked.query)?;
    reply::json(&Pruned::default())
}

/// The networks there are cannot be removed.
pub(super) async fn remove(asked: Asked) -> Outcome {
    let found = asked.engine.networks().inspect(&asked.name).await?;
    let text = format!("{} is a pre-defined network and cannot be removed", found.name);
    Err(Failure::new(StatusCode::FORBIDDEN, text))
}
