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
    /// Frames of one stream that arrived together: a log has one for each line, and the system is called once for all.
    gathered: Vec<u8>,
}

impl Sink {
    /// A sink for framed or raw bytes.
    pub(crate) fn new(framed: bool) -> Self {
        Self { frames: framed.then(Demultiplexer::default), gathered: Vec::new() }
    }

    /// Writes what arrived: all of it, in the order of its frames.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.part(bytes, write)
    }

    fn part(
        &mut self,
        mut bytes: &[u8],
        mut write: impl FnMut(StreamKind, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(frames) = &mut self.frames else { return write(StreamKind::Stdout, bytes) };
        let gathered = &mut self.gathered;
        let mut of = StreamKind::Stdout;
        let end = loop {
            let (stream, piece) = match frames.next(&mut bytes) {
                Ok(Some((StreamKind::System, piece))) => {
                    break Err(Failure::local(String::from_utf8_lossy(piece).into_owned()));
                }
                Ok(Some(found)) => found,
                Ok(None) => break Ok(()),
                Err(_) => {
                    break Err(Failure::local("unrecognized stream: the daemon sent something that is not a frame"));
                }
            };
            if stream != of && !gathered.is_empty() {
                write(of, gathered)?;
                gathered.clear();
            }
            of = stream;
            gathered.extend_from_slice(piece);
        };
        if !gathered.is_empty() {
            write(of, gathered)?;
            gathered.clear();
        }
        end
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

#[cfg(test)]
mod tests {
    use hako_api::frame::header;

    use super::*;

    fn framed(frames: &[(StreamKind, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, text) in frames {
            bytes.extend_from_slice(&header(*kind, u32::try_from(text.len()).unwrap()));
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    fn written(sink: &mut Sink, bytes: &[u8]) -> (Vec<(StreamKind, String)>, Result<(), Failure>) {
        let mut all = Vec::new();
        let outcome = sink.part(bytes, |kind, piece| {
            all.push((kind, String::from_utf8_lossy(piece).into_owned()));
            Ok(())
        });
        (all, outcome)
    }

    #[test]
    fn lines_that_arrive_together_are_written_together_and_in_order() {
        use StreamKind::{Stderr, Stdout};
        let bytes = framed(&[(Stdout, "a\n"), (Stdout, "b\n"), (Stderr, "c\n"), (Stderr, "d\n"), (Stdout, "e\n")]);
        let (all, outcome) = written(&mut Sink::new(true), &bytes);
        assert!(outcome.is_ok());
        assert_eq!(all, [(Stdout, "a\nb\n".into()), (Stderr, "c\nd\n".into()), (Stdout, "e\n".into())]);
    }

    #[test]
    fn nothing_that_arrived_is_held_back() {
        let bytes = framed(&[(StreamKind::Stdout, "hello"), (StreamKind::Stderr, "world")]);
        for cut in 0..=bytes.len() {
            let mut sink = Sink::new(true);
            let (mut all, first) = written(&mut sink, &bytes[..cut]);
            let shown: usize = all.iter().map(|(_, text)| text.len()).sum();
            assert_eq!(shown, cut.saturating_sub(8).min(5) + cut.saturating_sub(21), "after {cut} bytes");
            let (rest, second) = written(&mut sink, &bytes[cut..]);
            assert!(first.is_ok() && second.is_ok());
            all.extend(rest);
            assert_eq!(all.iter().map(|(_, text)| text.as_str()).collect::<String>(), "helloworld");
        }
    }

    #[test]
    fn what_came_before_the_daemons_own_error_is_written() {
        let bytes =
            framed(&[(StreamKind::Stdout, "a\n"), (StreamKind::System, "log is damaged"), (StreamKind::Stdout, "b\n")]);
        let (all, outcome) = written(&mut Sink::new(true), &bytes);
        assert_eq!(all, [(StreamKind::Stdout, "a\n".into())]);
        assert!(outcome.is_err());
    }
}
