//! Compose files as bake files: a target for each service that is built.

use std::path::{Path, PathBuf};

use hako_compose::yaml::Node;
use hako_compose::{Options, load};

use super::language::Definition;
use super::target::{Target, Value};

/// The services of compose files as targets, and all of them as the group `default`.
pub(super) fn read(files: Vec<PathBuf>) -> Result<Definition, String> {
    let directory = std::env::current_dir().map_err(|error| format!("getcwd: {error}"))?;
    let mut options = Options::new(directory.clone());
    options.environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    options.files = files;
    options.profiles = vec!["*".to_owned()];
    let project = load(&options).map_err(|error| error.to_string())?;
    let mut definition = Definition::default();
    for (name, service) in &project.services {
        let Some(build) = service.get("build") else { continue };
        let mut target = target(build, &directory)?;
        if target.tags.is_empty() && !service.text("image").is_empty() {
            target.tags = vec![service.text("image").to_owned()];
        }
        for grant in build.list("secrets") {
            let source = grant.text("source");
            let Some(secret) = project.secrets.get(source) else { continue };
            let id = Some(grant.text("target")).filter(|text| !text.is_empty()).unwrap_or(source);
            let place = match (secret.text("environment"), secret.text("file")) {
                ("", file) => format!("id={id},src={}", near(file, &directory)),
                (variable, _) => format!("id={id},env={variable}"),
            };
            let mut own = Target::default();
            own.set("secret", &Value::from(place))?;
            target.secret.append(&mut own.secret);
        }
        extend(&mut target, build)?;
        let name = name.replace('.', "_");
        definition.groups.entry("default".to_owned()).or_default().push(name.clone());
        definition.targets.insert(name, target);
    }
    definition.groups.entry("default".to_owned()).or_default().sort();
    Ok(definition)
}

/// A path below the working directory, as it is seen from there.
fn near(path: &str, directory: &Path) -> String {
    match Path::new(path).strip_prefix(directory) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".to_owned(),
        Ok(inside) => inside.display().to_string(),
        Err(_) => path.to_owned(),
    }
}

fn target(build: &Node, directory: &Path) -> Result<Target, String> {
    let mut target = Target::default();
    let list = |texts: Vec<String>| -> Value { texts.into_iter().map(Value::from).collect() };
    let map = |key: &str| -> Value {
        let pairs = build
            .entries(key)
            .filter_map(|(key, value)| Some((key.to_string(), Value::from(value.scalar()?.as_str()))));
        Value::Object(pairs.collect())
    };
    target.set("context", &near(build.text("context"), directory).into())?;
    for (key, name) in [
        ("dockerfile", "dockerfile"),
        ("dockerfile_inline", "dockerfile-inline"),
        ("target", "target"),
        ("network", "network"),
        ("shm_size", "shm-size"),
    ] {
        if !build.text(key).is_empty() {
            target.set(name, &build.text(key).into())?;
        }
    }
    for (key, name) in [("args", "args"), ("labels", "labels")] {
        target.set(name, &map(key))?;
    }
    for (key, value) in build.entries("additional_contexts") {
        let place = value.scalar().unwrap_or_default();
        let place = match place.strip_prefix("service:") {
            Some(service) => format!("target:{}", service.replace('.', "_")),
            None => near(&place, directory),
        };
        target.contexts.insert(key.to_string(), place);
    }
    for (key, name) in [
        ("tags", "tags"),
        ("cache_from", "cache-from"),
        ("cache_to", "cache-to"),
        ("platforms", "platforms"),
        ("ssh", "ssh"),
        ("entitlements", "entitlements"),
    ] {
        target.set(name, &list(build.texts(key)))?;
    }
    for host in build.texts("extra_hosts") {
        let (name, address) = host.split_once(['=', ':']).unwrap_or((host.as_str(), ""));
        target.extra_hosts.insert(name.to_owned(), address.to_owned());
    }
    target.no_cache = build.switch("no_cache");
    target.pull = build.switch("pull");
    Ok(target)
}

/// What `x-bake` says comes on top.
fn extend(target: &mut Target, build: &Node) -> Result<(), String> {
    for (key, value) in build.entries("x-bake") {
        let value = match value.scalar() {
            Some(text) => Value::from(text.as_str()),
            None => value.items().iter().filter_map(Node::scalar).map(|text| Value::from(text.as_str())).collect(),
        };
        let mut own = Target::default();
        own.set(key, &value)?;
        // Tags and platforms of both count.
        let mut tags = std::mem::take(&mut own.tags);
        target.tags.append(&mut tags);
        let mut platforms = std::mem::take(&mut own.platforms);
        platforms.retain(|platform| !target.platforms.contains(platform));
        target.platforms.append(&mut platforms);
        target.merge(&own);
    }
    Ok(())
}
