//! Reading logs back: rotated and compressed files, the last lines, a span of time, and following what is written.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use hako_model::time::Timestamp;

use super::Stream;
use super::config::LogConfig;
use crate::Result;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Nothing earlier.
    pub since: Option<Timestamp>,
    /// Nothing later.
    pub until: Option<Timestamp>,
    /// Only so many of the last lines; none: all.
    pub tail: Option<u64>,
    /// Whether stdout is wanted.
    pub stdout: bool,
    /// Whether stderr is wanted.
    pub stderr: bool,
}

/// One piece of output, valid until the next one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was read from the container.
    pub time: Timestamp,
    /// Where from.
    pub stream: Stream,
    /// The bytes, with their newline unless the line goes on in the next entry (or the container ended in it).
    pub line: &'a [u8],
}

/// Reads one container's log, oldest entry first.
#[derive(Debug)]
pub struct Reader {
    config: LogConfig,
}

impl Reader {
    /// Opens the log as it is now. A log that does not exist yet is empty.
    pub fn open(config: &LogConfig, query: Query) -> Result<Self> {
        let _ = query;
        Ok(Self { config: config.clone() })
    }

    /// The next entry; none at the end of what has been written so far, or past `until`. After [`Reader::watch`] said
    /// that more was written, ask again.
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        todo!()
    }

    /// What is added to every line of this log (`--details`).
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.config.attributes
    }

    /// Whether `until` has been passed: nothing more will come.
    pub fn is_over(&self) -> bool {
        todo!()
    }

    /// A descriptor that becomes readable when more may have been written (an inotify instance, made at the first
    /// call). Call [`Reader::woken`] after it did, then [`Reader::next`] until it says none.
    pub fn watch(&mut self) -> Result<BorrowedFd<'_>> {
        todo!()
    }

    /// Takes note that [`Reader::watch`]'s descriptor was readable.
    pub fn woken(&mut self) {
        todo!()
    }
}
