//! The event history on disk: numbered lines, one file and its predecessor.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hako_model::event::Event;

use crate::{Error, Result};

/// A file this long becomes the predecessor.
const FULL: u64 = 4 << 20;

/// The history, opened for appending.
pub(super) struct History {
    path: PathBuf,
    file: File,
    length: u64,
    /// Whether the last line has no end: the disk was full, or the power went.
    torn: bool,
}

impl History {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::io(format!("open {}", path.display()), e);
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let torn = length > 0 && !ends_a_line(&mut file).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, length, torn })
    }

    /// Appends one event. What cannot be written (a full disk) is still told to those who listen now.
    pub(super) fn append(&mut self, number: u64, event: &Event) {
        let end = if self.torn { "\n" } else { "" };
        let line = format!("{end}{number} {}\n", serde_json::to_string(event).unwrap_or_default());
        let written = self.file.write_all(line.as_bytes());
        self.torn = written.is_err();
        if let Err(error) = written {
            tracing::warn!(%error, "event not recorded");
        }
        self.length += line.len() as u64;
        if self.length >= FULL
            && let Err(error) = self.turn_over()
        {
            tracing::warn!(%error, "event history not turned over");
        }
    }

    fn turn_over(&mut self) -> std::io::Result<()> {
        std::fs::rename(&self.path, predecessor(&self.path))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

fn ends_a_line(file: &mut File) -> std::io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn predecessor(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Every recorded event whose number is greater than `after`, oldest first. Lines that do not parse (torn or damaged
/// ones) are passed over.
pub(super) fn read(path: &Path, after: u64) -> Vec<(u64, Event)> {
    let later = |line: &String| number(line).is_some_and(|number| number > after);
    lines(path).filter(later).filter_map(|line| parse(&line)).collect()
}

/// The last events, oldest first, at most `count` of them.
pub(super) fn tail(path: &Path, count: usize) -> Vec<(u64, Event)> {
    let mut last = VecDeque::with_capacity(count);
    for line in lines(path) {
        if last.len() == count {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.iter().filter_map(|line| parse(line)).collect()
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    let files = [predecessor(path), path.to_owned()].into_iter().filter_map(|path| File::open(path).ok());
    let lines = files.flat_map(|file| BufReader::new(file).split(b'\n').map_while(std::result::Result::ok));
    lines.filter_map(|line| String::from_utf8(line).ok())
}

fn number(line: &str) -> Option<u64> {
    line.split_once(' ')?.0.parse().ok()
}

fn parse(line: &str) -> Option<(u64, Event)> {
    let (number, json) = line.split_once(' ')?;
    Some((number.parse().ok()?, serde_json::from_str(json).ok()?))
}
