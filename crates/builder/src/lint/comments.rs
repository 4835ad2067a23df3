//! Comments before FROM and ARG: the rule about them, and what they say of a stage or an argument.

use super::files::warning;
use super::{Warning, rule};
use crate::dockerfile::{Dockerfile, Kind, Lines};

/// The comments between an instruction and the one before it, as BuildKit reads them: empty lines do not part them, and
/// of an indented one the mark stays.
fn before(text: &str, first: usize) -> Vec<&str> {
    let above: Vec<&str> = text.lines().take(first.saturating_sub(1)).collect();
    let near = above.iter().rev().take_while(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let mut found: Vec<&str> = near.filter_map(|line| Some(line.get(1..)?.trim())).collect();
    found.reverse();
    found
}

/// What is said of `name` before the instruction that begins at this line.
#[must_use]
pub fn description<'a>(text: &'a str, first: usize, name: &str) -> Option<&'a str> {
    let said = before(text, first).into_iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
    said.filter(|_| !name.is_empty())
}

pub(super) fn check(file: &Dockerfile, text: &str) -> Vec<Warning> {
    let froms = file.stages.iter().filter_map(|stage| Some(("FROM", vec![stage.from.name.as_deref()?], stage.lines)));
    let instructions = file.arguments.iter().chain(file.stages.iter().flat_map(|stage| &stage.instructions));
    let arguments = instructions.filter_map(|own| match &own.kind {
        Kind::Arg(pairs) => Some(("ARG", pairs.iter().map(|(name, _)| name.as_str()).collect(), own.lines)),
        _ => None,
    });
    froms.chain(arguments).filter_map(|(word, names, lines)| one(text, word, &names, lines)).collect()
}

fn one(text: &str, word: &str, names: &[&str], lines: Lines) -> Option<Warning> {
    let comments = before(text, lines.first);
    let last = comments.last()?.split(' ').next().unwrap_or_default();
    if names.is_empty() || names.contains(&last) {
        return None;
    }
    let example = if let [name] = names { name } else { "<arg_key>" };
    let detail = format!("Comment for {word} should follow the format: `# {example} <description>`");
    Some(warning(&rule::INVALID_DEFINITION_DESCRIPTION, lines, detail))
}
