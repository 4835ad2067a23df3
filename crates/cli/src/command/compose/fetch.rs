//! `pull` and `push`: the images of services.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use hako_compose::yaml::Node;
use hako_compose::{Mood, Report, World};

use super::progress::Progress;
use super::project::{credentials, dry_run, failed, limit, project, stopped};
use crate::command::image::push::PUSH as PUSH_IMAGE;
use crate::failure::Failure;
use crate::flags::{self, Matches, switch, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static PULL: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("ignore-buildable", "Ignore images that can be built"),
        switch("ignore-pull-failures", "Pull what it can and ignores images with pull failures"),
        switch("include-deps", "Also pull services declared as dependencies"),
        text("policy", "Apply pull policy (\"missing\"|\"always\")"),
        switch("quiet", "Pull without printing progress information").short('q'),
    ]],
    ..Command::new("Pull service images", run!(pull))
};

pub(super) static PUSH: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("ignore-push-failures", "Push what it can and ignores images with push failures"),
        switch("include-deps", "Also push images of services declared as dependencies"),
        switch("quiet", "Push without printing progress information").short('q'),
    ]],
    ..Command::new("Push service images", run!(push))
};

async fn pull(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), found.on("include-deps")).map_err(|error| failed(&error))?;
    let dry = dry_run(session, found);
    let progress = if found.on("quiet") { Progress::quiet() } else { Progress::wanted(session, dry)? };
    let credentials = credentials(session);
    let world =
        World { client: session.client()?, report: &progress, credentials: &credentials, dry, limit: limit(session) };
    let only_missing = match found.text("policy") {
        "" | "always" => false,
        "missing" => true,
        other => return Err(Failure::local(format!("invalid --policy {other:?}: it is missing or always"))),
    };
    let there = world.find(&project).await.map_err(stopped)?.images;
    let mut seen = BTreeSet::new();
    let mut pulls = Vec::new();
    for (name, service) in &project.services {
        let image = service.text("image").to_owned();
        let builds = service.get("build").is_some();
        let why = match service.text("pull_policy") {
            "never" => Some("Skipped"),
            "build" => Some("Skipped - No image to be pulled"),
            _ if image.is_empty() || (builds && found.on("ignore-buildable")) => {
                Some("Skipped - No image to be pulled")
            }
            _ if only_missing && there.contains_key(&image) => Some("Skipped - Image is already present locally"),
            _ if !seen.insert(image.clone()) => Some("Skipped - Image is already being pulled by another service"),
            _ => None,
        };
        match why {
            Some(why) => progress.tell(name, why, Mood::Warning),
            None => pulls.push((name.clone(), image, builds)),
        }
    }
    let each = pulls.iter().map(async |(name, image, builds)| match hako_compose::pull(&world, name, image).await {
        Err(_) if found.on("ignore-pull-failures") || *builds => Ok(()),
        outcome => outcome.map_err(stopped),
    });
    join_all(each).await.into_iter().collect()
}

async fn push(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), found.on("include-deps")).map_err(|error| failed(&error))?;
    for (name, service) in project.services.iter().filter(|(_, service)| service.get("build").is_some()) {
        match push_one(session, name, service, found.on("quiet"), dry_run(session, found)).await {
            Err(failure) if !found.on("ignore-push-failures") => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

/// Pushes the image of a service that has a name for it.
pub(super) async fn push_one(session: &Session, name: &str, service: &Node, quiet: bool, dry: bool) -> Outcome {
    if service.text("image").is_empty() {
        return Ok(());
    }
    if dry {
        Progress::wanted(session, true)?.tell(name, "Pushed", Mood::Done);
        return Ok(());
    }
    let mut words = vec![service.text("image").to_owned()];
    words.extend(quiet.then(|| "--quiet".to_owned()));
    let matches = flags::parse(PUSH_IMAGE.flags, true, &words).map_err(|_| Failure::local("push: bad image name"))?;
    (PUSH_IMAGE.run)(session, &matches).await
}
