//! Writing the log: pieces are encoded into one buffer, the buffer is written in one go, full files are turned over.
//!
//! Writing never waits for anybody but the disk. When the disk refuses, what could not be written is lost, and the
//! container goes on; once the disk takes more, an entry of the log says how much is missing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use hako_model::time::Timestamp;

use super::clock::Clock;
use super::config::{Driver, LogConfig};
use super::pieces::{Piece, Tail};
use super::{Stream, files, json, local};
use crate::{Error, Result};

/// Encoded bytes are written when so many have gathered.
const GATHER: usize = 256 * 1024;

/// Writes one container's log.
#[derive(Debug)]
pub struct Writer {
    tails: [Tail; 2],
    sink: Sink,
}

impl Writer {
    /// Opens the log for appending. `last` is the time of its last entry, if known.
    pub fn open(config: LogConfig, last: Timestamp) -> Result<Self> {
        let encoder = match config.driver {
            Driver::JsonFile => Encoder::Json(json::Encoder::new(&config.attributes)),
            Driver::None => Encoder::None,
            _ => Encoder::Local,
        };
        let file = match config.driver {
            Driver::None => None,
            _ => Some(open(&config)?),
        };
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        let sink =
            Sink { config, encoder, file, size, out: Vec::new(), clock: Clock::after(last), lost: 0, turned: false };
        Ok(Self { tails: Default::default(), sink })
    }

    /// Logs `bytes`, read from `stream` at `now`. They are written when [`Writer::flush`] is called, or before.
    pub fn log(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        if self.sink.file.is_some() {
            let sink = &mut self.sink;
            self.tails[stream.index()].cut(bytes, now, &mut |piece| sink.push(stream, piece, now));
        }
    }

    /// Logs what `stream` has left in an unfinished line: it has ended.
    pub fn end(&mut self, stream: Stream, now: Timestamp) {
        let sink = &mut self.sink;
        self.tails[stream.index()].finish(now, &mut |piece| sink.push(stream, piece, now));
    }

    /// The line of `stream` that is not finished, and so not logged yet.
    pub fn unfinished(&self, stream: Stream) -> &[u8] {
        self.tails[stream.index()].bytes()
    }

    /// Writes everything to the file.
    pub fn flush(&mut self) {
        self.sink.flush();
    }

    /// Gives memory back: nothing is expected for a while.
    pub fn rest(&mut self) {
        self.sink.flush();
        self.sink.out = Vec::new();
        self.tails.iter_mut().for_each(Tail::rest);
    }

    /// Where this log is.
    pub fn config(&self) -> &LogConfig {
        &self.sink.config
    }

    /// Whether a file has become full since the last call, so that there may be something to compress.
    pub fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.sink.turned)
    }
}

#[derive(Debug)]
enum Encoder {
    Json(json::Encoder),
    Local,
    None,
}

#[derive(Debug)]
struct Sink {
    config: LogConfig,
    encoder: Encoder,
    file: Option<File>,
    size: u64,
    out: Vec<u8>,
    clock: Clock,
    lost: u64,
    turned: bool,
}

impl Sink {
    fn push(&mut self, stream: Stream, piece: Piece<'_>, now: Timestamp) {
        if self.is_full() {
            self.flush();
            self.turn_over();
        } else if self.out.len() >= GATHER {
            self.flush();
        }
        if self.out.capacity() == 0 {
            self.out.reserve(GATHER + GATHER / 4);
        }
        if self.lost > 0 {
            let note =
                format!("hako: {} bytes of log were lost: the disk refused them", std::mem::take(&mut self.lost));
            let piece = Piece { bytes: note.as_bytes(), ends_line: true, part: None, line: now };
            self.encode(Stream::Stderr, piece, now);
        }
        self.encode(stream, piece, now);
    }

    fn encode(&mut self, stream: Stream, piece: Piece<'_>, now: Timestamp) {
        let time = self.clock.stamp(now);
        match &mut self.encoder {
            Encoder::Json(encoder) => encoder.push(&mut self.out, stream, piece, time),
            Encoder::Local => local::push(&mut self.out, stream, piece, time),
            Encoder::None => {}
        }
    }

    fn is_full(&self) -> bool {
        self.config.max_size.is_some_and(|max| self.size + self.out.len() as u64 >= max)
    }

    fn flush(&mut self) {
        let Some(file) = &mut self.file else { return };
        if self.out.is_empty() {
            return;
        }
        if file.write_all(&self.out).is_ok() {
            self.size += self.out.len() as u64;
        } else {
            self.lost += self.out.len() as u64;
            // Half an entry would spoil the next one. If even this fails, readers pass over the damage.
            let _ = file.set_len(self.size);
        }
        self.out.clear();
    }

    /// A file that cannot be turned over goes on being written: output matters more than its bounds.
    fn turn_over(&mut self) {
        if let Ok(file) = self.fresh_file() {
            self.file = Some(file);
            self.size = 0;
            self.turned = self.config.max_file > 1;
        }
    }

    fn fresh_file(&self) -> Result<File> {
        if self.config.max_file > 1 {
            files::turn_over(&self.config)?;
        }
        let file = open(&self.config)?;
        file.set_len(0).map_err(Error::file("truncate", &self.config.path))?;
        Ok(file)
    }
}

fn open(config: &LogConfig) -> Result<File> {
    if config.driver.is_local()
        && let Some(parent) = config.path.parent()
    {
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&config.path)
        .map_err(Error::file("open", &config.path))
}
