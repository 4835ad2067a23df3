//! A target as the words of `hako build`.

use std::collections::BTreeMap;
use std::path::Path;

use super::target::Target;

/// How the contexts that are other targets are called: the images that were made of them.
pub(super) type Links = BTreeMap<String, String>;

/// The command line that builds a target. `inline` is the file that its own Dockerfile was written to.
pub(super) fn words(target: &Target, links: &Links, inline: Option<&Path>) -> Vec<String> {
    let mut words = Vec::new();
    let mut flag = |name: &str, value: &str| words.push(format!("--{name}={value}"));
    target.tags.iter().for_each(|tag| flag("tag", tag));
    for (name, map) in [("build-arg", &target.args), ("label", &target.labels)] {
        map.iter().for_each(|(key, value)| flag(name, &format!("{key}={value}")));
    }
    for (key, value) in &target.contexts {
        let place = match value.strip_prefix("target:").and_then(|name| links.get(name)) {
            Some(image) => format!("docker-image://{image}"),
            None => plain(target.sources.get(key).unwrap_or(value)).to_owned(),
        };
        flag("build-context", &format!("{key}={place}"));
    }
    target.extra_hosts.iter().for_each(|(key, value)| flag("add-host", &format!("{key}:{value}")));
    for (name, value) in [
        ("target", &target.target),
        ("network", &target.network),
        ("shm-size", &target.shm_size),
        ("call", &target.call),
    ] {
        value.iter().for_each(|value| flag(name, value));
    }
    for (name, list) in [
        ("cache-from", &target.cache_from),
        ("cache-to", &target.cache_to),
        ("secret", &target.secret),
        ("output", &target.output),
        ("attest", &target.attest),
    ] {
        list.iter().for_each(|entry| flag(name, &entry.flag()));
    }
    for agent in &target.ssh {
        let (id, paths) = (agent.get("id"), agent.get("paths"));
        flag("ssh", &if paths.is_empty() { id.to_owned() } else { format!("{id}={paths}") });
    }
    for (name, list) in [
        ("platform", &target.platforms),
        ("no-cache-filter", &target.no_cache_filter),
        ("ulimit", &target.ulimits),
        ("annotation", &target.annotations),
        ("allow", &target.entitlements),
    ] {
        list.iter().for_each(|value| flag(name, value));
    }
    for (name, on) in [("pull", target.pull), ("no-cache", target.no_cache)] {
        words.extend(on.filter(|on| *on).map(|_| format!("--{name}")));
    }
    let context = target.source.as_deref().or(target.context.as_deref()).unwrap_or(".");
    let context = plain(context).to_owned();
    let file = target.dockerfile.as_deref().unwrap_or("Dockerfile");
    words.push(format!("--file={}", inline.map_or_else(|| placed(&context, file), |path| path.display().to_string())));
    words.push(context);
    words
}

/// A Dockerfile lies in its context, unless that lies elsewhere.
fn placed(context: &str, file: &str) -> String {
    if let Some(own) = file.strip_prefix("cwd://") {
        // The caller's, wherever the context is.
        return std::path::absolute(own).unwrap_or_else(|_| own.into()).display().to_string();
    }
    let is_remote = context.contains("://") || context.starts_with("git@");
    if is_remote || Path::new(file).is_absolute() {
        return plain(file).to_owned();
    }
    Path::new(context).join(file).display().to_string()
}

/// Without the mark for the caller's directory.
fn plain(place: &str) -> &str {
    match place.strip_prefix("cwd://") {
        Some("") => ".",
        Some(rest) => rest,
        None => place,
    }
}
