//! Requests about jobs.

use hako_api::job::{Job, Run};
use hako_model::time::Timestamp;

use crate::reply::{self, Outcome};
use crate::request::Asked;

pub(super) fn list(asked: &Asked) -> Outcome {
    let time = |time: Timestamp| if time.is_zero() { String::new() } else { time.to_string() };
    let run = |run: hako_engine::jobs::Run| Run {
        due: time(run.due),
        finished: time(run.finished),
        outcome: run.outcome,
        exit_code: run.exit_code,
    };
    let shown = asked.engine.jobs().list().into_iter().map(|job| Job {
        id: job.id.to_string(),
        name: job.name,
        labels: job.labels,
        schedule: job.schedule,
        next: job.next.map(time).unwrap_or_default(),
        runs: job.runs.into_iter().map(run).collect(),
    });
    reply::json(&shown.collect::<Vec<_>>())
}
