//! The event history on disk: numbered lines, one file and its predecessor.

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
    let files = [predecessor(path), path.to_owned()];
    let lines =
        files.iter().filter_map(|path| File::open(path).ok()).flat_map(|file| BufReader::new(file).split(b'\n'));
    let parsed = lines.map_while(std::result::Result::ok).filter_map(|line| {
        let (number, json) = std::str::from_utf8(&line).ok()?.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        (number > after).then(|| Some((number, serde_json::from_str(json).ok()?)))?
    });
    parsed.collect()
}
