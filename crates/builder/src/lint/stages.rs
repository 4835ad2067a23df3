//! Rules about the instructions of one stage.

use super::Warning;
use super::files::warning;
use super::rule;
use crate::dockerfile::{Dockerfile, Instruction, Kind, Lines};

/// Parts of names that secrets have.
const SECRETS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

pub(super) fn check(file: &Dockerfile, number: usize) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut has_shell = false;
    for own in &file.stages[number].instructions {
        has_shell |= matches!(own.kind, Kind::Shell(_));
        found.extend(one(own, has_shell));
    }
    found.extend(twice(file, number));
    found.extend(relative(file, number));
    found
}

fn one(own: &Instruction, has_shell: bool) -> Vec<Warning> {
    let json = |word: &str| {
        let detail =
            format!("JSON arguments recommended for {word} to prevent unintended behavior related to OS signals");
        vec![warning(&rule::JSON_ARGS_RECOMMENDED, own.lines, detail)]
    };
    match &own.kind {
        Kind::Cmd(command) if command.shell && !has_shell => json("CMD"),
        Kind::Entrypoint(command) if command.shell && !has_shell => json("ENTRYPOINT"),
        Kind::Env(pairs) => {
            let mut found = legacy("ENV", own);
            found.extend(pairs.iter().filter_map(|(name, _)| secret("ENV", name, own.lines)));
            found
        }
        Kind::Label(_) => legacy("LABEL", own),
        Kind::Arg(pairs) => pairs.iter().filter_map(|(name, _)| secret("ARG", name, own.lines)).collect(),
        Kind::Expose(ports) => ports.iter().flat_map(|port| expose(port, own.lines)).collect(),
        _ => Vec::new(),
    }
}

/// `NAME the rest of the line`.
fn legacy(word: &str, own: &Instruction) -> Vec<Warning> {
    let first = own.source.split_whitespace().nth(1).unwrap_or_default();
    if first.contains('=') {
        return Vec::new();
    }
    let detail = format!("\"{word} key=value\" should be used instead of legacy \"{word} key value\" format");
    vec![warning(&rule::LEGACY_KEY_VALUE, own.lines, detail)]
}

fn secret(word: &str, name: &str, lines: Lines) -> Option<Warning> {
    let lower = name.to_ascii_lowercase();
    let has = |wanted: &[&str]| lower.split('_').any(|part| wanted.contains(&part));
    let detail = format!("Do not use ARG or ENV instructions for sensitive data ({word} {name:?})");
    (has(&SECRETS) && !has(&["public"])).then(|| warning(&rule::SECRETS_USED, lines, detail))
}

fn expose(port: &str, lines: Lines) -> Option<Warning> {
    let (numbers, protocol) = port.split_once('/').unwrap_or((port, ""));
    if protocol != protocol.to_lowercase() {
        let detail = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
        return Some(warning(&rule::EXPOSE_PROTO_CASING, lines, detail));
    }
    if !numbers.contains('$') && numbers.contains(':') {
        let detail = format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
        return Some(warning(&rule::EXPOSE_INVALID_FORMAT, lines, detail));
    }
    None
}

/// Instructions of which only the last one counts.
fn twice(file: &Dockerfile, number: usize) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut seen: Vec<(&str, Lines)> = Vec::new();
    for own in &file.stages[number].instructions {
        let word = match own.kind {
            Kind::Cmd(_) => "CMD",
            Kind::Entrypoint(_) => "ENTRYPOINT",
            Kind::Healthcheck(_) => "HEALTHCHECK",
            _ => continue,
        };
        match seen.iter_mut().find(|(known, _)| *known == word) {
            Some((_, before)) => {
                let detail = format!(
                    "Multiple {word} instructions should not be used in the same stage because only the last one will be used"
                );
                found.push(warning(&rule::MULTIPLE_INSTRUCTIONS, *before, detail));
                *before = own.lines;
            }
            None => seen.push((word, own.lines)),
        }
    }
    found
}

/// The first WORKDIR of a stage and those it stands on, if it is relative.
fn relative(file: &Dockerfile, number: usize) -> Option<Warning> {
    let mut below = file.find_named(&file.stages[number].from.base, number);
    while let Some(stage) = below {
        if file.stages[stage].instructions.iter().any(|own| matches!(own.kind, Kind::Workdir(_))) {
            return None;
        }
        below = file.find_named(&file.stages[stage].from.base, stage);
    }
    let first = file.stages[number].instructions.iter().find_map(|own| match &own.kind {
        Kind::Workdir(path) => Some((path, own.lines)),
        _ => None,
    });
    let (path, lines) = first?;
    let detail = format!("Relative workdir {path:?} can have unexpected results if the base image changes");
    let is_relative = !path.starts_with('/') && !path.starts_with('$');
    is_relative.then(|| warning(&rule::WORKDIR_RELATIVE_PATH, lines, detail))
}
