//! Why a request has no good answer.

use std::io;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the endpoint.
    #[error("connect to {endpoint}: {cause}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why.
        cause: io::Error,
    },
    /// The daemon could not be started.
    #[error("start daemon: {action}: {cause}")]
    Start {
        /// What failed.
        action: String,
        /// Why.
        cause: String,
    },
    /// The daemon was started and ended at once.
    #[error("start daemon: it ended before it answered{said}")]
    Died {
        /// The end of its log, after a colon; empty when there is none.
        said: String,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("{request}: {cause}")]
    Lost {
        /// The request.
        request: String,
        /// What happened.
        cause: String,
    },
    /// The answer is not what it should be.
    #[error("read answer to {request}: {cause}")]
    Malformed {
        /// The request.
        request: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The address of the daemon makes no sense.
    #[error(transparent)]
    InvalidEndpoint(#[from] crate::InvalidEndpoint),
    /// The context cannot be used.
    #[error("context \"{name}\": {reason}")]
    Context {
        /// The context.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The HTTP status, when the daemon refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether nobody could be asked.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the daemon went away, so that asking again may help.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}
