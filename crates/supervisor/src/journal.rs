//! The journal: what happened, numbered, one JSON line each, for an engine that was away.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hako_model::time::Timestamp;

use crate::protocol::{Event, Kind};
use crate::{Error, Result};

/// A journal of which everything was taken in is shortened when it is longer than this.
const LONG: u64 = 64 * 1024;

/// The journal of one container.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    last: u64,
    /// Words of the line being written; kept to spare an allocation.
    line: Vec<u8>,
}

impl Journal {
    /// Opens the journal and goes on counting where it ended.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let last = read(path, 0)?.last().map_or(0, |event| event.seq);
        Ok(Self { path: path.to_owned(), file: open(path)?, last, line: Vec::new() })
    }

    /// The last event's number.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Numbers and writes what happened at `time`. A disk that refuses does not stop the container.
    pub(crate) fn write(&mut self, time: Timestamp, kind: Kind) -> Event {
        self.last += 1;
        let event = Event { seq: self.last, time, kind, status: None };
        self.line.clear();
        if serde_json::to_writer(&mut self.line, &event).is_ok() {
            self.line.push(b'\n');
            let _ = self.file.write_all(&self.line);
        }
        event
    }

    /// Everything after number `since`.
    pub(crate) fn since(&self, since: u64) -> Result<Vec<Event>> {
        read(&self.path, since)
    }

    /// Everything up to `seq` was taken in. If that is all, and it is long, only the last line is kept, for its number.
    pub(crate) fn forget(&mut self, seq: u64) -> Result<()> {
        let length = self.file.metadata().map_err(Error::file("stat", &self.path))?.len();
        if seq < self.last || length < LONG {
            return Ok(());
        }
        let last = read(&self.path, self.last.saturating_sub(1))?;
        let mut bytes = Vec::new();
        for event in &last {
            serde_json::to_writer(&mut bytes, event).map_err(|source| Error::Message { source })?;
            bytes.push(b'\n');
        }
        hako_sys::file::write_atomic(&self.path, &bytes, hako_sys::file::Durability::Process)?;
        self.file = open(&self.path)?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}

/// The events of the journal at `path` after number `since`; a missing journal is empty, a damaged line is passed over.
pub fn read(path: &Path, since: u64) -> Result<Vec<Event>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(Error::file("open", path))?,
    };
    let mut events = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(Error::file("read", path))?;
        events.extend(serde_json::from_slice(&line).ok().filter(|event: &Event| event.seq > since));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        for second in 1..=3 {
            journal.write(Timestamp::from_secs(second), Kind::Attach);
        }
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.write(Timestamp::from_secs(4), Kind::Left).seq, 4);
        let later: Vec<u64> = journal.since(2).unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(later, [3, 4]);
        assert_eq!(read(&directory.path().join("none"), 0).unwrap(), []);
    }

    #[test]
    fn a_long_journal_taken_in_keeps_its_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        for second in 0..2000 {
            journal.write(Timestamp::from_secs(second), Kind::Attach);
        }
        journal.forget(1999).unwrap();
        assert_eq!(journal.since(0).unwrap().len(), 2000);
        journal.forget(2000).unwrap();
        assert_eq!(journal.since(0).unwrap().len(), 1);
        assert_eq!(journal.write(Timestamp::from_secs(1), Kind::Left).seq, 2001);
        assert_eq!(Journal::open(&path).unwrap().last(), 2001);
    }
}
