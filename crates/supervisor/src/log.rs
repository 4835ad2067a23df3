//! The container's log: where it goes, how it is written, and how it is read back.

mod check;
mod clock;
pub(crate) mod compress;
pub mod config;
pub(crate) mod courier;
mod files;
mod json;
mod local;
mod pieces;
pub mod read;
pub mod remote;
pub mod watch;
pub mod write;

use serde::{Deserialize, Serialize};

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, and everything of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Docker's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// Docker's number in the header of multiplexed streams.
    pub const fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    /// 0 or 1, for tables.
    pub(crate) const fn index(self) -> usize {
        self.number() as usize - 1
    }

    /// The stream of that name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// One entry as a decoder found it in its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// When it was written.
    pub time: hako_model::time::Timestamp,
    /// Where from.
    pub stream: Stream,
    /// Where in the buffer its bytes are.
    pub line: std::ops::Range<usize>,
}

/// What a decoder made of the beginning of its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// An entry that ends at `next`.
    Entry {
        /// The entry.
        found: Found,
        /// Where the next one begins.
        next: usize,
    },
    /// Something that is no entry, up to `next`.
    Garbage {
        /// Where the next one begins.
        next: usize,
    },
    /// More bytes are needed.
    Incomplete,
}
