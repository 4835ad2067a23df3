//! What talking to a registry can come to. No message holds a credential or a query string.

use hako_model::digest::Digest;

/// What this crate's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How far a request got before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was said: no address, no connection, no TLS.
    Connect,
    /// The connection broke or timed out afterwards.
    Talk,
}

/// What went wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The registry answered with an error.
    #[error("{code}: {message}")]
    Refused {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The error code in words: `manifest unknown`, `denied`; the status in words when there is none.
        code: String,
        /// What the registry says about it.
        message: String,
        /// Seconds after which it may be asked again.
        retry_after: Option<u64>,
    },
    /// The registry could not be reached or stopped talking.
    #[error("{method} \"{url}\": {cause}")]
    Reach {
        /// The method.
        method: &'static str,
        /// The address, without its query.
        url: String,
        /// How far it got.
        stage: Stage,
        /// Why not further.
        cause: String,
    },
    /// A server does not give a file.
    #[error("failed to GET {url} with status {status} {reason}: {message}")]
    Fetch {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The status in words.
        reason: String,
        /// What the server says about it.
        message: String,
    },
    /// A document is longer than allowed.
    #[error("read {url}: more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// Content does not have the digest it should have.
    #[error("verify {what}: digest is {actual}, want {expected}")]
    Digest {
        /// What was verified.
        what: String,
        /// The digest promised.
        expected: Digest,
        /// The digest found.
        actual: Digest,
    },
    /// The registry breaks the protocol.
    #[error("read answer of {url}: {reason}")]
    Protocol {
        /// The address.
        url: String,
        /// What is wrong with its answer.
        reason: String,
    },
    /// A local setting or file is unusable.
    #[error("{what}: {reason}")]
    Setting {
        /// Which.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The registry's error code in words, when it answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The HTTP status of the registry's refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the registry does not have what was asked for.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether nobody answered at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Reach { stage: Stage::Connect, .. })
    }

    /// Whether the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Reach { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            _ => false,
        }
    }
}

/// A system's error as a clause: `connection refused`, not `Connection refused (os error 111)`.
pub(crate) fn in_words(text: &str) -> String {
    let Some((words, _)) = text.split_once(" (os error") else { return text.to_owned() };
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_errors_become_clauses() {
        let error = std::io::Error::from_raw_os_error(111);
        assert_eq!(in_words(&error.to_string()), "connection refused");
        assert_eq!(in_words("Any other text"), "Any other text");
    }
}
