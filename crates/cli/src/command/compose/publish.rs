//! `publish`: a project becomes an artifact of a registry, after everything that should perhaps stay at home was shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hako_compose::artifact::{Part, Role, leaks, parts};
use hako_compose::yaml::{Node, Text};
use hako_compose::{Mood, Project, Report as _};
use hako_model::reference::Reference;

use super::artifact::{Form, send};
use super::progress::Progress;
use super::project::{dry_run, failed, loaded, options};
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::session::Session;
use crate::terminal;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static PUBLISH: Command = Command {
    usage: &["[OPTIONS] REPOSITORY[:TAG]"],
    aliases: &["hako compose publish"],
    arity: Arity::Exactly(1),
    flags: &[&[
        switch("app", "Published compose application (includes referenced images)")
            .refused("images are pushed on their own: `hako compose push`"),
        super::DRY_RUN,
        text("oci-version", "OCI image/artifact specification version (automatically determined by default)"),
        switch("resolve-image-digests", "Pin image tags to digests"),
        switch("with-env", "Include environment variables in the published OCI artifact"),
        switch("yes", "Assume \"yes\" as answer to all prompts").short('y'),
    ]],
    examples: &[
        ("hako compose publish registry.example.com/team/shop:1", "The project's files, without its images"),
        ("hako compose -f oci://registry.example.com/team/shop:1 up -d", "Anywhere else"),
    ],
    ..Command::new("Publish compose application", run!(publish))
};

async fn publish(session: &Session, found: &Matches) -> Outcome {
    let form = match found.text("oci-version") {
        "" => None,
        "1.0" => Some(Form::Old),
        "1.1" => Some(Form::New),
        other => return Err(Failure::local(format!("unsupported OCI version: {other}"))),
    };
    let typed = found.word(0);
    let name = Reference::parse(typed).map_err(|error| Failure::local(error.to_string()))?.or_latest();
    let mut options = options(session)?;
    options.profiles = vec!["*".to_owned()];
    let project = loaded(&options)?;
    options.resolve_environment = false;
    let written = hako_compose::load(&options).map_err(|error| failed(&error))?;
    let mut parts = parts(&project).map_err(|error| failed(&error))?;
    if !agreed(&project, &written, &parts, found)? {
        return Ok(());
    }
    if !found.on("with-env") {
        parts.retain(|part| part.role != Role::Variables);
    }
    let dry = dry_run(session, found);
    let progress = Progress::wanted(session, dry)?;
    push_images(session, &project, &progress, dry).await?;
    if found.on("resolve-image-digests") {
        let mut pinned = project.clone();
        super::config::pin(session.client()?, &mut pinned).await?;
        pinned.services.sort_by(str::cmp);
        let bytes = super::config::images_only(&pinned).into_bytes();
        parts.push(Part { role: Role::File, name: "image-digests.yaml".to_owned(), bytes });
    }
    progress.tell(typed, "publishing", Mood::Working);
    if !dry {
        send(session, &name, &parts, form).await.inspect_err(|_| progress.tell(typed, "publishing", Mood::Failed))?;
    }
    progress.tell(typed, "published", Mood::Done);
    Ok(())
}

/// Images that are built here are pushed, as far as that works; those of others are where they are.
async fn push_images(session: &Session, project: &Project, progress: &Progress, dry: bool) -> Outcome {
    for (name, service) in &project.services {
        if service.get("build").is_none() {
            progress.tell(name, "Skipped", Mood::Warning);
        } else if let Err(failure) = super::fetch::push_one(session, name, service, true, dry).await {
            progress.tell(name, &failure.to_string(), Mood::Warning);
        }
    }
    Ok(())
}

/// Whether everything may be published: what cannot be is refused, what should perhaps not be is asked about.
fn agreed(project: &Project, written: &Project, parts: &[Part], found: &Matches) -> Result<bool, Failure> {
    let unbuilt = |(_, service): &(&Text, &Node)| service.text("image").is_empty() && service.get("build").is_some();
    let mut names: Vec<&Text> = project.services.iter().filter(unbuilt).map(|(name, _)| name).collect();
    names.sort();
    if !names.is_empty() {
        let lines: String = names.iter().map(|name| format!("\n- {name:?}")).collect();
        let what = "your Compose stack cannot be published as it only contains a build section for service(s):";
        return Err(Failure::local(format!("{what}{lines}")));
    }
    if !found.on("with-env") {
        refuse_variables(written)?;
    }
    let questions = [binds(project), secrets(project, parts), variables(project)];
    for question in questions.into_iter().flatten() {
        let yes = || terminal::confirm(&question);
        if !found.on("yes") && !yes().map_err(|error| Failure::local(error.to_string()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sorted(project: &Project) -> BTreeMap<&Text, &Node> {
    project.services.iter().collect()
}

fn binds(project: &Project) -> Option<String> {
    let mut lines = String::new();
    for (name, service) in sorted(project) {
        for bind in service.list("volumes").iter().filter(|mount| mount.text("type") == "bind") {
            let mode = if bind.on("read_only") { "ro" } else { "rw" };
            let _ = writeln!(lines, "{name} {}:{}:{mode}", bind.text("source"), bind.text("target"));
        }
    }
    (!lines.is_empty()).then(|| {
        format!(
            "you are about to publish bind mounts declaration within your OCI artifact.\n\
             only the bind mount declarations will be added to the OCI artifact (not content)\n\
             please double check that you are not mounting potential user's sensitive directories or data\n\
             {lines}Are you ok to publish these bind mount declarations?"
        )
    })
}

fn secrets(project: &Project, parts: &[Part]) -> Option<String> {
    let mut lines = String::new();
    for leak in leaks(project, parts) {
        let _ = writeln!(lines, "{}\n{:?}: {}", leak.kind, leak.key, leak.value);
    }
    (!lines.is_empty()).then(|| {
        format!(
            "you are about to publish sensitive data within your OCI artifact.\n\
             please double check that you are not leaking sensitive data\n\
             {lines}Are you ok to publish these sensitive data?"
        )
    })
}

fn variables(project: &Project) -> Option<String> {
    let mut lines = String::new();
    for (name, service) in sorted(project) {
        let mut entries = service.entries("environment").peekable();
        if entries.peek().is_some() {
            let _ = writeln!(lines, "Service/Config  {name}");
        }
        for (key, value) in entries {
            let _ = writeln!(lines, "{key}={}", value.scalar().unwrap_or_default());
        }
    }
    for (name, config) in &project.configs {
        if !config.text("environment").is_empty() {
            let _ = writeln!(lines, "Service/Config  {name}\n{name}={}", config.text("environment"));
        }
    }
    (!lines.is_empty()).then(|| {
        format!(
            "you are about to publish environment variables within your OCI artifact.\n\
             please double check that you are not leaking sensitive data\n\
             {lines}Are you ok to publish these environment variables?"
        )
    })
}

/// Variables go along only when that is asked for.
fn refuse_variables(written: &Project) -> Outcome {
    let mut lines = String::new();
    for (name, service) in sorted(written) {
        if !service.list("env_file").is_empty() {
            let _ = writeln!(lines, "service {name:?} has env_file declared.");
        }
        if service.entries("environment").next().is_some() {
            let _ = writeln!(lines, "service {name:?} has environment variable(s) declared.");
        }
    }
    for (name, config) in &written.configs {
        if !config.text("environment").is_empty() {
            let _ = writeln!(lines, "config {name:?} is declare as an environment variable.");
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::local(format!(
        "{lines}To avoid leaking sensitive data, you must either explicitly allow the sending of environment variables by \
         using the --with-env flag,\nor remove sensitive data from your Compose configuration"
    )))
}
