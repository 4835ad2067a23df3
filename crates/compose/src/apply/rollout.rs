//! A service's containers are replaced a few at a time: the new ones must be up and well before the old ones go, and if
//! they are not, the old ones are back. `deploy.update_config` says how many at once, in which order and how far apart.
//!
//! A new container starts aside. Once it is well, published ports and names lead to it instead of the old one, in one
//! step; the old one is stopped when its connections have ended, and removed when all is done.

mod pace;

use std::time::Duration;

use futures_util::future::join_all;
use hako_api::query;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use self::pace::{Failing, Pace};
use super::ready::{Condition, await_ready, await_steady};
use super::{Member, Work, gone, hook};
use crate::creation::span;
use crate::plan::{Existing, Step};
use crate::world::{Mood, Outcome, Trouble};
use crate::yaml::Node;

/// How long a new container without a health check may take to run, where nobody says.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the connections of an old one may take to end, where its grace does not say.
const DRAIN: i64 = 10;

/// One container and what takes its place.
struct Pair {
    old: Existing,
    new: Member,
}

/// A service that is being replaced.
#[derive(Clone, Copy)]
struct Rolled<'r> {
    service: &'r str,
    node: &'r Node,
    pace: Pace,
    /// Whether what the service does before its start has been done.
    prepared: &'r Mutex<bool>,
}

impl Work<'_> {
    /// Replaces a service's containers.
    pub(super) async fn roll(&self, service: &str, node: &Node, steps: &[&Step]) -> Outcome<Vec<Member>> {
        let prepared = &Mutex::new(false);
        let rolled = Rolled { service, node, pace: Pace::of(node, "update_config", steps.len()), prepared };
        let (mut done, mut failed): (Vec<Pair>, usize) = (Vec::new(), 0);
        for (place, batch) in steps.chunks(rolled.pace.at_once()).enumerate() {
            if place > 0 && !rolled.pace.delay.is_zero() {
                sleep(rolled.pace.delay).await;
            }
            let each = batch.iter().enumerate().map(|(place, step)| {
                let start_first = place >= rolled.pace.missing;
                self.replace(rolled, step, start_first)
            });
            for outcome in join_all(each).await {
                let trouble = match outcome {
                    Ok(pair) => {
                        done.extend(pair);
                        continue;
                    }
                    Err(trouble) => trouble,
                };
                failed += 1;
                let tolerated = !rolled.pace.is_exceeded(failed, steps.len());
                match rolled.pace.failing {
                    _ if tolerated => self.warn(&format!("service {service:?}: {trouble}")),
                    Failing::Continue => self.warn(&format!("service {service:?}: {trouble}")),
                    Failing::Pause => return self.pause(service, done, &trouble).await,
                    Failing::Rollback => return self.roll_back(rolled, done, &trouble).await,
                }
            }
        }
        self.settle(done).await
    }

    fn warn(&self, text: &str) {
        self.world.report.tell("", text, Mood::Warning);
    }

    /// What was replaced stays so, the others stay as they were.
    async fn pause(&self, service: &str, done: Vec<Pair>, trouble: &Trouble) -> Outcome<Vec<Member>> {
        self.settle(done).await?;
        Err(Trouble::Impossible(format!("rollout of service {service:?} failed and is paused: {trouble}")))
    }

    /// The new one is brought up beside the old one, or in its place; the old one is kept, stopped.
    async fn replace(&self, rolled: Rolled<'_>, step: &Step, start_first: bool) -> Outcome<Option<Pair>> {
        let Step::Recreate { existing: old, name, .. } = step else { return Ok(None) };
        let subject = format!("Container {name}");
        if self.world.dry {
            self.world.report.tell(&subject, "Replaced", Mood::Done);
            return Ok(None);
        }
        self.world.report.tell(&subject, "Replacing", Mood::Working);
        let id = self.successor(rolled.service, old, name).await?;
        let new = Member { service: rolled.service.to_owned(), id, name: name.clone(), running: true };
        let up = async {
            let mut prepared = rolled.prepared.lock().await;
            self.first_steps(rolled.node, &new, !*prepared).await?;
            *prepared = true;
            drop(prepared);
            if !start_first {
                self.retire(rolled, old).await?;
            }
            self.bring_up(rolled, &new, &old.id, start_first).await
        };
        if let Err(trouble) = up.await {
            self.world.report.tell(&subject, "Failed", Mood::Failed);
            self.withdraw(old, &new).await?;
            return Err(trouble);
        }
        if start_first && let Err(trouble) = self.retire(rolled, old).await {
            // The new one is in force already.
            self.warn(&format!("container {} is still there: {trouble}", old.name));
        }
        self.world.report.tell(&subject, "Replaced", Mood::Done);
        Ok(Some(Pair { old: old.clone(), new }))
    }

    /// Starts a container, waits until it is well, and lets it take another's place if that is there still.
    async fn bring_up(&self, rolled: Rolled<'_>, new: &Member, old: &str, aside: bool) -> Outcome {
        let containers = self.world.client.containers();
        containers.start(&new.id, &query::Start { aside, ..query::Start::default() }).await?;
        hook::run(self.world.client, &new.id, rolled.node, "post_start").await?;
        // A health check comes to a verdict by itself.
        let patience = self.manner.patience.or_else(|| rolled.node.get("healthcheck").is_none().then_some(PATIENCE));
        let deadline = patience.map(|patience| Instant::now() + patience);
        let condition = Condition::Succeeding;
        await_ready(self.world, &new.id, &new.name, rolled.service, condition, deadline).await?;
        await_steady(self.world, &new.id, &new.name, rolled.service, rolled.pace.monitor).await?;
        if aside {
            let timeout = patience.and_then(|patience| i64::try_from(patience.as_secs()).ok());
            containers.succeed(&new.id, &query::Succeed { old: old.to_owned(), timeout }).await?;
        }
        Ok(())
    }

    /// Stops an old one, once its connections have ended.
    async fn retire(&self, rolled: Rolled<'_>, old: &Existing) -> Outcome {
        self.before_stop(rolled.service, old).await?;
        self.stop_drained(rolled, &old.id).await
    }

    async fn stop_drained(&self, rolled: Rolled<'_>, id: &str) -> Outcome {
        let grace = span(rolled.node, "stop_grace_period").map(|nanos| nanos / 1_000_000_000);
        let drain = self.manner.timeout.or(grace).filter(|seconds| *seconds > 0).unwrap_or(DRAIN);
        let options = query::Stop { timeout: self.manner.timeout, drain: Some(drain), ..query::Stop::default() };
        gone(self.world.client.containers().stop(id, &options).await)
    }

    /// The new one goes; the old one, which may never have stopped, runs.
    async fn withdraw(&self, old: &Existing, new: &Member) -> Outcome {
        let containers = self.world.client.containers();
        gone(containers.remove(&new.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
        if old.state == "running" {
            containers.start(&old.id, &query::Start::default()).await?;
        }
        Ok(())
    }

    /// What was replaced is as it was, at the pace of `deploy.rollback_config`.
    async fn roll_back(&self, rolled: Rolled<'_>, done: Vec<Pair>, why: &Trouble) -> Outcome<Vec<Member>> {
        let (total, mut failed) = (done.len(), 0);
        let rolled = Rolled { pace: Pace::of(rolled.node, "rollback_config", total), ..rolled };
        for (place, batch) in done.chunks(rolled.pace.at_once()).enumerate() {
            if place > 0 && !rolled.pace.delay.is_zero() {
                sleep(rolled.pace.delay).await;
            }
            let each = batch.iter().enumerate().map(|(place, pair)| {
                let start_first = place >= rolled.pace.missing;
                self.revert(rolled, pair, start_first)
            });
            for trouble in join_all(each).await.into_iter().filter_map(Result::err) {
                failed += 1;
                if rolled.pace.is_exceeded(failed, total) && rolled.pace.failing != Failing::Continue {
                    let service = rolled.service;
                    return Err(Trouble::Impossible(format!(
                        "rollout of service {service:?} failed: {why}; so did rolling it back: {trouble}"
                    )));
                }
                self.warn(&format!("service {:?}: {trouble}", rolled.service));
            }
        }
        let service = rolled.service;
        Err(Trouble::Impossible(format!("rollout of service {service:?} failed and was rolled back: {why}")))
    }

    /// An old one takes its place back.
    async fn revert(&self, rolled: Rolled<'_>, pair: &Pair, start_first: bool) -> Outcome {
        let containers = self.world.client.containers();
        let old = Member {
            service: rolled.service.to_owned(),
            id: pair.old.id.clone(),
            name: pair.old.name.clone(),
            running: true,
        };
        if !start_first {
            self.stop_drained(rolled, &pair.new.id).await?;
        }
        self.bring_up(rolled, &old, &pair.new.id, start_first).await?;
        if start_first {
            self.stop_drained(rolled, &pair.new.id).await?;
        }
        gone(containers.remove(&pair.new.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
        self.world.report.tell(&format!("Container {}", pair.old.name), "Rolled back", Mood::Warning);
        Ok(())
    }

    /// The old ones are removed and give their names to the new ones.
    async fn settle(&self, done: Vec<Pair>) -> Outcome<Vec<Member>> {
        let containers = self.world.client.containers();
        let mut members = Vec::new();
        for pair in done {
            gone(containers.remove(&pair.old.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
            containers.rename(&pair.new.id, &pair.new.name).await?;
            members.push(pair.new);
        }
        Ok(members)
    }
}
