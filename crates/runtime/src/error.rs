//! Why a process could not be started.

use serde::{Deserialize, Serialize};

/// A process that could not be started, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program in the container: exit code 127.
    #[error("exec: \"{program}\": {cause}")]
    NotFound {
        /// What was to be executed.
        program: String,
        /// The reason, e.g. `executable file not found in $PATH`.
        cause: String,
    },
    /// The program is there but cannot be executed: exit code 126.
    #[error("exec: \"{program}\": {cause}")]
    NotExecutable {
        /// What was to be executed.
        program: String,
        /// The reason, e.g. `permission denied`.
        cause: String,
    },
    /// The container could not be set up.
    #[error("{step}: {cause}")]
    Setup {
        /// What was being done, e.g. `error mounting "a" to rootfs at "b"`.
        step: String,
        /// The reason.
        cause: String,
    },
    /// The process ended before it could say why.
    #[error("container init ended before it started the program")]
    Vanished,
}

impl LaunchError {
    /// The exit code `run` reports.
    pub fn exit_code(&self) -> i32 {
        // Docker tells most of these by their texts, too.
        match self {
            Self::NotFound { .. } => 127,
            Self::Setup { cause, .. } if cause.contains("no such file or directory") => 127,
            Self::NotExecutable { cause, .. } | Self::Setup { cause, .. } if cause.contains(NOT_A_DIRECTORY) => 127,
            Self::Setup { cause, .. } if cause.contains("permission denied") || cause.contains("is a directory") => 126,
            Self::NotExecutable { .. } => 126,
            // What Docker reports for a container its runtime could not create.
            Self::Setup { .. } | Self::Vanished => 128,
        }
    }

    /// A failed set-up step.
    pub fn setup(step: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Setup { step: step.into(), cause: explained(&cause.to_string()) }
    }
}

/// The kernel's reason where a directory was expected.
const NOT_A_DIRECTORY: &str = "not a directory";

/// What Docker adds to it.
const PERHAPS: &str = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path \
                       exists and is the expected type";

/// The kernel's reason in the words people and clients know: `No such file or directory (os error 2)` in small letters
/// and without its number.
pub(crate) fn explained(cause: &str) -> String {
    let plain = match cause.rsplit_once(" (os error ") {
        Some((before, _)) => {
            let (start, reason) = before.rsplit_once(": ").map_or(("", before), |(start, reason)| (start, reason));
            let mut letters = reason.chars();
            let first = letters.next().map(|letter| letter.to_lowercase().to_string()).unwrap_or_default();
            let mark = if start.is_empty() { "" } else { ": " };
            format!("{start}{mark}{first}{}", letters.as_str())
        }
        None => cause.to_owned(),
    };
    if plain.ends_with(NOT_A_DIRECTORY) { plain + PERHAPS } else { plain }
}

impl From<hako_sys::Error> for LaunchError {
    fn from(error: hako_sys::Error) -> Self {
        match &error {
            hako_sys::Error::Os { verb, object, source } => Self::setup(format!("{verb} {object}"), source),
            _ => Self::setup("set up container", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_in_known_words_and_have_dockers_codes() {
        let more = format!("not a directory{PERHAPS}");
        for (cause, text, code) in [
            ("No such file or directory (os error 2)", "no such file or directory", 127),
            ("open a/b: No such file or directory (os error 2)", "open a/b: no such file or directory", 127),
            ("Permission denied (os error 13)", "permission denied", 126),
            ("Is a directory (os error 21)", "is a directory", 126),
            ("Not a directory (os error 20)", more.as_str(), 127),
            ("Invalid argument (os error 22)", "invalid argument", 128),
            ("it has no name", "it has no name", 128),
        ] {
            let error = LaunchError::setup("step", cause);
            assert_eq!((error.to_string(), error.exit_code()), (format!("step: {text}"), code));
        }
    }
}
