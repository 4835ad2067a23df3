//! Network requests.

use hako_api::network::{ConnectBody, CreateBody, Created, DisconnectBody, Pruned, Reach, TraceStep, Traced};
use hako_api::query;
use hako_api::version::ApiVersion;
use hako_engine::networks::{ConnectRequest, CreateRequest};
use http::StatusCode;

use crate::failure::Failure;
use crate::reply::{self, Outcome};
use crate::request::Asked;
use crate::wire;

pub(super) async fn list(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let found = asked.engine.networks().list(filters).await?;
    // Since 1.28 lists do not tell who is on a network.
    let members = asked.version < ApiVersion::minor(28);
    reply::json(&found.into_iter().map(|network| wire::storage::network(network, members)).collect::<Vec<_>>())
}

pub(super) async fn inspect(asked: Asked) -> Outcome {
    let query = query::InspectNetwork::read(&asked.query)?;
    let known = ["", "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
    if let Some(text) = asked.query.get("verbose").filter(|text| !known.contains(text)) {
        let message = format!("invalid value for verbose: {text}: strconv.ParseBool: parsing {text:?}: invalid syntax");
        return Err(Failure::invalid(message));
    }
    if !["", "local"].contains(&query.scope.as_str()) {
        // Every network here is this host's.
        return Err(Failure::new(StatusCode::NOT_FOUND, format!("network {} not found", asked.name)));
    }
    let found = asked.engine.networks().inspect(&asked.name).await?;
    reply::json(&wire::storage::network(found, true))
}

pub(super) async fn create(mut asked: Asked) -> Outcome {
    let body: CreateBody = asked.json().await?;
    let request = CreateRequest {
        name: body.name,
        driver: body.driver,
        scope: body.scope,
        internal: body.internal,
        attachable: body.attachable,
        ingress: body.ingress,
        config_only: body.config_only,
        config_from: body.config_from.map(|reference| reference.network).unwrap_or_default(),
        ipam: body.ipam,
        enable_ipv4: body.enable_ipv4,
        enable_ipv6: body.enable_ipv6,
        options: body.options.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    };
    let id = asked.engine.networks().create(request).await?;
    reply::json_with(StatusCode::CREATED, &Created { id, warning: String::new() })
}

pub(super) async fn connect(mut asked: Asked) -> Outcome {
    let body: ConnectBody = asked.json().await?;
    let request = ConnectRequest { container: body.container, endpoint: body.endpoint_config.unwrap_or_default() };
    asked.engine.networks().connect(&asked.name, request).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(super) async fn disconnect(mut asked: Asked) -> Outcome {
    let body: DisconnectBody = asked.json().await?;
    asked.engine.networks().disconnect(&asked.name, &body.container, body.force).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(super) async fn prune(asked: Asked) -> Outcome {
    let filters = query::Filtered::read(&asked.query)?.filters;
    let deleted = asked.engine.networks().prune(filters).await?.deleted;
    reply::json(&Pruned { networks_deleted: (!deleted.is_empty()).then_some(deleted) })
}

pub(super) async fn remove(asked: Asked) -> Outcome {
    asked.engine.networks().remove(&asked.name).await?;
    reply::no_content()
}

pub(super) async fn trace(asked: Asked) -> Outcome {
    let options = query::Trace::read(&asked.query)?;
    let found = asked.engine.networks().trace(&options.name, &options.from).await?;
    let shown = found.into_iter().map(|traced| {
        let steps = traced.steps.into_iter();
        let step = |step: hako_engine::networks::Step| TraceStep {
            who: step.who,
            said: step.said,
            micros: step.micros,
            counts: step.counts,
        };
        Traced { container: traced.container, steps: steps.map(step).collect() }
    });
    reply::json(&shown.collect::<Vec<_>>())
}

pub(super) async fn reach(asked: Asked) -> Outcome {
    let found = asked.engine.networks().reach(&asked.name).await?.into_iter();
    let shown = found.map(|reach| Reach { port: reach.port, host: reach.host, who: reach.who, by: reach.by });
    reply::json(&shown.collect::<Vec<_>>())
}
