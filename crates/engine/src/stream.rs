//! Byte streams in and out of verbs, and their bridge to the blocking readers and writers of `store`.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::{Error, Result};

/// Bytes a verb gives; ends after the first error.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Bytes a verb is given: a request's body.
pub type ByteSource = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// How many chunks may wait between a blocking thread and the loop.
const DEPTH: usize = 8;

/// How large the chunks of a blocking writer are.
const CHUNK: usize = 256 * 1024;

/// Blocking reader over a source; the pump lives as long as the reader.
pub struct SourceReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

/// Lets blocking code read `source`. Must be called on the runtime; the reader is for another thread. What is left when
/// the reader is gone is read all the same: many clients look at the answer only when they have sent everything.
pub fn reader(mut source: ByteSource) -> SourceReader {
    let (send, chunks) = mpsc::channel(DEPTH);
    tokio::spawn(async move {
        while let Some(chunk) = source.next().await {
            let broken = chunk.is_err();
            // Nobody may want it any more; then it is thrown away.
            let _ = send.send(chunk).await;
            if broken {
                break;
            }
        }
    });
    SourceReader { chunks, rest: Bytes::new() }
}

impl io::Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let n = into.len().min(self.rest.len());
        into[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// Blocking writer whose bytes come out of a [`ByteStream`].
pub struct SinkWriter {
    chunks: mpsc::Sender<Result<Bytes>>,
    pending: Vec<u8>,
}

impl SinkWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.pending));
        self.chunks.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl io::Write for SinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// A stream of what `produce`, run on a blocking thread, writes. Its error ends the stream.
pub fn written_by<F>(produce: F) -> ByteStream
where
    F: FnOnce(&mut SinkWriter) -> Result<()> + Send + 'static,
{
    let (send, mut chunks) = mpsc::channel(DEPTH);
    tokio::task::spawn_blocking(move || {
        let mut writer = SinkWriter { chunks: send, pending: Vec::with_capacity(CHUNK) };
        let outcome = produce(&mut writer).and_then(|()| writer.send().map_err(|e| Error::io("send stream", e)));
        if let Err(error) = outcome {
            // Whoever reads sees only that it breaks off: how it would have ended was said at the beginning.
            tracing::warn!(%error, "stream broke off");
            // A reader that left does not want to know.
            let _ = writer.chunks.blocking_send(Err(error));
        }
    });
    Box::pin(futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx)))
}
