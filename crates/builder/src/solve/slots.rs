//! How many steps may run at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// Places for running steps.
pub(super) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
    total: usize,
}

/// A place, until it is dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        Self { free: Mutex::new(total), freed: Condvar::new(), total }
    }

    /// Whether only one step runs at a time.
    pub(super) fn is_single(&self) -> bool {
        self.total == 1
    }

    /// Waits for a place.
    pub(super) fn take(&self) -> Slot<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
