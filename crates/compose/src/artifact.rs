//! A project as an artifact of a registry, in the form Docker Compose gives it: the project's files, the files they
//! extend, and, if wanted, files of variables. Leaves out the registry: callers send and fetch the parts.

mod gather;
mod leak;
mod rewrite;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use gather::parts;
pub use leak::{Leak, leaks};

/// The type of the whole.
pub const PROJECT: &str = "application/vnd.docker.compose.project";
/// The type of a compose file.
pub const FILE: &str = "application/vnd.docker.compose.file+yaml";
/// The type of a file of variables.
pub const VARIABLES: &str = "application/vnd.docker.compose.envfile";
/// The type of the configuration by which registries of OCI 1.0 know the whole.
pub const CONFIG: &str = "application/vnd.docker.compose.config.empty.v1+json";
/// The file in which an artifact's own compose files come together.
pub const MAIN: &str = "compose.yaml";
/// What stands before the address of an artifact.
pub const SCHEME: &str = "oci://";

/// What a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of the project's files.
    File,
    /// A file whose services are extended.
    Extended,
    /// A file of variables.
    Variables,
}

/// A part of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is for.
    pub role: Role,
    /// What it is called.
    pub name: String,
    /// Its text.
    pub bytes: Vec<u8>,
}

/// Whether a path is the address of an artifact.
#[must_use]
pub fn is_artifact(path: &str) -> bool {
    path.starts_with(SCHEME)
}

/// Whether a path is the address of something that must be fetched: an artifact, or a repository of git.
#[must_use]
pub fn is_elsewhere(path: &str) -> bool {
    is_artifact(path) || crate::repository::is_repository(path)
}

/// The files of an artifact by their names. The names come from whoever published it: only plain ones are taken.
///
/// # Errors
/// In words: a name that leads elsewhere or stands twice, or no compose file at all.
pub fn files(parts: &[Part]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (place, part) in parts.iter().enumerate() {
        // As Docker Compose writes them, so that both tools find the same project in the shared cache.
        let separator = if place > 0 && part.role != Role::Variables { "\n---\n" } else { "" };
        let mut bytes = separator.as_bytes().to_vec();
        bytes.extend_from_slice(&part.bytes);
        if part.role == Role::File {
            files.entry(MAIN.to_owned()).or_default().extend_from_slice(&bytes);
            continue;
        }
        if !is_plain(&part.name) {
            return Err(format!("{:?} is no plain file name", part.name));
        }
        if part.name == MAIN || files.insert(part.name.clone(), bytes).is_some() {
            return Err(format!("{:?} stands in it twice", part.name));
        }
    }
    if files.contains_key(MAIN) { Ok(files) } else { Err("no compose file is in it".to_owned()) }
}

fn is_plain(name: &str) -> bool {
    let odd = |c: char| matches!(c, '/' | '\\') || c.is_control();
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(odd)
}

/// Fetches an artifact or a repository; gives the compose file in the directory where its files are now.
type Fetch = dyn Fn(&str) -> Result<PathBuf, String> + Send + Sync;

/// The way to artifacts and repositories.
#[derive(Clone)]
pub struct Remote(Arc<Fetch>);

impl Remote {
    /// Asks this function.
    pub fn new(fetch: impl Fn(&str) -> Result<PathBuf, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(fetch))
    }

    /// The compose file of an artifact or a repository.
    pub(crate) fn fetch(&self, address: &str) -> Result<PathBuf, String> {
        (self.0)(address)
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Remote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(role: Role, name: &str) -> Part {
        Part { role, name: name.to_owned(), bytes: b"x".to_vec() }
    }

    #[test]
    fn compose_files_come_together_and_others_stand_beside() {
        let parts = [
            part(Role::File, "compose.yaml"),
            part(Role::File, "../../override.yaml"),
            part(Role::Extended, "a.yaml"),
            part(Role::Variables, "b.env"),
        ];
        let files = files(&parts).unwrap();
        assert_eq!(files[MAIN], b"x\n---\nx");
        assert_eq!(files["a.yaml"], b"\n---\nx");
        assert_eq!(files["b.env"], b"x");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "..", ".", "../x", "/etc/passwd", "a/b", "a\\b", ".env", "a\0b", "compose.yaml"] {
            for role in [Role::Extended, Role::Variables] {
                assert!(files(&[part(Role::File, "c"), part(role, name)]).is_err(), "{name:?}");
            }
        }
        assert!(files(&[part(Role::File, "c"), part(Role::Variables, "a"), part(Role::Variables, "a")]).is_err());
        assert!(files(&[part(Role::Variables, "a")]).is_err());
    }
}
