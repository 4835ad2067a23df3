//! Words that must not stand in the code: vague module names, waiting notes, sleeping tests, unsafe outside its room.

use std::path::Path;

use crate::{Breaches, sources};

/// Names that say nothing about what a room is for.
const VAGUE: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "impl", "types", "base", "misc"];

/// A phrase, and why it is a breach. The phrases are split so that this file does not breach itself.
const PHRASES: &[(&[&str], &str)] = &[
    (&["to", "do!("], "unfinished code"),
    (&["unimple", "mented!("], "unfinished code"),
    (&["#[ign", "ore"], "a test that cannot run says why and counts itself as skipped"),
    (&["FIX", "ME"], "a waiting note: file an issue"),
    (&["allow(dead", "_code)"], "delete what is not used"),
];

pub(crate) fn check(root: &Path) -> Breaches {
    let mut breaches = Vec::new();
    for dir in ["src", "tests", "examples"] {
        for (name, path) in sources(root, dir) {
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            breaches.extend(check_name(&path).map(|stem| format!("{shown}: `{stem}` says nothing about the room")));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            breaches.extend(check_text(&name, &text).into_iter().map(|(line, why)| format!("{shown}:{line}: {why}")));
        }
    }
    breaches
}

fn check_name(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    VAGUE.contains(&stem).then_some(stem)
}

fn check_text(name: &str, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (phrase, why) in PHRASES {
            let phrase = phrase.concat();
            if line.contains(&phrase) {
                found.push((number + 1, format!("`{phrase}`: {why}")));
            }
        }
        if name != "sys" && is_unsafe(line) {
            found.push((number + 1, "unsafe code belongs in sys".to_owned()));
        }
        if is_waiting_note(line) {
            found.push((number + 1, "a note of work to do without an issue's number".to_owned()));
        }
    }
    found
}

fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|form| code.contains(form) && !code.contains('"'))
}

fn is_waiting_note(line: &str) -> bool {
    let word = ["TO", "DO"].concat();
    line.contains(&word) && !line.contains(&format!("{word}(#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_stands_only_in_sys() {
        let text = format!("{} {{ }}", "unsafe");
        assert_eq!(check_text("model", &text).len(), 1);
        assert!(check_text("sys", &text).is_empty());
    }

    #[test]
    fn vague_names_are_found() {
        assert_eq!(check_name(Path::new("a/utils.rs")), Some("utils"));
        assert_eq!(check_name(Path::new("a/tar.rs")), None);
    }
}
