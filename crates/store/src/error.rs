//! The store's one error type.

use std::io;
use std::path::Path;

use hako_model::digest::Digest;
use rustix::io::Errno;

/// What the store's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something.
    #[error("{verb} {object}: {cause}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The kernel layer refused something.
    #[error(transparent)]
    Sys(#[from] hako_sys::Error),
    /// No such blob, layer, image, reference or volume.
    #[error("find {kind} {name}: not found")]
    NotFound {
        /// The kind of object.
        kind: &'static str,
        /// Its name or digest.
        name: String,
    },
    /// Several objects match a short name.
    #[error("find {kind} {name}: several match")]
    Ambiguous {
        /// The kind of object.
        kind: &'static str,
        /// The short name.
        name: String,
    },
    /// The object exists already, with other properties.
    #[error("create {kind} {name}: exists already")]
    Exists {
        /// The kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object is in use.
    #[error("remove {kind} {name}: in use by {user}")]
    InUse {
        /// The kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// By what.
        user: String,
    },
    /// Content does not have the digest it should have.
    #[error("verify {what}: digest is {actual}, want {expected}")]
    DigestMismatch {
        /// What was verified.
        what: String,
        /// The digest promised.
        expected: Digest,
        /// The digest found.
        actual: Digest,
    },
    /// Content does not have the size it should have.
    #[error("verify {what}: {actual} bytes, want {expected}")]
    SizeMismatch {
        /// What was verified.
        what: String,
        /// The size promised.
        expected: u64,
        /// The size found.
        actual: u64,
    },
    /// An archive or layer is broken or hostile.
    #[error("read {what}: {reason}")]
    Malformed {
        /// Which archive, layer or entry.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Input exceeds a limit.
    #[error("read {what}: {reason}")]
    LimitExceeded {
        /// Which archive, layer or entry.
        what: String,
        /// Which limit.
        reason: String,
    },
    /// A name or option a person gave is not allowed.
    #[error("{what} {text:?}: {reason}")]
    Invalid {
        /// What was to be done with it.
        what: &'static str,
        /// The text refused.
        text: String,
        /// Why.
        reason: String,
    },
    /// A record on disk cannot be read.
    #[error("read record {path}: {reason}")]
    Damaged {
        /// The record.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else's half of the work failed.
    #[error("wait for {what}: the work was given up")]
    Abandoned {
        /// What was waited for.
        what: String,
    },
}

impl Error {
    /// For `map_err`: an error with its verb and object.
    pub(crate) fn io<E: Into<io::Error>>(verb: &'static str, object: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::Io { verb, object: object.into(), cause: cause.into() }
    }

    /// For `map_err`: an error with its verb and path.
    pub(crate) fn at<E: Into<io::Error>>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let object = path.display().to_string();
        move |cause| Self::Io { verb, object, cause: cause.into() }
    }

    pub(crate) fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn limit(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::LimitExceeded { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    /// Whether something was looked for and is not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io { cause, .. } => cause.kind() == io::ErrorKind::NotFound,
            Self::Sys(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether a path is one that no file can have: too long, or links in a circle.
    pub fn is_bad_path(&self) -> bool {
        let errno = match self {
            Self::Io { cause, .. } => Errno::from_io_error(cause),
            Self::Sys(error) => error.errno(),
            _ => None,
        };
        errno.is_some_and(|errno| [Errno::NAMETOOLONG, Errno::LOOP].contains(&errno))
    }

    /// Whether the disk is full (or the quota used up).
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { cause, .. } => matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            Self::Sys(error) => matches!(error.errno(), Some(Errno::NOSPC | Errno::DQUOT)),
            _ => false,
        }
    }

    /// Whether the input is to blame: malformed, over a limit, or not what its digest says.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. }
                | Self::LimitExceeded { .. }
                | Self::DigestMismatch { .. }
                | Self::SizeMismatch { .. }
                | Self::Invalid { .. }
        )
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { cause, .. } => cause.kind(),
            Error::NotFound { .. } => io::ErrorKind::NotFound,
            error if error.is_bad_input() => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
