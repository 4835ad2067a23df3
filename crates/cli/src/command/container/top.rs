//! `top`.

use crate::flags::Matches;
use crate::output;
use crate::render::table::align_from;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static TOP: Command = Command {
    usage: &["CONTAINER [ps OPTIONS]"],
    aliases: &["hako container top", "hako top"],
    arity: Arity::AtLeast(1),
    interspersed: false,
    examples: &[("hako top web -o pid,args", "Its processes, in columns of your choice")],
    offer: Offer::Running,
    ..Command::new("Display the running processes of a container", run!(top))
};

async fn top(session: &Session, found: &Matches) -> Outcome {
    let arguments = found.words()[1..].join(" ");
    let arguments = Some(arguments.as_str()).filter(|text| !text.is_empty());
    let reply = session.client()?.containers().top(found.word(0), arguments).await?;
    let mut text = reply.titles.join("\t") + "\n";
    for process in reply.processes {
        text += &(process.join("\t") + "\n");
    }
    output::print(align_from(&text, 20))
}
