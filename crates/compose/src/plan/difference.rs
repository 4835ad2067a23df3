//! What of a service's configuration changed, field by field.

use crate::canonical::hashed_service;
use crate::yaml::{Limits, Node, Value, json, read};

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field: `environment.LOG_LEVEL`.
    pub field: String,
    /// What it was; nothing if it was not there.
    pub before: Option<String>,
    /// What it becomes; nothing if it goes.
    pub after: Option<String>,
}

/// The fields in which a service differs from the configuration its container was made from; none if that is unknown.
pub(super) fn of(before: &str, service: &Node) -> Vec<Change> {
    let Ok(documents) = read(before, 0, Limits::default()) else { return Vec::new() };
    let Some(before) = documents.into_iter().next().filter(|node| node.map().is_some()) else { return Vec::new() };
    let mut changes = Vec::new();
    compare("", Some(&before), Some(&hashed_service(service)), &mut changes);
    changes
}

fn compare(path: &str, before: Option<&Node>, after: Option<&Node>, changes: &mut Vec<Change>) {
    if let (Some(Node { value: Value::Map(old), .. }), Some(Node { value: Value::Map(new), .. })) = (before, after) {
        let gone = old.keys().filter(|key| !new.contains_key(key));
        for key in new.keys().chain(gone) {
            let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
            compare(&path, old.get(key), new.get(key), changes);
        }
        return;
    }
    let told = |node: Option<&Node>| node.map(|node| json(node, false, false));
    let (before, after) = (told(before), told(after));
    if before != after {
        changes.push(Change { field: path.to_owned(), before, after });
    }
}
