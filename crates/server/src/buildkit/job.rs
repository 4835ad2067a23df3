//! A build as its client knows it: by a name, from the first call about it to the last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hako_buildkit::Status;
use hako_buildkit::wire::control::{Exporter, StatusResponse, Vertex, VertexStatus};
use hako_buildkit::wire::gateway::ReturnRequest;
use hako_engine::builds::{Attestations, CacheTarget, Made};
use prost_types::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::session::Session;

/// How many messages may wait for the client; then the build waits, too.
const BACKLOG: usize = 1024;

/// How long a call about a build waits for the call that begins it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A build.
pub(super) struct Job {
    pub(super) reference: String,
    /// Whom to ask for files; builds from the web need nobody.
    pub(super) session: Option<Session>,
    pub(super) exporters: Vec<Exporter>,
    /// Whether a step may ask for the host's network.
    pub(super) host_network: bool,
    /// Where the result's layers go for other machines' builds.
    pub(super) caches: Vec<CacheTarget>,
    send: Mutex<Option<mpsc::Sender<StatusResponse>>>,
    listen: Mutex<Option<mpsc::Receiver<StatusResponse>>>,
    /// Whether the client listens: nobody waits for one that does not.
    heard: AtomicBool,
    /// Told when the client begins to listen.
    asked: Notify,
    vertices: AtomicUsize,
    made: Mutex<HashMap<String, Made>>,
    /// What is to be attested of the result.
    attest: Mutex<Attestations>,
    returned: watch::Sender<Option<ReturnRequest>>,
}

/// A step as clients see it.
#[derive(Clone, Debug)]
pub(super) struct Shown(Vertex);

impl Shown {
    pub(super) fn digest(&self) -> String {
        self.0.digest.clone()
    }
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

impl Job {
    pub(super) fn new(
        reference: String,
        session: Option<Session>,
        exporters: Vec<Exporter>,
        caches: Vec<CacheTarget>,
    ) -> Self {
        let (send, listen) = mpsc::channel(BACKLOG);
        Self {
            reference,
            session,
            exporters,
            host_network: false,
            caches,
            send: Mutex::new(Some(send)),
            listen: Mutex::new(Some(listen)),
            heard: AtomicBool::new(false),
            asked: Notify::new(),
            vertices: AtomicUsize::new(0),
            made: Mutex::default(),
            attest: Mutex::default(),
            returned: watch::channel(None).0,
        }
    }

    /// The client's end of the progress; the first who asks gets it.
    pub(super) fn listen(&self) -> Option<mpsc::Receiver<StatusResponse>> {
        self.heard.store(true, Ordering::SeqCst);
        self.asked.notify_one();
        self.listen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells the client something. One that is gone, or does not listen and has much to catch up with, is not told.
    pub(super) async fn tell(&self, message: StatusResponse) {
        let send = self.send.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(send) = send else { return };
        match self.heard.load(Ordering::SeqCst) {
            true => _ = send.send(message).await,
            false => _ = send.try_send(message),
        }
    }

    /// Ends the progress.
    pub(super) fn close(&self) {
        self.send.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A step begins.
    pub(super) async fn begin(&self, name: impl Into<String>) -> Shown {
        let number = self.vertices.fetch_add(1, Ordering::Relaxed);
        // Nobody looks into it: it only has to be unlike all others of this build.
        let digest = format!("sha256:{number:064x}");
        let shown = Shown(Vertex { digest, name: name.into(), started: Some(now()), ..Vertex::default() });
        self.tell(StatusResponse { vertexes: vec![shown.0.clone()], ..StatusResponse::default() }).await;
        shown
    }

    /// A step ends.
    pub(super) async fn end(&self, shown: Shown, cached: bool, error: Option<&str>) {
        let vertex = Vertex { completed: Some(now()), cached, error: error.unwrap_or_default().to_owned(), ..shown.0 };
        self.tell(StatusResponse { vertexes: vec![vertex], ..StatusResponse::default() }).await;
    }

    /// A part of a step: what is done, and how many bytes of it.
    pub(super) async fn part(&self, shown: &Shown, id: &str, name: &str, bytes: u64, done: bool) {
        let status = VertexStatus {
            id: id.to_owned(),
            vertex: shown.digest(),
            name: name.to_owned(),
            current: i64::try_from(bytes).unwrap_or(i64::MAX),
            timestamp: Some(now()),
            started: shown.0.started,
            completed: done.then(now),
            ..VertexStatus::default()
        };
        self.tell(StatusResponse { statuses: vec![status], ..StatusResponse::default() }).await;
    }

    /// Keeps a result under a name that the client can say.
    pub(super) fn keep(&self, made: Made) -> String {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{}-{}", self.reference, all.len());
        all.insert(name.clone(), made);
        name
    }

    pub(super) fn made(&self, name: &str) -> Option<Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Takes note of what is to be attested of the result.
    pub(super) fn attest(&self, wanted: Attestations) {
        *self.attest.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    pub(super) fn attestations(&self) -> Attestations {
        self.attest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client is done with its part.
    pub(super) fn finish(&self, returned: ReturnRequest) {
        // Nobody may be waiting any more.
        self.returned.send_replace(Some(returned));
    }

    /// Waits until the client is done with its part.
    pub(super) async fn returned(&self) -> Result<ReturnRequest, Status> {
        let mut returned = self.returned.subscribe();
        let found = returned.wait_for(Option::is_some).await;
        let found = found.ok().and_then(|found| found.clone());
        found.ok_or_else(|| Status::cancelled("the build is over"))
    }
}

/// All builds on their way. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Jobs {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<HashMap<String, Arc<Job>>>,
    changed: Notify,
}

/// A build that is known as long as this lives.
pub(super) struct Known {
    jobs: Jobs,
    pub(super) job: Arc<Job>,
}

impl Known {
    /// Ends the build. One whose client has not asked for the progress yet stays known a little longer: the question may be
    /// on its way.
    pub(super) fn end(self) {
        self.job.close();
        if !self.job.heard.load(Ordering::SeqCst) {
            tokio::spawn(async move {
                // Nobody asked: then nobody will.
                let _ = tokio::time::timeout(PATIENCE, self.job.asked.notified()).await;
            });
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.job.close();
        self.jobs.shared.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job.reference);
    }
}

impl Jobs {
    pub(super) fn begin(&self, job: Job) -> Result<Known, Status> {
        let job = Arc::new(job);
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(&job.reference) {
            return Err(Status::already_exists(format!("build {} is on its way already", job.reference)));
        }
        known.insert(job.reference.clone(), Arc::clone(&job));
        drop(known);
        self.shared.changed.notify_waiters();
        Ok(Known { jobs: self.clone(), job })
    }

    /// The build of that name, which may be about to begin.
    pub(super) async fn find(&self, reference: &str) -> Result<Arc<Job>, Status> {
        let looking = async {
            loop {
                let changed = self.shared.changed.notified();
                let found = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned();
                match found {
                    Some(job) => return job,
                    None => changed.await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.map_err(|_| Status::not_found(format!("no such job {reference}")))
    }
}
