//! Build checks: what is allowed in a Dockerfile but probably not meant, in BuildKit's words.

mod comments;
mod context;
mod files;
mod rule;
mod stages;
mod variables;

pub use comments::description;
use hako_model::platform::Platform;
pub use rule::{RULES, Rule};

use crate::dockerfile::{Dockerfile, Kind, Lines, mount};
use crate::files::ignore::Ignore;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: &'static Rule,
    /// What is found.
    pub detail: String,
    /// Where.
    pub lines: Lines,
}

impl Warning {
    /// The finding in one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {} (line {})", self.rule.name, self.detail, self.lines.first)
    }
}

/// What is looked at.
pub struct Subject<'a> {
    /// The Dockerfile.
    pub file: &'a Dockerfile,
    /// Its text.
    pub text: &'a str,
    /// The stages whose instructions count; FROM counts in all.
    pub stages: Vec<usize>,
    /// What is known of the image that a stage for a platform begins with.
    pub base: &'a dyn Fn(&str, &Platform) -> Option<Base>,
    /// What is left out of the context.
    pub ignore: Option<&'a Ignore>,
    /// The platform that is built for.
    pub platform: Platform,
    /// Which rules are left out, and whether findings fail the build: `skip=…;error=…`, instead of the file's own.
    pub options: Option<String>,
}

/// An image that a stage begins with.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its variables, `NAME=value` each.
    pub env: Vec<String>,
    /// What it was made for.
    pub platform: Platform,
}

/// What came of looking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the order of the file.
    pub warnings: Vec<Warning>,
    /// Whether the file wants findings to fail the build.
    pub fail: bool,
}

impl Findings {
    /// Why they fail the build, if they do.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        let mut rules: Vec<&str> = Vec::new();
        for warning in &self.warnings {
            if !rules.contains(&warning.rule.name) {
                rules.push(warning.rule.name);
            }
        }
        self.fail.then(|| format!("lint violation found for rules: {}", rules.join(", ")))
    }
}

/// Which rules count.
#[derive(Debug, Default)]
struct Options {
    skip_all: bool,
    skip: Vec<String>,
    /// The experimental rules that count, or `all`.
    experimental: Vec<String>,
    fail: bool,
}

impl Options {
    fn parse(text: &str) -> Self {
        let mut options = Self::default();
        for part in text.split(';') {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("skip", "all")) => options.skip_all = true,
                Some(("skip", rules)) => options.skip = names(rules),
                Some(("experimental", rules)) => options.experimental = names(rules),
                Some(("error", value)) => options.fail = matches!(value, "true" | "1" | "t" | "TRUE" | "True"),
                _ => {}
            }
        }
        options
    }

    fn counts(&self, rule: &Rule) -> bool {
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        if rule.is_experimental() {
            has(&self.experimental, "all") || has(&self.experimental, rule.name)
        } else {
            !has(&self.skip, rule.name)
        }
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The stages that a target needs, itself first; none if there is no such target.
#[must_use]
pub fn reachable(file: &Dockerfile, target: &str) -> Vec<usize> {
    let last = file.stages.len().checked_sub(1);
    let first = if target.is_empty() { last } else { file.find(target, usize::MAX) };
    let mut found: Vec<usize> = first.into_iter().collect();
    let mut next = 0;
    while let Some(number) = found.get(next).copied() {
        let stage = &file.stages[number];
        let mut needs: Vec<usize> = file.find_named(&stage.from.base, number).into_iter().collect();
        for instruction in &stage.instructions {
            match &instruction.kind {
                Kind::Copy(copying) => needs.extend(copying.from.iter().filter_map(|name| file.find(name, number))),
                Kind::Run(run) => {
                    let mounts = run.mounts.iter().filter_map(|text| mount::parse(text).ok());
                    needs.extend(mounts.filter_map(|mount| file.find(mount.from()?, number)));
                }
                _ => {}
            }
        }
        for need in needs {
            if !found.contains(&need) {
                found.push(need);
            }
        }
        next += 1;
    }
    found
}

/// Looks at a Dockerfile.
#[must_use]
pub fn check(subject: &Subject<'_>) -> Findings {
    let options = subject.options.as_deref().or(subject.file.directives.check.as_deref()).unwrap_or_default();
    let options = Options::parse(options);
    if options.skip_all {
        return Findings::default();
    }
    let mut warnings = files::check(subject);
    warnings.extend(comments::check(subject.file, subject.text));
    for stage in &subject.stages {
        warnings.extend(stages::check(subject.file, *stage));
        warnings.extend(variables::check(subject, *stage));
        warnings.extend(context::check(subject, *stage));
    }
    warnings.retain(|warning| options.counts(warning.rule));
    warnings.sort_by_key(|warning| warning.lines.first);
    Findings { fail: options.fail && !warnings.is_empty(), warnings }
}

#[cfg(test)]
mod tests;
