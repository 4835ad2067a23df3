//! Rules about what is around a Dockerfile: the files that are left out of the context, and the images below.

use hako_model::platform::Platform;
use hako_model::word::Lexer;

use super::files::warning;
use super::{Base, Subject, Warning, rule};
use crate::dockerfile::{Copying, Instruction, Kind};
use crate::files::ignore::Ignore;

pub(super) fn check(subject: &Subject<'_>, number: usize) -> Vec<Warning> {
    ignored(subject, number).into_iter().chain(platform(subject, number)).collect()
}

/// Files to be copied that are not in the context.
fn ignored(subject: &Subject<'_>, number: usize) -> Vec<Warning> {
    // What an exception takes back is known only when the files are looked at.
    let Some(ignore) = subject.ignore.filter(|own| !own.is_empty() && !own.has_exceptions()) else { return Vec::new() };
    let mut set: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    for own in &subject.file.stages[number].instructions {
        match &own.kind {
            Kind::Env(pairs) => set.extend(pairs.iter().cloned()),
            Kind::Arg(pairs) => {
                set.extend(pairs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
            }
            Kind::Copy(copying) if copying.from.is_none() => {
                found.extend(sources(subject, ("Copy", own), copying, &set, ignore));
            }
            Kind::Add(copying) => found.extend(sources(subject, ("Add", own), copying, &set, ignore)),
            _ => {}
        }
    }
    found
}

fn sources(
    subject: &Subject<'_>,
    (word, own): (&str, &Instruction),
    copying: &Copying,
    set: &[(String, String)],
    ignore: &Ignore,
) -> Vec<Warning> {
    let value = |name: &str| set.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let lexer = Lexer { escape: subject.file.directives.escape, ..Lexer::default() };
    let expanded = copying.sources.iter().filter_map(|source| lexer.expand(source, &value).ok());
    let local = expanded.filter(|source| !source.contains("://") && !source.starts_with("git@"));
    let cleaned = local.map(|source| {
        let parts: Vec<&str> = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        parts.join("/")
    });
    let out = cleaned.filter(|path| !path.is_empty() && ignore.excludes(path));
    out.map(|path| {
        let detail = format!("Attempting to {word} file {path:?} that is excluded by .dockerignore");
        warning(&rule::COPY_IGNORED_FILE, own.lines, detail)
    })
    .collect()
}

/// The platform a stage is for, as far as it is said plainly.
fn expected(subject: &Subject<'_>, number: usize) -> Option<Platform> {
    match subject.file.stages[number].from.platform.as_deref() {
        None | Some("$TARGETPLATFORM" | "${TARGETPLATFORM}") => Some(subject.platform.clone()),
        Some("$BUILDPLATFORM" | "${BUILDPLATFORM}") => Some(Platform::host()),
        Some(text) => Platform::parse(text).ok(),
    }
}

/// What is known of the image that a stage begins with.
pub(super) fn base(subject: &Subject<'_>, number: usize) -> Option<Base> {
    let platform = expected(subject, number).unwrap_or_else(|| subject.platform.clone());
    (subject.base)(&subject.file.stages[number].from.base, &platform)
}

/// An image of another platform than the one the stage is for.
fn platform(subject: &Subject<'_>, number: usize) -> Option<Warning> {
    let stage = &subject.file.stages[number];
    let name = &stage.from.base;
    if subject.file.find_named(name, number).is_some() {
        return None;
    }
    let (actual, expected) = (base(subject, number)?.platform.normalised(), expected(subject, number)?.normalised());
    if (&expected.os, &expected.architecture) == (&actual.os, &actual.architecture) {
        return None;
    }
    let (wanted, is) = (expected.to_string(), actual.to_string());
    let detail = format!("Base image {name} was pulled with platform {is:?}, expected {wanted:?} for current build");
    Some(warning(&rule::INVALID_BASE_IMAGE_PLATFORM, stage.lines, detail))
}
