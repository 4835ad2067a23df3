//! What can go wrong between hako and a client.

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a client could not be understood, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client refused.
    #[error("{what}: {}", .cause.message())]
    Refused {
        /// What was asked.
        what: String,
        /// Its answer.
        cause: Box<tonic::Status>,
    },
    /// The client said something that nobody should.
    #[error("{what}: {why}")]
    Broken {
        /// What went on.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The kernel refused.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// The kernel refused something more particular.
    #[error(transparent)]
    System(#[from] hako_sys::Error),
    /// The connection is gone.
    #[error("the client's session is gone")]
    Gone,
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, cause: impl Into<std::io::Error>) -> Self {
        Self::Io { what: what.into(), cause: cause.into() }
    }

    pub(crate) fn broken(what: &'static str, why: impl Into<String>) -> Self {
        Self::Broken { what, why: why.into() }
    }

    /// Whether the client says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { cause, .. } if cause.code() == tonic::Code::NotFound)
    }

    /// Whether the client does not serve what it was asked at all.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        matches!(self, Self::Refused { cause, .. } if cause.code() == tonic::Code::Unimplemented)
    }
}
