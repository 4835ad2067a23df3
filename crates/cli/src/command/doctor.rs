//! `doctor`: looks at the host and says, for everything that will get in the way, what to do about it. It reads; it changes
//! nothing and needs no daemon.

mod host;

use serde_json::json;

use crate::failure::Failure;
use crate::flags::{Matches, text};
use crate::output;
use crate::render::fold::{folded, room};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static DOCTOR: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[text("format", "'json' for JSON, one finding per line")]],
    examples: &[("hako doctor", "Is this machine fit for containers?")],
    ..Command::new("Check this host, and say what to do about each finding", run!(doctor))
};

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Good,
    /// Something will not work, or not well.
    Doubtful,
    /// Containers will not work.
    Bad,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warning",
            Self::Bad => "problem",
        }
    }
}

/// What a look found.
#[derive(Debug)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    verdict: Verdict,
    /// What there is.
    found: String,
    /// What to do, where something is to be done.
    advice: String,
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Good, found: found.into(), advice: String::new() }
    }

    fn doubtful(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Doubtful, found: found.into(), advice: advice.into() }
    }

    fn bad(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Bad, found: found.into(), advice: advice.into() }
    }
}

async fn doctor(session: &Session, found: &Matches) -> Outcome {
    let mut findings = host::look(session.data_root());
    findings.push(daemon(session).await);
    match found.text("format") {
        "" => print(&findings)?,
        "json" => {
            for finding in &findings {
                let (verdict, advice) = (finding.verdict.word(), &finding.advice);
                let line =
                    json!({"Subject": finding.subject, "Verdict": verdict, "Found": finding.found, "Advice": advice});
                output::line(line.to_string())?;
            }
        }
        other => return Err(Failure::local(format!("--format {other:?}: doctor only knows json"))),
    }
    if findings.iter().any(|finding| finding.verdict == Verdict::Bad) { Err(Failure::status(1)) } else { Ok(()) }
}

fn print(findings: &[Finding]) -> Outcome {
    for finding in findings {
        let line = format!("{:<8} {:<17} {}", finding.verdict.word(), finding.subject, finding.found);
        output::line(folded(&line, 27, room()))?;
        if !finding.advice.is_empty() {
            output::line(folded(&format!("{:27}→ {}", "", finding.advice), 29, room()))?;
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    match (count(Verdict::Bad), count(Verdict::Doubtful)) {
        (0, 0) => output::line("\nThis host is fit for containers."),
        (0, doubts) => output::line(format!("\nThis host is fit for containers, with {doubts} reservations.")),
        (problems, _) => output::line(format!("\n{problems} problems keep containers from working.")),
    }
}

/// Whether somebody answers, and who. A daemon that only starts by need is started by this.
async fn daemon(session: &Session) -> Finding {
    let client = match session.client() {
        Ok(client) => client,
        Err(failure) => return Finding::bad("daemon", failure.to_string(), "check -H, --context and the environment"),
    };
    match client.system().version().await {
        Ok(version) => Finding::good(
            "daemon",
            format!("{} {} answers at {}", version.platform.name, version.version, client.endpoint()),
        ),
        Err(error) => Finding::bad(
            "daemon",
            error.to_string(),
            "its log says why: daemon.log beside its socket, or journalctl -u hako",
        ),
    }
}
