//! Compose files as bake files: a target for each service that is built.

use std::path::Path;

use hako_compose::yaml::Node;
use hako_compose::{Options, load};

use super::Text;
use super::language::Definition;
use super::target::{Target, Value};
use crate::flags::parse_bytes;

/// The services of compose files as targets, and all of them as the group `default`.
pub(super) fn read(files: &[&Text]) -> Result<Definition, String> {
    let directory = std::env::current_dir().map_err(|error| format!("getcwd: {error}"))?;
    let mut options = Options::new(directory.clone());
    // Wherever the files lie, their paths are meant from here.
    options.project_directory = Some(directory.clone());
    options.environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    options.files = files.iter().map(|file| file.path.clone()).collect();
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
            let id = grant.text("source");
            let Some(secret) = project.secrets.get(id) else { continue };
            if secret.switch("external") == Some(true) {
                return Err(format!(
                    "failed to parse compose file: unsupported external secret {}",
                    secret.text("name")
                ));
            }
            let place = match (secret.text("environment"), secret.text("file")) {
                ("", file) => format!("id={id},src={}", near(file, &directory)),
                (variable, _) => format!("id={id},env={variable}"),
            };
            let mut own = Target::default();
            own.set("secret", &Value::from(place))?;
            target.secret.append(&mut own.secret);
        }
        let attested = ["sbom", "provenance"].map(|kind| (kind, build.text(kind)));
        for (kind, text) in attested.into_iter().filter(|(_, text)| !text.is_empty()) {
            let mut own = Target::default();
            own.set("attest", &Value::from(super::attest(kind, text)))?;
            target.merge(&own);
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
        // An agent's keys are `id: path` there.
        let texts = build.texts(key).into_iter().map(|text| match (key, text.split_once(": ")) {
            ("ssh", Some((id, path))) => format!("{id}={}", near(path, directory)),
            _ => text,
        });
        target.set(name, &list(texts.collect()))?;
    }
    if let Ok(size @ 1..) = parse_bytes(build.text("shm_size")) {
        target.shm_size = Some(binary(size));
    }
    for (name, limit) in build.entries("ulimits") {
        let single = limit.scalar().unwrap_or_default();
        let of = |key: &str| limit.int(key).map_or_else(|| single.to_string(), |number| number.to_string());
        target.ulimits.push(format!("{name}={}:{}", of("soft"), of("hard")));
    }
    for host in build.texts("extra_hosts") {
        let (name, address) = host.split_once(['=', ':']).unwrap_or((host.as_str(), ""));
        let all = target.extra_hosts.entry(name.to_owned()).or_default();
        all.push_str(if all.is_empty() { "" } else { "," });
        all.push_str(address);
    }
    target.ssh.sort_by_key(|agent| agent.get("id").to_owned());
    target.no_cache = build.switch("no_cache").filter(|on| *on);
    target.pull = build.switch("pull").filter(|on| *on);
    Ok(target)
}

/// A size in the largest unit that it has at least one of, with four digits.
fn binary(size: i64) -> String {
    let (mut value, mut units) = (size as f64, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, next);
    }
    let text = format!("{value:.*}", 3usize.saturating_sub(value.log10().max(0.0) as usize));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// What `x-bake` says comes on top.
fn extend(target: &mut Target, build: &Node) -> Result<(), String> {
    for (key, value) in build.entries("x-bake") {
        let key = key.to_string();
        let value: Value = match (value.scalar(), key.as_str()) {
            (Some(text), "pull" | "no-cache") => text.as_str().into(),
            (Some(text), _) => text.split_whitespace().map(Value::from).collect(),
            (None, "contexts") => {
                let all = value.map().into_iter().flatten();
                Value::Object(
                    all.filter_map(|(name, place)| Some((name.to_string(), place.scalar()?.as_str().into()))).collect(),
                )
            }
            (None, _) => value.items().iter().filter_map(Node::scalar).map(|text| Value::from(text.as_str())).collect(),
        };
        let mut own = Target::default();
        own.set(&key, &value)?;
        // What both say counts.
        let mut tags = std::mem::take(&mut own.tags);
        target.tags.append(&mut tags);
        let mut platforms = std::mem::take(&mut own.platforms);
        target.platforms.append(&mut platforms);
        for (own, new) in [(&mut target.cache_to, &mut own.cache_to), (&mut target.output, &mut own.output)] {
            own.append(new);
        }
        target.no_cache_filter.append(&mut own.no_cache_filter);
        own.contexts.retain(|name, _| !target.contexts.contains_key(name));
        target.merge(&own);
    }
    Ok(())
}
