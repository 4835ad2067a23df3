//! Whether anybody still wants something: open connections, requests being worked on, relayed streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts what goes on. Cheap to clone; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    open: AtomicUsize,
    /// Told when something begins or the last thing ends.
    changed: Notify,
}

/// One thing that goes on, as long as it lives.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

impl Activity {
    /// Something begins.
    #[must_use]
    pub fn begin(&self) -> Guard {
        self.shared.open.fetch_add(1, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
        Guard { shared: self.shared.clone() }
    }

    /// How much goes on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Waits for something to begin, and then until nothing more has begun or ended for that long.
    pub async fn settled(&self, time: Duration) {
        self.shared.changed.notified().await;
        while tokio::time::timeout(time, self.shared.changed.notified()).await.is_ok() {}
    }

    /// Waits until nothing went on for that long without a break.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the count is looked at, so that no change in between is missed.
            changed.as_mut().enable();
            if self.count() > 0 {
                changed.await;
            } else if tokio::time::timeout(time, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.shared.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idleness_begins_when_the_last_thing_ends() {
        let activity = Activity::default();
        let (one, two) = (activity.begin(), activity.begin());
        let began = tokio::time::Instant::now();
        let waiter = tokio::spawn({
            let activity = activity.clone();
            async move { activity.idle_for(Duration::from_secs(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(one);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waiter.is_finished());
        drop(two);
        waiter.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 130);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_for_long_settles_too() {
        let activity = Activity::default();
        let began = tokio::time::Instant::now();
        let waiter = tokio::spawn({
            let activity = activity.clone();
            async move { activity.settled(Duration::from_secs(2)).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!waiter.is_finished(), "nothing has begun");
        let _stream = activity.begin();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop((activity.begin(), activity.begin()));
        waiter.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 13);
    }

    #[tokio::test(start_paused = true)]
    async fn a_beginning_starts_the_time_anew() {
        let activity = Activity::default();
        let began = tokio::time::Instant::now();
        let waiter = tokio::spawn({
            let activity = activity.clone();
            async move { activity.idle_for(Duration::from_secs(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        drop(activity.begin());
        waiter.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 19);
    }
}
