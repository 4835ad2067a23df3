//! The state machine of one container: where it stands, what may happen next, and what is to be done about it.
//! Leaves out doing it: the supervisor carries out the [`Effect`]s, after it has saved the [`Status`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::health::{Health, HealthStatus, Probe, ProbeResult, Remedy, RemedyAction};
use crate::restart::{Backoff, Ending, Policy};
use crate::time::Timestamp;

/// SIGKILL's number.
const KILL: i32 = 9;

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made, never started.
    #[default]
    Created,
    /// Being started.
    Starting,
    /// Its first process lives.
    Running(Live),
    /// Its first process lives, frozen.
    Paused(Live),
    /// It ended and is to be started again at `due`.
    Restarting {
        /// When.
        due: Timestamp,
    },
    /// It ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed; only another removal helps.
    Dead,
}

/// A live container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Live {
    /// The first process, as the host numbers it.
    pub pid: u32,
    /// Whether a person has asked for its end, so that no policy starts it again.
    #[serde(default)]
    pub ending: bool,
    /// Whether it is being ended because it is unhealthy, to be started again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub healing: bool,
}

impl State {
    /// Docker's word (`State.Status`).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// The live process, running or paused.
    pub fn live(&self) -> Option<Live> {
        match self {
            Self::Running(live) | Self::Paused(live) => Some(*live),
            _ => None,
        }
    }

    /// Whether Docker calls it running: live, or about to be restarted.
    pub fn is_running(&self) -> bool {
        self.live().is_some() || matches!(self, Self::Restarting { .. })
    }

    /// Whether Docker calls it paused.
    pub fn is_paused(&self) -> bool {
        matches!(self, Self::Paused(_))
    }

    /// Whether Docker calls it restarting.
    pub fn is_restarting(&self) -> bool {
        matches!(self, Self::Restarting { .. })
    }
}

/// What is: the content of `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Where it stands.
    pub state: State,
    /// The last exit code.
    pub exit_code: i32,
    /// Why it could not be started, or empty.
    pub error: String,
    /// Whether the kernel killed one of its processes for want of memory in its last life.
    pub oom_killed: bool,
    /// When it last started.
    pub started_at: Timestamp,
    /// When it last ended.
    pub finished_at: Timestamp,
    /// How often the policy has restarted it since a person started it.
    pub restart_count: u32,
    /// The last pause before a restart.
    pub restart_delay: Duration,
    /// Its health, if it has a health check.
    pub health: Option<Health>,
    /// Whether a person stopped or killed it since it last started.
    pub manually_stopped: bool,
    /// When something was last done about its being unhealthy.
    pub healed_at: Timestamp,
    /// What is known of the last end, beside the exit code.
    pub evidence: Evidence,
    /// How the life before this one ended, if a policy began this one.
    pub before: Option<Before>,
}

/// The end of an earlier life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// Its exit code.
    pub exit_code: i32,
    /// Whether the kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// What else is known.
    pub evidence: Evidence,
}

impl Status {
    /// The first process's pid, 0 if there is none.
    pub fn pid(&self) -> u32 {
        self.state.live().map_or(0, |live| live.pid)
    }

    /// How this container ended, as the restart policy asks.
    fn ending(&self, now: Timestamp) -> Ending {
        Ending {
            exit_code: self.exit_code,
            ran: now.since(self.started_at),
            restarts: self.restart_count,
            manually_stopped: self.manually_stopped,
        }
    }

    /// Whether `policy` has it started when the daemon starts (after a boot, say).
    pub fn starts_at_boot(&self, policy: Policy) -> bool {
        let ended = !matches!(self.state, State::Created | State::Removing | State::Dead);
        ended && policy.restarts(&Ending { restarts: 0, ..self.ending(self.finished_at) })
    }
}

/// What the machine must know of how the container was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// When to restart.
    pub restart: Policy,
    /// The signal that ends it in good order.
    pub stop_signal: i32,
    /// Its health check.
    pub probe: Option<Probe>,
    /// What is done when it is unhealthy.
    pub remedy: Option<Remedy>,
    /// The pauses before restarts.
    pub backoff: Backoff,
    /// How long it may take to end in good order when nobody says otherwise; none waits for ever.
    pub grace: Option<Duration>,
}

/// What happened, or is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A person wants it started.
    Start,
    /// Its first process runs.
    Launched {
        /// Its pid.
        pid: u32,
    },
    /// It could not be started.
    LaunchFailed {
        /// 125, 126 or 127.
        exit_code: i32,
        /// Why.
        error: String,
    },
    /// Its first process ended.
    Exited {
        /// Docker's exit code: 128 + signal for a signal.
        exit_code: i32,
    },
    /// The kernel killed for want of memory.
    OutOfMemory,
    /// A person wants it ended: `signal`, and SIGKILL after `grace` (none: wait for ever).
    Stop {
        /// The signal.
        signal: i32,
        /// How long to wait.
        grace: Option<Duration>,
    },
    /// The grace of a stop is over.
    GraceOver,
    /// A person wants a signal sent.
    Kill {
        /// The signal.
        signal: i32,
    },
    /// A person wants it frozen.
    Pause,
    /// A person wants it thawed.
    Resume,
    /// The pause before a restart is over.
    RestartDue,
    /// A health probe ended.
    Probed {
        /// What it found.
        result: ProbeResult,
        /// How long the container had run when it began.
        ran: Duration,
    },
    /// A person wants it removed.
    Remove,
    /// The removal failed.
    RemoveFailed {
        /// Why.
        error: String,
    },
}

/// What is to be done, in this order, once the status is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start the first process.
    Launch,
    /// Send the signal to the first process.
    Signal(i32),
    /// Ask again ([`Input::GraceOver`]) after this time.
    ArmGrace(Duration),
    /// Freeze all processes.
    Freeze,
    /// Thaw them.
    Thaw,
    /// Begin to probe.
    Probe,
    /// Probe no more.
    StopProbing,
    /// Restart ([`Input::RestartDue`]) after this time.
    ArmRestart(Duration),
    /// Tell whoever listens.
    Tell(Notice),
    /// This life is over: close streams and end what belonged to it.
    Close,
    /// No restart is due: give back what the container held, and leave.
    Leave,
}

/// A change worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// It runs.
    Start,
    /// It ended.
    Die {
        /// Its exit code.
        exit_code: i32,
        /// How long it ran.
        ran: Duration,
    },
    /// The kernel killed for want of memory.
    Oom,
    /// A signal was sent on behalf of a person.
    Kill {
        /// The signal.
        signal: i32,
    },
    /// A stop is complete.
    Stop,
    /// It is frozen.
    Pause,
    /// It is thawed.
    Unpause,
    /// The verdict of its health check changed.
    HealthStatus {
        /// Docker's word: starting, healthy, unhealthy.
        status: crate::health::HealthStatus,
    },
}

/// Why something asked for is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// It is so already (HTTP 304).
    #[error("is already in that state")]
    Already,
    /// It must run for that.
    #[error("is not running")]
    NotRunning,
    /// It must not be paused for that, or is paused already.
    #[error("is paused")]
    Paused,
    /// It must not run for that.
    #[error("is running")]
    Running,
    /// It must be paused for that.
    #[error("is not paused")]
    NotPaused,
    /// It is between two lives.
    #[error("is restarting, wait until the container is running")]
    Restarting,
    /// It is being started.
    #[error("is being started")]
    Starting,
    /// It is being removed, or could not be.
    #[error("is marked for removal")]
    Removing,
    /// What happened does not concern the state it is in (a timer that came too late).
    #[error("does not apply")]
    Stale,
}

/// The state after, and what to do.
pub type Outcome = Result<(Status, Vec<Effect>), Refused>;

/// What `input` makes of `status` under `rules` at `now`. Total: every pair has an answer.
pub fn transition(status: &Status, input: Input, rules: &Rules, now: Timestamp) -> Outcome {
    let next = status.clone();
    match input {
        Input::Start => start(next),
        Input::Launched { pid } => launched(next, pid, rules, now),
        Input::LaunchFailed { exit_code, error } => launch_failed(next, exit_code, error, now),
        Input::Exited { exit_code } => exited(next, exit_code, rules, now),
        Input::OutOfMemory => out_of_memory(next),
        Input::Stop { signal, grace } => stop(next, signal, grace, now),
        Input::GraceOver => grace_over(next),
        Input::Kill { signal } => kill(next, signal, rules),
        Input::Pause => pause(next),
        Input::Resume => resume(next, rules),
        Input::RestartDue => restart_due(next),
        Input::Probed { result, ran } => probed(next, result, ran, rules, now),
        Input::Remove => remove(next),
        Input::RemoveFailed { error } => remove_failed(next, error),
    }
}

fn start(mut next: Status) -> Outcome {
    match next.state {
        State::Created | State::Exited => {}
        State::Running(_) | State::Restarting { .. } => return Err(Refused::Already),
        State::Paused(_) => return Err(Refused::Paused),
        State::Starting => return Err(Refused::Starting),
        State::Removing | State::Dead => return Err(Refused::Removing),
    }
    next.state = State::Starting;
    next.restart_count = 0;
    next.restart_delay = Duration::ZERO;
    next.manually_stopped = false;
    Ok((next, vec![Effect::Launch]))
}

fn launched(mut next: Status, pid: u32, rules: &Rules, now: Timestamp) -> Outcome {
    if next.state != State::Starting {
        return Err(Refused::Stale);
    }
    next.state = State::Running(Live { pid, ..Live::default() });
    let evidence = std::mem::take(&mut next.evidence);
    next.before =
        (next.restart_count > 0).then_some(Before { exit_code: next.exit_code, oom_killed: next.oom_killed, evidence });
    next.exit_code = 0;
    next.error.clear();
    next.oom_killed = false;
    next.started_at = now;
    let mut effects = vec![Effect::Tell(Notice::Start)];
    match &rules.probe {
        Some(_) => {
            next.health.get_or_insert_default().begin();
            effects.push(Effect::Probe);
        }
        None => next.health = None,
    }
    Ok((next, effects))
}

/// A container that was never started stays "created", as Docker has it.
fn launch_failed(mut next: Status, exit_code: i32, error: String, now: Timestamp) -> Outcome {
    if next.state != State::Starting {
        return Err(Refused::Stale);
    }
    next.exit_code = exit_code;
    next.error = error;
    if next.started_at.is_zero() {
        next.state = State::Created;
    } else {
        next.state = State::Exited;
        next.finished_at = now;
    }
    Ok((next, vec![Effect::Close, Effect::Leave]))
}

fn exited(mut next: Status, exit_code: i32, rules: &Rules, now: Timestamp) -> Outcome {
    let Some(live) = next.state.live() else { return Err(Refused::Stale) };
    next.exit_code = exit_code;
    next.finished_at = now;
    let ending = next.ending(now);
    let mut effects = Vec::with_capacity(5);
    if let Some(health) = &mut next.health {
        health.status = HealthStatus::Unhealthy;
        effects.push(Effect::StopProbing);
    }
    effects.extend([Effect::Tell(Notice::Die { exit_code, ran: ending.ran }), Effect::Close]);
    if !live.ending && (live.healing || rules.restart.restarts(&ending)) {
        let pause = rules.backoff.delay(next.restart_delay, ending.ran);
        next.restart_count += 1;
        next.restart_delay = pause;
        next.state = State::Restarting { due: now.after(pause) };
        effects.push(Effect::ArmRestart(pause));
    } else {
        next.state = State::Exited;
        effects.push(Effect::Leave);
    }
    Ok((next, effects))
}

fn out_of_memory(mut next: Status) -> Outcome {
    if next.state.live().is_none() {
        return Err(Refused::Stale);
    }
    next.oom_killed = true;
    Ok((next, vec![Effect::Tell(Notice::Oom)]))
}

fn stop(mut next: Status, signal: i32, grace: Option<Duration>, now: Timestamp) -> Outcome {
    let mut effects = Vec::with_capacity(4);
    match &mut next.state {
        State::Created | State::Exited => return Err(Refused::Already),
        State::Starting => return Err(Refused::Starting),
        State::Removing | State::Dead => return Err(Refused::Removing),
        State::Restarting { .. } => {
            next.state = State::Exited;
            next.finished_at = now;
            effects.push(Effect::Leave);
        }
        State::Running(live) | State::Paused(live) => {
            live.ending = true;
            effects.extend([Effect::Signal(signal), Effect::Tell(Notice::Kill { signal })]);
            effects.extend(grace.map(Effect::ArmGrace));
        }
    }
    next.manually_stopped = true;
    thaw(&mut next, &mut effects);
    Ok((next, effects))
}

/// A frozen process cannot act on a signal.
fn thaw(next: &mut Status, effects: &mut Vec<Effect>) {
    if let State::Paused(live) = next.state {
        next.state = State::Running(live);
        effects.push(Effect::Thaw);
    }
}

fn grace_over(mut next: Status) -> Outcome {
    let mut effects = vec![Effect::Signal(KILL), Effect::Tell(Notice::Kill { signal: KILL })];
    match next.state.live() {
        Some(live) if live.ending || live.healing => {
            thaw(&mut next, &mut effects);
            Ok((next, effects))
        }
        _ => Err(Refused::Stale),
    }
}

/// SIGKILL and the stop signal mean the end; any other signal is the container's own affair.
fn kill(mut next: Status, signal: i32, rules: &Rules) -> Outcome {
    let ends = signal == KILL || signal == rules.stop_signal;
    let mut effects = Vec::with_capacity(3);
    match &mut next.state {
        State::Running(live) | State::Paused(live) => {
            live.ending |= ends;
            effects.extend([Effect::Signal(signal), Effect::Tell(Notice::Kill { signal })]);
        }
        State::Restarting { .. } if ends => {
            next.state = State::Exited;
            effects.push(Effect::Leave);
        }
        State::Restarting { .. } => return Err(Refused::Restarting),
        State::Created | State::Exited => return Err(Refused::NotRunning),
        State::Starting => return Err(Refused::Starting),
        State::Removing | State::Dead => return Err(Refused::Removing),
    }
    if ends {
        next.manually_stopped = true;
        thaw(&mut next, &mut effects);
    }
    Ok((next, effects))
}

/// Whether something that needs a live container is refused.
fn not_live(state: &State) -> Refused {
    match state {
        State::Restarting { .. } => Refused::Restarting,
        State::Starting => Refused::Starting,
        State::Removing | State::Dead => Refused::Removing,
        _ => Refused::NotRunning,
    }
}

fn pause(mut next: Status) -> Outcome {
    let live = match next.state {
        State::Running(live) => live,
        State::Paused(_) => return Err(Refused::Paused),
        ref state => return Err(not_live(state)),
    };
    next.state = State::Paused(live);
    let mut effects = vec![Effect::Freeze];
    if let Some(health) = &mut next.health {
        health.status = HealthStatus::Unhealthy;
        effects.push(Effect::StopProbing);
    }
    effects.push(Effect::Tell(Notice::Pause));
    Ok((next, effects))
}

fn resume(mut next: Status, rules: &Rules) -> Outcome {
    let live = match next.state {
        State::Paused(live) => live,
        State::Running(_) => return Err(Refused::NotPaused),
        ref state => return Err(not_live(state)),
    };
    next.state = State::Running(live);
    let mut effects = vec![Effect::Thaw];
    if rules.probe.is_some() {
        effects.push(Effect::Probe);
    }
    effects.push(Effect::Tell(Notice::Unpause));
    Ok((next, effects))
}

fn restart_due(mut next: Status) -> Outcome {
    if !matches!(next.state, State::Restarting { .. }) {
        return Err(Refused::Stale);
    }
    next.state = State::Starting;
    Ok((next, vec![Effect::Launch]))
}

fn probed(mut next: Status, result: ProbeResult, ran: Duration, rules: &Rules, now: Timestamp) -> Outcome {
    let (State::Running(_), Some(probe)) = (&next.state, &rules.probe) else { return Err(Refused::Stale) };
    let health = next.health.get_or_insert_default();
    let changed = health.record(result, probe, ran);
    let notice = Notice::HealthStatus { status: health.status };
    let (status, streak) = (health.status, health.failing_streak);
    let mut effects = if changed { vec![Effect::Tell(notice)] } else { vec![] };
    if let Some(remedy) = rules.remedy
        && status == HealthStatus::Unhealthy
        && streak >= remedy.streak
        && is_cool(&next, remedy.cool_down, now)
    {
        heal(&mut next, remedy.action, rules, now, &mut effects);
    }
    Ok((next, effects))
}

/// Whether enough time has passed since something was last done. A clock that was set back tells no more when that was.
fn is_cool(status: &Status, cool_down: Duration, now: Timestamp) -> bool {
    status.healed_at.is_zero() || now < status.healed_at || now.since(status.healed_at) >= cool_down
}

/// Does something about a container that is unhealthy, unless its end is on the way.
fn heal(next: &mut Status, action: RemedyAction, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    let State::Running(live) = &mut next.state else { return };
    if live.ending || live.healing {
        return;
    }
    let signal = match action {
        RemedyAction::Restart => {
            live.healing = true;
            rules.stop_signal
        }
        RemedyAction::Stop => {
            live.ending = true;
            next.manually_stopped = true;
            rules.stop_signal
        }
        RemedyAction::Kill => KILL,
    };
    next.healed_at = now;
    effects.extend([Effect::Signal(signal), Effect::Tell(Notice::Kill { signal })]);
    if action != RemedyAction::Kill {
        effects.extend(rules.grace.map(Effect::ArmGrace));
    }
}

fn remove(mut next: Status) -> Outcome {
    match next.state {
        State::Created | State::Exited | State::Dead => {}
        State::Paused(_) => return Err(Refused::Paused),
        State::Running(_) => return Err(Refused::Running),
        State::Restarting { .. } => return Err(Refused::Restarting),
        State::Starting => return Err(Refused::Starting),
        State::Removing => return Err(Refused::Removing),
    }
    next.state = State::Removing;
    Ok((next, vec![]))
}

fn remove_failed(mut next: Status, error: String) -> Outcome {
    if next.state != State::Removing {
        return Err(Refused::Stale);
    }
    next.state = State::Dead;
    next.error = error;
    Ok((next, vec![]))
}

#[cfg(test)]
mod tests;
