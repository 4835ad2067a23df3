//! Secret requests: hako's own, for Docker's belong to its swarm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_api::container::IdReply;
use hako_api::own::{Secret, SecretBody};
use hako_engine::secrets;
use http::StatusCode;

use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;

pub(super) async fn list(asked: Asked) -> Outcome {
    let found = asked.engine.secrets().list().await?;
    reply::json(&found.into_iter().map(shown).collect::<Vec<_>>())
}

pub(super) async fn create(mut asked: Asked) -> Outcome {
    let body: SecretBody = asked.json().await?;
    let content = STANDARD.decode(&body.data).map_err(|_| Failure::invalid("the data of a secret must be base64"))?;
    let id = asked.engine.secrets().create(&body.name, body.labels, content).await?;
    reply::json_with(StatusCode::CREATED, &IdReply { id })
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    reply::json(&shown(asked.engine.secrets().inspect(&asked.name).await?))
}

pub(super) async fn remove(asked: Asked) -> Outcome {
    asked.engine.secrets().remove(&asked.name).await?;
    reply::no_content()
}

fn shown(found: secrets::Secret) -> Secret {
    let secrets::Secret { id, name, created, labels, used_by } = found;
    Secret { id, name, created_at: created.to_string(), labels, used_by }
}
