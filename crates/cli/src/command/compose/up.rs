//! `up`, `create`, `scale` and `start`: what is described is brought about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hako_compose::yaml::Text;
use hako_compose::{
    Choices, Condition, Manner, Member, Plan, Project, PullPolicy, Recreate, Trouble, World, apply, await_ready,
    ensure_images, plan,
};

use super::attached::{Ending, Show, follow};
use super::progress::Progress;
use super::project::{colourful, credentials, dry_run, failed, lend_socket, limit, present, project, stopped};
use crate::failure::Failure;
use crate::flags::{Flag, Matches, int, list, switch, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

const MAKING: &[Flag] = &[
    super::DRY_RUN,
    switch("build", "Build images before starting containers"),
    switch("force-recreate", "Recreate containers even if their configuration and image haven't changed"),
    switch("no-build", "Don't build an image, even if it's policy"),
    switch("no-recreate", "If containers already exist, don't recreate them. Incompatible with --force-recreate."),
    text("pull", "Pull image before running (\"always\"|\"missing\"|\"never\")").default("policy"),
    switch("quiet-pull", "Pull without printing progress information"),
    switch("remove-orphans", "Remove containers for services not defined in the Compose file"),
    list("scale", "Scale SERVICE to NUM instances. Overrides the scale setting in the Compose file if present.")
        .word("scale"),
    switch("yes", "Assume \"yes\" as answer to all prompts and run non-interactively").short('y'),
];

pub(super) static UP: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    aliases: &["hako compose up"],
    arity: Arity::AtLeast(0),
    flags: &[
        MAKING,
        &[
            switch(
                "abort-on-container-exit",
                "Stops all containers if any container was stopped. Incompatible with -d",
            ),
            switch(
                "abort-on-container-failure",
                "Stops all containers if any container exited with failure. Incompatible with -d",
            ),
            switch("always-recreate-deps", "Recreate dependent containers. Incompatible with --no-recreate."),
            list("attach", "Restrict attaching to the specified services. Incompatible with --attach-dependencies.")
                .word("stringArray"),
            switch("attach-dependencies", "Automatically attach to log output of dependent services"),
            switch("detach", "Detached mode: Run containers in the background").short('d'),
            text(
                "exit-code-from",
                "Return the exit code of the selected service container. Implies --abort-on-container-exit",
            ),
            switch("menu", "Enable interactive shortcuts when running attached.")
                .refused("there are no shortcuts; Ctrl-C stops"),
            list("no-attach", "Do not attach (stream logs) to the specified services").word("stringArray"),
            switch("no-color", "Produce monochrome output"),
            switch("no-deps", "Don't start linked services"),
            switch("no-log-prefix", "Don't print prefix in logs"),
            switch("no-start", "Don't start the services after creating them"),
            switch("quiet-build", "Suppress the build output"),
            switch("renew-anon-volumes", "Recreate anonymous volumes instead of retrieving data from the previous containers")
                .short('V'),
            int(
                "timeout",
                "Use this timeout in seconds for container shutdown when attached or when containers are already running",
            )
            .short('t'),
            switch("locked", "Use the images that compose.lock pins, and no others"),
            switch(
                "rollout",
                "Replace containers so that the new ones are up and healthy before the old ones go; roll back if they are not",
            ),
            switch("timestamps", "Show timestamps"),
            switch("wait", "Wait for services to be running|healthy. Implies detached mode."),
            int("wait-timeout", "Maximum duration in seconds to wait for the project to be running|healthy"),
            switch("watch", "Watch source code and rebuild/refresh containers when files are updated.")
                .short('w'),
        ],
    ],
    examples: &[
        ("hako compose up -d", "Everything that compose.yaml describes"),
        ("hako compose up -d --wait web", "One service and what it needs, and not back before it is healthy"),
        ("hako compose up -d --rollout", "A new version, without a moment in which nobody answers"),
        ("hako compose plan", "What would `up` do?"),
    ],
    ..Command::new("Create and start containers", run!(up))
};

pub(super) static CREATE: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[MAKING],
    ..Command::new("Creates containers for a service", run!(create))
};

pub(super) static SCALE: Command = Command {
    usage: &["[SERVICE=REPLICAS...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[super::DRY_RUN, switch("no-deps", "Don't start linked services")]],
    ..Command::new("Scale services", run!(scale))
};

pub(super) static START: Command = Command {
    usage: &["[SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[super::DRY_RUN]],
    ..Command::new("Start services", run!(start))
};

/// What is brought about, and how.
struct Task<'t> {
    project: Project,
    choices: Choices,
    manner: Manner,
    pull: PullPolicy,
    build: Build,
    dry: bool,
    progress: Progress,
    session: &'t Session,
}

/// When images are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Build {
    /// When they are missing.
    #[default]
    Missing,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Builds what must be built; `there` knows the images' ids afterwards.
pub(super) async fn build_images(
    session: &Session,
    project: &Project,
    there: &mut hako_compose::Found,
    build: Build,
    dry: bool,
) -> Outcome {
    for (name, service) in project.services.iter().filter(|(_, service)| service.get("build").is_some()) {
        let image = project.image(name, service);
        let missing = !there.images.contains_key(&image);
        let wanted = missing || build == Build::Always || service.text("pull_policy") == "build";
        if build == Build::Never || !wanted {
            continue;
        }
        let id = if dry {
            String::new()
        } else {
            super::build::service(session, project, name, &super::build::Extra::default()).await?;
            let options = hako_api::query::InspectImage::default();
            session.client()?.images().inspect(&image, &options).await?.id
        };
        there.images.insert(image, id);
    }
    Ok(())
}

impl Task<'_> {
    async fn run(&self) -> Result<Vec<Member>, Failure> {
        let credentials = credentials(self.session);
        let world = World {
            client: self.session.client()?,
            report: &self.progress,
            credentials: &credentials,
            dry: self.dry,
            limit: limit(self.session),
        };
        let mut known = BTreeSet::new();
        loop {
            let (found, plan) = self.plan(&world).await?;
            let trouble = match apply(&world, &self.project, &found, &plan, self.manner).await {
                Ok(members) => return Ok(members),
                Err(trouble) => trouble,
            };
            // Another `up`, or what one that was interrupted had begun, was faster: what is there now is looked at anew.
            // A container that is in the way when it is known is somebody else's.
            let Some(owner) = owner(&trouble).filter(|_| known.len() < TURNS) else { return Err(stopped(trouble)) };
            match world.client.containers().inspect(&owner, false).await {
                Ok(_) if !known.insert(owner.clone()) => return Err(stopped(trouble)),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    // It is being made. No turn is the same as another.
                    known.insert(format!("{owner} {}", known.len()));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn plan(&self, world: &World<'_>) -> Result<(hako_compose::Found, Plan), Failure> {
        let mut found = world.find(&self.project).await.map_err(stopped)?;
        build_images(self.session, &self.project, &mut found, self.build, self.dry).await?;
        ensure_images(world, &self.project, &mut found, self.pull).await.map_err(stopped)?;
        let plan = plan(&self.project, &found, &self.choices).map_err(Failure::local)?;
        Ok((found, plan))
    }
}

/// How often a plan is made anew because somebody was faster, and how far apart.
const TURNS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Which container has a name that was free when the plan was made.
fn owner(trouble: &Trouble) -> Option<String> {
    let Trouble::Daemon { source, .. } = trouble else { return None };
    let text = source.to_string();
    let (_, rest) = text.split_once("is already in use by container \"").filter(|_| source.status() == Some(409))?;
    rest.split_once('"').map(|(owner, _)| owner.to_owned())
}

/// The choices that `up`, `create` and `plan` share.
pub(super) fn choices(found: &Matches, services: &[String], project: &Project) -> Result<Choices, Failure> {
    if found.on("force-recreate") && found.on("no-recreate") {
        return Err(Failure::local("--force-recreate and --no-recreate are incompatible"));
    }
    let recreate = match () {
        () if found.on("force-recreate") => Recreate::Force,
        () if found.on("no-recreate") => Recreate::Never,
        () => Recreate::Diverged,
    };
    let remove_orphans = found.on("remove-orphans") || switched("COMPOSE_REMOVE_ORPHANS");
    let ignore_orphans = project.environment.get("COMPOSE_IGNORE_ORPHANS").is_some_and(is_on);
    if remove_orphans && ignore_orphans {
        return Err(Failure::local("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans"));
    }
    Ok(Choices {
        services: services.to_vec(),
        recreate,
        recreate_dependencies: if recreate == Recreate::Never { Recreate::Never } else { Recreate::Diverged },
        remove_orphans,
        ignore_orphans,
    })
}

/// Whether a variable of the surroundings is a switch that is on.
pub(super) fn switched(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| is_on(&value))
}

fn is_on(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "t" | "true" | "y")
}

fn pull_policy(found: &Matches) -> Result<PullPolicy, Failure> {
    Ok(match found.text("pull") {
        "policy" => PullPolicy::AsSaid,
        "always" => PullPolicy::Always,
        "missing" => PullPolicy::Missing,
        "never" => PullPolicy::Never,
        other => {
            return Err(Failure::local(format!("invalid --pull option {other:?}: it is always, missing or never")));
        }
    })
}

/// `service=number`, as `--scale` and `scale` take it.
fn scales(words: &[String]) -> Result<BTreeMap<String, usize>, Failure> {
    let each = |word: &String| {
        let split = word.split_once('=').and_then(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
        split.ok_or_else(|| Failure::local(format!("invalid scale specifier: {word}: write it as SERVICE=NUM")))
    };
    words.iter().map(each).collect()
}

fn rescale(project: &mut Project, scales: &BTreeMap<String, usize>) -> Outcome {
    for (name, number) in scales {
        if project.service(name).is_none() {
            return Err(failed(&project.no_such_service(name)));
        }
        project.set_scale(name, *number);
    }
    Ok(())
}

/// `up` asks before it brings about what comes from elsewhere.
fn task<'s>(session: &'s Session, found: &Matches, alone: bool, asks: bool) -> Result<Task<'s>, Failure> {
    let services = found.words();
    let mut project = project(session)?;
    project.select(services, !alone).map_err(|error| failed(&error))?;
    lend_socket(session, &mut project)?;
    rescale(&mut project, &scales(&found.strings("scale"))?)?;
    let dry = dry_run(session, found);
    super::provider::refuse_models(&project)?;
    if asks {
        super::consent::ask(session, &project, found.on("yes"))?;
    }
    let progress = Progress::wanted(session, dry)?;
    super::provider::ask(session, &mut project, super::provider::Verb::Up, &progress, dry)?;
    Ok(Task {
        choices: choices(found, services, &project)?,
        manner: Manner::default(),
        pull: pull_policy(found)?,
        build: match () {
            () if found.on("build") && found.on("no-build") => {
                return Err(Failure::local("--build and --no-build are incompatible"));
            }
            () if found.on("build") => Build::Always,
            () if found.on("no-build") => Build::Never,
            () => Build::Missing,
        },
        dry,
        progress,
        project,
        session,
    })
}

async fn up(session: &Session, found: &Matches) -> Outcome {
    check(found)?;
    let mut task = task(session, found, found.on("no-deps"), true)?;
    if found.on("locked") {
        super::lock::apply_to(&mut task.project)?;
    }
    if found.on("always-recreate-deps") {
        task.choices.recreate_dependencies = Recreate::Force;
    }
    let patience = found.int_given("wait-timeout").and_then(|seconds| u64::try_from(seconds).ok());
    task.manner = Manner {
        start: !found.on("no-start"),
        timeout: found.int_given("timeout"),
        renew_volumes: found.on("renew-anon-volumes"),
        rollout: found.on("rollout"),
        patience: patience.map(Duration::from_secs),
    };
    if task.manner.renew_volumes && task.choices.recreate == Recreate::Diverged {
        task.choices.recreate = Recreate::Force;
    }
    if found.on("watch") && !task.dry {
        task.run().await?;
        return super::watch::follow(session, &task.project, super::watch::Rebuilding::default()).await;
    }
    let attached = !found.on("detach") && !found.on("wait") && !found.on("no-start") && !task.dry;
    if !attached {
        let members = task.run().await?;
        if found.on("wait") && !task.dry {
            wait(&task, &members).await?;
        }
        return Ok(());
    }
    let names: Vec<String> = task.project.services.keys().map(Text::to_string).collect();
    let shown = shown(found, &task.project, &names);
    let show = Show {
        prefix: !found.on("no-log-prefix"),
        colour: colourful(session, found),
        timestamps: found.on("timestamps"),
    };
    let ending = match found.text("exit-code-from") {
        "" if found.on("abort-on-container-exit") => Ending::Any,
        "" if found.on("abort-on-container-failure") => Ending::Failure,
        "" => Ending::All,
        service if task.project.service(service).is_none() => {
            return Err(failed(&task.project.no_such_service(service)));
        }
        service => Ending::From(service.to_owned()),
    };
    let members = async { task.run().await };
    follow(session, &task.project, (members, &task.progress), &shown, &show, &ending, found.int_given("timeout")).await
}

fn check(found: &Matches) -> Outcome {
    let given = |flags: &[&str]| flags.iter().any(|flag| found.given(flag));
    let aborts = ["abort-on-container-exit", "abort-on-container-failure", "exit-code-from"];
    let attaches = ["attach", "attach-dependencies"];
    if found.on("detach") && (given(&aborts) || given(&attaches) || given(&["watch"])) {
        return Err(Failure::local(
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, \
             --attach-dependencies or --watch",
        ));
    }
    if found.on("wait") && (given(&aborts) || given(&attaches)) {
        return Err(Failure::local(
            "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
        ));
    }
    if found.on("attach-dependencies") && found.given("attach") {
        return Err(Failure::local("cannot combine --attach and --attach-dependencies"));
    }
    if found.on("always-recreate-deps") && found.on("no-recreate") {
        return Err(Failure::local("--always-recreate-deps and --no-recreate are incompatible"));
    }
    Ok(())
}

/// The services whose output is shown.
fn shown(found: &Matches, project: &Project, names: &[String]) -> Vec<String> {
    let (only, not) = (found.strings("attach"), found.strings("no-attach"));
    let wanted = |name: &&String| {
        let said = project.service(name).and_then(|service| service.switch("attach")) != Some(false);
        let named = found.words().is_empty() || found.on("attach-dependencies") || found.words().contains(name);
        let chosen = if only.is_empty() { named && said } else { only.contains(name) };
        chosen && !not.contains(name)
    };
    names.iter().filter(wanted).cloned().collect()
}

/// Waits until everything runs, and is healthy where that is checked.
async fn wait(task: &Task<'_>, members: &[Member]) -> Outcome {
    let credentials = credentials(task.session);
    let world = World {
        client: task.session.client()?,
        report: &task.progress,
        credentials: &credentials,
        dry: false,
        limit: limit(task.session),
    };
    let deadline = task.manner.patience.map(|patience| tokio::time::Instant::now() + patience);
    let each = members.iter().map(async |member| {
        let condition = Condition::RunningOrHealthy;
        await_ready(&world, &member.id, &member.name, &member.service, condition, deadline).await
    });
    let outcomes = futures_util::future::join_all(each).await;
    outcomes.into_iter().collect::<Result<Vec<()>, Trouble>>().map(drop).map_err(stopped)
}

/// Brings a project up in the background, as `watch` wants it first.
pub(super) async fn bring_up(session: &Session, dry: bool, project: Project) -> Outcome {
    let task = Task {
        choices: Choices::default(),
        manner: Manner { start: true, ..Manner::default() },
        pull: PullPolicy::AsSaid,
        build: Build::default(),
        dry,
        progress: Progress::wanted(session, dry)?,
        project,
        session,
    };
    task.run().await.map(drop)
}

async fn create(session: &Session, found: &Matches) -> Outcome {
    let task = task(session, found, false, false)?;
    task.run().await.map(drop)
}

async fn scale(session: &Session, found: &Matches) -> Outcome {
    let wanted = scales(found.words())?;
    let names: Vec<String> = wanted.keys().cloned().collect();
    let mut project = project(session)?;
    project.select(&names, !found.on("no-deps")).map_err(|error| failed(&error))?;
    lend_socket(session, &mut project)?;
    rescale(&mut project, &wanted)?;
    let dry = dry_run(session, found);
    let task = Task {
        choices: Choices { services: names, ..Choices::default() },
        manner: Manner { start: true, ..Manner::default() },
        pull: PullPolicy::AsSaid,
        build: Build::default(),
        dry,
        progress: Progress::wanted(session, dry)?,
        project,
        session,
    };
    task.run().await.map(drop)
}

/// Starts what is there: nothing is made.
async fn start(session: &Session, found: &Matches) -> Outcome {
    let present = present(session, true).await?;
    present.of(found.words(), false)?;
    let mut project = present.project;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    let names: Vec<String> = project.services.keys().map(Text::to_string).collect();
    for name in names {
        let there = hako_compose::verb::members(&present.containers, &name, false).len();
        if there == 0 && (found.words().is_empty() || found.words().contains(&name)) && present.described {
            return Err(Failure::local(format!("service {name:?} has no container to start")));
        }
        project.set_scale(&name, there);
    }
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    let credentials = credentials(session);
    let world =
        World { client: session.client()?, report: &progress, credentials: &credentials, dry, limit: limit(session) };
    let there = hako_compose::Found { containers: present.containers.clone(), ..hako_compose::Found::default() };
    let choices = Choices { recreate: Recreate::Never, recreate_dependencies: Recreate::Never, ..Choices::default() };
    let mut steps = plan(&project, &there, &choices).unwrap_or_default();
    steps.resources.clear();
    steps.orphans.clear();
    // Who says `start` means jobs, too: now, not when they are due.
    for step in steps.services.values_mut().flatten() {
        if let hako_compose::Step::Rest(existing) = step {
            *step = hako_compose::Step::Keep(existing.clone());
        }
    }
    let manner = Manner { start: true, ..Manner::default() };
    apply(&world, &project, &there, &steps, manner).await.map(drop).map_err(stopped)
}
