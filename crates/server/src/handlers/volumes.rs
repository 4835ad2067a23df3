//! Volume requests.

use hako_api::query;
use hako_api::volume::{CreateBody, List};
use hako_engine::volumes::CreateRequest;
use http::StatusCode;

use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;
use crate::wire;

pub(super) async fn list(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.volumes().list(filters).await?;
    reply::json(&List { volumes: found.into_iter().map(wire::storage::volume).collect(), warnings: None })
}

pub(super) async fn create(mut asked: Asked) -> Outcome {
    let body: CreateBody = asked.optional_json().await?;
    match body.cluster_volume_spec {
        None => {}
        Some(serde_json::Value::Object(_)) => return Err(Failure::no_manager()),
        Some(_) => return Err(Failure::invalid("invalid JSON: ClusterVolumeSpec is no object")),
    }
    let request = CreateRequest {
        name: body.name,
        driver: body.driver,
        options: body.driver_opts.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    };
    let made = asked.engine.volumes().create(request).await?;
    reply::json_with(StatusCode::CREATED, &wire::storage::volume(made))
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let found = asked.engine.volumes().inspect(&asked.name).await?;
    reply::json(&wire::storage::volume(found))
}

pub(super) async fn remove(asked: Asked) -> Outcome {
    let force = query::RemoveVolume::read(&asked.query)?.force;
    asked.engine.volumes().remove(&asked.name, force).await?;
    reply::no_content()
}

pub(super) async fn prune(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.volumes().prune(filters).await?;
    reply::json(&wire::storage::pruned(found))
}
