//! `container inspect`.

use crate::command::OBJECT_FORMAT;
use crate::command::inspect::{Asked, Object, show};
use crate::flags::{Matches, switch};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static INSPECT: Command = Command {
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[OBJECT_FORMAT, switch("size", "Display total file sizes").short('s')]],
    offer: Offer::Containers,
    ..Command::new("Display detailed information on one or more containers", run!(inspect))
};

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    show(session, found, &[Object::Container], &Asked { size: found.on("size"), ..Asked::default() }).await
}
