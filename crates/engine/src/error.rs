//! What a verb may answer instead of doing it. The kind decides the HTTP status (in the server) and the exit code (in
//! the CLI); the message is Docker's text.

use std::borrow::Cow;

/// What went wrong, with Docker's message.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The object does not exist.
    #[error("{message}")]
    NotFound {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// The object's state, or another object, forbids it.
    #[error("{message}")]
    Conflict {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// What was asked for makes no sense.
    #[error("{message}")]
    InvalidParameter {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// It already is so.
    #[error("{message}")]
    NotModified {
        /// What already is.
        message: Cow<'static, str>,
    },
    /// It is not allowed.
    #[error("{message}")]
    Forbidden {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// A registry wants (other) credentials.
    #[error("{message}")]
    Unauthorized {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// Something it needs does not answer.
    #[error("{message}")]
    Unavailable {
        /// Docker's text.
        message: Cow<'static, str>,
    },
    /// hako cannot do it (yet).
    #[error("{message}")]
    NotImplemented {
        /// What cannot be done.
        message: Cow<'static, str>,
    },
    /// The machine did not play along.
    #[error("{message}")]
    System {
        /// What failed, and the cause.
        message: Cow<'static, str>,
    },
}

/// A verb's answer.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! constructor {
    ($(#[$doc:meta])* $name:ident, $variant:ident) => {
        $(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::$variant { message: message.into() }
        }
    };
}

impl Error {
    constructor!(/** [`Error::NotFound`] */ not_found, NotFound);
    constructor!(/** [`Error::Conflict`] */ conflict, Conflict);
    constructor!(/** [`Error::InvalidParameter`] */ invalid, InvalidParameter);
    constructor!(/** [`Error::NotModified`] */ not_modified, NotModified);
    constructor!(/** [`Error::Forbidden`] */ forbidden, Forbidden);
    constructor!(/** [`Error::Unauthorized`] */ unauthorized, Unauthorized);
    constructor!(/** [`Error::Unavailable`] */ unavailable, Unavailable);
    constructor!(/** [`Error::NotImplemented`] */ not_implemented, NotImplemented);
    constructor!(/** [`Error::System`] */ system, System);

    /// The same refusal, told with what it kept from being done: "`doing`: `message`".
    pub fn during(mut self, doing: impl std::fmt::Display) -> Self {
        let (Self::NotFound { message }
        | Self::Conflict { message }
        | Self::InvalidParameter { message }
        | Self::NotModified { message }
        | Self::Forbidden { message }
        | Self::Unauthorized { message }
        | Self::Unavailable { message }
        | Self::NotImplemented { message }
        | Self::System { message }) = &mut self;
        *message = format!("{doing}: {message}").into();
        self
    }

    /// A failed system call: "`doing`: `cause`".
    pub fn io(doing: impl std::fmt::Display, cause: impl std::fmt::Display) -> Self {
        Self::system(format!("{doing}: {cause}"))
    }
}

impl From<hako_model::filter::FilterError> for Error {
    fn from(cause: hako_model::filter::FilterError) -> Self {
        Self::invalid(cause.to_string())
    }
}

impl From<hako_model::name::InvalidName> for Error {
    fn from(cause: hako_model::name::InvalidName) -> Self {
        Self::invalid(cause.to_string())
    }
}
