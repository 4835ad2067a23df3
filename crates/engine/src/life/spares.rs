//! Supervisors started ahead of need, so that a start finds one whose namespaces and cgroup already exist.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hako_supervisor::Handle;
use hako_sys::process::Program;
use tokio::sync::Notify;

use super::Link;
use crate::{Error, Result};

/// How long nothing must have been started before spares are begun, so that they do not meet the next start.
const QUIET: Duration = Duration::from_millis(100);

/// The same when spares run low: only so long that the start which took the last is not slowed.
const BRIEF: Duration = Duration::from_millis(10);

/// So few spares are low.
const LOW: usize = 1;

/// How long the spares may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Spares {
    pool: Arc<Pool>,
}

struct Pool {
    ready: Mutex<VecDeque<Arc<Link>>>,
    wanted: usize,
    filling: AtomicBool,
    /// Held while spares are begun: who closes the pool waits for the one that is being born.
    beginning: tokio::sync::Mutex<()>,
    /// Told whenever one is asked for.
    taken: Notify,
    /// Set when the engine leaves: nothing is begun any more.
    closed: AtomicBool,
    binary: PathBuf,
    cgroup_parent: String,
}

impl Spares {
    pub(crate) fn new(wanted: usize, binary: PathBuf, cgroup_parent: String) -> Self {
        let pool = Pool {
            ready: Mutex::default(),
            wanted,
            filling: AtomicBool::new(false),
            beginning: tokio::sync::Mutex::default(),
            taken: Notify::new(),
            closed: AtomicBool::new(false),
            binary,
            cgroup_parent,
        };
        Self { pool: Arc::new(pool) }
    }

    /// A started supervisor: a spare if there is one, else one begun now.
    pub(crate) fn take(&self) -> Result<Arc<Link>> {
        let spare = self.pool.pop();
        self.pool.taken.notify_one();
        self.refill();
        match spare {
            Some(link) => Ok(link),
            None => self.pool.spawn(),
        }
    }

    /// Fills the pool in the background.
    pub(crate) fn refill(&self) {
        let pool = Arc::clone(&self.pool);
        if pool.closed.load(Ordering::Acquire) || pool.filling.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(async move {
            pool.rest().await;
            pool.fill().await;
        });
    }

    /// Lets all spares go and waits until they are gone; one that hangs is not waited for.
    pub(crate) async fn close(&self) {
        self.pool.closed.store(true, Ordering::Release);
        drop(self.pool.beginning.lock().await);
        let spares = std::mem::take(&mut *self.pool.ready.lock().unwrap_or_else(PoisonError::into_inner));
        spares.iter().for_each(|spare| spare.dismiss());
        let ended = async {
            for spare in &spares {
                spare.ended().await;
            }
        };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!("a spare supervisor does not leave");
        }
    }
}

impl Pool {
    fn pop(&self) -> Option<Arc<Link>> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| ready.pop_front()).find(|link| link.is_open())
    }

    fn spawn(&self) -> Result<Arc<Link>> {
        let name = hako_sys::random::hex(8).map_err(|e| Error::io("start supervisor", e))?;
        let cgroup = format!("{}/spare-{name}", self.cgroup_parent);
        Link::with_seat(self.process(&cgroup)?, Some(cgroup))
    }

    fn process(&self, cgroup: &str) -> Result<Handle> {
        let failed = |e: &dyn std::fmt::Display| Error::io("start supervisor", e);
        let own = self.binary == Path::new("/proc/self/exe");
        let program = if own { Program::own("hako") } else { Program::new(&self.binary) };
        let program = program.map_err(|e| failed(&e))?;
        Handle::spawn_program(program, cgroup).map_err(|e| failed(&e))
    }

    fn ready(&self) -> usize {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn missing(&self) -> bool {
        self.ready() < self.wanted && !self.closed.load(Ordering::Acquire)
    }

    /// Waits until beginning a spare disturbs nobody.
    async fn rest(&self) {
        loop {
            if self.ready() <= LOW {
                return tokio::time::sleep(BRIEF).await;
            }
            // Every start begins the quiet anew.
            if tokio::time::timeout(QUIET, self.taken.notified()).await.is_err() {
                return;
            }
        }
    }

    async fn fill(&self) {
        let _beginning = self.beginning.lock().await;
        while self.missing() {
            match self.spawn() {
                Ok(link) => self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(link),
                Err(error) => {
                    tracing::warn!(%error, "no spare supervisor");
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        self.filling.store(false, Ordering::Release);
    }
}
