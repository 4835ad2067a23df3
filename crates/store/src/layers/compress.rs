//! Packing a layer's tar for the way to a registry: gzip in independent blocks on all cores (as pigz does), or zstd.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};

use flate2::{Compress, Compression as Level, Crc, FlushCompress, Status};
use hako_model::image::media::Compression;

use super::Limits;
use super::chunks::read_full;
use super::inflate::Inflater;
use crate::{Error, Result};

/// Bytes compressed as one unit; large enough that starting without the dictionary of the block before costs little.
const BLOCK: usize = 1 << 20;
/// The usual level of both formats.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// The plain tar of a compressed blob.
pub(super) fn inflated(file: File) -> Result<Box<dyn Read + Send>> {
    Ok(Box::new(Inflater::new(file, &Limits::default())?))
}

/// Packs `tar` into `out`; gives the exhausted source back.
pub(super) fn run<R: Read + Send>(tar: R, out: &mut impl Write, compression: Compression) -> Result<R> {
    match compression {
        Compression::Gzip => gzip(tar, out),
        Compression::Zstd => zstd_stream(tar, out),
        Compression::None => copy(tar, out),
    }
}

fn copy<R: Read>(mut tar: R, out: &mut impl Write) -> Result<R> {
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = read_full(&mut tar, &mut buffer).map_err(Error::io("read", "layer"))?;
        out.write_all(&buffer[..count]).map_err(Error::io("write", "blob"))?;
        if count < BLOCK {
            return Ok(tar);
        }
    }
}

fn zstd_stream<R: Read>(tar: R, out: &mut impl Write) -> Result<R> {
    let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL).map_err(Error::io("compress", "layer"))?;
    let tar = copy(tar, &mut encoder)?;
    encoder.finish().map_err(Error::io("write", "blob"))?;
    Ok(tar)
}

/// A block on its way to a worker, and where the packed one is to go.
type Job = (Vec<u8>, bool, SyncSender<io::Result<Packed>>);

struct Packed {
    bytes: Vec<u8>,
    sum: Crc,
}

fn gzip<R: Read + Send>(mut tar: R, out: &mut impl Write) -> Result<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
    // Results are awaited in the order the blocks were read, so at most this many blocks are in memory.
    let (order, ordered) = mpsc::sync_channel::<Receiver<io::Result<Packed>>>(2 * workers);
    let (jobs, taken) = mpsc::sync_channel::<Job>(workers);
    let taken = std::sync::Mutex::new(taken);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(&taken));
        }
        let reading = scope.spawn(move || {
            let read = deal(&mut tar, &jobs, &order);
            (tar, read)
        });
        let written = collect(ordered, out);
        let (tar, read) = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.map_err(Error::io("read", "layer"))?;
        written.map_err(Error::io("write", "blob"))?;
        Ok(tar)
    })
}

fn deal(
    tar: &mut impl Read,
    jobs: &SyncSender<Job>,
    order: &SyncSender<Receiver<io::Result<Packed>>>,
) -> io::Result<()> {
    loop {
        let mut block = vec![0; BLOCK];
        let count = read_full(tar, &mut block)?;
        block.truncate(count);
        let last = count < BLOCK;
        let (reply, answer) = mpsc::sync_channel(1);
        // The writer is gone after an error of its own, which it tells.
        if order.send(answer).is_err() || jobs.send((block, last, reply)).is_err() || last {
            return Ok(());
        }
    }
}

fn work(jobs: &std::sync::Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok((block, last, reply)) = job else { return };
        let _ = reply.send(pack(&block, last));
    }
}

fn pack(block: &[u8], last: bool) -> io::Result<Packed> {
    let mut deflate = Compress::new(Level::new(GZIP_LEVEL), false);
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    loop {
        let done = deflate.total_in() as usize;
        let status = deflate.compress_vec(&block[done..], &mut bytes, flush).map_err(io::Error::other)?;
        let room = bytes.capacity() > bytes.len();
        let complete = deflate.total_in() as usize == block.len() && room;
        if status == Status::StreamEnd || (!last && complete) {
            break;
        }
        bytes.reserve(bytes.capacity().max(1024));
    }
    let mut sum = Crc::new();
    sum.update(block);
    Ok(Packed { bytes, sum })
}

fn collect(blocks: Receiver<Receiver<io::Result<Packed>>>, out: &mut impl Write) -> io::Result<()> {
    // No name, no time: the same layer always becomes the same blob.
    out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
    let mut sum = Crc::new();
    for block in blocks {
        let packed = block.recv().map_err(io::Error::other)??;
        out.write_all(&packed.bytes)?;
        sum.combine(&packed.sum);
    }
    out.write_all(&sum.sum().to_le_bytes())?;
    out.write_all(&sum.amount().to_le_bytes())
}
