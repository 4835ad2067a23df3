//! A service's containers are replaced a few at a time: the new ones must be up and well before the old ones go, and if
//! they are not, the old ones are back. `deploy.update_config` says how many at once, in which order and how far apart.

use std::time::Duration;

use hako_api::query;
use tokio::time::{Instant, sleep};

use super::ready::{Condition, await_ready};
use super::{Member, Work, gone, hook, stop_options};
use crate::creation::span;
use crate::plan::{Existing, Step};
use crate::world::{Mood, Outcome, Trouble};
use crate::yaml::Node;

/// How long a new container may take to get well, where nobody says.
const MONITOR: Duration = Duration::from_secs(60);

/// What becomes of an update that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    /// The old containers come back.
    Rollback,
    /// Everything stays as it is.
    Pause,
    /// The others are replaced all the same.
    Continue,
}

/// `deploy.update_config`.
#[derive(Clone, Copy, Debug)]
struct Pace {
    at_once: usize,
    delay: Duration,
    monitor: Duration,
    start_first: bool,
    failing: Failing,
}

impl Pace {
    fn of(service: &Node) -> Self {
        let none = Node::default();
        let config = service.at_path(&["deploy", "update_config"]).unwrap_or(&none);
        let nanos = |key: &str| span(config, key).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos);
        // A port of the host belongs to one container: the old one must let go of it first.
        let fixed = service.list("ports").iter().any(|port| !port.text("published").is_empty());
        Self {
            at_once: match config.int("parallelism") {
                Some(0) => usize::MAX,
                Some(number) => usize::try_from(number).unwrap_or(1),
                None => 1,
            },
            delay: nanos("delay").unwrap_or_default(),
            monitor: nanos("monitor").filter(|time| !time.is_zero()).unwrap_or(MONITOR),
            start_first: !fixed && config.text("order") != "stop-first",
            failing: match config.text("failure_action") {
                "pause" => Failing::Pause,
                "continue" => Failing::Continue,
                _ => Failing::Rollback,
            },
        }
    }
}

/// One container and what takes its place.
struct Pair {
    old: Existing,
    new: Member,
}

impl Work<'_> {
    /// Replaces a service's containers.
    pub(super) async fn roll(&self, service: &str, node: &Node, steps: &[&Step]) -> Outcome<Vec<Member>> {
        let pace = Pace::of(node);
        let (mut done, mut members): (Vec<Pair>, Vec<Member>) = (Vec::new(), Vec::new());
        for (place, batch) in steps.chunks(pace.at_once.min(steps.len().max(1))).enumerate() {
            if place > 0 && !pace.delay.is_zero() {
                sleep(pace.delay).await;
            }
            let replaced = batch.iter().map(|step| self.replace(service, node, step, pace));
            let mut trouble = None;
            for outcome in futures_util::future::join_all(replaced).await {
                match outcome {
                    Ok(pair) => done.extend(pair),
                    Err(error) => trouble = Some(error),
                }
            }
            match (trouble, pace.failing) {
                (None, _) => {}
                (Some(trouble), Failing::Continue) => {
                    self.world.report.tell("", &format!("service {service:?}: {trouble}"), Mood::Warning);
                }
                (Some(trouble), Failing::Pause) => return Err(trouble),
                (Some(trouble), Failing::Rollback) => {
                    self.roll_back(done).await?;
                    let reason = format!("rollout of service {service:?} failed and was rolled back: {trouble}");
                    return Err(Trouble::Impossible(reason));
                }
            }
        }
        for pair in done {
            members.push(self.settle(pair).await?);
        }
        Ok(members)
    }

    /// The new one is brought up beside the old one, or in its place; the old one is kept, stopped.
    async fn replace(&self, service: &str, node: &Node, step: &Step, pace: Pace) -> Outcome<Option<Pair>> {
        let Step::Recreate { existing: old, name, .. } = step else { return Ok(None) };
        let subject = format!("Container {name}");
        if self.world.dry {
            self.world.report.tell(&subject, "Replaced", Mood::Done);
            return Ok(None);
        }
        self.world.report.tell(&subject, "Replacing", Mood::Working);
        let containers = self.world.client.containers();
        let id = self.successor(service, old, name).await?;
        let new = Member { service: service.to_owned(), id, name: name.clone(), running: true };
        if !pace.start_first {
            self.retire(service, old).await?;
        }
        let deadline = Some(Instant::now() + pace.monitor);
        let up = async {
            containers.start(&new.id, &query::Start::default()).await?;
            hook::run(self.world.client, &new.id, node, "post_start").await?;
            await_ready(self.world, &new.id, name, service, Condition::RunningOrHealthy, deadline).await
        };
        if let Err(trouble) = up.await {
            self.world.report.tell(&subject, "Failed", Mood::Failed);
            self.withdraw(old, &new).await?;
            return Err(trouble);
        }
        if pace.start_first {
            self.retire(service, old).await?;
        }
        self.world.report.tell(&subject, "Replaced", Mood::Done);
        Ok(Some(Pair { old: old.clone(), new }))
    }

    async fn retire(&self, service: &str, old: &Existing) -> Outcome {
        self.before_stop(service, old).await?;
        gone(self.world.client.containers().stop(&old.id, &stop_options(self.manner.timeout)).await)
    }

    /// The new one goes, the old one runs again.
    async fn withdraw(&self, old: &Existing, new: &Member) -> Outcome {
        let containers = self.world.client.containers();
        gone(containers.remove(&new.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
        if old.state == "running" {
            containers.start(&old.id, &query::Start::default()).await?;
        }
        Ok(())
    }

    async fn roll_back(&self, done: Vec<Pair>) -> Outcome {
        for pair in done {
            self.withdraw(&pair.old, &pair.new).await?;
            self.world.report.tell(&format!("Container {}", pair.old.name), "Rolled back", Mood::Warning);
        }
        Ok(())
    }

    /// The old one is removed and gives its name to the new one.
    async fn settle(&self, pair: Pair) -> Outcome<Member> {
        let containers = self.world.client.containers();
        gone(containers.remove(&pair.old.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
        containers.rename(&pair.new.id, &pair.new.name).await?;
        Ok(pair.new)
    }
}
