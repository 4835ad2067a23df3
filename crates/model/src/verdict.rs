//! Why a container ended or does not run: conclusions from its status and from what was found in its files.
//! Leaves out gathering that. Says only what follows; where the kernel does not tell, so does this.

mod exits;
mod failures;

use crate::evidence::{Sender, Sent, Shortage};
use crate::health::HealthStatus;
use crate::state::{State, Status};

pub use exits::signal_name;

/// What there is to draw conclusions from.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its status.
    pub status: Status,
    /// Its program and arguments.
    pub command: Vec<String>,
    /// What is wrong with its program's file, if that was looked at.
    pub flaw: Option<Flaw>,
    /// Whether a small init is its first process.
    pub init: bool,
    /// Whether its processes have numbers of their own.
    pub own_pids: bool,
    /// The architecture of this host.
    pub machine: String,
}

/// What is wrong with a program's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It is not there.
    Missing {
        /// As it was asked for.
        program: String,
        /// Where it was looked for; empty if a path was given.
        searched: String,
    },
    /// It is a directory.
    Directory {
        /// Its path.
        path: String,
    },
    /// Its permission bits let nobody execute it.
    NotExecutable {
        /// Its path.
        path: String,
        /// The bits.
        mode: u32,
    },
    /// It is for another machine.
    WrongMachine {
        /// Its path.
        path: String,
        /// The machine it is for.
        machine: String,
    },
    /// What runs it is not there.
    NoInterpreter {
        /// Its path.
        path: String,
        /// The dynamic linker or interpreter.
        interpreter: String,
        /// Whether it is a script.
        script: bool,
    },
    /// Its first line ends the way Windows ends lines.
    CarriageReturn {
        /// Its path.
        path: String,
        /// The interpreter meant.
        interpreter: String,
    },
    /// It is neither machine code nor a script that says what runs it.
    NoFormat {
        /// Its path.
        path: String,
        /// Whether it is empty.
        empty: bool,
    },
}

/// A conclusion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// One word for programs: `exit`, `signal`, `oom`, `stopped`, `killed`, `unhealthy`, `missing`, …
    pub cause: &'static str,
    /// One sentence for people.
    pub summary: String,
    /// What it follows from.
    pub details: Vec<String>,
    /// What could be done.
    pub hint: String,
}

impl Verdict {
    fn new(cause: &'static str, summary: impl Into<String>) -> Self {
        Self { cause, summary: summary.into(), ..Self::default() }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Draws the conclusion.
pub fn verdict(facts: &Facts) -> Verdict {
    let status = &facts.status;
    let mut found = match &status.state {
        State::Running(_) | State::Paused(_) | State::Starting => alive(facts),
        State::Created if status.error.is_empty() && status.exit_code == 0 => {
            Verdict::new("never-started", "It was created and never started.").hint("start it")
        }
        _ if !status.error.is_empty() => failures::verdict(facts),
        _ => ended(facts),
    };
    found.details.extend(health(status));
    if let State::Restarting { .. } = status.state {
        let pause = status.restart_delay.as_secs_f64();
        found.details.push(format!(
            "It is in a crash loop: restarted {} times, the next pause is {pause} s.",
            status.restart_count
        ));
    }
    found
}

fn alive(facts: &Facts) -> Verdict {
    let status = &facts.status;
    let word = if status.state.is_paused() { "It is paused" } else { "It runs" };
    match &status.before {
        Some(before) if status.restart_count > 0 => {
            let ended = Status {
                state: State::Exited,
                exit_code: before.exit_code,
                oom_killed: before.oom_killed,
                evidence: before.evidence.clone(),
                ..status.clone()
            };
            let last = self::ended(&Facts { status: ended, ..facts.clone() });
            let summary = format!("{word}, restarted {} times. Its last end: {}", status.restart_count, last.summary);
            Verdict { summary, ..last }
        }
        _ => match &status.health {
            Some(health) if health.status == HealthStatus::Unhealthy => {
                let count = health.failing_streak;
                Verdict::new("unhealthy", format!("{word}, and is unhealthy: its last {count} health checks failed."))
            }
            _ => Verdict::new("running", format!("{word}.")),
        },
    }
}

fn ended(facts: &Facts) -> Verdict {
    let status = &facts.status;
    if let Some(shortage) = &status.evidence.memory
        && (status.exit_code != 0 || shortage.first)
    {
        return out_of_memory(status, shortage);
    }
    match decisive(status) {
        Some(sent) => asked_for(facts, sent),
        None => exits::verdict(facts),
    }
}

fn out_of_memory(status: &Status, shortage: &Shortage) -> Verdict {
    let victim = match (shortage.victim.as_str(), shortage.pid) {
        ("", _) => "a process of it".to_owned(),
        (name, pid) => format!("`{name}` (pid {pid})"),
    };
    let first = if shortage.first || status.evidence.signal == Some(9) { ", its first process" } else { "" };
    let mut verdict = Verdict::new("oom", format!("The kernel killed {victim}{first} for want of memory."));
    verdict = match shortage.limit {
        Some(limit) => verdict
            .detail(format!("Its memory limit is {}; it had used up to {}.", size(limit), size(shortage.peak)))
            .hint("raise its limit while it runs (hako update -m SIZE --memory-swap SIZE), or let it use less"),
        None => verdict
            .detail(format!(
                "It has no limit: the host itself was out of memory. It had used up to {}.",
                size(shortage.peak)
            ))
            .hint("free memory on the host, or limit what takes it"),
    };
    if shortage.kills > 1 {
        verdict = verdict.detail(format!("The kernel killed {} processes of it in all.", shortage.kills));
    }
    verdict.detail(format!("It ended with exit code {}.", status.exit_code))
}

/// The signal sent through hako that this end follows from, if one does.
fn decisive(status: &Status) -> Option<&Sent> {
    let evidence = &status.evidence;
    let ends = |sent: &&Sent| match &sent.sender {
        Sender::Grace | Sender::Health => true,
        Sender::Request { verb, .. } if verb != "kill" && verb != "signal" => true,
        Sender::Request { .. } => {
            sent.signal == 9 || evidence.signal == Some(sent.signal) || status.exit_code == 128 + sent.signal
        }
    };
    evidence.sent.iter().rev().find(ends)
}

fn asked_for(facts: &Facts, sent: &Sent) -> Verdict {
    let status = &facts.status;
    let name = signal_name(sent.signal);
    let code = format!("It ended with exit code {}.", status.exit_code);
    match &sent.sender {
        Sender::Grace => {
            let first = status.evidence.sent.iter().rev().find(|other| other.sender != Sender::Grace);
            if first.is_some_and(|first| first.sender == Sender::Health) {
                return unhealthy(status)
                    .detail("It did not end by its stop signal in time and was killed.")
                    .detail(code);
            }
            let by = first.map_or_else(String::new, |first| by(&first.sender));
            let asked = first.map_or_else(|| "its stop signal".to_owned(), |first| signal_name(first.signal));
            Verdict::new("killed-after-grace", format!("It was stopped{by}, ignored {asked}, and was killed."))
                .detail(code)
                .hint("let its first process handle that signal, run it with --init, or give it another --stop-signal or more time")
        }
        Sender::Health => unhealthy(status).detail(code),
        Sender::Request { verb, .. } if verb == "kill" || verb == "signal" => {
            Verdict::new("killed", format!("It was sent {name}{}.", by(&sent.sender))).detail(code)
        }
        Sender::Request { verb, .. } => {
            let done = if verb == "stop" { "stopped".to_owned() } else { format!("ended (`{verb}`)") };
            Verdict::new("stopped", format!("It was {done}{}.", by(&sent.sender)))
                .detail(format!("{code} It was sent {name}."))
        }
    }
}

fn unhealthy(status: &Status) -> Verdict {
    let streak = status.health.as_ref().map_or(0, |health| health.failing_streak);
    Verdict::new(
        "unhealthy",
        format!("It was ended because it was unhealthy: {streak} health checks in a row had failed."),
    )
    .hint("see what the check says below")
}

/// On whose behalf, as part of a sentence.
fn by(sender: &Sender) -> String {
    match sender {
        Sender::Request { client, .. } if !client.is_empty() => format!(" by {client}"),
        _ => String::new(),
    }
}

/// Failed probes with what they said.
fn health(status: &Status) -> Vec<String> {
    let Some(health) = &status.health else { return Vec::new() };
    // What was said again and again is told once.
    let mut told: Vec<(i32, &str, usize)> = Vec::new();
    for result in health.log.iter().filter(|result| result.exit_code != 0) {
        let said = result.output.trim();
        match told.last_mut() {
            Some((code, same, times)) if (*code, *same) == (result.exit_code, said) => *times += 1,
            _ => told.push((result.exit_code, said, 1)),
        }
    }
    let line = |(code, said, times): &(i32, &str, usize)| {
        let said = if said.is_empty() { "it said nothing".to_owned() } else { format!("it said: {said}") };
        let times = if *times > 1 { format!(" {times} times") } else { String::new() };
        format!("Health check failed{times} with exit code {code}; {said}")
    };
    told.iter().rev().take(3).rev().map(line).collect()
}

/// An amount of bytes.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests;
