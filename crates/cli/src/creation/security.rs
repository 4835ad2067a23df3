//! `--security-opt`: profiles are files of the caller and travel in the request.

use std::fs;

use crate::failure::go_cause;

/// What the options come to.
pub(super) struct Security {
    /// As the daemon wants them.
    pub(super) options: Vec<String>,
    /// Whether `systempaths=unconfined` uncovers what is masked.
    pub(super) unmask: bool,
}

/// Reads seccomp profiles and takes out what the client decides.
pub(super) fn options(words: &[&str]) -> Result<Security, String> {
    let mut found = Security { options: Vec::new(), unmask: false };
    for word in words {
        let pair = word.split_once('=').or_else(|| word.split_once(':'));
        match pair {
            None if *word == "no-new-privileges" => found.options.push((*word).to_owned()),
            None => return Err(format!("Invalid --security-opt: {word:?}")),
            Some(("systempaths", "unconfined")) => found.unmask = true,
            Some(("seccomp", source)) if source != "unconfined" && source != "builtin" => {
                found.options.push(format!("seccomp={}", profile(source)?));
            }
            Some((name, value)) => found.options.push(format!("{name}={value}")),
        }
    }
    Ok(found)
}

fn profile(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("opening seccomp profile ({path}) failed: open {path}: {}", go_cause(&error)))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| format!("compacting json for seccomp profile ({path}) failed: {error}"))?;
    Ok(value.to_string())
}
