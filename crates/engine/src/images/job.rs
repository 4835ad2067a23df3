//! A verb that runs for a while and tells how it goes: any number of clients may watch one job; when the last leaves,
//! the job is cancelled.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::progress::{Amount, Progress, ProgressStream};
use crate::{Error, Result};

/// How many lines may wait for a client. One that reads nothing loses lines, never the outcome.
const BACKLOG: usize = 4096;

/// A running job.
pub(super) struct Job {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watchers: Vec<mpsc::Sender<Progress>>,
    /// What a client that comes late is told first: all remarks, and of each layer the last line.
    story: Vec<Progress>,
    outcome: Option<Result<()>>,
}

/// What ends the job when nobody holds it any more.
pub(super) struct Lease {
    job: Arc<Job>,
    task: AbortHandle,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The job's side: tells how it goes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reporter {
    job: Arc<Job>,
}

/// A client's side.
struct Watch {
    lines: mpsc::Receiver<Progress>,
    lease: Option<Arc<Lease>>,
}

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Starts a job. It runs while somebody holds the lease or watches.
    pub(super) fn start<F>(work: impl FnOnce(Reporter) -> F) -> Arc<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let job = Arc::new(Job { state: Mutex::default() });
        let work = work(Reporter { job: job.clone() });
        let ending = Ending { job: job.clone() };
        let task = tokio::spawn(async move {
            let outcome = work.await;
            ending.finish(outcome);
        });
        Arc::new(Self { job, task: task.abort_handle() })
    }

    /// A stream of what happens, from the beginning.
    pub(super) fn watch(self: Arc<Self>) -> ProgressStream {
        let (send, lines) = mpsc::channel(BACKLOG);
        let mut state = self.job.state();
        for line in &state.story {
            let _ = send.try_send(line.clone());
        }
        if state.outcome.is_none() {
            state.watchers.push(send);
        }
        drop(state);
        Box::pin(Watch { lines, lease: Some(self) })
    }

    fn is_over(&self) -> bool {
        self.job.state().outcome.is_some()
    }
}

/// Makes sure that a job that panicked does not leave its clients waiting.
struct Ending {
    job: Arc<Job>,
}

impl Ending {
    fn finish(self, outcome: Result<()>) {
        self.job.state().outcome = Some(outcome);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.job.state();
        state.outcome.get_or_insert_with(|| Err(Error::system("the work was given up")));
        state.watchers.clear();
    }
}

impl Reporter {
    /// Whether the job goes on: nobody has given it up.
    pub(super) fn is_wanted(&self) -> bool {
        self.job.state().outcome.is_none()
    }

    /// Tells a line to everybody who watches. What was just said of a layer is not said again.
    pub(super) fn tell(&self, line: Progress) {
        let mut state = self.job.state();
        let place = line.layer().and_then(|id| state.story.iter().position(|told| told.layer() == Some(id)));
        if place.is_some_and(|place| state.story[place] == line) {
            return;
        }
        let gone = |watcher: &mpsc::Sender<Progress>| {
            matches!(watcher.try_send(line.clone()), Err(mpsc::error::TrySendError::Closed(_)))
        };
        state.watchers.retain(|watcher| !gone(watcher));
        match place {
            Some(place) => state.story[place] = line,
            None => state.story.push(line),
        }
    }

    /// Tells a remark.
    pub(super) fn status(&self, id: Option<&str>, status: impl Into<String>) {
        self.tell(Progress::Status { id: id.map(str::to_owned), status: status.into() });
    }

    /// Tells the state of a layer.
    pub(super) fn layer(&self, id: &str, status: &str) {
        self.tell(Progress::Layer { id: id.to_owned(), status: status.to_owned(), amount: None });
    }

    /// Tells how far a layer is.
    pub(super) fn amount(&self, id: &str, status: &str, current: u64, total: u64) {
        let amount = Some(Amount { current, total });
        self.tell(Progress::Layer { id: id.to_owned(), status: status.to_owned(), amount });
    }
}

impl Progress {
    /// The layer a line is about.
    fn layer(&self) -> Option<&str> {
        match self {
            Self::Layer { id, .. } => Some(id),
            _ => None,
        }
    }
}

impl Stream for Watch {
    type Item = Result<Progress>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.lines.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(line)) => Poll::Ready(Some(Ok(line))),
            Poll::Ready(None) => {
                let outcome = self.lease.take().and_then(|lease| lease.job.state().outcome.clone());
                Poll::Ready(outcome.and_then(Result::err).map(Err))
            }
        }
    }
}

/// The jobs that others may join: the same work asked for twice at once is done once.
pub(super) struct Joint<K> {
    running: Mutex<Vec<(K, Weak<Lease>)>>,
}

impl<K> Default for Joint<K> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<K: PartialEq> Joint<K> {
    /// The job under this key: the running one, or one started now.
    pub(super) fn join(&self, key: K, start: impl FnOnce() -> Arc<Lease>) -> Arc<Lease> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(_, lease)| lease.strong_count() > 0);
        let same = running.iter().filter(|(other, _)| *other == key).find_map(|(_, lease)| lease.upgrade());
        if let Some(lease) = same.filter(|lease| !lease.is_over()) {
            return lease;
        }
        let lease = start();
        running.push((key, Arc::downgrade(&lease)));
        lease
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::oneshot;

    use super::*;

    async fn lines(stream: ProgressStream) -> Vec<String> {
        stream
            .map(|line| match line {
                Ok(Progress::Status { status, .. } | Progress::Layer { status, .. }) => status,
                Ok(other) => format!("{other:?}"),
                Err(error) => format!("error: {error}"),
            })
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_late_client_hears_the_story_and_the_outcome() {
        let (go, wait) = oneshot::channel::<()>();
        let lease = Lease::start(|reporter| async move {
            reporter.status(None, "begun");
            reporter.amount("l", "one", 1, 9);
            reporter.amount("l", "two", 2, 9);
            let _ = wait.await;
            Err(Error::invalid("no"))
        });
        let early = lease.clone().watch();
        tokio::task::yield_now().await;
        let late = lease.watch();
        go.send(()).unwrap();
        assert_eq!(lines(late).await, ["begun", "two", "error: no"]);
        assert_eq!(lines(early).await, ["begun", "one", "two", "error: no"]);
    }

    #[tokio::test]
    async fn the_last_client_takes_the_job_along() {
        let (held, gone) = oneshot::channel::<()>();
        let joint = Joint::default();
        let first = joint.join(1, || {
            Lease::start(|_| async move {
                let _held = held;
                std::future::pending().await
            })
        });
        let second = joint.join(1, || unreachable!("it runs already"));
        drop(first.watch());
        drop(second.watch());
        gone.await.unwrap_err();
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_those_who_watch() {
        let lease = Lease::start(|_| async move { panic!("on purpose") });
        assert_eq!(lines(lease.watch()).await, ["error: the work was given up"]);
    }
}
