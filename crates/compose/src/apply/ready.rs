//! Waiting until services are what others need them to be; and if they never are, saying which, and what its probe and
//! its log say.

use std::time::Duration;

use hako_api::frame::Demultiplexer;
use hako_api::inspect::Container;
use hako_api::query;
use hako_client::Client;
use tokio::time::{Instant, sleep};

use super::{Stage, Work};
use crate::project::Project;
use crate::world::{Mood, Outcome, Trouble, World};
use crate::yaml::Node;

/// How soon a container is looked at again: at once, then ever more seldom.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How many lines of a log are shown with a failure.
const LINES: &str = "10";

/// How long to wait; nothing is for ever.
pub type Patience = Option<Duration>;

/// What a service's containers must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Running; healthy where that is checked.
    RunningOrHealthy,
    /// The same of a container that is to take another's place: it must not end even once.
    Succeeding,
    /// Healthy.
    Healthy,
    /// Ended, with code 0.
    Completed,
}

impl Work<'_> {
    /// Waits for what a service depends on.
    pub(super) async fn await_dependencies(&self, name: &str, node: &Node) -> Outcome {
        for (other, dependency) in node.entries("depends_on") {
            let required = dependency.switch("required") != Some(false);
            let Some(service) = self.project.service(other) else { continue };
            match self.await_dependency(name, other, service, dependency).await {
                Err(trouble) if !required => {
                    let warning = format!("optional dependency {other:?} failed to start: {trouble}");
                    self.world.report.tell("", &warning, Mood::Warning);
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn await_dependency(&self, name: &str, other: &str, service: &Node, dependency: &Node) -> Outcome {
        if !self.stages.reached(other, Stage::Started).await {
            return Err(Trouble::Impossible(format!("service {name:?} needs {other:?}, which did not start")));
        }
        let condition = match dependency.text("condition") {
            "service_healthy" => Condition::Healthy,
            "service_completed_successfully" => Condition::Completed,
            _ => return Ok(()),
        };
        if Project::scale(service) == 0 || service.get("provider").is_some() || self.world.dry {
            return Ok(());
        }
        let ids: Vec<(String, String)> = {
            let members = self.members.borrow();
            let of = members.iter().filter(|member| member.service == other);
            of.map(|member| (member.id.clone(), member.name.clone())).collect()
        };
        if ids.is_empty() {
            return Err(Trouble::Impossible(format!("{name} is missing dependency {other}")));
        }
        let deadline = self.manner.patience.map(|patience| Instant::now() + patience);
        for (id, container) in ids {
            await_ready(self.world, &id, &container, other, condition, deadline).await?;
        }
        Ok(())
    }
}

/// Waits until a container is what it must be.
///
/// # Errors
/// [`Trouble::Ill`] when it never will be, with its probe's output and its last log lines.
pub async fn await_ready(
    world: &World<'_>,
    id: &str,
    name: &str,
    service: &str,
    condition: Condition,
    deadline: Option<Instant>,
) -> Outcome {
    let subject = format!("Container {name}");
    world.report.tell(&subject, "Waiting", Mood::Working);
    let mut pause = FIRST_LOOK;
    loop {
        let container = world.client.containers().inspect(id, false).await?;
        let failed = |reason: String| async {
            world.report.tell(&subject, "Error", Mood::Failed);
            Err(illness(world.client, &container, reason).await)
        };
        match verdict(&container, name, service, condition) {
            Verdict::Ready(word) => {
                world.report.tell(&subject, word, Mood::Done);
                return Ok(());
            }
            Verdict::Never(reason) => return failed(reason).await,
            Verdict::NotYet if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return failed(format!("timeout waiting for dependencies: container {name} is not ready yet")).await;
            }
            Verdict::NotYet => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// Watches a container that is ready for a while: it must stay so.
///
/// # Errors
/// [`Trouble::Ill`] when it does not.
pub(super) async fn await_steady(world: &World<'_>, id: &str, name: &str, service: &str, monitor: Duration) -> Outcome {
    let until = Instant::now() + monitor;
    while Instant::now() < until {
        sleep(LAST_LOOK.min(monitor)).await;
        await_ready(world, id, name, service, Condition::Succeeding, None).await?;
    }
    Ok(())
}

enum Verdict {
    Ready(&'static str),
    NotYet,
    Never(String),
}

fn verdict(container: &Container, name: &str, service: &str, condition: Condition) -> Verdict {
    let state = &container.state;
    let ended = state.status == "exited" || state.status == "dead";
    if condition == Condition::Completed {
        return match (ended, state.exit_code) {
            (false, _) => Verdict::NotYet,
            (true, 0) => Verdict::Ready("Exited"),
            (true, code) => Verdict::Never(format!("service {service:?} didn't complete successfully: exit {code}")),
        };
    }
    if condition == Condition::Succeeding && (container.restart_count > 0 || state.status == "restarting") {
        return Verdict::Never(format!("container {name} does not stay up: it ended with {}", state.exit_code));
    }
    let or_running = matches!(condition, Condition::RunningOrHealthy | Condition::Succeeding);
    if ended {
        return Verdict::Never(format!("dependency failed to start: container {name} exited ({})", state.exit_code));
    }
    let health = state.health.as_ref().map(|health| health.status.as_str()).filter(|status| *status != "none");
    match health {
        Some("healthy") => Verdict::Ready("Healthy"),
        Some("unhealthy") => Verdict::Never(format!("dependency failed to start: container {name} is unhealthy")),
        Some(_) => Verdict::NotYet,
        None if or_running && state.status == "running" => Verdict::Ready("Healthy"),
        None if or_running => Verdict::NotYet,
        None => Verdict::Never(format!(
            "dependency failed to start: container {name} has no healthcheck configured; give service {service:?} a \
             `healthcheck`, or wait for `service_started`"
        )),
    }
}

/// A failure, with what the container's probe and its log say.
pub async fn illness(client: &Client, container: &Container, reason: String) -> Trouble {
    let mut told = String::new();
    let last = container.state.health.as_ref().and_then(|health| health.log.as_ref()?.last());
    if let Some(probe) = last.filter(|probe| probe.exit_code != 0) {
        told += &format!("  its last probe exited with {}: {}\n", probe.exit_code, probe.output.trim());
    }
    let options = query::Logs { stdout: true, stderr: true, tail: LINES.to_owned(), ..query::Logs::default() };
    if let Ok(stream) = client.containers().logs(&container.id, &options).await {
        let framed = stream.is_multiplexed();
        if let Ok(bytes) = stream.collect().await {
            let text = text_of(&bytes, framed);
            if !text.is_empty() {
                told += "  its last log lines:\n";
                told.extend(text.lines().map(|line| format!("    {line}\n")));
            }
        }
    }
    Trouble::Ill { reason, told: told.trim_end().to_owned() }
}

/// What was said over a stream, framed or not.
pub(super) fn text_of(bytes: &[u8], framed: bool) -> String {
    if !framed {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (mut frames, mut rest, mut text) = (Demultiplexer::default(), bytes, Vec::new());
    while let Ok(Some((_, piece))) = frames.next(&mut rest) {
        text.extend_from_slice(piece);
    }
    String::from_utf8_lossy(&text).into_owned()
}
