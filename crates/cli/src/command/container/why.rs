//! `why`: what ended a container, or keeps it from running.

use hako_api::own::Why;

use crate::flags::{Matches, text};
use crate::output;
use crate::render::clock;
use crate::render::fold::{folded, room};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static WHY: Command = Command {
    usage: &["[OPTIONS] CONTAINER"],
    aliases: &["hako container why", "hako why"],
    arity: Arity::Exactly(1),
    flags: &[&[text("format", "\"json\" for programs")]],
    examples: &[
        ("hako why web", "Why did it die?"),
        ("hako why --format json web", "The same for a program: its field Cause is one word"),
    ],
    offer: Offer::Containers,
    ..Command::new("Explain why a container ended or does not run", run!(why))
};

async fn why(session: &Session, found: &Matches) -> Outcome {
    let told = session.client()?.containers().why(found.word(0)).await?;
    match found.text("format") {
        "" => output::print(shown(&told, room())),
        "json" => {
            let json = serde_json::to_string(&told);
            output::line(json.map_err(|error| crate::failure::Failure::local(error.to_string()))?)
        }
        other => Err(crate::failure::Failure::local(format!("invalid format {other:?}: only \"json\" is known"))),
    }
}

fn shown(why: &Why, width: usize) -> String {
    let when = clock::seconds(&why.finished_at).filter(|seconds| *seconds > 0).map(clock::ago);
    let when = when.filter(|_| why.state != "running" && why.state != "paused").unwrap_or_default();
    let when = if when.is_empty() { when } else { format!(", ended {when}") };
    let mut text = format!("{} ({}{when})\n{}\n", why.name, why.state, folded(&why.summary, 0, width));
    for detail in &why.details {
        text += &folded(&format!("  - {}\n", detail.replace('\n', "\n    ")), 4, width);
    }
    if !why.hint.is_empty() {
        text += &folded(&format!("What to do: {}.\n", why.hint), 12, width);
    }
    if !why.log.is_empty() {
        text += "Its last words:\n";
        text.extend(why.log.iter().map(|line| format!("  | {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_line() {
        let why = Why {
            name: "web".into(),
            state: "exited".into(),
            summary: "It ended.".into(),
            details: vec!["one\ntwo".into()],
            hint: "look".into(),
            log: vec!["oops".into()],
            ..Why::default()
        };
        let text = "web (exited)\nIt ended.\n  - one\n    two\nWhat to do: look.\nIts last words:\n  | oops\n";
        assert_eq!(shown(&why, usize::MAX), text);
    }
}
