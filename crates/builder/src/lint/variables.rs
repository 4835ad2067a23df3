//! The rule about variables that nobody set.

use std::collections::HashSet;

use super::files::warning;
use super::{Subject, Warning, rule};
use crate::dockerfile::{Instruction, Kind, did_you_mean};
use crate::solve::PROXIES;

/// Names that are set, in order, and whether they have a value: only those are likely to be meant.
type Names = Vec<(String, bool)>;

/// Variables used in one stage that are set nowhere. Nothing is said of a stage whose image is not known.
pub(super) fn check(subject: &Subject<'_>, number: usize) -> Vec<Warning> {
    let Some(mut set) = inherited(subject, number, 0) else { return Vec::new() };
    let mut found = Vec::new();
    for own in &subject.file.stages[number].instructions {
        for name in used(own, subject.file.directives.escape) {
            if set.iter().any(|(known, _)| *known == name) || PROXIES.contains(&name.as_str()) {
                continue;
            }
            let likely = set.iter().filter(|(_, has_value)| *has_value).map(|(name, _)| name.as_str());
            let near = did_you_mean(&name, likely).replace("mean ", "mean $");
            let detail = format!("Usage of undefined variable '${name}'{near}");
            found.push(warning(&rule::UNDEFINED_VAR, own.lines, detail));
        }
        sets(own, &mut set);
    }
    found
}

/// What a stage's base sets.
fn inherited(subject: &Subject<'_>, number: usize, depth: usize) -> Option<Names> {
    let base = &subject.file.stages[number].from.base;
    let mut set: Names = vec![("PATH".to_owned(), true)];
    if base == "scratch" {
        return Some(set);
    }
    match subject.file.find_named(base, number) {
        Some(_) if depth > subject.file.stages.len() => None,
        Some(stage) => {
            set.extend(inherited(subject, stage, depth + 1)?);
            subject.file.stages[stage].instructions.iter().for_each(|own| sets(own, &mut set));
            Some(set)
        }
        None => {
            let env = super::context::base(subject, number)?.env;
            set.extend(env.iter().filter_map(|pair| Some((pair.split_once('=')?.0.to_owned(), true))));
            Some(set)
        }
    }
}

fn sets(own: &Instruction, set: &mut Names) {
    match &own.kind {
        Kind::Env(pairs) => set.extend(pairs.iter().map(|(name, _)| (name.clone(), true))),
        Kind::Arg(pairs) => set.extend(pairs.iter().map(|(name, value)| (name.clone(), value.is_some()))),
        _ => {}
    }
}

/// The variables of an instruction that are expanded by the builder, and not by a shell.
fn used(own: &Instruction, escape: char) -> Vec<String> {
    let texts: Vec<&String> = match &own.kind {
        Kind::Add(copying) | Kind::Copy(copying) => {
            let flags = [&copying.chown, &copying.chmod, &copying.checksum];
            let inline = copying.inline.iter().filter(|inline| inline.expand).map(|inline| &inline.content);
            copying
                .sources
                .iter()
                .chain([&copying.destination])
                .chain(flags.into_iter().flatten())
                .chain(inline)
                .collect()
        }
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().flat_map(|(name, value)| [name, value]).collect(),
        Kind::Arg(pairs) => pairs.iter().filter_map(|(_, value)| value.as_ref()).collect(),
        Kind::Expose(words) | Kind::Volume(words) => words.iter().collect(),
        Kind::User(text) | Kind::Workdir(text) | Kind::StopSignal(text) => vec![text],
        _ => Vec::new(),
    };
    let mut names: Vec<String> = texts.into_iter().flat_map(|text| plain_names(text, escape)).collect();
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Names in `$NAME` and `${NAME…}`.
pub(super) fn plain_names(text: &str, escape: char) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text.chars().peekable();
    let mut literal = false;
    while let Some(character) = rest.next() {
        match character {
            '\'' => literal = !literal,
            _ if literal => {}
            character if character == escape => drop(rest.next()),
            '$' => {
                let braced = rest.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(letter) = rest.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_') {
                    name.push(letter);
                }
                let is_whole = !braced || matches!(rest.peek(), Some('}' | ':' | '-' | '+' | '?' | '#' | '%' | '/'));
                if is_whole && name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') {
                    names.push(name);
                }
            }
            _ => {}
        }
    }
    names
}
