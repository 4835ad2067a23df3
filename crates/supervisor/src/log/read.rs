//! Reading logs back: rotated and compressed files, the last lines, a span of time, and following what is written.

mod source;
mod tail;

use std::collections::{BTreeMap, VecDeque};

use hako_model::time::Timestamp;

use self::source::Source;
use super::clock::StampReader;
use super::config::{Driver, LogConfig};
use super::{Decoded, Found, Stream, files, json, local};
use crate::{Error, Result};

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Nothing earlier.
    pub since: Option<Timestamp>,
    /// Nothing later.
    pub until: Option<Timestamp>,
    /// Only so many of the last entries; none: all.
    pub tail: Option<u64>,
    /// Whether stdout is wanted.
    pub stdout: bool,
    /// Whether stderr is wanted.
    pub stderr: bool,
    /// Whether to go on with what is written after the log was opened.
    pub follow: bool,
}

impl Query {
    /// Everything there is now.
    pub const ALL: Self = Self { since: None, until: None, tail: None, stdout: true, stderr: true, follow: false };

    fn wants(&self, found: &Found) -> bool {
        let stream = if found.stream == Stream::Stdout { self.stdout } else { self.stderr };
        stream && self.since.is_none_or(|since| found.time >= since)
    }
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
    query: Query,
    /// Files still to be read, oldest first, the current one last.
    sources: VecDeque<Source>,
    buffer: Buffer,
    stamps: StampReader,
    last: Timestamp,
    /// Entries of this moment that are passed over: they were read before.
    known: (Timestamp, u64),
    over: bool,
}

/// Bytes read and not yet decoded.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Room for more: what is left moves to the front, and the buffer grows when a single entry fills it.
    fn room(&mut self) -> &mut [u8] {
        const SIZE: usize = 128 * 1024;
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.len() - self.end < SIZE / 4 {
            self.bytes.resize((self.bytes.len() * 2).max(SIZE), 0);
        }
        &mut self.bytes[self.end..]
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl Reader {
    /// Opens the log as it is now. A log that does not exist yet is empty; so is one of the driver `none`.
    pub fn open(config: &LogConfig, query: Query) -> Result<Self> {
        let mut sources = match config.driver {
            Driver::None => VecDeque::new(),
            _ => open_all(config, query.follow)?,
        };
        if let Some(wanted) = query.tail {
            tail::seek(&mut sources, wanted, config.driver)?;
        }
        Ok(Self {
            config: config.clone(),
            query,
            sources,
            buffer: Buffer::default(),
            stamps: StampReader::default(),
            last: Timestamp::ZERO,
            known: (Timestamp::ZERO, 0),
            over: false,
        })
    }

    /// The next entry; none at the end of what has been written so far, or past `until`. After a [`watch`](super::watch::Watch) said
    /// that more was written, ask again.
    #[expect(clippy::should_implement_trait, reason = "entries borrow the reader's buffer, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        let Some(found) = self.find()? else { return Ok(None) };
        Ok(Some(Entry { time: found.time, stream: found.stream, line: &self.buffer.bytes[found.line] }))
    }

    /// Passes over the first `count` entries of one moment, which were read before.
    pub fn pass(&mut self, time: Timestamp, count: u64) {
        self.known = (time, count);
    }

    fn passes(&mut self, time: Timestamp) -> bool {
        let (moment, count) = &mut self.known;
        let passes = *count > 0 && *moment == time;
        *count = if passes { *count - 1 } else { 0 };
        passes
    }

    fn find(&mut self) -> Result<Option<Found>> {
        while !self.over {
            match self.decode() {
                Some(found) if self.query.until.is_some_and(|until| found.time > until) => self.over = true,
                Some(found) => {
                    self.last = found.time;
                    if self.query.wants(&found) && !self.passes(found.time) {
                        return Ok(Some(found));
                    }
                }
                None if self.refill()? || self.go_on()? => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The next entry in the buffer. Damaged ones are passed over.
    fn decode(&mut self) -> Option<Found> {
        loop {
            let offset = self.buffer.start;
            let bytes = &mut self.buffer.bytes[offset..self.buffer.end];
            let decoded = match self.config.driver {
                Driver::JsonFile | Driver::None => json::decode(bytes, &mut self.stamps),
                _ => local::decode(bytes),
            };
            match decoded {
                Decoded::Entry { mut found, next } => {
                    self.buffer.start += next;
                    found.line = found.line.start + offset..found.line.end + offset;
                    return Some(found);
                }
                Decoded::Garbage { next } => self.buffer.start += next,
                Decoded::Incomplete => return None,
            }
        }
    }

    /// Reads more of the oldest file; false at its end.
    fn refill(&mut self) -> Result<bool> {
        let Some(source) = self.sources.front_mut() else { return Ok(false) };
        let read = source.read(self.buffer.room()).map_err(Error::file("read", &self.config.path))?;
        self.buffer.end += read;
        Ok(read > 0)
    }

    /// At the end of a file: goes on with the next one; false when there is none.
    fn go_on(&mut self) -> Result<bool> {
        if self.sources.len() > 1 {
            self.sources.pop_front();
            self.buffer.clear();
            return Ok(true);
        }
        if self.query.follow && self.config.driver != Driver::None { self.follow() } else { Ok(false) }
    }

    /// The current file may have been turned over or truncated since. Its last words came before that, so read to its
    /// end once more, then find by time what came after: stamps only grow.
    fn follow(&mut self) -> Result<bool> {
        if let Some(source) = self.sources.front()
            && source.is_at(&self.config.path)
        {
            return Ok(source.was_truncated() && self.rewind()?);
        }
        if self.refill()? {
            return Ok(true);
        }
        let mut sources = open_all(&self.config, true)?;
        while sources.len() > 1 && self.is_read(&mut sources)? {
            sources.pop_front();
        }
        let found = !sources.is_empty();
        self.sources = sources;
        self.buffer.clear();
        Ok(found)
    }

    fn rewind(&mut self) -> Result<bool> {
        self.buffer.clear();
        let Some(source) = self.sources.front_mut() else { return Ok(false) };
        source.seek(0).map_err(Error::file("rewind", &self.config.path))?;
        Ok(true)
    }

    /// Whether the oldest of `sources` begins with something already read.
    fn is_read(&mut self, sources: &mut VecDeque<Source>) -> Result<bool> {
        let Some(source) = sources.front_mut() else { return Ok(false) };
        let mut probe = Buffer::default();
        let first = loop {
            let bytes = &mut probe.bytes[..probe.end];
            let decoded = match self.config.driver {
                Driver::JsonFile | Driver::None => json::decode(bytes, &mut self.stamps),
                _ => local::decode(bytes),
            };
            match decoded {
                Decoded::Entry { found, .. } => break Some(found.time),
                Decoded::Garbage { .. } => break None,
                Decoded::Incomplete => {}
            }
            match source.read(probe.room()).map_err(Error::file("read", &self.config.path))? {
                0 => break None,
                read => probe.end += read,
            }
        };
        source.restart().map_err(Error::file("rewind", &self.config.path))?;
        Ok(first.is_none_or(|first| first <= self.last))
    }

    /// What is added to every line of this log (`--details`).
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.config.attributes
    }

    /// Whether `until` has been passed: nothing more will come.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// Opens every file of the log, again if it was turned over meanwhile.
fn open_all(config: &LogConfig, follow: bool) -> Result<VecDeque<Source>> {
    loop {
        let mut sources = VecDeque::new();
        for (path, compressed) in files::existing(config) {
            if let Some(source) = Source::open(&path, compressed, follow)? {
                sources.push_back(source);
            }
        }
        let stable = sources.back().is_none_or(|source: &Source| source.is_at(&config.path));
        if stable {
            return Ok(sources);
        }
    }
}
