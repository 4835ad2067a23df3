//! Named daemons, in the files the docker CLI keeps them in: `contexts/meta/SHA256(name)/meta.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, go_cause, path_failure};

/// The context that is always there.
pub(crate) const DEFAULT: &str = "default";

/// One stored context.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Context {
    /// Its name.
    pub(crate) name: String,
    /// `Description`, and whatever else is stored.
    pub(crate) metadata: Map<String, Value>,
    /// Endpoints by kind; `docker` is the one used here.
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
}

/// Where a context's daemon listens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    /// A URL such as `unix:///run/hako/hako.sock`.
    #[serde(rename = "Host", skip_serializing_if = "String::is_empty")]
    pub(crate) host: String,
    /// Do not verify the daemon's certificate.
    #[serde(rename = "SkipTLSVerify")]
    pub(crate) skip_tls_verify: bool,
}

impl Context {
    /// What it is for, in its owner's words.
    pub(crate) fn description(&self) -> &str {
        self.metadata.get("Description").and_then(Value::as_str).unwrap_or_default()
    }

    /// The URL of its daemon.
    pub(crate) fn host(&self) -> &str {
        self.endpoints.get("docker").map_or("", |endpoint| endpoint.host.as_str())
    }
}

/// The directory of a context's files; `part` is `meta` or `tls`.
pub(crate) fn place(config: &Path, part: &str, name: &str) -> PathBuf {
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    config.join("contexts").join(part).join(hex)
}

/// Reads one context.
pub(crate) fn load(config: &Path, name: &str) -> Result<Context, Failure> {
    let path = place(config, "meta", name).join("meta.json");
    let bytes = fs::read(&path).map_err(|error| {
        Failure::local(format!("context {name:?}: context not found: open {}: {}", path.display(), go_cause(&error)))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::local(format!("parsing {}: {error}", path.display())))
}

/// Reads all contexts, sorted by name.
pub(crate) fn all(config: &Path) -> Vec<Context> {
    let Ok(entries) = fs::read_dir(config.join("contexts/meta")) else { return Vec::new() };
    let read = |entry: fs::DirEntry| serde_json::from_slice(&fs::read(entry.path().join("meta.json")).ok()?).ok();
    let mut found: Vec<Context> = entries.flatten().filter_map(read).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Writes one context.
pub(crate) fn store(config: &Path, context: &Context) -> Result<(), Failure> {
    let directory = place(config, "meta", &context.name);
    let path = directory.join("meta.json");
    let failed = |error| path_failure("write", &path.display().to_string(), &error);
    fs::create_dir_all(&directory).map_err(failed)?;
    let fresh = directory.join(format!("meta.json.{}", std::process::id()));
    fs::write(&fresh, serde_json::to_string(context).unwrap_or_default()).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(failed)
}

/// The files of a context's certificates.
pub(crate) const MATERIAL: &[&str] = &["ca.pem", "cert.pem", "key.pem"];

/// Certificates, by the names of their files.
pub(crate) type Material = Vec<(&'static str, Vec<u8>)>;

/// Reads the certificates of a context, as far as it has any.
pub(crate) fn material(config: &Path, name: &str) -> Material {
    let directory = place(config, "tls", name).join("docker");
    MATERIAL.iter().filter_map(|file| Some((*file, fs::read(directory.join(file)).ok()?))).collect()
}

/// Replaces the certificates of a context.
pub(crate) fn store_material(config: &Path, name: &str, files: &Material) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let directory = place(config, "tls", name);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(path_failure("remove", &directory.display().to_string(), &error));
        }
        _ => {}
    }
    let directory = directory.join("docker");
    for (file, bytes) in files {
        let path = directory.join(file);
        let failed = |error| path_failure("write", &path.display().to_string(), &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let mut open = fs::OpenOptions::new();
        let mut written = open.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut written, bytes).map_err(failed)?;
    }
    Ok(())
}

/// Removes one context.
pub(crate) fn remove(config: &Path, name: &str) -> Result<(), Failure> {
    let directory = place(config, "meta", name);
    fs::remove_dir_all(&directory).map_err(|_| Failure::local(format!("context {name:?} does not exist")))?;
    let _ = fs::remove_dir_all(place(config, "tls", name));
    Ok(())
}

/// Refuses a name Docker would not take.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::local("context name cannot be empty"));
    }
    if name == DEFAULT {
        return Err(Failure::local("\"default\" is a reserved context name"));
    }
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest: Vec<char> = letters.collect();
    if first && !rest.is_empty() && rest.iter().all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(*c)) {
        return Ok(());
    }
    Err(Failure::local(format!(
        "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_live_where_docker_puts_them() {
        let path = place(Path::new("/c"), "meta", "foo");
        let expect = "/c/contexts/meta/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        assert_eq!(path, Path::new(expect));
    }

    #[test]
    fn what_is_stored_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut context = Context { name: "far".into(), ..Context::default() };
        context.endpoints.insert("docker".into(), Endpoint { host: "unix:///x".into(), skip_tls_verify: false });
        store(directory.path(), &context).unwrap();
        assert_eq!(load(directory.path(), "far").unwrap().host(), "unix:///x");
        assert_eq!(all(directory.path()).len(), 1);
        remove(directory.path(), "far").unwrap();
        assert_eq!(remove(directory.path(), "far").unwrap_err().to_string(), "context \"far\" does not exist");
    }

    #[test]
    fn names() {
        check_name("far-1").unwrap();
        for bad in ["", "default", "x", "-ab", "a b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
