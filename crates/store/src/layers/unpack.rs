//! From a compressed stream to files: one thread reads and inflates, one hashes, one puts members on the disk, with a few
//! buffers between them. The slowest of the three sets the pace; memory is bounded whatever comes in.

use std::io::{BufRead, Cursor, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use hako_model::digest::{Algorithm, Digest};
use hako_model::image::media::Compression;

use super::Unpack;
use super::chunks::{self, CHUNK, Chunks, Filler, read_full};
use super::inflate::Inflater;
use super::skeleton::Recorder;
use crate::extract::{Extractor, Ledger, Manners, Outcome};
use crate::tar::Reader;
use crate::{Error, Hasher, Result};

/// How many large files may wait for their way to the disk.
const WRITEBACK: usize = 64;

/// What an unpacked stream turned out to be.
pub(super) struct Unpacked {
    pub(super) diff_id: Digest,
    pub(super) tar_size: u64,
    pub(super) input_size: u64,
    pub(super) compression: Compression,
    pub(super) outcome: Outcome,
}

/// Unpacks into `dir/diff` (and `dir/skeleton`).
pub(super) fn run(source: impl Read + Send, dir: &Path, options: &Unpack) -> Result<Unpacked> {
    let mut inflater = Inflater::new(source, &options.limits)?;
    let mut first = vec![0; CHUNK];
    let count = read_full(&mut inflater, &mut first).map_err(broken)?;
    first.truncate(count);
    let (diff_id, tar_size, outcome) = match count < CHUNK {
        true => unpack_small(&first, dir, options)?,
        false => unpack_large(first, &mut inflater, dir, options)?,
    };
    if let Some(expected) = options.diff_id.as_ref().filter(|expected| **expected != diff_id) {
        return Err(Error::DigestMismatch { what: "layer".to_owned(), expected: expected.clone(), actual: diff_id });
    }
    let (input_size, compression) = (inflater.taken(), inflater.compression());
    Ok(Unpacked { diff_id, tar_size, input_size, compression, outcome })
}

/// Most layers of most images are a few files: threads would cost more than the work.
fn unpack_small(bytes: &[u8], dir: &Path, options: &Unpack) -> Result<(Digest, u64, Outcome)> {
    let outcome = extract(Cursor::new(bytes), dir, options, None)?;
    Ok((Hasher::digest(bytes), bytes.len() as u64, outcome))
}

fn unpack_large(first: Vec<u8>, source: &mut dyn Read, dir: &Path, options: &Unpack) -> Result<(Digest, u64, Outcome)> {
    let (filler, mut streams) = chunks::channel(2);
    let (to_extract, to_hash) = (streams.pop(), streams.pop());
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || to_hash.map(hash));
        let (writeback, files) = mpsc::sync_channel(WRITEBACK);
        scope.spawn(move || begin_writeback(&files));
        let extracting = scope.spawn(move || to_extract.map(|stream| extract(stream, dir, options, Some(writeback))));
        let fed = feed(first, source, filler);
        let hashed = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let extracted = extracting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A broken source is the cause, a tar cut short only its consequence.
        fed?;
        match (hashed, extracted) {
            (Some((diff_id, size)), Some(outcome)) => Ok((diff_id, size, outcome?)),
            _ => Err(Error::Abandoned { what: "layer".to_owned() }),
        }
    })
}

/// Passes the stream on until it ends or a reader goes away (which then says why).
fn feed(first: Vec<u8>, source: &mut dyn Read, filler: Filler) -> Result<()> {
    let mut bytes = first;
    loop {
        let last = bytes.len() < CHUNK;
        if !filler.send(bytes) || last {
            return Ok(());
        }
        bytes = filler.buffer();
        let count = read_full(source, &mut bytes).map_err(broken)?;
        bytes.truncate(count);
    }
}

pub(super) fn hash(mut stream: Chunks) -> (Digest, u64) {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut size = 0;
    while let Some(chunk) = stream.next_chunk() {
        hasher.update(chunk.bytes());
        size += chunk.bytes().len() as u64;
    }
    (hasher.finish(), size)
}

/// Files go to the disk while others are still unpacked, so that the sync that seals the image has little left to do.
fn begin_writeback(files: &Receiver<OwnedFd>) {
    let mut begun = 0;
    while let Ok(file) = files.recv() {
        hako_sys::file::begin_writeback(file.as_fd());
        begun += rustix::fs::fstat(&file).map_or(0, |stat| stat.st_size);
        if begun >= FLUSH_EVERY {
            begun = 0;
            flush(file);
        }
    }
}

/// After so many bytes begun, the disk is asked to be done with them: what is below may hold them back as well, in a
/// cache of its own.
const FLUSH_EVERY: i64 = 48 << 20;

/// Whether a flush is on its way; one at a time is enough, whatever is unpacked.
static FLUSHING: AtomicBool = AtomicBool::new(false);

/// Flushes the disk by one of its files, in the background. It promises nothing: the image's sync does.
fn flush(file: OwnedFd) {
    if FLUSHING.swap(true, Ordering::AcqRel) {
        return;
    }
    let flushing = std::thread::Builder::new().name("flush".to_owned()).spawn(move || {
        let _ = rustix::fs::fdatasync(&file);
        FLUSHING.store(false, Ordering::Release);
    });
    if flushing.is_err() {
        FLUSHING.store(false, Ordering::Release);
    }
}

/// Whom large files are handed to.
type Writeback = Option<SyncSender<OwnedFd>>;

fn extract(stream: impl BufRead, dir: &Path, options: &Unpack, writeback: Writeback) -> Result<Outcome> {
    let diff = dir.join("diff");
    if !options.skeleton {
        return extract_to(Reader::new(stream), &diff, options, writeback).map(|(outcome, ())| outcome);
    }
    let reader = Reader::tapped(stream, Recorder::create(dir)?);
    let (outcome, recorder) = extract_to(reader, &diff, options, writeback)?;
    recorder.finish()?;
    Ok(outcome)
}

fn extract_to<R: BufRead, L: Ledger>(
    mut reader: Reader<R, L>,
    diff: &Path,
    options: &Unpack,
    writeback: Writeback,
) -> Result<(Outcome, L)> {
    let root = std::fs::File::open(diff).map_err(Error::at("open", diff))?;
    let manners = Manners {
        whiteouts: !options.plain,
        keep_directories: false,
        owner: None,
        entries: options.limits.entries,
        free_space: options.limits.free_space,
    };
    let outcome = Extractor::new(&mut reader, root.into(), manners, None).handing_on(writeback).run()?;
    let (_, ledger) = reader.finish()?;
    Ok((outcome, ledger))
}

/// A read error of the source, with our own errors brought back from their disguise.
fn broken(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) => Error::io("read", "layer")(cause),
    }
}
