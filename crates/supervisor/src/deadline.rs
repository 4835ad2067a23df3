//! What is due, and when. One entry of a kind at most; the loop sleeps until the earliest.

use std::time::{Duration, Instant};

/// Something that is done after a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// SIGKILL, after a stop signal.
    Grace,
    /// The next life.
    Restart,
    /// The next health probe.
    Probe,
    /// The end of a health probe that takes too long.
    ProbeTimeout,
    /// No more waiting for the streams of this ended process.
    Drained(u32),
    /// A look at clients that do not read.
    Stalled,
    /// Compressing full log files.
    Compress,
    /// Giving back buffers after a burst.
    Rest,
    /// The log's next journey.
    Courier,
    /// No more waiting for the log to leave after the container has.
    Farewell,
    /// Mending what somebody did to the host's rules and devices.
    Mend,
}

/// All that is due.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Vec<(Instant, Due)>);

impl Deadlines {
    /// `due` comes `after` from now, and at no other time.
    pub(crate) fn set(&mut self, due: Due, after: Duration) {
        self.clear(due);
        // A time beyond what the clock can say never comes.
        if let Some(at) = Instant::now().checked_add(after) {
            self.0.push((at, due));
        }
    }

    /// `due` comes `after` from now unless it comes at some time already.
    pub(crate) fn set_once(&mut self, due: Due, after: Duration) {
        if !self.0.iter().any(|(_, set)| *set == due) {
            self.set(due, after);
        }
    }

    /// `due` does not come.
    pub(crate) fn clear(&mut self, due: Due) {
        self.0.retain(|(_, set)| *set != due);
    }

    /// How long to wait for the earliest.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.0.iter().map(|(at, _)| at.saturating_duration_since(Instant::now())).min()
    }

    /// Takes one that is due now.
    pub(crate) fn take(&mut self) -> Option<Due> {
        let now = Instant::now();
        let index = self.0.iter().position(|(at, _)| *at <= now)?;
        Some(self.0.swap_remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_due_once() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.wait(), deadlines.take()), (None, None));
        deadlines.set(Due::Grace, Duration::from_secs(60));
        deadlines.set_once(Due::Grace, Duration::ZERO);
        assert_eq!(deadlines.take(), None);
        deadlines.set(Due::Grace, Duration::ZERO);
        deadlines.set(Due::Drained(1), Duration::MAX);
        assert_eq!(deadlines.wait(), Some(Duration::ZERO));
        assert_eq!((deadlines.take(), deadlines.take()), (Some(Due::Grace), None));
    }
}
