//! `watch`: files of the working copy follow into the running containers.

use std::time::Duration;

use hako_api::query::{InspectImage, RemoveImage};
use hako_compose::watch::{Action, Snapshot, bring, changes, rules};
use hako_compose::{Project, World};

use super::build::Extra;
use super::progress::Progress;
use super::project::{credentials, dry_run, failed, lend_socket, limit, project, stopped};
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
        switch("prune", "Prune dangling images on rebuild").default("true"),
        switch("quiet", "hide build output"),
    ]],
    examples: &[("hako compose watch", "Edit here, run there; ctrl-c ends the watching, not the services")],
    ..Command::new("Watch files and bring them into containers when they are updated", run!(watch))
};

async fn watch(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    lend_socket(session, &mut project)?;
    if !found.on("no-up") {
        super::up::bring_up(session, dry_run(session, found), project.clone()).await?;
    }
    let rebuilding = Rebuilding { quiet: found.on("quiet"), prune: found.on("prune") };
    if dry_run(session, found) { Ok(()) } else { follow(session, &project, rebuilding).await }
}

/// How images are built again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rebuilding {
    /// Without the build's output.
    pub(super) quiet: bool,
    /// The image that was used before is removed.
    pub(super) prune: bool,
}

/// Watches until the person has had enough.
pub(super) async fn follow(session: &Session, project: &Project, rebuilding: Rebuilding) -> Outcome {
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
    let turns = async {
        loop {
            for (rule, before) in rules.iter().zip(&mut seen) {
                // What changes from here on is seen at the next look.
                let now = rule.scan().map_err(Failure::local)?;
                let (changed, gone) = changes(before, &now);
                *before = now;
                match rule.action {
                    _ if changed.is_empty() && gone.is_empty() => {}
                    Action::Rebuild => rebuild(session, project, &rule.service, rebuilding).await?,
                    _ => {
                        let containers = world.containers(&project.name, false).await.map_err(stopped)?;
                        bring(&world, &containers, rule, &changed, &gone).await.map_err(stopped)?;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        ended = turns => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Builds a service's image again and makes its containers anew of it. A build that fails is told, and the watching goes on:
/// the next change may mend it.
async fn rebuild(session: &Session, project: &Project, service: &str, how: Rebuilding) -> Outcome {
    output::complain(format!("Rebuilding service {service:?} after changes were detected...\n"))?;
    let image = project.service(service).map(|node| project.image(service, node)).unwrap_or_default();
    let id = async || {
        let found = session.client()?.images().inspect(&image, &InspectImage::default()).await;
        Ok::<_, Failure>(found.map(|image| image.id).unwrap_or_default())
    };
    let before = id().await?;
    let extra = Extra { quiet: how.quiet, ..Extra::default() };
    if let Err(failure) = super::build::service(session, project, service, &extra).await {
        return output::complain(format!("Failed to rebuild service {service:?}: {failure}\n"));
    }
    let mut alone = project.clone();
    alone.select(&[service.to_owned()], false).map_err(|error| failed(&error))?;
    super::up::bring_up(session, false, alone).await?;
    if how.prune && !before.is_empty() && before != id().await? {
        // Somebody else may use it, or have removed it: either is fine.
        let _ = session.client()?.images().remove(&before, &RemoveImage::default()).await;
    }
    Ok(())
}
