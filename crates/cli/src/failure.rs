//! Why a command did not do what it was asked, and the exit code that says so to scripts.

use std::io;

/// A command's failure. The text is Docker's, with the program's name replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line was wrong.
    #[error("{message}")]
    Usage {
        /// The whole text.
        message: String,
        /// 125 for a flag, 1 for a word.
        code: u8,
    },
    /// Docker has it and hako does not (yet).
    #[error("hako: {message}")]
    Refused {
        /// What is refused and why.
        message: String,
    },
    /// Something was wrong on this side.
    #[error("{message}")]
    Local {
        /// What.
        message: String,
    },
    /// The daemon, or the way to it.
    #[error("{}", daemon_text(.0))]
    Daemon(#[from] hako_client::Error),
    /// A container's process, or the start of one, gave this code; `message` may be empty.
    #[error("{message}")]
    Status {
        /// What to say.
        message: String,
        /// The code.
        code: u8,
    },
}

impl Failure {
    /// A failure of this side.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::Local { message: message.into() }
    }

    /// Silence, and a code.
    pub(crate) fn status(code: u8) -> Self {
        Self::Status { message: String::new(), code }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage { code, .. } | Self::Status { code, .. } => *code,
            Self::Refused { .. } => 125,
            Self::Local { .. } | Self::Daemon(_) => 1,
        }
    }
}

impl Failure {
    /// What may help, where the message does not say it.
    pub(crate) fn hint(&self) -> Option<String> {
        let Self::Daemon(error) = self else { return None };
        match error {
            hako_client::Error::Unreachable { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root, or as a member of the group that owns the socket".to_owned())
            }
            hako_client::Error::Unreachable { .. } => Some(
                "is the address right? -H, --root, HAKO_HOST, HAKO_ROOT and DOCKER_HOST choose the daemon".to_owned(),
            ),
            _ => None,
        }
    }
}

/// The daemon's refusals begin as Docker's do.
fn daemon_text(error: &hako_client::Error) -> String {
    match error {
        hako_client::Error::Refused { message, .. } => format!("Error response from daemon: {message}"),
        hako_client::Error::Unreachable { endpoint, cause } if cause.kind() != io::ErrorKind::PermissionDenied => {
            format!("Cannot connect to the hako daemon at {endpoint}. Is the hako daemon running?")
        }
        hako_client::Error::Unreachable { endpoint, cause } => {
            format!("{} while trying to connect to the hako daemon socket at {endpoint}", go_cause(cause))
        }
        other => other.to_string(),
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Local { message }
    }
}

/// An I/O error's cause in Go's words: no error number, no capital.
pub(crate) fn go_cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `open PATH: cause`, as Go says it.
pub(crate) fn path_failure(verb: &str, path: &str, error: &io::Error) -> Failure {
    Failure::local(format!("{verb} {path}: {}", go_cause(error)))
}
