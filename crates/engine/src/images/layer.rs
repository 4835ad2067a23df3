//! One layer on its way in: downloaded, verified, inflated and unpacked in one go. The blob is written to the store by
//! one thread and unpacked from there, as it grows, by another; what is unpacked is placed only when both digests are
//! right and the layers below are in place.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use hako_registry::Repository;
use hako_store::{Begun, ChainId, Claim, Ingest, LayerClaim, Staged, Store, Unpack};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::failure;
use super::job::Reporter;
use crate::{Error, Result};

/// How often a layer tells how far it is.
const EVERY: Duration = Duration::from_millis(100);
/// How long one waits at a time for somebody else's download of the same blob.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pieces that may wait for the writing thread.
const BACKLOG: usize = 16;

/// A layer to be had.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) chain_id: ChainId,
    pub(super) diff_id: Digest,
    pub(super) blob: Descriptor,
}

impl Wanted {
    /// The name in progress lines.
    pub(super) fn short(&self) -> &str {
        self.blob.digest.short()
    }
}

/// What came of fetching a layer.
pub(super) enum Fetched {
    /// It is here already.
    Present,
    /// It is unpacked, waiting for the layers below. The claim keeps others from making it too.
    Staged(Staged, LayerClaim),
}

/// Everything a layer's fetch needs.
#[derive(Clone)]
pub(super) struct Fetch {
    pub(super) store: Store,
    pub(super) repository: Repository,
    pub(super) downloads: Arc<Semaphore>,
    pub(super) reporter: Reporter,
}

impl Fetch {
    /// Fetches a layer, unless it is here or somebody else is making it.
    pub(super) async fn run(self, layer: Wanted) -> Result<Fetched> {
        let (store, chain_id) = (self.store.clone(), layer.chain_id.clone());
        let claim = match blocking(move || store.layers().claim(&chain_id)).await? {
            Claim::Present(_) => return Ok(Fetched::Present),
            Claim::Free(claim) => claim,
        };
        let staged = match self.attempt(&layer).await {
            // A partial file that a crash spoiled is gone by now: all of it is fetched anew, once.
            (true, Err(Error::InvalidParameter { .. })) => self.attempt(&layer).await.1?,
            (_, outcome) => outcome?,
        };
        Ok(Fetched::Staged(staged, claim))
    }

    /// Downloads and unpacks. The first part of the answer: whether an earlier download was gone on with.
    async fn attempt(&self, layer: &Wanted) -> (bool, Result<Staged>) {
        let mut resumed = false;
        let outcome = self.download_and_unpack(layer, &mut resumed).await;
        (resumed, outcome)
    }

    async fn download_and_unpack(&self, layer: &Wanted, resumed: &mut bool) -> Result<Staged> {
        let permit = self.downloads.acquire().await.map_err(|error| Error::io("wait to download", error))?;
        let downloaded = Arc::new(AtomicBool::new(false));
        let unpacking = match self.begin(layer).await? {
            Begun::Present(_) => {
                downloaded.store(true, Ordering::Relaxed);
                let file = self.store.blobs().open(&layer.blob.digest).map_err(|error| failure::of_store(&error))?;
                self.unpack(layer, file, downloaded)
            }
            Begun::Ingest(ingest) => {
                *resumed = ingest.offset() > 0;
                let follower = ingest.follow().map_err(|error| failure::of_store(&error))?;
                let unpacking = self.unpack(layer, follower, downloaded.clone());
                let outcome = self.download(layer, ingest, &unpacking).await;
                downloaded.store(true, Ordering::Relaxed);
                if let Err(error) = outcome {
                    // It ends with the download; what it has made so far is gone when this returns.
                    let _ = unpacking.await;
                    return Err(error);
                }
                unpacking
            }
        };
        drop(permit);
        unpacking.await.map_err(|error| Error::io("unpack layer", error))?
    }

    /// The right to receive the blob; waits for others who do, but never in a way that cannot be cancelled.
    async fn begin(&self, layer: &Wanted) -> Result<Begun> {
        loop {
            let (store, blob) = (self.store.clone(), layer.blob.clone());
            let begun = blocking(move || store.blobs().ingest_within(&blob.digest, Some(blob.size), PATIENCE)).await?;
            if let Some(begun) = begun {
                return Ok(begun);
            }
        }
    }

    /// Downloads into an ingest. When unpacking failed there is nothing to download any more; its own outcome tells why.
    async fn download(&self, layer: &Wanted, ingest: Ingest, unpacking: &JoinHandle<Result<Staged>>) -> Result<()> {
        let mut download = self.repository.blob(&layer.blob, ingest.offset());
        let (send, pieces) = mpsc::channel(BACKLOG);
        let writing = spawn_blocking(move || write(ingest, pieces));
        let mut told = Instant::now();
        while let Some(piece) = download.next().await.map_err(|error| failure::of_registry(&error))? {
            if send.send(piece).await.is_err() || unpacking.is_finished() {
                break;
            }
            if told.elapsed() >= EVERY {
                told = Instant::now();
                self.reporter.amount(layer.short(), "Downloading", download.offset(), layer.blob.size);
            }
        }
        drop(send);
        let ingest = writing.await.map_err(|error| Error::io("write layer", error))??;
        if unpacking.is_finished() {
            return blocking(move || ingest.discard()).await;
        }
        self.reporter.layer(layer.short(), "Verifying Checksum");
        blocking(move || ingest.commit().map(drop)).await?;
        self.reporter.layer(layer.short(), "Download complete");
        Ok(())
    }

    fn unpack(
        &self,
        layer: &Wanted,
        source: impl Read + Send + 'static,
        downloaded: Arc<AtomicBool>,
    ) -> JoinHandle<Result<Staged>> {
        let (store, layer, reporter) = (self.store.clone(), layer.clone(), self.reporter.clone());
        spawn_blocking(move || {
            let told = Told { source, layer: &layer, reporter, downloaded, done: 0, next: Instant::now() };
            let options = Unpack { diff_id: Some(layer.diff_id.clone()), ..Unpack::default() };
            store.layers().unpack(told, &options).map_err(|error| failure::of_store(&error))
        })
    }
}

/// Writes pieces to an ingest. Dropped without a commit, it leaves a partial file for the next attempt.
fn write(mut ingest: Ingest, mut pieces: mpsc::Receiver<Bytes>) -> Result<Ingest> {
    while let Some(piece) = pieces.blocking_recv() {
        ingest.write(&piece).map_err(|error| failure::of_store(&error))?;
    }
    Ok(ingest)
}

/// A reader that tells how far unpacking is, once the download is over: before, that is what counts.
struct Told<'a, R> {
    source: R,
    layer: &'a Wanted,
    reporter: Reporter,
    downloaded: Arc<AtomicBool>,
    done: u64,
    next: Instant,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.done += count as u64;
        let now = Instant::now();
        if now >= self.next && self.downloaded.load(Ordering::Relaxed) {
            self.next = now + EVERY;
            self.reporter.amount(self.layer.short(), "Extracting", self.done, self.layer.blob.size);
        }
        Ok(count)
    }
}

/// Runs a call of the store on a thread of its own.
pub(super) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> hako_store::Result<T> + Send + 'static,
{
    let outcome = spawn_blocking(work).await.map_err(|error| Error::io("work on the store", error))?;
    outcome.map_err(|error| failure::of_store(&error))
}
