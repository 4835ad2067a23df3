//! What looks like a secret in what is about to be published. Leaves out guessing by entropy, which finds too much.

use std::path::Path;

use regex_lite::Regex;

use super::{Part, Role};
use crate::project::Project;
use crate::shape::Trail;
use crate::yaml::{Limits, Node, Value, read};

/// Kinds of secrets that are known by how they look, in the words of Docker Compose.
const KINDS: &[(&str, &str)] = &[
    ("AWS Client ID", r"\b(A3T[A-Z0-9]|AKIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ASIA)[A-Z0-9]{16}\b"),
    ("Github authentication", r"\b(ghu|ghs|gho|ghp|ghr)_[0-9a-zA-Z]{36}\b"),
    ("JSON Web Token", r"\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    ("Private Key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
];

/// The most bytes of a file that are looked at.
const LIMIT: u64 = 4 << 20;

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What it looks like.
    pub kind: &'static str,
    /// Where it stands.
    pub key: String,
    /// What it is.
    pub value: String,
}

/// What looks like a secret in the parts of an artifact, and in the files that configs and secrets are made of.
#[must_use]
pub fn leaks(project: &Project, parts: &[Part]) -> Vec<Leak> {
    let kinds = KINDS.iter().filter_map(|(kind, pattern)| Some((*kind, Regex::new(pattern).ok()?)));
    let mut search = Search { kinds: kinds.collect(), found: Vec::new() };
    for part in parts {
        let text = String::from_utf8_lossy(&part.bytes);
        match part.role {
            Role::Variables => search.lines(&text),
            Role::File | Role::Extended => {
                for document in read(&text, 0, Limits::default()).unwrap_or_default() {
                    search.node(&document, &Trail::TOP);
                }
            }
        }
    }
    for member in project.configs.values().chain(project.secrets.values()) {
        if let Some(text) = Some(member.text("file")).filter(|file| !file.is_empty()).and_then(beginning) {
            search.lines(&text);
        }
    }
    search.found
}

fn beginning(file: &str) -> Option<String> {
    let path = Path::new(file);
    if !path.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(path).ok()?, LIMIT), &mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

struct Search {
    kinds: Vec<(&'static str, Regex)>,
    found: Vec<Leak>,
}

impl Search {
    fn node(&mut self, node: &Node, trail: &Trail<'_>) {
        match &node.value {
            Value::Text(text) => self.text(text, &trail.to_string()),
            Value::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.node(item, &trail.item(place));
                }
            }
            Value::Map(map) => {
                for (key, value) in map {
                    self.node(value, &trail.step(key));
                }
            }
            _ => {}
        }
    }

    fn lines(&mut self, text: &str) {
        for line in text.lines() {
            let (key, value) = line.split_once('=').unwrap_or(("", line));
            self.text(value, key.trim());
        }
    }

    fn text(&mut self, text: &str, key: &str) {
        for (kind, pattern) in &self.kinds {
            if let Some(found) = pattern.find(text) {
                let value = found.as_str().to_owned();
                self.found.push(Leak { kind, key: key.to_owned(), value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Options;

    #[test]
    fn what_looks_like_a_secret_is_found() {
        let project = Project::empty(&Options::new("/".into()));
        let part = |role, text: &str| Part { role, name: String::new(), bytes: text.as_bytes().to_vec() };
        let yaml = "services:\n  web:\n    labels: {key: AKIAIOSFODNN7EXAMPLE, other: AKIA}\n";
        let parts = [part(Role::File, yaml), part(Role::Variables, "T=eyJhbGciOi.eyJzdWIiOi.abc\nU=plain\n")];
        let found = leaks(&project, &parts);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].kind, found[0].key.as_str()), ("AWS Client ID", "services.web.labels.key"));
        assert_eq!((found[1].kind, found[1].key.as_str()), ("JSON Web Token", "T"));
    }
}
