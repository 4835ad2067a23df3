//! The streams of a container or an exec, joined to the caller's: output is parted by frame, input is carried by a
//! thread of its own so that neither direction can hold up the other.

mod input;

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::StreamExt;
use hako_api::frame::{Demultiplexer, StreamKind};
use hako_client::{ByteStream, Hijacked};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::output::wrote;
use crate::terminal::Raw;

/// What of the caller's streams takes part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    /// Carry standard input.
    pub(crate) stdin: bool,
    /// The other side is a terminal.
    pub(crate) tty: bool,
    /// The keys that detach, from a terminal only; empty for none.
    pub(crate) detach_keys: String,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The other side closed its output.
    Closed,
    /// The person left with the detach keys.
    Detached,
}

/// A relay whose input already flows.
pub(crate) struct Relay {
    hijacked: Hijacked,
    detached: Option<oneshot::Receiver<()>>,
    raw: Option<Raw>,
}

impl Relay {
    /// Joins the streams. A terminal on both sides goes into raw mode until the relay is dropped.
    pub(crate) fn begin(hijacked: Hijacked, ends: &Ends) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::local(format!("attach: {}", crate::failure::go_cause(&error)));
        let raw = if ends.stdin && ends.tty { Raw::enter().map_err(failed)? } else { None };
        let detached = if ends.stdin {
            let keys = if raw.is_some() { ends.detach_keys.as_str() } else { "" };
            Some(input::carry(&hijacked.socket, keys).map_err(failed)?)
        } else {
            None
        };
        Ok(Self { hijacked, detached, raw })
    }

    /// Carries output until the other side closes or the person detaches.
    pub(crate) async fn finish(mut self) -> Result<End, Failure> {
        let mut sink = Sink::new(self.hijacked.multiplexed);
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                biased;
                read = self.hijacked.read(&mut buffer) => match read {
                    Ok(0) => return Ok(End::Closed),
                    Ok(count) => sink.take(&buffer[..count])?,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(End::Closed),
                    Err(error) => return Err(Failure::local(format!("read: {}", crate::failure::go_cause(&error)))),
                },
                told = told(self.detached.as_mut()) => match told {
                    true => return Ok(End::Detached),
                    // Input merely ended: nobody will tell any more.
                    false => self.detached = None,
                },
            }
        }
    }

    /// Whether the caller's terminal is in raw mode.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw.is_some()
    }
}

/// Whether the person detached; never, when there is nobody to tell.
async fn told(detached: Option<&mut oneshot::Receiver<()>>) -> bool {
    match detached {
        Some(detached) => detached.await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Where output goes: by frame to standard output and error, or all of it to standard output.
pub(crate) struct Sink {
    frames: Option<Demultiplexer>,
}

impl Sink {
    /// A sink for framed or raw bytes.
    pub(crate) fn new(framed: bool) -> Self {
        Self { frames: framed.then(Demultiplexer::default) }
    }

    /// Writes what arrived.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let Some(frames) = &mut self.frames else { return write(StreamKind::Stdout, bytes) };
        let broken = |_| Failure::local("unrecognized stream: the daemon sent something that is not a frame");
        while let Some((stream, piece)) = frames.next(&mut bytes).map_err(broken)? {
            if stream == StreamKind::System {
                return Err(Failure::local(String::from_utf8_lossy(piece).into_owned()));
            }
            write(stream, piece)?;
        }
        Ok(())
    }
}

/// Writes to the caller's stream of that kind.
pub(crate) fn write(stream: StreamKind, bytes: &[u8]) -> Result<(), Failure> {
    wrote(match stream {
        StreamKind::Stderr => io::stderr().lock().write_all(bytes),
        _ => {
            // A frame may end in the middle of a line; `Stdout` would hold the rest back until a line break.
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
    })
}

/// Writes a stream of frames or raw bytes (a log) to the caller's streams.
pub(crate) async fn copy_log(mut stream: ByteStream, tty: bool) -> Result<(), Failure> {
    let mut sink = Sink::new(stream.is_multiplexed() || !tty);
    while let Some(chunk) = stream.next().await {
        sink.take(&chunk?)?;
    }
    Ok(())
}

/// Writes a stream of plain bytes (an archive) to `out`.
pub(crate) async fn copy_bytes(mut stream: ByteStream, out: &mut impl Write) -> Result<u64, Failure> {
    let mut total = 0;
    while let Some(chunk) = stream.next().await {
        let chunk: Bytes = chunk?;
        total += chunk.len() as u64;
        wrote(out.write_all(&chunk))?;
    }
    wrote(out.flush())?;
    Ok(total)
}
