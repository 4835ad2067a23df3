//! The one error of this crate: which verb failed, on what, and why.

use std::io;

use rustix::io::Errno;

/// What every verb of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A kernel verb that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("{verb} {object}: {source}")]
    Os {
        /// What was tried, e.g. `open`.
        verb: &'static str,
        /// On what: a path, an id, a name.
        object: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a netlink message and may have said why.
    #[error("netlink request {index}: {source}{}", note.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Netlink {
        /// Which message of the batch, counted from zero.
        index: usize,
        /// The kernel's extended answer, when it gives one.
        note: Option<String>,
        /// The error number.
        source: io::Error,
    },
    /// A kernel file or message did not have the form it is documented to have.
    #[error("read {object}: {what}")]
    Malformed {
        /// The file or message.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// The caller's process has more than one thread where only one is allowed.
    #[error("fork process: it has {threads} threads")]
    Threads {
        /// How many there are.
        threads: usize,
    },
}

impl Error {
    /// Names the verb and object of a failed call; meant for `map_err`.
    pub fn os<E: Into<io::Error>>(verb: &'static str, object: impl Into<String>) -> impl FnOnce(E) -> Self {
        let object = object.into();
        move |source| Self::Os { verb, object, source: source.into() }
    }

    /// Names the verb and path of a failed call; meant for `map_err`.
    pub fn at<E: Into<io::Error>>(verb: &'static str, path: &std::path::Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Os { verb, object: path.display().to_string(), source: source.into() }
    }

    /// The kernel's error number, if the kernel was asked at all.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Os { source, .. } | Self::Netlink { source, .. } => Errno::from_io_error(source),
            Self::Malformed { .. } | Self::Threads { .. } => None,
        }
    }

    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// Whether the thing to be made exists already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }

    /// Whether the kernel found the request to make no sense.
    pub fn is_invalid(&self) -> bool {
        self.errno() == Some(Errno::INVAL)
    }

    /// Whether a non-blocking call has nothing to do yet.
    pub fn is_would_block(&self) -> bool {
        self.errno() == Some(Errno::AGAIN)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.errno().map_or(io::ErrorKind::Other, |errno| io::Error::from(errno).kind());
        Self::new(kind, error)
    }
}
