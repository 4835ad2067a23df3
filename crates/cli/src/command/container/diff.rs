//! `diff`.

use crate::flags::Matches;
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static DIFF: Command = Command {
    usage: &["CONTAINER"],
    aliases: &["hako container diff", "hako diff"],
    arity: Arity::Exactly(1),
    examples: &[("hako diff web", "C is changed, A added, D deleted")],
    offer: Offer::Containers,
    ..Command::new("Inspect changes to files or directories on a container's filesystem", run!(diff))
};

async fn diff(session: &Session, found: &Matches) -> Outcome {
    let changes = session.client()?.containers().changes(found.word(0)).await?.unwrap_or_default();
    let letter = |kind: u8| ['C', 'A', 'D'].get(usize::from(kind)).copied().unwrap_or('?');
    output::print(changes.iter().map(|change| format!("{} {}\n", letter(change.kind), change.path)).collect::<String>())
}
