//! Undoing a layer's compression, told by its first bytes, with the limit on how much may come out.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use hako_model::image::media::Compression;

use super::Limits;
use super::chunks::read_full;
use crate::{Error, Result};

/// How much compressed input is read at a time.
const INPUT: usize = 256 << 10;

/// How xz begins.
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X'];

/// The most bytes of memory for undoing xz: twice what its highest level takes.
const XZ_MEMORY: u64 = 128 << 20;

/// A stream of plain tar bytes.
pub(crate) struct Inflater<'a> {
    stream: Box<dyn Read + Send + 'a>,
    compression: Compression,
    taken: Arc<AtomicU64>,
    given: u64,
    ratio: u64,
    ratio_from: u64,
}

/// Counts the bytes of compressed input.
struct Counting<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<'a> Inflater<'a> {
    /// Looks at the first bytes of `source` and undoes the compression they tell of.
    pub(crate) fn new(source: impl Read + Send + 'a, limits: &Limits) -> Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        Self::counted(Counting { inner: source, taken: taken.clone() }, taken, limits)
    }

    fn counted(mut input: impl Read + Send + 'a, taken: Arc<AtomicU64>, limits: &Limits) -> Result<Self> {
        let start = peek(&mut input).map_err(Error::io("read", "layer"))?;
        let compression = Compression::detect(&start);
        let input = io::Cursor::new(start).chain(input);
        let stream: Box<dyn Read + Send + 'a> = match compression {
            // Whoever reads a plain stream has buffers of a good size.
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(INPUT, input))),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(INPUT, input));
                Box::new(decoder.map_err(Error::io("inflate", "layer"))?)
            }
        };
        Ok(Self { stream, compression, taken, given: 0, ratio: limits.ratio, ratio_from: limits.ratio_from })
    }

    /// The same for archives that never become blobs: they may be packed with xz or bzip2, too.
    pub(crate) fn any(source: impl Read + Send + 'a, limits: &Limits) -> Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        let mut input = Counting { inner: source, taken: taken.clone() };
        let start = peek(&mut input).map_err(Error::io("read", "archive"))?;
        let input = BufReader::with_capacity(INPUT, io::Cursor::new(start.clone()).chain(input));
        let stream: Box<dyn Read + Send + 'a> = match &start[..] {
            XZ => {
                let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
                let decoder = decoder.map_err(|error| Error::io("inflate", "archive")(io::Error::from(error)))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, decoder))
            }
            [b'B', b'Z', b'h', _] => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            _ => return Self::counted(input, taken, limits),
        };
        let compression = Compression::None;
        Ok(Self { stream, compression, taken, given: 0, ratio: limits.ratio, ratio_from: limits.ratio_from })
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of input read so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The first bytes, taken out of the stream.
fn peek(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = vec![0; 4];
    let count = read_full(input, &mut start)?;
    start.truncate(count);
    Ok(start)
}

impl Read for Inflater<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.given += count as u64;
        if self.given > self.ratio_from && self.given / self.ratio.max(1) > self.taken() {
            let reason = format!("{} bytes came out of {}, more than {} to one", self.given, self.taken(), self.ratio);
            return Err(Error::limit("layer", reason).into());
        }
        Ok(count)
    }
}
