//! Which crate may import which, and where an async runtime and `unsafe` may stand.

use std::path::Path;

use crate::Breaches;

/// The arrows of ARCHITECTURE.md: a crate and what of hako it may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &[]),
    ("api", &["model"]),
    ("runtime", &["sys"]),
    ("oci", &["runtime", "sys"]),
    ("store", &["model", "sys"]),
    ("net", &["model", "sys"]),
    ("registry", &["model"]),
    ("supervisor", &["runtime", "net", "model", "sys"]),
    ("builder", &["store", "model", "sys"]),
    ("engine", &["builder", "store", "registry", "net", "supervisor", "model", "sys"]),
    ("buildkit", &["sys"]),
    ("server", &["buildkit", "engine", "api", "model", "sys"]),
    ("client", &["api", "model", "sys"]),
    ("compose", &["client", "api", "model"]),
    ("cli", &["client", "compose", "registry", "api", "model", "sys"]),
    ("hako", &["cli", "server", "engine", "supervisor", "oci", "model", "sys"]),
    ("xtask", &[]),
];

/// Crates in which an async runtime may be named.
const ASYNC: &[&str] = &["buildkit", "server", "engine", "client", "compose", "cli", "registry", "hako"];

/// The async runtime and what drives it.
const ASYNC_DEPENDENCIES: &[&str] = &["tokio", "hyper", "hyper-util", "futures-util", "hickory-resolver"];

pub(crate) fn check(root: &Path) -> Breaches {
    let mut breaches = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match manifest(&entry.path()) {
            Ok(manifest) => breaches.extend(check_manifest(&name, &manifest)),
            Err(error) => breaches.push(format!("read crates/{name}/Cargo.toml: {error}")),
        }
    }
    breaches
}

fn manifest(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path.join("Cargo.toml")).map_err(|error| error.to_string())?;
    text.parse::<toml::Table>().map_err(|error| error.to_string())
}

fn check_manifest(name: &str, manifest: &toml::Table) -> Breaches {
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!("crate {name} has no place in ARCHITECTURE.md")];
    };
    let mut breaches = Vec::new();
    for dependency in dependencies(manifest, "dependencies") {
        if let Some(to) = dependency.strip_prefix("hako-").filter(|to| !allowed.contains(to)) {
            breaches.push(format!("{name} must not import {to}"));
        }
        if ASYNC_DEPENDENCIES.contains(&dependency.as_str()) && !ASYNC.contains(&name) {
            breaches.push(format!("{name} must not import {dependency}: no async runtime there"));
        }
    }
    if name != "sys" && !inherits_lints(manifest) {
        breaches.push(format!("crate {name} must say `[lints] workspace = true`: only sys may hold unsafe code"));
    }
    breaches
}

fn dependencies(manifest: &toml::Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

fn inherits_lints(manifest: &toml::Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(name: &str, text: &str) -> Breaches {
        check_manifest(name, &text.parse().unwrap())
    }

    #[test]
    fn an_arrow_outside_the_plan_is_a_breach() {
        let text = "[dependencies]\nhako-runtime.workspace = true\n[lints]\nworkspace = true";
        assert_eq!(check_text("engine", text), ["engine must not import runtime"]);
        assert!(check_text("supervisor", text).is_empty());
    }

    #[test]
    fn an_async_runtime_below_the_rim_is_a_breach() {
        let text = "[dependencies]\ntokio = \"1\"\n[lints]\nworkspace = true";
        assert_eq!(check_text("store", text), ["store must not import tokio: no async runtime there"]);
    }

    #[test]
    fn unsafe_is_forbidden_by_inheritance() {
        assert_eq!(check_text("model", "[dependencies]").len(), 1);
        assert!(check_text("sys", "[dependencies]").is_empty());
    }
}
