//! What the builds of one order share when it is for several platforms and they go on side by side: the numbers of steps, the
//! places for running them, and which were made anew.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hako_model::digest::Digest;

use super::slots::Slots;

/// The builds of one order.
pub struct Series {
    /// Whether there are several platforms, so that steps say theirs.
    pub(super) several: bool,
    pub(super) slots: Slots,
    steps: AtomicUsize,
    anew: Mutex<HashSet<Digest>>,
}

impl Series {
    /// For one platform, or for several. `parallel` steps may run at once in all of them, 0 for as many as there are
    /// processors.
    #[must_use]
    pub fn new(several: bool, parallel: usize) -> Self {
        let parallel = match parallel {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            some => some,
        };
        let slots = Slots::new(parallel);
        Self { several, slots, steps: AtomicUsize::default(), anew: Mutex::default() }
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
