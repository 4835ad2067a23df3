//! `watch`: files of the working copy follow into the running containers.

use std::time::Duration;

use hako_compose::watch::{Snapshot, bring, changes, rules};
use hako_compose::{Project, World};

use super::progress::Progress;
use super::project::{credentials, dry_run, failed, limit, project, stopped};
use crate::failure::Failure;
use crate::flags::{Matches, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) static WATCH: Command = Command {
    usage: &["[SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("no-up", "Do not build & start services before watching"),
        switch("prune", "Prune dangling images on rebuild").refused("rebuilding needs the builder"),
        switch("quiet", "hide build output"),
    ]],
    examples: &[("hako compose watch", "Edit here, run there; ctrl-c ends the watching, not the services")],
    ..Command::new("Watch files and bring them into containers when they are updated", run!(watch))
};

async fn watch(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    if !found.on("no-up") {
        super::up::bring_up(session, found, project.clone()).await?;
    }
    if dry_run(session, found) { Ok(()) } else { follow(session, &project).await }
}

/// Watches until the person has had enough.
pub(super) async fn follow(session: &Session, project: &Project) -> Outcome {
    let rules = rules(project).map_err(Failure::local)?;
    if rules.is_empty() {
        return Err(Failure::local(
            "none of the selected services is configured for watch: give one a `develop.watch`",
        ));
    }
    let progress = Progress::wanted(session, false)?;
    let credentials = credentials(session);
    let client = session.client()?;
    let world = World { client, report: &progress, credentials: &credentials, dry: false, limit: limit(session) };
    let mut seen: Vec<Snapshot> = Vec::new();
    for rule in &rules {
        let now = rule.scan().map_err(Failure::local)?;
        seen.push(if rule.initial { Snapshot::new() } else { now });
    }
    output::complain("Watch enabled\n")?;
    loop {
        for (rule, before) in rules.iter().zip(&mut seen) {
            let now = rule.scan().map_err(Failure::local)?;
            let (changed, gone) = changes(before, &now);
            if !changed.is_empty() || !gone.is_empty() {
                let containers = world.containers(&project.name, false).await.map_err(stopped)?;
                bring(&world, &containers, rule, &changed, &gone).await.map_err(stopped)?;
            }
            *before = now;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
