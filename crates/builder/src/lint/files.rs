//! Rules about the whole file, and about FROM in every stage.

use std::collections::HashSet;

use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_model::word::Lexer;

use super::rule::{self, Rule};
use super::variables::plain_names;
use super::{Subject, Warning};
use crate::dockerfile::{Dockerfile, Kind, Lines, Stage, did_you_mean};

/// Names of stages that mean something else.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Arguments that are there without being declared.
pub(super) const PREDEFINED: [&str; 10] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
];

pub(super) fn warning(rule: &'static Rule, lines: Lines, detail: String) -> Warning {
    Warning { rule, detail, lines }
}

pub(super) fn check(subject: &Subject<'_>) -> Vec<Warning> {
    let file = subject.file;
    // Of what is on one line, that comes first which is seen first: words, then their casing, then what they mean.
    let mut found = empty_lines(subject);
    let mut names = HashSet::new();
    found.extend(file.stages.iter().flat_map(|stage| stage_name(stage, &mut names)));
    found.extend(casing(file));
    for (number, stage) in file.stages.iter().enumerate() {
        found.extend(base(file, number));
        found.extend(platform(stage));
        let maintainers = stage.instructions.iter().filter(|own| matches!(own.kind, Kind::Maintainer(_)));
        let detail = "Maintainer instruction is deprecated in favor of using label";
        found.extend(maintainers.map(|own| warning(&rule::MAINTAINER_DEPRECATED, own.lines, detail.to_owned())));
    }
    found
}

/// The first word of an instruction, as it is written.
fn word(source: &str) -> &str {
    source.split_whitespace().next().unwrap_or_default()
}

fn casing(file: &Dockerfile) -> Vec<Warning> {
    let stages = file.stages.iter().map(|stage| (word(&stage.source), stage.lines));
    let rest = file.stages.iter().flat_map(|stage| &stage.instructions).map(|own| (word(&own.source), own.lines));
    let words: Vec<(&str, Lines)> = stages.chain(rest).collect();
    let lower = words.iter().filter(|(word, _)| *word == word.to_lowercase()).count();
    let upper = words.iter().filter(|(word, _)| *word == word.to_uppercase()).count();
    let (wanted, right): (&str, fn(&str) -> String) =
        if lower > upper { ("lowercase", str::to_lowercase) } else { ("uppercase", str::to_uppercase) };
    let wrong = words.into_iter().filter(|(word, _)| *word != right(word));
    wrong
        .map(|(word, lines)| {
            let detail = format!("Command '{word}' should match the case of the command majority ({wanted})");
            warning(&rule::CONSISTENT_INSTRUCTION_CASING, lines, detail)
        })
        .collect()
}

/// Continued lines with nothing on them.
fn empty_lines(subject: &Subject<'_>) -> Vec<Warning> {
    let lines: Vec<&str> = subject.text.lines().collect();
    let instructions = subject.file.stages.iter().flat_map(|stage| &stage.instructions);
    let plain = instructions.filter(|own| !own.source.contains("<<"));
    let has_empty = |own: &Lines| {
        let inside = lines.get(own.first..own.last).unwrap_or_default();
        inside.iter().any(|line| line.trim().is_empty())
    };
    let found = plain.filter(|own| has_empty(&own.lines));
    // It is noticed where the instruction ends.
    let end = |own: &Lines| Lines { first: own.last, last: own.last };
    let detail = || "Empty continuation line".to_owned();
    found.map(|own| warning(&rule::NO_EMPTY_CONTINUATION, end(&own.lines), detail())).collect()
}

fn stage_name<'a>(stage: &'a Stage, names: &mut HashSet<&'a str>) -> Vec<Warning> {
    let Some(name) = stage.from.name.as_deref() else { return Vec::new() };
    let mut found = Vec::new();
    let words: Vec<&str> = stage.source.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    if let [from, _, keyword, written] = words[..] {
        if written != written.to_lowercase() {
            let detail = format!("Stage name '{written}' should be lowercase");
            found.push(warning(&rule::STAGE_NAME_CASING, stage.lines, detail));
        }
        let differs = from == from.to_lowercase() && keyword != keyword.to_lowercase()
            || from == from.to_uppercase() && keyword != keyword.to_uppercase();
        if differs {
            let detail = format!("'{keyword}' and '{from}' keywords' casing do not match");
            found.push(warning(&rule::FROM_AS_CASING, stage.lines, detail));
        }
    }
    if !names.insert(name) {
        let detail = format!("Duplicate stage name {name:?}, stage names should be unique");
        found.push(warning(&rule::DUPLICATE_STAGE_NAME, stage.lines, detail));
    }
    if RESERVED.contains(&name) {
        let detail = format!("Stage name should not use the same name as reserved stage {name:?}");
        found.push(warning(&rule::RESERVED_STAGE_NAME, stage.lines, detail));
    }
    found
}

/// The image of a FROM: its variables are declared, and what they are by themselves makes a name.
fn base(file: &Dockerfile, number: usize) -> Vec<Warning> {
    let stage = &file.stages[number];
    let arguments = file.arguments.iter().filter_map(|own| match &own.kind {
        Kind::Arg(pairs) => Some(pairs),
        _ => None,
    });
    let declared: Vec<&(String, Option<String>)> = arguments.flatten().collect();
    let known = |name: &str| PREDEFINED.contains(&name) || declared.iter().any(|(own, _)| own == name);
    let texts = [Some(&stage.from.base), stage.from.platform.as_ref()];
    let used = texts.into_iter().flatten().flat_map(|text| plain_names(text, file.directives.escape));
    let undeclared = used.filter(|name| !known(name)).map(|name| {
        let near = did_you_mean(&name, declared.iter().map(|(own, _)| own.as_str()).chain(PREDEFINED));
        let detail = format!("FROM argument '{name}' is not declared{near}");
        warning(&rule::UNDEFINED_ARG_IN_FROM, stage.lines, detail)
    });
    let mut found = Vec::new();
    if stage.from.base.contains('$') {
        let value = |name: &str| {
            let own = declared.iter().rev().find(|(own, _)| own == name);
            own.and_then(|(_, value)| value.clone()).or_else(|| PREDEFINED.contains(&name).then(|| "x".to_owned()))
        };
        let lexer = Lexer { escape: file.directives.escape, ..Lexer::default() };
        let name = lexer.expand(&stage.from.base, &value).unwrap_or_default();
        if file.find_named(&name, number).is_none() && Reference::parse(&name).is_err() {
            let detail =
                format!("Default value for ARG {} results in empty or invalid base image name", stage.from.base);
            found.push(warning(&rule::INVALID_DEFAULT_ARG, stage.lines, detail));
        }
    }
    found.extend(undeclared);
    found
}

fn platform(stage: &Stage) -> Option<Warning> {
    let text = stage.from.platform.as_deref()?;
    if matches!(text, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        let detail =
            format!("Setting platform to predefined {text} in FROM is redundant as this is the default behavior");
        return Some(warning(&rule::REDUNDANT_TARGET_PLATFORM, stage.lines, detail));
    }
    if text.contains('$') {
        return None;
    }
    // A stage that says in its name what it is for may say so here.
    let name = stage.from.name.as_deref().unwrap_or_default();
    let is_named = Platform::parse(text).is_ok_and(|own| name.contains(&own.os) || name.contains(&own.architecture));
    let detail = format!("FROM --platform flag should not use constant value {text:?}");
    (!is_named).then(|| warning(&rule::FROM_PLATFORM_CONST, stage.lines, detail))
}
