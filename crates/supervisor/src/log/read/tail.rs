//! Finding where the last entries begin: from the end of plain files, by reading compressed ones twice.

use std::collections::VecDeque;
use std::io::Result;

use super::source::Source;
use crate::Error;
use crate::log::config::Driver;
use crate::log::local;

/// How much is read at a time.
const BLOCK: u64 = 64 * 1024;

/// Drops and positions `sources` so that they hold just the last `wanted` entries.
pub(super) fn seek(sources: &mut VecDeque<Source>, wanted: u64, driver: Driver) -> crate::Result<()> {
    let failed = |source| Error::file("read", "container log")(source);
    let mut missing = wanted;
    for index in (0..sources.len()).rev() {
        let (position, found) = begin(&mut sources[index], missing, driver).map_err(failed)?;
        sources[index].seek(position).map_err(failed)?;
        missing -= found;
        if missing == 0 {
            sources.drain(..index);
            break;
        }
    }
    Ok(())
}

/// Where the last `wanted` entries of `source` begin, and how many there are.
fn begin(source: &mut Source, wanted: u64, driver: Driver) -> Result<(u64, u64)> {
    match (source.length()?, driver) {
        (Some(length), driver) if driver.is_local() => begin_local(source, length, wanted),
        (Some(length), _) => begin_lines(source, length, wanted),
        (None, _) => begin_compressed(source, wanted, driver),
    }
}

/// Looks for newlines from the end. An unfinished last line is no entry.
fn begin_lines(source: &Source, length: u64, wanted: u64) -> Result<(u64, u64)> {
    let mut block = vec![0; usize::try_from(BLOCK.min(length)).unwrap_or(0)];
    let (mut end, mut newlines, mut first) = (length, 0, length);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let room = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        source.read_at(room, start)?;
        for at in memchr::memrchr_iter(b'\n', room) {
            if newlines == wanted {
                return Ok((start + at as u64 + 1, wanted));
            }
            newlines += 1;
            first = first.min(start + at as u64 + 1);
        }
        end = start;
    }
    Ok((0, newlines))
}

/// Steps back by the lengths behind the entries.
fn begin_local(source: &Source, length: u64, wanted: u64) -> Result<(u64, u64)> {
    const FRAME: u64 = local::FRAME as u64;
    let (mut position, mut found) = (length, 0);
    while found < wanted && position >= 2 * FRAME {
        let mut frame = [0; local::FRAME];
        source.read_at(&mut frame, position - FRAME)?;
        let Some(start) = position.checked_sub(u64::from(u32::from_be_bytes(frame)) + 2 * FRAME) else { break };
        position = start;
        found += 1;
    }
    Ok((position, found))
}

/// Counts all entries, goes back, and passes over those that are too old.
fn begin_compressed(source: &mut Source, wanted: u64, driver: Driver) -> Result<(u64, u64)> {
    let mut starts = VecDeque::new();
    scan(source, driver, &mut |start| {
        starts.push_back(start);
        if starts.len() as u64 > wanted {
            starts.pop_front();
        }
    })?;
    source.restart()?;
    Ok((starts.front().copied().unwrap_or(0), starts.len() as u64))
}

/// Tells where each entry begins.
fn scan(source: &mut Source, driver: Driver, tell: &mut impl FnMut(u64)) -> Result<()> {
    let mut block = vec![0; usize::try_from(BLOCK).unwrap_or(0)];
    let (mut position, mut pending, mut next) = (0, Vec::new(), 0);
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        if driver.is_local() {
            pending.extend_from_slice(&block[..read]);
            let mut at = 0;
            while let Some(length) =
                local::length_at(&pending, at).filter(|n| at + n + 2 * local::FRAME <= pending.len())
            {
                tell(position + at as u64);
                at += length + 2 * local::FRAME;
            }
            pending.drain(..at);
            position += at as u64;
        } else {
            for at in memchr::memchr_iter(b'\n', &block[..read]) {
                tell(next);
                next = position + at as u64 + 1;
            }
            position += read as u64;
        }
    }
}
