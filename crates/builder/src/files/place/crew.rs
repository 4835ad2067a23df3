//! Threads that copy files: making a file is mostly waiting for the kernel, and it can make several at once. Folders and
//! everything else are made by the one thread that gives them work.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use hako_sys::confined::Root;

use super::folder::Folder;
use super::joined;
use super::leaf::Hands;
use super::model::Traits;
use crate::files::tree::{Entry, TreeKind};
use crate::{Error, Result};

/// How many files of a folder are copied at once. Two threads in one folder wait for each other, so that most folders
/// should be one batch.
const BATCH: usize = 256;

/// Fewer files than this for each thread are sooner copied by one.
const FEW: usize = 32;

/// Batches that wait; each holds a few descriptors.
const WAITING: usize = 16;

/// The most threads.
const THREADS: usize = 8;

/// Files of one folder.
pub(super) struct Batch<'s> {
    origin: Arc<Root>,
    folder: Arc<Folder>,
    /// The folder's path in the layer.
    path: String,
    kind: TreeKind,
    files: Vec<(&'s str, &'s Entry)>,
}

impl<'s> Batch<'s> {
    pub(super) fn new(origin: &Arc<Root>, folder: &Arc<Folder>, path: String, kind: TreeKind) -> Self {
        Self { origin: Arc::clone(origin), folder: Arc::clone(folder), path, kind, files: Vec::new() }
    }

    fn copy(&self, hands: &Hands<'_>, placed: &mut Placed) -> Result<()> {
        let model = hands.model.and_then(|model| Some((model, model.folder(&self.path)?)));
        for (name, entry) in &self.files {
            let target = joined(&self.path, name);
            let traits = hands.traits(self.kind, entry);
            self.folder.make_way(name)?;
            let linked = model
                .as_ref()
                .zip(traits.as_ref())
                .is_some_and(|((model, from), traits)| model.has(&target, traits) && self.folder.link(from, name));
            if !linked {
                let owner = hands.owner(self.kind, entry);
                hands.file(&self.origin, name, &self.folder, name, entry, owner)?;
            }
            placed.extend(traits.filter(|traits| !traits.is_fresh()).map(|traits| (target, traits)));
        }
        Ok(())
    }
}

/// What was placed where.
type Placed = Vec<(String, Traits)>;

/// The threads, and the batch that is being filled.
pub(super) struct Crew<'scope, 's> {
    hands: Hands<'scope>,
    filling: Option<(String, Batch<'s>)>,
    send: Option<SyncSender<Batch<'s>>>,
    threads: Vec<ScopedJoinHandle<'scope, Result<Placed>>>,
    placed: Placed,
}

impl<'scope, 's: 'scope> Crew<'scope, 's> {
    /// A crew for about so many files.
    pub(super) fn new(scope: &'scope Scope<'scope, '_>, hands: Hands<'scope>, files: usize) -> Self {
        let most = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(THREADS);
        let count = most.min(files / FEW);
        let mut crew = Self { hands, filling: None, send: None, threads: Vec::new(), placed: Vec::new() };
        if count > 1 {
            let (send, batches) = sync_channel(WAITING);
            let batches = Arc::new(Mutex::new(batches));
            crew.send = Some(send);
            let work = |_| {
                let batches = Arc::clone(&batches);
                scope.spawn(move || work(&batches, &hands))
            };
            crew.threads = (0..count).map(work).collect();
        }
        crew
    }

    /// Has a file of the folder `parent` copied.
    pub(super) fn add(
        &mut self,
        parent: &str,
        name: &'s str,
        entry: &'s Entry,
        batch: impl FnOnce() -> Batch<'s>,
    ) -> Result<()> {
        if self.filling.as_ref().is_some_and(|(own, filling)| own != parent || filling.files.len() >= BATCH) {
            self.hand_over()?;
        }
        let (_, filling) = self.filling.get_or_insert_with(|| (parent.to_owned(), batch()));
        filling.files.push((name, entry));
        Ok(())
    }

    fn hand_over(&mut self) -> Result<()> {
        let Some((_, batch)) = self.filling.take() else { return Ok(()) };
        match &self.send {
            // Threads leave early only after an error, which is told at the end.
            Some(send) => send.send(batch).map_err(|_| Error::Cancelled),
            None => batch.copy(&self.hands, &mut self.placed),
        }
    }

    /// Waits until everything is copied; gives what was placed.
    pub(super) fn finish(mut self) -> Result<Placed> {
        let handed = self.hand_over();
        self.join()?;
        handed.map(|()| self.placed)
    }

    fn join(&mut self) -> Result<()> {
        self.send = None;
        let mut outcome = Ok(());
        for thread in self.threads.drain(..) {
            match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(placed) => self.placed.extend(placed),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

fn work(batches: &Mutex<Receiver<Batch<'_>>>, hands: &Hands<'_>) -> Result<Placed> {
    let mut placed = Vec::new();
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return Ok(placed) };
        batch.copy(hands, &mut placed)?;
    }
}
