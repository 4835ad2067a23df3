//! `config.json` of the person at the keyboard (Docker's file, shared with the docker CLI), as far as this CLI reads it,
//! and the contexts stored beside it. Credentials in it are the `registry` crate's affair.

pub(crate) mod contexts;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, path_failure};

/// What of `config.json` the CLI itself uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Config {
    /// The context in use.
    pub(crate) current_context: String,
    /// Keys that detach.
    pub(crate) detach_keys: String,
    /// `ps` without `--format`.
    pub(crate) ps_format: String,
    /// `images` without `--format`.
    pub(crate) images_format: String,
    /// `volume ls` without `--format`.
    pub(crate) volumes_format: String,
    /// `network ls` without `--format`.
    pub(crate) networks_format: String,
    /// `stats` without `--format`.
    pub(crate) stats_format: String,
}

/// The directory of `config.json`: `--config`, `DOCKER_CONFIG`, `~/.docker`.
pub(crate) fn directory(flag: &str) -> PathBuf {
    if !flag.is_empty() {
        return PathBuf::from(flag);
    }
    if let Some(set) = std::env::var_os("DOCKER_CONFIG").filter(|set| !set.is_empty()) {
        return PathBuf::from(set);
    }
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from).join(".docker")
}

/// Reads `config.json`. A missing file says nothing; one that cannot be read is reported and passed over, as Docker does.
pub(crate) fn load(directory: &Path) -> Config {
    let path = directory.join("config.json");
    let Ok(bytes) = fs::read(&path) else { return Config::default() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        eprintln!("WARNING: Error loading config file: {}: {error}", path.display());
        Config::default()
    })
}

/// Sets one top-level key of `config.json` and leaves the rest as it is; an empty value removes it.
pub(crate) fn set(directory: &Path, key: &str, value: &str) -> Result<(), Failure> {
    let path = directory.join("config.json");
    let shown = path.display().to_string();
    let mut all: Map<String, Value> = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::local(format!("{shown}: {error}")))?,
        Err(_) => Map::new(),
    };
    match value {
        "" => drop(all.remove(key)),
        value => drop(all.insert(key.to_owned(), Value::from(value))),
    }
    let failed = |error| path_failure("write", &shown, &error);
    let text = serde_json::to_string_pretty(&all).unwrap_or_default().replace("  ", "\t");
    fs::create_dir_all(directory).map_err(failed)?;
    let fresh = directory.join(format!("config.json.{}", std::process::id()));
    fs::write(&fresh, text).map_err(failed)?;
    fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_keys_survive() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), r#"{"auths":{"r":{}},"psFormat":"{{.ID}}"}"#).unwrap();
        set(directory.path(), "currentContext", "far").unwrap();
        let config = load(directory.path());
        assert_eq!((config.current_context.as_str(), config.ps_format.as_str()), ("far", "{{.ID}}"));
        set(directory.path(), "currentContext", "").unwrap();
        let text = fs::read_to_string(directory.path().join("config.json")).unwrap();
        assert!(text.contains("auths") && !text.contains("currentContext"));
    }
}
