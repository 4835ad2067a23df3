//! What can go wrong in a build.

use crate::dockerfile::{Lines, SyntaxError};

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a build did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile cannot be read.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// Something the Dockerfile or the caller asked for cannot be had.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// A RUN ended with another code than 0.
    #[error("process \"{command}\" did not complete successfully: exit code: {code}")]
    Exit {
        /// What ran.
        command: String,
        /// Its code.
        code: i32,
    },
    /// A RUN failed in which the kernel ended a process for want of memory.
    #[error(
        "process \"{command}\" did not complete successfully: exit code: {code}: out of memory: the kernel ended a process of \
         this step, whose memory limit, or the machine's memory, was exhausted"
    )]
    Memory {
        /// What ran.
        command: String,
        /// Its code.
        code: i32,
    },
    /// The caller does not want it any more.
    #[error("the build was cancelled")]
    Cancelled,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] hako_store::Error),
    /// The kernel refused.
    #[error(transparent)]
    System(#[from] hako_sys::Error),
    /// The kernel refused something more particular.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// An error with the place in the Dockerfile that led to it.
    #[error("{error}")]
    At {
        /// The error.
        error: Box<Error>,
        /// The place.
        lines: Lines,
    },
}

impl Error {
    /// Something cannot be had.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into() }
    }

    /// A call failed.
    pub fn io(what: impl Into<String>, cause: impl Into<std::io::Error>) -> Self {
        Self::Io { what: what.into(), cause: cause.into() }
    }

    /// Adds the place, unless there is a more exact one.
    #[must_use]
    pub fn at(self, lines: Lines) -> Self {
        match self {
            at @ (Self::At { .. } | Self::Syntax(_)) => at,
            error => Self::At { error: Box::new(error), lines },
        }
    }

    /// The place in the Dockerfile.
    #[must_use]
    pub fn lines(&self) -> Option<Lines> {
        match self {
            Self::At { lines, .. } => Some(*lines),
            Self::Syntax(error) => error.lines,
            _ => None,
        }
    }

    /// The error without its place.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::At { error, .. } => error.cause(),
            error => error,
        }
    }
}
