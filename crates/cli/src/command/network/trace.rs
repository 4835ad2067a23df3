//! `network trace`: who answers a name; hako's own.

use hako_api::network::Traced;
use hako_api::query;

use crate::failure::Failure;
use crate::flags::{Matches, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static TRACE: Command = Command {
    usage: &["[OPTIONS] NAME"],
    arity: Arity::Exactly(1),
    flags: &[&[text("from", "Ask as this container does (default: one container of every set of networks)")]],
    examples: &[("hako network trace --from web db", "Who tells web where db is, and what the others said")],
    ..Command::new("Show who answers a name, and what", run!(trace))
};

async fn trace(session: &Session, found: &Matches) -> Outcome {
    let options = query::Trace { name: found.word(0).to_owned(), from: found.text("from").to_owned() };
    let traced = session.client()?.networks().trace(&options).await?;
    if traced.is_empty() {
        return Err(Failure::local(
            "no running container is on a network of your own: start one, or name one with --from",
        ));
    }
    output::print(traced.iter().map(shown).collect::<String>())
}

/// The answer that counts stands behind an arrow.
fn shown(traced: &Traced) -> String {
    let widest = traced.steps.iter().map(|step| step.who.len()).max().unwrap_or(0);
    let lines = traced.steps.iter().map(|step| {
        let mark = if step.counts { "->" } else { "  " };
        format!("{mark} {:widest$}  {}  ({:.3} ms)\n", step.who, step.said, step.micros as f64 / 1000.0)
    });
    format!("{} asks:\n{}", traced.container, lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use hako_api::network::TraceStep;

    use super::*;

    #[test]
    fn the_answer_that_counts_is_marked() {
        let step =
            |who: &str, said: &str, counts| TraceStep { who: who.into(), said: said.into(), micros: 1500, counts };
        let steps = vec![step("network a", "no such name", false), step("network front", "172.18.0.2", true)];
        let text = shown(&Traced { container: "web".into(), steps });
        let expect =
            "web asks:\n   network a      no such name  (1.500 ms)\n-> network front  172.18.0.2  (1.500 ms)\n";
        assert_eq!(text, expect);
    }
}
