//! `checkpoint`: a container's processes, saved for a later start to go on from.

use hako_api::container::{Checkpoint, CheckpointBody};
use hako_api::query;

use crate::flags::{Flag, Matches, switch, text as text_flag};
use crate::output;
use crate::render::listing::{Listing, column, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Group, Node, Offer, Outcome, run};

/// `checkpoint …`
pub(crate) static CHECKPOINT: Group = Group {
    short: "Manage checkpoints",
    flags: &[],
    nodes: &[
        Node::command("create", &CREATE),
        Node::command("ls", &LIST).also(&["list"]),
        Node::command("rm", &REMOVE).also(&["remove"]),
    ],
};

const DIRECTORY: Flag = text_flag("checkpoint-dir", "Use a custom checkpoint storage directory");

static CREATE: Command = Command {
    usage: &["[OPTIONS] CONTAINER CHECKPOINT"],
    long: "Save the processes of a running container with the program CRIU, which has to be installed. The container ends \
           with it, unless it is left running; 'hako start --checkpoint' goes on where it was.",
    arity: Arity::Exactly(2),
    flags: &[&[DIRECTORY, switch("leave-running", "Leave the container running after checkpoint")]],
    examples: &[
        ("hako checkpoint create job before", "Save it and end it"),
        ("hako start --checkpoint before job", "Go on"),
    ],
    offer: Offer::Running,
    ..Command::new("Create a checkpoint from a running container", run!(create))
};

static LIST: Command = Command {
    usage: &["[OPTIONS] CONTAINER"],
    aliases: &["hako checkpoint ls", "hako checkpoint list"],
    arity: Arity::Exactly(1),
    flags: &[&[DIRECTORY]],
    offer: Offer::Containers,
    ..Command::new("List checkpoints for a container", run!(ls))
};

static REMOVE: Command = Command {
    usage: &["[OPTIONS] CONTAINER CHECKPOINT"],
    aliases: &["hako checkpoint rm", "hako checkpoint remove"],
    arity: Arity::Exactly(2),
    flags: &[&[DIRECTORY]],
    offer: Offer::Containers,
    ..Command::new("Remove a checkpoint", run!(remove))
};

async fn create(session: &Session, found: &Matches) -> Outcome {
    let body = CheckpointBody {
        checkpoint_id: found.word(1).to_owned(),
        checkpoint_dir: found.text("checkpoint-dir").to_owned(),
        exit: !found.on("leave-running"),
    };
    session.client()?.containers().checkpoint(found.word(0), &body).await?;
    output::line(found.word(1))
}

const ROWS: Listing<Checkpoint> = Listing {
    columns: &[column("Name", "CHECKPOINT NAME", |checkpoint: &Checkpoint| text(&checkpoint.name))],
    shown: &["Name"],
    row_type: "*formatter.checkpointContext",
    labels: None,
};

async fn ls(session: &Session, found: &Matches) -> Outcome {
    let checkpoints = session.client()?.containers().checkpoints(found.word(0), &place(found)).await?;
    output::print(ROWS.render("", &checkpoints)?)
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    Ok(session.client()?.containers().remove_checkpoint(found.word(0), found.word(1), &place(found)).await?)
}

fn place(found: &Matches) -> query::Checkpoints {
    query::Checkpoints { dir: found.text("checkpoint-dir").to_owned() }
}
