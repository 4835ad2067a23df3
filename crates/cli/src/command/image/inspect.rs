//! `image inspect`.

use crate::command::inspect::{Asked, Object, show};
use crate::command::{OBJECT_FORMAT, platform_json};
use crate::flags::{Matches, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static INSPECT: Command = Command {
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        OBJECT_FORMAT,
        text(
            "platform",
            "Inspect a specific platform of the multi-platform image.\n\
             If the image or the server is not multi-platform capable, the command will error out if the platform does \
             not match.\n\
             'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
    ]],
    offer: Offer::Images,
    ..Command::new("Display detailed information on one or more images", run!(inspect))
};

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    let asked = Asked { platform: platform_json(found)?, ..Asked::default() };
    show(session, found, &[Object::Image], &asked).await
}
