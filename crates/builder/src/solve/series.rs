//! What the builds of one order share when it is for several platforms: the numbers of steps, and which were made anew.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hako_model::digest::Digest;

/// The builds of one order.
#[derive(Default)]
pub struct Series {
    /// Whether there are several platforms, so that steps say theirs.
    pub(super) several: bool,
    steps: AtomicUsize,
    anew: Mutex<HashSet<Digest>>,
}

impl Series {
    /// For one platform, or for several.
    #[must_use]
    pub fn new(several: bool) -> Self {
        Self { several, ..Self::default() }
    }

    pub(super) fn next_step(&self) -> usize {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a step was made for this order.
    pub(super) fn note(&self, key: &Digest) {
        self.anew.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
    }

    /// Whether a step was made for this order, which even `--no-cache` need not do twice.
    pub(super) fn has(&self, key: &Digest) -> bool {
        self.anew.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}
