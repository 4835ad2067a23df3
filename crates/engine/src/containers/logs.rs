//! Reading logs: in pieces ready to be sent, from the files the supervisor writes; following them costs no polling.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hako_model::state::State;
use hako_model::time::Timestamp;
use hako_supervisor::log::Stream;
use hako_supervisor::log::config::{Driver, LogConfig};
use hako_supervisor::log::read::{Entry, Query, Reader};
use tokio::sync::mpsc;

use super::{Containers, LogsOptions};
use crate::clock::now;
use crate::container::{Container, Phase};
use crate::news::{News, Subscription};
use crate::{Error, Result};

/// Pieces of one channel are joined up to this many bytes.
const PIECE: usize = 32 * 1024;

/// How long after its start a container's log is waited for.
const BEGINNING: Duration = Duration::from_millis(300);

/// Which stream a piece of a log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<Stream> for Channel {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
        }
    }
}

impl Containers {
    /// Its log.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<Logs> {
        let container = self.house.index.find(name)?;
        if !options.stdout && !options.stderr {
            return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
        }
        let record = container.record();
        let config = super::start::log_files(&record, &container.dir)?;
        if config.driver == Driver::None {
            return Err(Error::not_implemented("configured logging driver does not support reading"));
        }
        let here = options.resume.unwrap_or_default();
        let query = Query {
            since: options.resume.map(|mark| mark.time).or(options.since),
            until: options.until,
            tail: options.tail.filter(|_| options.resume.is_none()),
            stdout: options.stdout,
            stderr: options.stderr,
            follow: options.follow,
        };
        if !options.follow {
            let_begin(&self.house.news, &container, &config).await?;
        }
        let mut reader = Reader::open(&config, query).map_err(|e| Error::io("open log", e))?;
        reader.pass(here.time, here.count);
        let (send, pieces) = mpsc::channel(4);
        let news = if options.follow { Some(self.house.news.subscribe(&config)?) } else { None };
        let pump = Pump { reader, container, options, news, carry: None, send, here };
        tokio::spawn(pump.run());
        Ok(Logs { terminal: record.config.tty, pieces })
    }
}

/// A log being read.
pub struct Logs {
    terminal: bool,
    pieces: mpsc::Receiver<Result<Piece>>,
}

impl Piece {
    /// The entries as frames of a multiplexed stream. A frame each: clients take a frame for a line.
    pub fn framed(&self) -> Bytes {
        let kind = match self.channel {
            Channel::Stdout => 1,
            Channel::Stderr => 2,
        };
        let mut frames = BytesMut::with_capacity(8 * self.ends.len() + self.bytes.len());
        let mut begin = 0;
        for end in &self.ends {
            let entry = &self.bytes[begin..*end];
            frames.put_slice(&[kind, 0, 0, 0]);
            frames.put_u32(u32::try_from(entry.len()).unwrap_or(u32::MAX));
            frames.put_slice(entry);
            begin = *end;
        }
        frames.freeze()
    }
}

/// Entries of one channel that are sent together.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where they came from.
    pub channel: Channel,
    /// Their bytes, one entry after the other.
    pub bytes: Bytes,
    /// Where each of them ends; clients expect a frame per entry.
    pub ends: Vec<usize>,
    /// Behind the last of them.
    pub mark: Mark,
}

/// A place in a log: behind so many entries of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The moment.
    pub time: Timestamp,
    /// How many of its entries lie before.
    pub count: u64,
}

impl Mark {
    /// Behind one more entry.
    fn behind(self, time: Timestamp) -> Self {
        Self { time, count: if time == self.time { self.count + 1 } else { 1 } }
    }
}

impl Logs {
    /// Whether the container has a terminal: then the bytes go out raw, else each piece as a frame of its channel.
    pub fn tty(&self) -> bool {
        self.terminal
    }

    /// The next piece.
    pub async fn next(&mut self) -> Option<Result<Piece>> {
        self.pieces.recv().await
    }
}

struct Pump {
    reader: Reader,
    container: Arc<Container>,
    options: LogsOptions,
    /// Tells one that follows when there is more.
    news: Option<Subscription>,
    /// An entry already read that belongs to the next piece.
    carry: Option<(Channel, BytesMut, Timestamp)>,
    send: mpsc::Sender<Result<Piece>>,
    /// Behind what was sent.
    here: Mark,
}

/// Why a pump paused.
enum Pause {
    /// Everything written so far was read.
    End,
    /// Nobody listens any more.
    Deaf,
}

impl Pump {
    async fn run(mut self) {
        let outcome = self.pump().await;
        if let Err(error) = outcome {
            // The listener may have gone.
            let _ = self.send.send(Err(error)).await;
        }
    }

    async fn pump(&mut self) -> Result<()> {
        let Some(mut news) = self.news.take() else { return self.drain().await.map(drop) };
        let mut phase = self.container.phase.subscribe();
        loop {
            // Asked before reading: what is written before an end is then read after it.
            let over = is_over(&phase.borrow_and_update());
            if matches!(self.drain().await?, Pause::Deaf) || over || self.reader.is_over() {
                return Ok(());
            }
            tokio::select! {
                more = news.more() => if !more {
                    self.drain().await?;
                    return Ok(());
                },
                _ = phase.changed() => {}
                () = self.send.closed() => return Ok(()),
                () = super::wait::until(self.options.until) => { self.drain().await?; return Ok(()) }
            }
        }
    }

    /// Sends everything written so far.
    async fn drain(&mut self) -> Result<Pause> {
        loop {
            let Some(piece) = crate::blocking::blocking(|| self.piece())? else { return Ok(Pause::End) };
            if self.send.send(Ok(piece)).await.is_err() {
                return Ok(Pause::Deaf);
            }
        }
    }

    /// The next entries of one channel, joined.
    fn piece(&mut self) -> Result<Option<Piece>> {
        let details = self.details();
        let Some((channel, mut joined, time)) = self.carry.take() else { return self.first_piece(&details) };
        self.here = self.here.behind(time);
        let mut ends = vec![joined.len()];
        while joined.len() < PIECE {
            let Some(entry) = self.reader.next().map_err(|e| Error::io("read log", e))? else { break };
            let of = Channel::from(entry.stream);
            if of != channel {
                let mut other = BytesMut::new();
                write_entry(&mut other, &entry, self.options.timestamps, &details);
                self.carry = Some((of, other, entry.time));
                break;
            }
            write_entry(&mut joined, &entry, self.options.timestamps, &details);
            ends.push(joined.len());
            self.here = self.here.behind(entry.time);
        }
        Ok(Some(Piece { channel, bytes: joined.freeze(), ends, mark: self.here }))
    }

    fn first_piece(&mut self, details: &str) -> Result<Option<Piece>> {
        let Some(entry) = self.reader.next().map_err(|e| Error::io("read log", e))? else { return Ok(None) };
        let mut joined = BytesMut::with_capacity(PIECE);
        write_entry(&mut joined, &entry, self.options.timestamps, details);
        self.carry = Some((Channel::from(entry.stream), joined, entry.time));
        self.piece()
    }

    /// What `--details` puts before each line.
    fn details(&self) -> String {
        let attributes = self.reader.attributes();
        if !self.options.details {
            return String::new();
        }
        let pairs: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(",") + " "
    }
}

/// Gives a container that was started a moment ago the time to say something: clients that ask for its log right after
/// the start found its first words there with Docker, whose start takes longer.
async fn let_begin(news: &News, container: &Container, config: &LogConfig) -> Result<()> {
    let mut phase = container.phase.subscribe();
    let begun = phase.borrow().status.started_at;
    if now().since(begun) >= BEGINNING {
        return Ok(());
    }
    let query = Query { follow: true, ..Query::ALL };
    let mut reader = Reader::open(config, query).map_err(|e| Error::io("open log", e))?;
    let mut news = news.subscribe(config)?;
    while let Some(rest) = BEGINNING.checked_sub(now().since(begun)) {
        let begins = || reader.next().map(|entry| entry.is_some());
        if is_over(&phase.borrow_and_update())
            || crate::blocking::blocking(begins).map_err(|e| Error::io("read log", e))?
        {
            break;
        }
        tokio::select! {
            more = news.more() => if !more { break },
            _ = phase.changed() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    Ok(())
}

fn write_entry(into: &mut BytesMut, entry: &Entry<'_>, timestamps: bool, details: &str) {
    if timestamps {
        into.put_slice(entry.time.fixed().as_bytes());
        into.put_u8(b' ');
    }
    into.put_slice(details.as_bytes());
    into.put_slice(entry.line);
}

/// Whether nothing more will be written.
fn is_over(phase: &Phase) -> bool {
    phase.removed || (!phase.status.state.is_running() && !phase.held && phase.status.state != State::Starting)
}
