//! An archive that is a file: read at any place, by several threads, without a position of its own.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

use crate::{Error, Result};

/// How much is read at a time of what lies between layers.
const BUFFER: usize = 8 << 10;

/// The archive from its beginning, with a buffer.
pub(super) struct Window<'a> {
    file: &'a File,
    /// Where the buffer ends in the file.
    end: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was used.
    used: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, end: 0, buffer: Vec::new(), used: 0 }
    }

    /// The first bytes of a file.
    pub(super) fn start(file: &File) -> Result<Vec<u8>> {
        let mut start = vec![0; 4];
        let count = file.read_at(&mut start, 0).map_err(Error::io("read", "archive"))?;
        start.truncate(count);
        Ok(start)
    }

    /// Goes on `count` bytes further.
    pub(super) fn advance(&mut self, count: u64) {
        let left = self.buffer.len() - self.used;
        match usize::try_from(count) {
            Ok(count) if count <= left => self.used += count,
            _ => {
                self.end = self.end.saturating_add(count - left as u64);
                self.used = self.buffer.len();
            }
        }
    }
}

impl BufRead for Window<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() {
            self.buffer.resize(BUFFER, 0);
            let count = self.file.read_at(&mut self.buffer, self.end);
            self.buffer.truncate(*count.as_ref().unwrap_or(&0));
            self.used = 0;
            self.end += count? as u64;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Some bytes of the archive, without a buffer.
pub(super) struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl<'a> Section<'a> {
    /// `size` bytes from `at` on.
    pub(super) fn new(file: &'a File, at: u64, size: u64) -> Self {
        Self { file, at, left: size }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        if count == 0 && want > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends early"));
        }
        Ok(count)
    }
}
