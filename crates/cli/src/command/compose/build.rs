//! `build`: the images of services that have a `build:`, by `hako build` with what the project says put into its flags.

use std::path::Path;

use hako_compose::yaml::{Node, Text};
use hako_compose::{Project, label};

use super::inside::hand_on;
use super::project::{dry_run, failed, project};
use crate::command::build::BUILD as BUILD_IMAGE;
use crate::failure::Failure;
use crate::flags::{Matches, bytes, list, switch, text};
use crate::output;
use crate::scratch::Scratch;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

const LATER: &str = "it comes with a later version";

pub(super) static BUILD: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        list("build-arg", "Set build-time variables for services").word("stringArray"),
        crate::command::build::pruning::BUILDER,
        switch("check", "Check build configuration").refused(LATER),
        super::DRY_RUN,
        bytes("memory", "Set memory limit for the build container. Not supported by BuildKit.")
            .short('m')
            .refused("limit the steps' containers by --cgroup-parent of `hako build`"),
        switch("no-cache", "Do not use cache when building the image"),
        switch("print", "Print equivalent bake file").refused(LATER),
        text("provenance", "Add a provenance attestation"),
        switch("pull", "Always attempt to pull a newer version of the image"),
        switch("push", "Push service images").refused("build, then `hako compose push`"),
        switch("quiet", "Suppress the build output").short('q'),
        text("sbom", "Add a SBOM attestation"),
        text("ssh", "Set SSH authentications used when building service images").refused(LATER),
        switch("with-dependencies", "Also build dependencies (transitively)"),
    ]],
    examples: &[("hako compose build --no-cache web", "One service's image, from scratch")],
    ..Command::new("Build or rebuild services", run!(build))
};

/// What a command line adds to a build.
#[derive(Clone, Debug, Default)]
pub(super) struct Extra {
    /// Variables.
    pub(super) args: Vec<String>,
    /// From scratch.
    pub(super) no_cache: bool,
    /// With base images as they are now.
    pub(super) pull: bool,
    /// Without a word.
    pub(super) quiet: bool,
    /// What is to be attested, as flags of `build`: they win over what files say.
    pub(super) attest: Vec<(&'static str, String)>,
}

async fn build(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), found.on("with-dependencies")).map_err(|error| failed(&error))?;
    let extra = Extra {
        args: found.strings("build-arg"),
        no_cache: found.on("no-cache"),
        pull: found.on("pull"),
        quiet: found.on("quiet"),
        attest: ["provenance", "sbom"]
            .into_iter()
            .filter_map(|flag| Some((flag, found.text_given(flag)?.to_owned())))
            .collect(),
    };
    let built: Vec<&Text> =
        project.services.iter().filter(|(_, it)| it.get("build").is_some()).map(|(name, _)| name).collect();
    if built.is_empty() {
        return output::complain("WARN[0000] No services to build\n");
    }
    for name in built {
        if !dry_run(session, found) {
            service(session, &project, name, &extra).await?;
        }
    }
    Ok(())
}

/// Builds one service's image.
pub(super) async fn service(session: &Session, project: &Project, name: &str, extra: &Extra) -> Outcome {
    let node = project.service(name).ok_or_else(|| failed(&project.no_such_service(name)))?;
    let Some(build) = node.get("build") else { return Ok(()) };
    refuse_unsupported(name, build)?;
    let mut words = vec![format!("--tag={}", project.image(name, node))];
    words.extend(build.texts("tags").iter().map(|tag| format!("--tag={tag}")));
    for (key, flag) in [("target", "target"), ("network", "network"), ("shm_size", "shm-size")] {
        if !build.text(key).is_empty() {
            words.push(format!("--{flag}={}", build.text(key)));
        }
    }
    for (key, flag) in [("args", "build-arg"), ("labels", "label"), ("additional_contexts", "build-context")] {
        let pair = |(key, value): (&Text, &Node)| Some(format!("--{flag}={key}={}", value.scalar()?));
        words.extend(build.entries(key).filter_map(pair));
    }
    let own =
        [(label::PROJECT, project.name.as_str()), (label::SERVICE, name), (label::VERSION, label::COMPOSE_VERSION)];
    words.extend(own.map(|(key, value)| format!("--label={key}={value}")));
    words.extend(build.texts("extra_hosts").iter().map(|host| format!("--add-host={}", host.replacen('=', ":", 1))));
    words.extend(build.texts("platforms").iter().map(|platform| format!("--platform={platform}")));
    for (key, flag) in [("cache_from", "cache-from"), ("cache_to", "cache-to")] {
        words.extend(build.texts(key).iter().map(|cache| format!("--{flag}={cache}")));
    }
    for (flag, text) in ["provenance", "sbom"].map(|flag| (flag, build.text(flag))) {
        words.extend((!text.is_empty()).then(|| format!("--{flag}={text}")));
    }
    words.extend(extra.attest.iter().map(|(flag, text)| format!("--{flag}={text}")));
    words.extend(secrets(project, build)?);
    words.extend(extra.args.iter().map(|arg| format!("--build-arg={arg}")));
    for (on, flag) in [
        (extra.no_cache || build.on("no_cache"), "--no-cache"),
        (extra.pull || build.on("pull"), "--pull"),
        (extra.quiet, "--quiet"),
    ] {
        words.extend(on.then(|| flag.to_owned()));
    }
    let context = build.text("context").to_owned();
    let own = Some(build.text("dockerfile_inline")).filter(|text| !text.is_empty());
    let inline = own.map(Scratch::with).transpose()?;
    match &inline {
        Some(inline) => words.push(format!("--file={}", inline.path().display())),
        None => words.push(format!("--file={}", dockerfile(&context, build.text("dockerfile")))),
    }
    words.push(context);
    let built = hand_on(session, &BUILD_IMAGE, words).await;
    drop(inline);
    built
}

/// A Dockerfile lies in its context, unless that lies elsewhere.
fn dockerfile(context: &str, name: &str) -> String {
    let local = Path::new(context).is_absolute() && !name.starts_with('/');
    if local { Path::new(context).join(name).display().to_string() } else { name.to_owned() }
}

fn refuse_unsupported(name: &str, build: &Node) -> Outcome {
    let refused = ["ssh", "privileged", "entitlements", "isolation", "ulimits"];
    // What says what is so anyway is no reason to refuse it.
    let harmless = |key: &str| key == "isolation" && build.text(key) == "default";
    match refused.iter().find(|key| build.get(key).is_some() && !harmless(key)) {
        Some(key) => Err(Failure::local(format!("service {name:?} cannot be built: build.{key} is not supported"))),
        None => Ok(()),
    }
}

fn secrets(project: &Project, build: &Node) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    for grant in build.list("secrets") {
        let source = grant.text("source");
        let Some(secret) = project.secrets.get(source) else { continue };
        let id = Some(grant.text("target")).filter(|text| !text.is_empty()).unwrap_or(source);
        let (file, variable) = (secret.text("file"), secret.text("environment"));
        words.push(match (file, variable) {
            ("", "") => {
                return Err(Failure::local(format!("build secret {source:?} is neither a file nor a variable")));
            }
            ("", variable) => format!("--secret=id={id},env={variable}"),
            (file, _) => format!("--secret=id={id},src={file}"),
        });
    }
    Ok(words)
}
