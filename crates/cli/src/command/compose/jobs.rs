//! `compose jobs`: when the project's jobs run, and how their runs ended.

use std::fmt::Write as _;

use hako_api::job::{Job, Run};
use hako_compose::label;

use super::project::present;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::render::table::align;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static JOBS: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        text("format", "Format the output. Values: [table | json]").default("table"),
        switch("history", "Show every run that is remembered"),
    ]],
    ..Command::new("List jobs (services with x-hako-schedule) and their runs", run!(jobs))
};

async fn jobs(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let mut jobs = session.client()?.system().jobs().await?;
    let service = |job: &Job| job.labels.get(label::SERVICE).cloned().unwrap_or_default();
    jobs.retain(|job| {
        let ours = job.labels.get(label::PROJECT) == Some(&present.project.name);
        ours && (found.words().is_empty() || found.words().contains(&service(job)))
    });
    match found.text("format") {
        "json" => {
            let text = serde_json::to_string(&jobs).map_err(|error| Failure::local(error.to_string()))?;
            return output::line(text);
        }
        "table" => {}
        other => {
            return Err(Failure::local(format!("format value {other:?} could not be parsed: it is table or json")));
        }
    }
    let mut table = String::new();
    if found.on("history") {
        table += "NAME\tDUE\tFINISHED\tOUTCOME\tEXIT CODE\n";
        for job in &jobs {
            for run in &job.runs {
                let _ = writeln!(table, "{}\t{}\t{}\t{}\t{}", job.name, run.due, run.finished, run.outcome, code(run));
            }
        }
    } else {
        table += "NAME\tSCHEDULE\tNEXT\tLAST\tOUTCOME\n";
        for job in &jobs {
            let (last, outcome) = job.runs.last().map_or(("", ""), |run| (run.due.as_str(), run.outcome.as_str()));
            let _ = writeln!(table, "{}\t{}\t{}\t{last}\t{outcome}", job.name, job.schedule, job.next);
        }
    }
    output::print(align(&table))
}

fn code(run: &Run) -> String {
    run.exit_code.map(|code| code.to_string()).unwrap_or_default()
}
