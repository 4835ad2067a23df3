//! `compose config`: the project in canonical form, or one aspect of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hako_client::Client;
use hako_compose::yaml::{Node, Text, Value};
use hako_compose::{Project, service_hash};

use super::project::{all_resources, failed, loaded, options};
use crate::failure::{Failure, path_failure};
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static CONFIG: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    aliases: &["hako compose config", "hako compose convert"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("environment", "Print environment used for interpolation."),
        text("format", "Format the output. Values: [yaml | json]"),
        text("hash", "Print the service config hash, one per line."),
        switch("images", "Print the image names, one per line."),
        switch("lock-image-digests", "Produces an override file with image digests"),
        switch("models", "Print the model names, one per line."),
        switch("networks", "Print the network names, one per line."),
        switch("no-consistency", "Don't check model consistency - warning: may produce invalid Compose output"),
        switch("no-env-resolution", "Don't resolve service env files"),
        switch("no-interpolate", "Don't interpolate environment variables"),
        switch("no-normalize", "Don't normalize compose model"),
        switch("no-path-resolution", "Don't resolve file paths"),
        text("output", "Save to file (default to stdout)").short('o'),
        switch("profiles", "Print the profile names, one per line."),
        switch("quiet", "Only validate the configuration, don't print anything").short('q'),
        switch("resolve-image-digests", "Pin image tags to digests"),
        switch("services", "Print the service names, one per line."),
        switch("variables", "Print model variables and default values."),
        switch("volumes", "Print the volume names, one per line."),
    ]],
    examples: &[
        ("hako compose config", "The whole project, every short form spelt out"),
        ("hako compose config -q", "Is it right?"),
        ("hako compose config --services", "What is in it?"),
    ],
    ..Command::new("Parse, resolve and render compose file in canonical format", run!(config))
};

async fn config(session: &Session, found: &Matches) -> Outcome {
    let mut project = load(session, found)?;
    if found.on("quiet") {
        return Ok(());
    }
    if let Some(list) = aspect(&project, found)? {
        return output::print(list);
    }
    if found.on("resolve-image-digests") || found.on("lock-image-digests") {
        pin(session.client()?, &mut project).await?;
    }
    let text = if found.on("lock-image-digests") { images_only(&project) } else { whole(&project, found)? };
    // The process ends: to give back thousands of values one by one would take longer than writing them.
    std::mem::forget(project);
    match found.text("output") {
        "" => output::print(text),
        path => std::fs::write(path, text).map_err(|error| path_failure("open", path, &error)),
    }
}

fn load(session: &Session, found: &Matches) -> Result<Project, Failure> {
    let mut options = options(session)?;
    options.interpolate = !found.on("no-interpolate") && !found.on("variables");
    options.normalise = !found.on("no-normalize");
    options.resolve_paths = !found.on("no-path-resolution");
    options.resolve_environment = !found.on("no-env-resolution") && !found.given("hash");
    options.consistent = !found.on("no-consistency") && options.interpolate;
    if found.on("profiles") {
        options.profiles = vec!["*".to_owned()];
    }
    let mut project = loaded(&options)?;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    if options.interpolate {
        project.forget_label_files();
    }
    if !all_resources(session) && (options.interpolate || found.on("variables")) {
        project.drop_unused();
    }
    Ok(project)
}

/// One aspect of the project, a line each.
fn aspect(project: &Project, found: &Matches) -> Result<Option<String>, Failure> {
    let lines = |names: Vec<String>| Some(names.iter().map(|name| format!("{name}\n")).collect::<String>());
    let keys = |section: &hako_compose::yaml::Map| {
        let mut names: Vec<String> = section.keys().map(Text::to_string).collect();
        names.sort();
        names
    };
    let dependency_order = || hako_compose::order(&project.services, hako_compose::Direction::Up);
    Ok(match () {
        () if found.on("services") => lines(dependency_order()),
        () if found.on("volumes") => lines(keys(&project.volumes)),
        () if found.on("networks") => lines(keys(&project.networks)),
        () if found.on("models") => lines(keys(&project.models)),
        () if found.given("hash") => Some(hashes(project, found.text("hash"))?),
        () if found.on("profiles") => lines(profiles(project)),
        () if found.on("images") => {
            let services = project.services.iter();
            lines(services.map(|(name, service)| project.image(name, service)).collect())
        }
        () if found.on("environment") => {
            let each =
                |(name, definition): (&String, &hako_compose::Definition)| format!("{name}={}", definition.value);
            lines(project.environment.iter().map(each).collect())
        }
        () if found.on("variables") && found.text("format") == "json" => Some(variables_as_json(project)?),
        () if found.on("variables") => Some(variables(project)),
        () => None,
    })
}

fn hashes(project: &Project, wanted: &str) -> Result<String, Failure> {
    let mut names: Vec<String> = match wanted {
        "*" => project.services.keys().map(Text::to_string).collect(),
        list => list.split(',').map(str::to_owned).collect(),
    };
    names.sort();
    let mut out = String::new();
    for name in names {
        let service = project.service(&name).ok_or_else(|| failed(&project.no_such_service(&name)))?;
        let _ = writeln!(out, "{name} {}", service_hash(service));
    }
    Ok(out)
}

fn profiles(project: &Project) -> Vec<String> {
    let services = project.services.values().chain(project.disabled.values());
    let mut names: Vec<String> = services.flat_map(|service| service.texts("profiles")).collect();
    names.sort();
    names.dedup();
    names
}

fn uses(project: &Project) -> BTreeMap<&str, &hako_compose::template::Use> {
    let mut rows = BTreeMap::new();
    for used in &project.uses {
        rows.entry(used.what.name.as_str()).or_insert(&used.what);
    }
    rows
}

fn variables_as_json(project: &Project) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Row<'r> {
        name: &'r str,
        default_value: &'r str,
        presence_value: &'r str,
        required: bool,
    }
    let rows = uses(project).into_iter().map(|(name, used)| {
        (name, Row { name, default_value: &used.default, presence_value: &used.alternate, required: used.required })
    });
    let text = serde_json::to_string(&rows.collect::<BTreeMap<_, _>>());
    let text = text.map_err(|error| Failure::local(error.to_string()))?;
    Ok(crate::render::json::indent(&text, "    ") + "\n\n")
}

fn variables(project: &Project) -> String {
    let mut out = format!("{:<20}{:<20}{:<20}{}\n", "NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE");
    for (name, row) in uses(project) {
        let _ = writeln!(out, "{name:<20}{:<20}{:<20}{}", row.required, row.default, row.alternate);
    }
    out
}

fn whole(project: &Project, found: &Matches) -> Result<String, Failure> {
    let raw = found.on("no-interpolate");
    match found.text("format") {
        "" | "yaml" if raw => Ok(project.to_raw_yaml()),
        "" | "yaml" => Ok(project.to_yaml(true)),
        "json" if raw => Ok(project.to_raw_json()),
        "json" => Ok(project.to_json(true)),
        other => Err(Failure::local(format!("unsupported format {other:?}: it is yaml or json"))),
    }
}

/// Puts digests into the place of tags, as the registry tells them.
pub(super) async fn pin(client: &Client, project: &mut Project) -> Outcome {
    for service in project.services.values_mut() {
        let image = service.text("image").to_owned();
        if image.is_empty() || image.contains('@') {
            continue;
        }
        let described = client.images().distribution(&image, None).await?;
        if let Some(Node { value: Value::Text(image), .. }) = service.map_mut().and_then(|map| map.get_mut("image")) {
            let _ = write!(image, "@{}", described.descriptor.digest);
        }
    }
    Ok(())
}

/// An override file with nothing but images.
pub(super) fn images_only(project: &Project) -> String {
    let mut out = String::from("services:\n");
    for (name, service) in project.services.iter().filter(|(_, service)| !service.text("image").is_empty()) {
        let _ = write!(out, "  {name}:\n    image: {}\n", service.text("image"));
    }
    out
}
