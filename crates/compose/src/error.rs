//! What is wrong with a project, said with the file, the line and the key.

use std::fmt;
use std::path::PathBuf;

use crate::yaml::Mark;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The text is no YAML.
    #[error("yaml: line {line}: {reason}")]
    Syntax {
        /// The line.
        line: u32,
        /// What the parser says.
        reason: String,
    },
    /// A key stands twice in a mapping.
    #[error("mapping key {key:?} already defined at line {first}")]
    Repeated {
        /// The key.
        key: String,
        /// Where it stood before.
        first: u32,
    },
    /// More than anybody needs: a bomb, or a mistake.
    #[error("{what} is beyond the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A key the specification does not know.
    #[error("{}additional properties '{key}' not allowed{}", if path.is_empty() { String::new() } else { format!("{path} ") }, near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    Unknown {
        /// Where.
        path: String,
        /// The key.
        key: String,
        /// The nearest key there is.
        near: Option<String>,
    },
    /// A value of the wrong kind.
    #[error("{path} {reason}")]
    Value {
        /// Where.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A `$` that starts nothing.
    #[error("invalid interpolation format for {path}.\nYou may need to escape any $ with another $.\n{text}")]
    Interpolation {
        /// Where.
        path: String,
        /// The text.
        text: String,
    },
    /// A variable that must be set is not.
    #[error("error while interpolating {path}: required variable {name} is missing a value{}{hint}", if hint.is_empty() { "" } else { ": " })]
    Missing {
        /// Where.
        path: String,
        /// The variable.
        name: String,
        /// The file's own words about it.
        hint: String,
    },
    /// Something else is referred to that is not there, or what is said contradicts itself.
    #[error("{reason}: invalid compose project")]
    Inconsistent {
        /// What is wrong.
        reason: String,
    },
    /// Things that need each other.
    #[error("{what} cycle detected: {}", chain.join(" -> "))]
    Cycle {
        /// What kind of cycle.
        what: &'static str,
        /// The way around.
        chain: Vec<String>,
    },
    /// Anything else that makes a project unusable.
    #[error("{reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
}

/// A fault and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Where; line 0 means nowhere in particular.
    pub mark: Mark,
    /// What.
    pub fault: Fault,
}

impl Mark {
    /// A fault at this place.
    #[must_use]
    pub fn refuse(self, fault: Fault) -> Refusal {
        Refusal { mark: self, fault }
    }

    /// What stands here is no YAML.
    pub(crate) fn malformed(self, reason: impl Into<String>) -> Refusal {
        self.refuse(Fault::Syntax { line: self.line, reason: reason.into() })
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Why there is no project, or why it could not be brought to what it describes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is wrong with what the files say.
    #[error("{}{fault}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
    Invalid {
        /// Where.
        place: Option<Place>,
        /// What.
        fault: Fault,
    },
    /// A file cannot be read.
    #[error("open {}: {}", path.display(), reason)]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An environment file cannot be used.
    #[error("failed to read {}: {reason}", path.display())]
    Environment {
        /// Which.
        path: PathBuf,
        /// Why, with the line.
        reason: String,
    },
}
