//! Buffers on their way from one thread to several others: shared, bounded, and used again.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

/// The size of a buffer. Small enough that a few stay in the cache, large enough that handing over costs nothing.
pub(super) const CHUNK: usize = 256 << 10;
/// How many buffers may wait for one reader.
const WAITING: usize = 8;

/// A filled buffer. When the last reader drops it, it goes back to the filler.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl Chunk {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // The filler may be done; then the buffer is simply freed.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

/// The filling side.
pub(super) struct Filler {
    readers: Vec<SyncSender<Arc<Chunk>>>,
    used: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

/// A reading side: a buffered stream over the chunks.
pub(super) struct Chunks {
    incoming: Receiver<Arc<Chunk>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

/// A filler and `readers` streams that all see everything.
pub(super) fn channel(readers: usize) -> (Filler, Vec<Chunks>) {
    let (home, used) = mpsc::channel();
    let (senders, streams) = (0..readers)
        .map(|_| {
            let (sender, incoming) = mpsc::sync_channel(WAITING);
            (sender, Chunks { incoming, current: None, at: 0 })
        })
        .unzip();
    (Filler { readers: senders, used, home }, streams)
}

impl Filler {
    /// An empty buffer, a used one if there is one.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let mut bytes = self.used.try_recv().unwrap_or_default();
        bytes.resize(CHUNK, 0);
        bytes
    }

    /// Hands a buffer to all readers; false when one has gone away.
    pub(super) fn send(&self, bytes: Vec<u8>) -> bool {
        let chunk = Arc::new(Chunk { bytes, home: self.home.clone() });
        self.readers.iter().all(|reader| reader.send(chunk.clone()).is_ok())
    }
}

impl Chunks {
    /// The next whole chunk.
    pub(super) fn next_chunk(&mut self) -> Option<Arc<Chunk>> {
        self.incoming.recv().ok()
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let spent = self.current.as_ref().is_none_or(|chunk| self.at >= chunk.bytes.len());
        if spent {
            // Given back before waiting for the next one.
            self.current = None;
            self.current = self.incoming.recv().ok();
            self.at = 0;
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes[self.at..]))
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Reads until the buffer is full or the stream ends.
pub(super) fn read_full(source: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match source.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}
