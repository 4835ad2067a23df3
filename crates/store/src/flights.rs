//! One at a time: whoever begins to make something named first makes it, others wait.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The names being made now.
#[derive(Default)]
pub(crate) struct Flights {
    names: Mutex<HashSet<String>>,
    landed: Condvar,
}

/// The right to make one thing; dropping it lets the next one try.
pub(crate) struct Flight {
    flights: Arc<Flights>,
    name: String,
}

impl Flights {
    /// Waits for the right to make `name`; none when `patience` runs out.
    pub(crate) fn begin(self: &Arc<Self>, name: &str, patience: Option<Duration>) -> Option<Flight> {
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        while names.contains(name) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            let waited = self.landed.wait_timeout(names, left.unwrap_or(Duration::from_secs(3600)));
            names = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        names.insert(name.to_owned());
        Some(Flight { flights: self.clone(), name: name.to_owned() })
    }

    /// Whether somebody makes `name` now.
    pub(crate) fn is_under_way(&self, name: &str) -> bool {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.flights.landed.notify_all();
    }
}
