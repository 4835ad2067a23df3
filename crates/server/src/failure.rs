//! Refusals on their way out: the one table from kinds of errors to HTTP statuses.

use hako_api::query::InvalidParameter;
use hako_engine::Error;
use http::StatusCode;

/// A status and Docker's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    /// Something Docker has and hako has not.
    pub(crate) fn absent(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("hako does not support {what} yet"))
    }

    /// Docker's answer of a node outside any cluster to what only a manager does.
    pub(crate) fn no_manager() -> Self {
        let message = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
                       node to swarm and try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Docker's answer to what changes volumes of a cluster.
    pub(crate) fn no_cluster() -> Self {
        let message = "volume update only valid for cluster volumes, but swarm is unavailable";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// See [`Failure::no_manager`]; who is nowhere cannot leave.
    pub(crate) fn no_member() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "This node is not part of a swarm")
    }

    /// A handler that panicked; the panic itself is in the daemon's log.
    pub(crate) fn crashed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the daemon failed on this request; see its log")
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::InvalidParameter { .. } => StatusCode::BAD_REQUEST,
        Error::NotModified { .. } => StatusCode::NOT_MODIFIED,
        Error::Forbidden { .. } => StatusCode::FORBIDDEN,
        Error::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::NotImplemented { .. } => StatusCode::NOT_IMPLEMENTED,
        Error::System { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(status(&error), error.to_string())
    }
}

impl From<InvalidParameter> for Failure {
    fn from(cause: InvalidParameter) -> Self {
        let message = if cause.name == "filters" { cause.reason } else { cause.to_string() };
        Self::invalid(message)
    }
}
