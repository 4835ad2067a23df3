//! A blob on its way in, and the readers that follow it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hako_model::digest::Digest;
use rustix::fs::Advice;

use super::Blobs;
use crate::flights::Flight;
use crate::{Error, Hasher, Result};

/// A blob on its way in. Dropped before [`Ingest::commit`], the partial file stays and a later ingest resumes it.
pub struct Ingest {
    blobs: Blobs,
    digest: Digest,
    size: Option<u64>,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    /// How much the disk was told to begin with.
    handed: u64,
    progress: Arc<Progress>,
    _flight: Flight,
}

/// A reader that follows an ingest from its first byte, waiting for bytes not yet there. It ends where the committed
/// blob ends and fails when the ingest is given up. Never slows the writer down.
pub struct Follower {
    file: File,
    progress: Arc<Progress>,
    at: u64,
    turn: u64,
    digest: Digest,
}

/// How much is handed to the disk at a time.
const WRITE_BACK: u64 = 8 << 20;

/// Followers are woken for this many bytes at a time: the network's pieces are small, and a wake-up for each would cost
/// more than the work.
const BATCH: u64 = 128 << 10;

/// How far the writer is, for followers.
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct State {
    written: u64,
    /// Counts the times the file started over.
    turn: u64,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Receiving,
    Complete,
    GivenUp,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, written: u64) {
        let mut state = self.lock();
        let due = written / BATCH != state.written / BATCH;
        state.written = written;
        drop(state);
        if due {
            self.changed.notify_all();
        }
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Ingest {
    pub(super) fn open(blobs: Blobs, digest: &Digest, size: Option<u64>, flight: Flight) -> Result<Self> {
        let name = format!("{}-{}", digest.algorithm().name(), digest.hex());
        let path = blobs.shared.path("ingest").join(name);
        let mut file =
            File::options().read(true).append(true).create(true).open(&path).map_err(Error::at("open", &path))?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut written = rehash(&mut file, &mut hasher).map_err(Error::at("read", &path))?;
        if size.is_some_and(|size| written > size) {
            // More than there should be: it cannot be a beginning of this blob.
            file.set_len(0).map_err(Error::at("truncate", &path))?;
            (hasher, written) = (Hasher::new(digest.algorithm()), 0);
        }
        let state = Mutex::new(State { written, turn: 0, phase: Phase::Receiving });
        let progress = Arc::new(Progress { state, changed: Condvar::new() });
        Ok(Self { blobs, digest: digest.clone(), size, path, file, hasher, handed: written, progress, _flight: flight })
    }

    /// How many bytes are here already: where a Range request starts.
    pub fn offset(&self) -> u64 {
        self.progress.lock().written
    }

    /// Appends bytes; best in pieces of 64 KiB and more. More bytes than the promised size are refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let after = self.offset() + bytes.len() as u64;
        if let Some(expected) = self.size.filter(|size| after > *size) {
            return Err(Error::SizeMismatch { what: format!("blob {}", self.digest), expected, actual: after });
        }
        if let Err(cause) = self.file.write_all(bytes) {
            // What was promised to followers and to the next ingest is exactly what was hashed.
            let _ = self.file.set_len(self.offset());
            return Err(Error::at("write", &self.path)(cause));
        }
        self.hasher.update(bytes);
        self.progress.advance(after);
        self.write_back(after);
        Ok(())
    }

    /// Has the disk begin with what has come in, so that less is left for the sync at the end. The kernel starts writing
    /// pages it is told nobody needs, and keeps those it is writing.
    fn write_back(&mut self, written: u64) {
        let Some(length) = NonZeroU64::new(written - self.handed).filter(|length| length.get() >= WRITE_BACK) else {
            return;
        };
        // Only advice: a kernel that does not take it writes later.
        let _ = rustix::fs::fadvise(&self.file, self.handed, Some(length), Advice::DontNeed);
        self.handed = written;
    }

    /// Starts over from byte 0: for a server that ignored the Range, or a resumed file that did not verify. Followers
    /// that have read already fail.
    pub fn restart(&mut self) -> Result<()> {
        self.progress.tell(|state| (state.written, state.turn) = (0, state.turn + 1));
        (self.hasher, self.handed) = (Hasher::new(self.digest.algorithm()), 0);
        self.file.set_len(0).map_err(Error::at("truncate", &self.path))
    }

    /// A reader of the bytes as they come in.
    pub fn follow(&self) -> Result<Follower> {
        let file = File::open(&self.path).map_err(Error::at("open", &self.path))?;
        let turn = self.progress.lock().turn;
        Ok(Follower { file, progress: self.progress.clone(), at: 0, turn, digest: self.digest.clone() })
    }

    /// Verifies digest and size and makes the blob visible; returns its size. When the digest is wrong the partial file
    /// is deleted.
    pub fn commit(mut self) -> Result<u64> {
        let what = || format!("blob {}", self.digest);
        let actual = self.offset();
        if let Some(expected) = self.size.filter(|size| *size != actual) {
            return Err(Error::SizeMismatch { what: what(), expected, actual });
        }
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.digest.algorithm()));
        let found = hasher.finish();
        if found != self.digest {
            let error = Error::DigestMismatch { what: what(), expected: self.digest.clone(), actual: found };
            self.discard()?;
            return Err(error);
        }
        self.blobs.publish(&self.path, &self.digest)?;
        self.progress.tell(|state| state.phase = Phase::Complete);
        Ok(actual)
    }

    /// Gives up and deletes the partial file.
    pub fn discard(self) -> Result<()> {
        Ok(hako_sys::file::remove_if_present(&self.path)?)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.progress.tell(|state| {
            if state.phase == Phase::Receiving {
                state.phase = Phase::GivenUp;
            }
        });
    }
}

impl Follower {
    /// How many bytes can be read now; waits for some. None at the end.
    fn available(&self) -> io::Result<u64> {
        let mut state = self.progress.lock();
        loop {
            if state.turn != self.turn && self.at > 0 {
                return Err(io::Error::other(Error::Abandoned { what: format!("blob {}", self.digest) }));
            }
            let available = state.written.saturating_sub(self.at);
            match state.phase {
                Phase::Receiving if available < BATCH => {}
                Phase::GivenUp if available == 0 => {
                    return Err(io::Error::other(Error::Abandoned { what: format!("blob {}", self.digest) }));
                }
                _ => return Ok(available),
            }
            state = self.progress.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = usize::try_from(self.available()?).unwrap_or(usize::MAX);
        if self.at == 0 {
            self.turn = self.progress.lock().turn;
        }
        let want = buffer.len().min(available);
        let count = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Hashes what a file holds already; returns how much that is.
fn rehash(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}
