//! `down`, and the verbs on what is there: stop, restart, kill, pause, unpause, rm.

use hako_compose::verb::{self, Down, Images, Verb};
use hako_compose::{Existing, Found, World, existing};

use super::progress::Progress;
use super::project::{Present, credentials, dry_run, failed, limit, present, stopped};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, int, switch, text};
use crate::output;
use crate::session::Session;
use crate::terminal;
use crate::tree::{Arity, Command, Outcome, run};

const TIMEOUT: Flag = int("timeout", "Specify a shutdown timeout in seconds").short('t');

const ORPHANS: Flag = switch("remove-orphans", "Remove containers for services not defined in the Compose file");

/// A verb on services.
const fn on_services(short: &'static str, flags: &'static [&'static [Flag]], run: crate::tree::Run) -> Command {
    Command { usage: &["[OPTIONS] [SERVICE...]"], arity: Arity::AtLeast(0), flags, ..Command::new(short, run) }
}

pub(super) static DOWN: Command = Command {
    examples: &[
        ("hako compose down", "Containers and networks go; volumes stay"),
        ("hako compose down -v", "Volumes, too: their data is lost"),
    ],
    ..on_services(
        "Stop and remove containers, networks",
        &[&[
            super::DRY_RUN,
            ORPHANS,
            text(
                "rmi",
                "Remove images used by services. \"local\" remove only images that don't have a custom tag (\"local\"|\"all\")",
            ),
            TIMEOUT,
            switch(
                "volumes",
                "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes \
                 attached to containers",
            )
            .short('v'),
        ]],
        run!(down),
    )
};

pub(super) static STOP: Command = on_services("Stop services", &[&[super::DRY_RUN, TIMEOUT]], run!(stop));

pub(super) static RESTART: Command = on_services(
    "Restart service containers",
    &[&[super::DRY_RUN, switch("no-deps", "Don't restart dependent services"), TIMEOUT]],
    run!(restart),
);

pub(super) static KILL: Command = on_services(
    "Force stop service containers",
    &[&[super::DRY_RUN, ORPHANS, text("signal", "SIGNAL to send to the container").short('s').default("SIGKILL")]],
    run!(kill),
);

pub(super) static PAUSE: Command = on_services("Pause services", &[&[super::DRY_RUN]], run!(pause));

pub(super) static UNPAUSE: Command = on_services("Unpause services", &[&[super::DRY_RUN]], run!(unpause));

pub(super) static REMOVE: Command = on_services(
    "Removes stopped service containers",
    &[&[
        super::DRY_RUN,
        switch("force", "Don't ask to confirm removal").short('f'),
        switch("stop", "Stop the containers, if required, before removing").short('s'),
        switch("volumes", "Remove any anonymous volumes attached to containers").short('v'),
        switch("all", "").hidden().short('a'),
    ]],
    run!(remove),
);

/// Does something in the world the flags describe.
async fn within<T>(
    session: &Session,
    found: &Matches,
    deed: impl AsyncFnOnce(&World<'_>) -> Result<T, hako_compose::Trouble>,
) -> Result<T, Failure> {
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    let credentials = credentials(session);
    let world =
        World { client: session.client()?, report: &progress, credentials: &credentials, dry, limit: limit(session) };
    deed(&world).await.map_err(stopped)
}

async fn down(session: &Session, found: &Matches) -> Outcome {
    let images = match found.text("rmi") {
        "" => None,
        "local" => Some(Images::Local),
        "all" => Some(Images::All),
        other => return Err(Failure::local(format!("invalid value for --rmi: {other:?}: it is local or all"))),
    };
    let Present { mut project, containers, described } = present(session, true).await?;
    project.select(found.words(), false).map_err(|error| failed(&error))?;
    let how = Down {
        orphans: found.on("remove-orphans") || super::up::switched("COMPOSE_REMOVE_ORPHANS") || !described,
        volumes: found.on("volumes"),
        images,
        timeout: found.int_given("timeout"),
        partly: !found.words().is_empty(),
    };
    within(session, found, async |world| {
        let found: Found = Found { containers, ..world.find(&project).await? };
        verb::down(world, &project, &found, how).await
    })
    .await?;
    let dry = dry_run(session, found);
    super::provider::ask(session, &mut project, super::provider::Verb::Down, &Progress::wanted(session, dry)?, dry)
}

/// Takes down all of a project that is described, but its volumes.
pub(super) async fn drop_project(session: &Session, found: &Matches, present: &Present) -> Outcome {
    let how = Down { orphans: false, volumes: false, images: None, timeout: None, partly: false };
    let project = &present.project;
    within(session, found, async |world| {
        let containers = world.containers(&project.name, true).await?;
        let found = Found { containers, ..world.find(project).await? };
        verb::down(world, project, &found, how).await
    })
    .await
}

/// The project of the named services alone.
async fn chosen(session: &Session, found: &Matches) -> Result<Present, Failure> {
    let mut present = present(session, true).await?;
    present.of(found.words(), false)?;
    present.project.select(found.words(), false).map_err(|error| failed(&error))?;
    Ok(present)
}

async fn stop(session: &Session, found: &Matches) -> Outcome {
    let Present { project, containers, .. } = chosen(session, found).await?;
    let timeout = found.int_given("timeout");
    within(session, found, async |world| verb::stop(world, &project, &containers, timeout).await).await
}

async fn restart(session: &Session, found: &Matches) -> Outcome {
    let mut all = present(session, true).await?;
    all.of(found.words(), false)?;
    let mut names = found.words().to_vec();
    if !found.on("no-deps") {
        let wants = |service: &hako_compose::yaml::Node| {
            service
                .entries("depends_on")
                .any(|(other, it)| it.on("restart") && found.words().iter().any(|word| word == other))
        };
        names.extend(
            all.project.services.iter().filter(|(_, service)| wants(service)).map(|(name, _)| name.to_string()),
        );
    }
    if !found.words().is_empty() {
        all.project.select(&names, false).map_err(|error| failed(&error))?;
    }
    let Present { project, containers, .. } = all;
    let timeout = found.int_given("timeout");
    within(session, found, async |world| verb::restart(world, &project, &containers, timeout).await).await
}

async fn simple(session: &Session, found: &Matches, verb: Verb<'_>) -> Outcome {
    let present = present(session, true).await?;
    let mut containers = present.of(found.words(), false)?;
    if matches!(verb, Verb::Kill(_)) && found.on("remove-orphans") {
        let known = |one: &&hako_api::container::Summary| containers.iter().any(|other| other.id == one.id);
        let orphans: Vec<_> = present.containers.iter().filter(|one| !known(one)).collect();
        containers.extend(orphans);
    }
    if matches!(verb, Verb::Kill(_)) && !containers.iter().any(|one| one.state == "running") {
        return output::complain("no container to kill\n");
    }
    within(session, found, async |world| verb::each(world, &containers, verb).await).await
}

async fn kill(session: &Session, found: &Matches) -> Outcome {
    let signal = found.text("signal").to_owned();
    simple(session, found, Verb::Kill(&signal)).await
}

async fn pause(session: &Session, found: &Matches) -> Outcome {
    simple(session, found, Verb::Pause).await
}

async fn unpause(session: &Session, found: &Matches) -> Outcome {
    simple(session, found, Verb::Unpause).await
}

async fn remove(session: &Session, found: &Matches) -> Outcome {
    let chosen = chosen(session, found).await?;
    if found.on("stop") {
        within(session, found, async |world| verb::stop(world, &chosen.project, &chosen.containers, None).await)
            .await?;
    }
    let alive = |one: &Existing| matches!(one.state.as_str(), "running" | "paused" | "restarting");
    let all = chosen.of(&[], true)?.into_iter().map(existing);
    let gone: Vec<Existing> = all
        .filter(|one| found.on("stop") || !alive(one))
        .map(|one| Existing { state: "exited".to_owned(), ..one })
        .collect();
    if gone.is_empty() {
        return output::complain("No stopped containers\n");
    }
    let names: Vec<&str> = gone.iter().map(|one| one.name.as_str()).collect();
    let question = format!("Going to remove {}", names.join(", "));
    if found.on("force") || dry_run(session, found) {
        output::line(&question)?;
    } else {
        let agreed = terminal::confirm(&format!("{question}\nAre you sure? [yN] "));
        if !agreed.map_err(|error| crate::failure::path_failure("read", "stdin", &error))? {
            return Ok(());
        }
    }
    let volumes = found.on("volumes");
    within(session, found, async |world| verb::remove_all(world, &gone, volumes).await).await
}
