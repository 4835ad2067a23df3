//! Commands on one container of a service: the service's name becomes the container's, the rest is `hako exec`, `hako cp`
//! and so on.

use hako_compose::{Mood, existing};

use super::progress::Progress;
use super::project::{Present, dry_run, present};
use crate::command::container::{attach, commit, copy, exec, export, stats};
use crate::failure::Failure;
use crate::flags::{self, Flag, Matches, int, list, switch, text};
use crate::session::Session;
use crate::terminal;
use crate::tree::{Arity, Command, Outcome, run};

const INDEX: Flag = int("index", "Index of the container if service has multiple replicas");

pub(super) static EXEC: Command = Command {
    usage: &["[OPTIONS] SERVICE COMMAND [ARGS...]"],
    aliases: &["hako compose exec"],
    arity: Arity::AtLeast(2),
    interspersed: false,
    flags: &[&[
        switch("detach", "Detached mode: Run command in the background").short('d'),
        super::DRY_RUN,
        list("env", "Set environment variables").short('e').word("stringArray"),
        INDEX,
        switch("interactive", "").hidden().short('i').default("true"),
        switch("no-tty", "Disable pseudo-TTY allocation. By default a TTY is allocated if there is one here.")
            .short('T'),
        switch("privileged", "Give extended privileges to the process"),
        switch("tty", "").hidden().short('t'),
        text("user", "Run the command as this user").short('u'),
        text("workdir", "Path to workdir directory for this command").short('w'),
    ]],
    examples: &[("hako compose exec db sh", "A shell in a service's container")],
    ..Command::new("Execute a command in a running container", run!(exec_in))
};

pub(super) static COPY: Command = Command {
    usage: &["[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-", "[OPTIONS] SRC_PATH|- SERVICE:DEST_PATH"],
    aliases: &["hako compose cp"],
    arity: Arity::Exactly(2),
    flags: &[&[
        switch("all", "Include containers created by the run command"),
        switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
        super::DRY_RUN,
        switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
        INDEX,
    ]],
    ..Command::new("Copy files/folders between a service container and the local filesystem", run!(copy_files))
};

pub(super) static ATTACH: Command = Command {
    usage: &["[OPTIONS] SERVICE"],
    arity: Arity::Exactly(1),
    flags: &[&[
        text("detach-keys", "Override the key sequence for detaching from a container."),
        super::DRY_RUN,
        INDEX,
        switch("no-stdin", "Do not attach STDIN"),
        switch("sig-proxy", "Proxy all received signals to the process").default("true"),
    ]],
    ..Command::new(
        "Attach local standard input, output, and error streams to a service's running container",
        run!(attach_to),
    )
};

pub(super) static EXPORT: Command = Command {
    usage: &["[OPTIONS] SERVICE"],
    arity: Arity::Exactly(1),
    flags: &[&[super::DRY_RUN, INDEX, text("output", "Write to a file, instead of STDOUT").short('o')]],
    ..Command::new("Export a service container's filesystem as a tar archive", run!(export_from))
};

pub(super) static COMMIT: Command = Command {
    usage: &["[OPTIONS] SERVICE [REPOSITORY[:TAG]]"],
    arity: Arity::Between(1, 2),
    flags: &[&[
        text("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")").short('a'),
        list("change", "Apply Dockerfile instruction to the created image").short('c'),
        super::DRY_RUN,
        INDEX,
        text("message", "Commit message").short('m'),
        switch("pause", "Pause container during commit").short('p').default("true"),
    ]],
    ..Command::new("Create a new image from a service container's changes", run!(commit_one))
};

pub(super) static STATS: Command = Command {
    usage: &["[OPTIONS] [SERVICE]"],
    arity: Arity::AtMost(1),
    flags: &[&[
        switch("all", "Show all containers (default shows just running)").short('a'),
        super::DRY_RUN,
        crate::command::LIST_FORMAT,
        switch("no-stream", "Disable streaming stats and only pull the first result"),
        switch("no-trunc", "Do not truncate output"),
    ]],
    ..Command::new("Display a live stream of container(s) resource usage statistics", run!(stats_of))
};

/// The name of a service's container; of one that does not run, too, if `all`.
async fn container(session: &Session, found: &Matches, service: &str, all: bool) -> Result<String, Failure> {
    let present = present(session, all).await?;
    Ok(existing(present.one(service, found.int("index"))?).name)
}

/// Runs another command with flags and words put together here.
pub(crate) async fn hand_on(session: &Session, command: &'static Command, words: Vec<String>) -> Outcome {
    let found = flags::parse(command.flags, command.interspersed, &words).map_err(|fault| match fault {
        flags::Fault::Message(text) | flags::Fault::Refused(text) => Failure::local(text),
        flags::Fault::Help => Failure::status(0),
    })?;
    (command.run)(session, &found).await
}

/// `--flag=value` for every one of these flags that was given.
fn passed(found: &Matches, flags: &[&str]) -> Vec<String> {
    flags.iter().filter_map(|flag| Some(format!("--{flag}={}", found.text_given(flag)?))).collect()
}

async fn exec_in(session: &Session, found: &Matches) -> Outcome {
    let name = container(session, found, found.word(0), false).await?;
    if dry_run(session, found) {
        return match found.on("detach") {
            true => Ok(()),
            false => Err(Failure::local("interactive exec is not supported in dry-run mode")),
        };
    }
    let mut words = passed(found, &["user", "workdir", "privileged"]);
    words.extend(found.list("env").iter().map(|variable| format!("--env={variable}")));
    let tty = !found.on("no-tty") && terminal::size().is_some() && std::io::IsTerminal::is_terminal(&std::io::stdin());
    if found.on("detach") {
        words.push("--detach".to_owned());
    } else if found.on("interactive") {
        words.push("--interactive".to_owned());
    }
    if tty && !found.on("detach") {
        words.push("--tty".to_owned());
    }
    words.push(name);
    words.extend_from_slice(&found.words()[1..]);
    hand_on(session, &exec::EXEC, words).await
}

async fn copy_files(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    let (from, to) = (found.word(0), found.word(1));
    let (service, outward) = match (service_of(&present, from), service_of(&present, to)) {
        (Some(service), None) => (service, true),
        (None, Some(service)) => (service, false),
        (Some(_), Some(_)) => return Err(Failure::local("copying between services is not supported")),
        (None, None) if let Some((service, _)) = [from, to].iter().find_map(|path| path.split_once(':')) => {
            return Err(Failure::local(format!("no container found for service {service:?}")));
        }
        (None, None) => return Err(Failure::local("unknown copy direction")),
    };
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    let mut flags = passed(found, &["archive", "follow-link"]);
    flags.push("--quiet".to_owned());
    let index = found.int("index");
    let all = match (outward, index) {
        (true, _) | (_, 1..) => vec![present.one(service, index)?],
        _ => present.of(&[service.to_owned()], found.on("all"))?,
    };
    for one in all {
        let name = existing(one).name;
        let place = |path: &str| path.replacen(service, &name, 1);
        let mut words = std::mem::take(&mut flags);
        flags.clone_from(&words);
        words.push("--".to_owned());
        let ends = if outward { [place(from), to.to_owned()] } else { [from.to_owned(), place(to)] };
        let deed = format!("copy {} to {}", ends[0], ends[1]);
        progress.say(&name, &deed, "Copying", Mood::Working);
        words.extend(ends);
        if !dry {
            hand_on(session, &copy::COPY, words).await?;
        }
        progress.say(&name, &deed, "Copied", Mood::Done);
    }
    Ok(())
}

/// The service of `SERVICE:PATH`.
fn service_of<'p>(present: &Present, path: &'p str) -> Option<&'p str> {
    let (service, _) = path.split_once(':')?;
    let known = present.project.services.contains_key(service) || present.project.disabled.contains_key(service);
    known.then_some(service)
}

async fn attach_to(session: &Session, found: &Matches) -> Outcome {
    let name = container(session, found, found.word(0), false).await?;
    let mut words = passed(found, &["detach-keys", "no-stdin", "sig-proxy"]);
    words.push(name);
    if dry_run(session, found) { Ok(()) } else { hand_on(session, &attach::ATTACH, words).await }
}

async fn export_from(session: &Session, found: &Matches) -> Outcome {
    let name = container(session, found, found.word(0), true).await?;
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    let deed = format!("export {name} to {}", found.text("output"));
    progress.say(&name, &deed, "Exporting", Mood::Working);
    if dry {
        progress.say(&name, &deed, "Exported", Mood::Done);
        return Ok(());
    }
    let mut words = passed(found, &["output"]);
    words.push(name);
    hand_on(session, &export::EXPORT, words).await
}

async fn commit_one(session: &Session, found: &Matches) -> Outcome {
    let name = container(session, found, found.word(0), true).await?;
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    let deed = format!("Commit {name}");
    progress.say(&name, &deed, "Committing", Mood::Working);
    let done = match dry {
        true => "Committed".to_owned(),
        false => format!("Committed as {}", commit::image_of(session, found, &name).await?),
    };
    progress.say(&name, &deed, &done, Mood::Done);
    Ok(())
}

async fn stats_of(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, found.on("all")).await?;
    let containers = present.known(found.words(), false);
    if containers.is_empty() {
        return stats::of_nobody(found.text("format"));
    }
    let mut words = passed(found, &["all", "format", "no-stream", "no-trunc"]);
    words.extend(containers.iter().map(|one| existing(one).name));
    hand_on(session, &stats::STATS, words).await
}
