//! Jobs: containers that run at given times. `io.hako.schedule` on a container says when; each run starts it anew, and a
//! short history of the runs lies beside its record.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hako_model::id::ContainerId;
use hako_model::schedule::{Overlap, Schedule};
use hako_model::state::State;
use hako_model::time::Timestamp;
use hako_sys::file::{Durability, write_atomic};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::container::Container;
use crate::containers::{Containers, StopOptions};
use crate::house::House;

/// The label.
pub const SCHEDULE: &str = "io.hako.schedule";

/// The clock may be set: it is looked at again after this time at the latest.
const LOOK: Duration = Duration::from_secs(30);
/// More runs than this are not remembered, whatever a label says.
const MOST_RUNS: usize = 1000;

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its container.
    pub id: ContainerId,
    /// The container's name.
    pub name: String,
    /// The container's labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// When it runs, in words; or why its schedule makes no sense.
    pub schedule: String,
    /// When it runs next.
    pub next: Option<Timestamp>,
    /// Its runs, the latest last.
    pub runs: Vec<Run>,
}

/// A run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it was due.
    pub due: Timestamp,
    /// When it ended; never, if it goes on.
    pub finished: Timestamp,
    /// How: `running`, `succeeded`, `failed`, `timed out`, `skipped`, or why it could not be started.
    pub outcome: String,
    /// Its exit code, if it ran.
    pub exit_code: Option<i32>,
}

/// About jobs.
pub struct Jobs {
    pub(crate) house: Arc<House>,
}

impl Jobs {
    /// All jobs, by name.
    pub fn list(&self) -> Vec<Job> {
        let due = self.house.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs: Vec<Job> = labelled(&self.house)
            .into_iter()
            .map(|(container, schedule)| Job {
                id: container.id.clone(),
                name: container.record().name.clone(),
                labels: container.record().labels(),
                schedule: schedule.map_or_else(|error| error, |schedule| schedule.describe()),
                next: due.get(&container.id).copied().flatten(),
                runs: read(&container.dir),
            })
            .collect();
        jobs.sort_by(|one, other| one.name.cmp(&other.name));
        jobs
    }

    /// Whether there are any: then the engine is needed even when nobody asks it for anything.
    pub fn any(&self) -> bool {
        labelled(&self.house).iter().any(|(_, schedule)| schedule.is_ok())
    }
}

/// When each job is due next; none if never.
pub(crate) type Due = Mutex<HashMap<ContainerId, Option<Timestamp>>>;

/// Containers with a schedule, and what it says.
fn labelled(house: &House) -> Vec<(Arc<Container>, Result<Schedule, String>)> {
    let of = |container: Arc<Container>| {
        let text = container.record().labels().get(SCHEDULE)?.clone();
        Some((container, Schedule::read(&text).map_err(|error| error.to_string())))
    };
    house.index.all().into_iter().filter_map(of).collect()
}

/// Sees to all jobs from now on.
pub(crate) fn begin(house: &Arc<House>) {
    let queued = Arc::new(Mutex::new(HashSet::new()));
    for (container, schedule) in labelled(house) {
        if let Ok(schedule) = schedule {
            resume(house, &container, schedule);
        }
    }
    let house = Arc::clone(house);
    tokio::spawn(async move {
        loop {
            let pause = start_due(&house, &queued);
            tokio::select! {
                () = sleep(pause) => {}
                () = house.scheduled.notified() => {}
            }
        }
    });
}

/// A run that an earlier engine began: it is watched on, or its end is noted.
fn resume(house: &Arc<House>, container: &Arc<Container>, schedule: Schedule) {
    let Some(run) = read(&container.dir).pop().filter(|run| run.finished.is_zero()) else { return };
    let job = Running { house: Arc::clone(house), container: Arc::clone(container), schedule, due: run.due };
    tokio::spawn(async move { job.watch().await });
}

/// Starts what is due; how long to wait for the next.
fn start_due(house: &Arc<House>, queued: &Arc<Mutex<HashSet<ContainerId>>>) -> Duration {
    let (now, mut pause) = (now(), LOOK);
    let jobs = labelled(house);
    let mut due = house.due.lock().unwrap_or_else(PoisonError::into_inner);
    due.retain(|id, _| jobs.iter().any(|(container, _)| container.id == *id));
    for (container, schedule) in jobs {
        let Ok(schedule) = schedule else { continue };
        let at = due.entry(container.id.clone()).or_insert_with(|| schedule.next(now));
        // A clock that was set back must not put off what is due until it is there again.
        *at = sooner(*at, schedule.next(now));
        if let Some(time) = at.filter(|time| *time <= now) {
            *at = schedule.next(now);
            let job = Running { house: Arc::clone(house), container, schedule, due: time };
            tokio::spawn(job.run(Arc::clone(queued)));
        }
        pause = at.map_or(pause, |at| pause.min(at.since(now)));
    }
    pause.max(Duration::from_millis(10))
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// A run that is due or goes on.
struct Running {
    house: Arc<House>,
    container: Arc<Container>,
    schedule: Schedule,
    due: Timestamp,
}

impl Running {
    async fn run(self, queued: Arc<Mutex<HashSet<ContainerId>>>) {
        if !is_over(&self.container) && !self.may_begin(&queued).await {
            self.note(now(), "skipped", None);
            return;
        }
        let containers = Containers { house: Arc::clone(&self.house) };
        self.note(Timestamp::ZERO, "running", None);
        match containers.start(self.container.id.as_str()).await {
            Ok(()) => self.watch().await,
            Err(error) => self.note(now(), &format!("not started: {error}"), None),
        }
    }

    /// Whether the run may begin, once the one before it has ended.
    async fn may_begin(&self, queued: &Mutex<HashSet<ContainerId>>) -> bool {
        let held = || queued.lock().unwrap_or_else(PoisonError::into_inner);
        match self.schedule.overlap {
            Overlap::Skip => return false,
            // One waits; more would only pile up.
            Overlap::Queue if !held().insert(self.container.id.clone()) => return false,
            Overlap::Queue => {}
            Overlap::Replace => self.stop().await,
        }
        self.ended().await;
        held().remove(&self.container.id);
        !self.container.phase.borrow().removed
    }

    /// Waits for the end of the run, and stops it when its time is over.
    async fn watch(&self) {
        let limit = self.schedule.timeout.map(|seconds| {
            let begun = self.container.status().started_at;
            Duration::from_secs(seconds).saturating_sub(now().since(begun))
        });
        let in_time = match limit {
            Some(limit) => timeout(limit, self.ended()).await.is_ok(),
            None => {
                self.ended().await;
                true
            }
        };
        if !in_time {
            self.stop().await;
            self.ended().await;
        }
        let status = self.container.status();
        let outcome = match (in_time, status.exit_code) {
            (false, _) => "timed out",
            (true, 0) => "succeeded",
            (true, _) => "failed",
        };
        self.note(status.finished_at, outcome, Some(status.exit_code));
    }

    async fn ended(&self) {
        let mut phase = self.container.phase.subscribe();
        // Fails only if the container is forgotten.
        let _ = phase.wait_for(|phase| phase.removed || (!phase.held && ends(&phase.status.state))).await;
    }

    async fn stop(&self) {
        let containers = Containers { house: Arc::clone(&self.house) };
        // It may have ended a moment ago.
        let _ = containers.stop(self.container.id.as_str(), StopOptions::default()).await;
    }

    /// Writes the run into the history, or what became of it.
    fn note(&self, finished: Timestamp, outcome: &str, exit_code: Option<i32>) {
        let mut runs = read(&self.container.dir);
        let run = Run { due: self.due, finished, outcome: outcome.to_owned(), exit_code };
        match runs.iter_mut().find(|known| known.due == self.due) {
            Some(known) => *known = run,
            None => runs.push(run),
        }
        let most = self.schedule.history.clamp(1, MOST_RUNS);
        runs.drain(..runs.len().saturating_sub(most));
        let bytes = serde_json::to_vec(&runs).unwrap_or_default();
        if let Err(error) = write_atomic(&file(&self.container.dir), &bytes, Durability::Process) {
            tracing::debug!(id = self.container.id.short(), %error, "run of a job not noted");
        }
    }
}

fn is_over(container: &Container) -> bool {
    let phase = container.phase.borrow();
    !phase.held && ends(&phase.status.state)
}

fn ends(state: &State) -> bool {
    matches!(state, State::Created | State::Exited | State::Dead)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("jobs.json")
}

fn read(dir: &Path) -> Vec<Run> {
    std::fs::read(file(dir)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
