//! `container prune`, `image prune`, `network prune`, `volume prune`, `system prune`: ask, then remove what nobody uses.

use hako_client::Client;
use hako_model::filter::Filters;

use crate::command::filters;
use crate::failure::Failure;
use crate::flags::{Flag, Matches, filter, switch};
use crate::output;
use crate::render::units::human_size;
use crate::session::Session;
use crate::terminal;
use crate::tree::{Command, Outcome, run};

const FORCE: Flag = switch("force", "Do not prompt for confirmation").short('f');

pub(crate) static CONTAINERS: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[filter("Provide filter values (e.g. \"until=<timestamp>\")"), FORCE]],
    ..Command::new("Remove all stopped containers", run!(containers))
};

pub(crate) static IMAGES: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        switch("all", "Remove all unused images, not just dangling ones").short('a'),
        filter("Provide filter values (e.g. \"until=<timestamp>\")"),
        FORCE,
    ]],
    ..Command::new("Remove unused images", run!(images))
};

pub(crate) static NETWORKS: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[filter("Provide filter values (e.g. \"until=<timestamp>\")"), FORCE]],
    ..Command::new("Remove all unused networks", run!(networks))
};

pub(crate) static VOLUMES: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        switch("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        filter("Provide filter values (e.g. \"label=<label>\")"),
        FORCE,
    ]],
    ..Command::new("Remove unused local volumes", run!(volumes))
};

pub(crate) static SYSTEM: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        switch("all", "Remove all unused images not just dangling ones").short('a'),
        filter("Provide filter values (e.g. \"label=<key>=<value>\")"),
        FORCE,
        switch("volumes", "Prune anonymous volumes"),
    ]],
    examples: &[("hako system prune -af --volumes", "Everything that is not in use, without asking")],
    ..Command::new("Remove unused data", run!(system))
};

/// Asks, unless `-f` was given.
fn agreed(found: &Matches, warning: &str) -> Result<bool, Failure> {
    if found.on("force") {
        return Ok(true);
    }
    terminal::confirm(&format!("{warning}\nAre you sure you want to continue?"))
        .map_err(|error| Failure::local(error.to_string()))
}

/// What was removed, and how much room that made.
#[derive(Default)]
struct Pruned {
    text: String,
    bytes: u64,
}

impl Pruned {
    fn of(title: &str, names: Vec<String>, bytes: u64) -> Self {
        let text = if names.is_empty() { String::new() } else { format!("{title}:\n{}\n\n", names.join("\n")) };
        Self { text, bytes }
    }

    fn tell(&self) -> Outcome {
        output::print(format!("{}Total reclaimed space: {}\n", self.text, human_size(self.bytes as f64)))
    }
}

async fn containers(session: &Session, found: &Matches) -> Outcome {
    if !agreed(found, "WARNING! This will remove all stopped containers.")? {
        return Err(Failure::local("container prune has been cancelled"));
    }
    prune_containers(session.client()?, &filters(found)).await?.tell()
}

async fn prune_containers(client: &Client, filters: &Filters) -> Result<Pruned, Failure> {
    let pruned = client.containers().prune(filters).await?;
    Ok(Pruned::of("Deleted Containers", pruned.containers_deleted.unwrap_or_default(), pruned.space_reclaimed))
}

async fn images(session: &Session, found: &Matches) -> Outcome {
    let warning = if found.on("all") {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    if !agreed(found, warning)? {
        return Err(Failure::local("image prune has been cancelled"));
    }
    prune_images(session.client()?, filters(found), found.on("all")).await?.tell()
}

async fn prune_images(client: &Client, mut filters: Filters, all: bool) -> Result<Pruned, Failure> {
    filters.add("dangling", if all { "false" } else { "true" });
    let pruned = client.images().prune(&filters).await?;
    let line = |removed: hako_api::image::Removed| match removed.untagged.as_str() {
        "" => format!("deleted: {}", removed.deleted),
        untagged => format!("untagged: {untagged}"),
    };
    let lines = pruned.images_deleted.unwrap_or_default().into_iter().map(line).collect();
    Ok(Pruned::of("Deleted Images", lines, pruned.space_reclaimed))
}

async fn volumes(session: &Session, found: &Matches) -> Outcome {
    let mut filters = filters(found);
    let mut warning = "WARNING! This will remove anonymous local volumes not used by at least one container.";
    if found.on("all") {
        if filters.contains("all") {
            return Err(Failure::local("conflicting options: cannot specify both --all and --filter all=1"));
        }
        filters.add("all", "true");
        warning = "WARNING! This will remove all local volumes not used by at least one container.";
    }
    if !agreed(found, warning)? {
        return Err(Failure::local("volume prune has been cancelled"));
    }
    prune_volumes(session.client()?, &filters).await?.tell()
}

async fn prune_volumes(client: &Client, filters: &Filters) -> Result<Pruned, Failure> {
    let pruned = client.volumes().prune(filters).await?;
    Ok(Pruned::of("Deleted Volumes", pruned.volumes_deleted.unwrap_or_default(), pruned.space_reclaimed))
}

async fn networks(session: &Session, found: &Matches) -> Outcome {
    if !agreed(found, "WARNING! This will remove all custom networks not used by at least one container.")? {
        return Err(Failure::local("network prune has been cancelled"));
    }
    output::print(prune_networks(session.client()?, &filters(found)).await?.text)
}

async fn prune_networks(client: &Client, filters: &Filters) -> Result<Pruned, Failure> {
    let pruned = client.networks().prune(filters).await?;
    Ok(Pruned::of("Deleted Networks", pruned.networks_deleted.unwrap_or_default(), 0))
}

/// What `system prune` is about to do, in a list.
fn system_warning(found: &Matches) -> String {
    let mut out = String::from(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n",
    );
    if found.on("volumes") {
        out += "  - all anonymous volumes not used by at least one container\n";
    }
    out += if found.on("all") {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    };
    let filters = found.list("filter");
    if !filters.is_empty() {
        out += &format!("\n  Items to be pruned will be filtered with:\n  - {}\n", filters.join("\n  - "));
    }
    out
}

async fn system(session: &Session, found: &Matches) -> Outcome {
    let filters = filters(found);
    if found.on("volumes") && filters.contains("until") {
        return Err(Failure::local("The \"until\" filter is not supported with \"--volumes\""));
    }
    if !agreed(found, &system_warning(found))? {
        return Err(Failure::local("system prune has been cancelled"));
    }
    let client = session.client()?;
    let mut total = prune_containers(client, &filters).await?;
    let mut add = |part: Pruned| {
        total.text += &part.text;
        total.bytes += part.bytes;
    };
    if found.on("volumes") {
        add(prune_volumes(client, &filters).await?);
    }
    add(prune_networks(client, &filters).await?);
    add(prune_images(client, filters, found.on("all")).await?);
    total.tell()
}
