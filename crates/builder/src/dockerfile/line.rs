//! Logical lines: comments are left out, continued lines joined, here-documents taken along.

use super::heredoc::{self, Heredoc};
use super::{Directives, Lines, SyntaxError};

/// One instruction as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) lines: Lines,
    pub(super) heredocs: Vec<Heredoc>,
}

/// Words after which here-documents may follow.
const WITH_HEREDOCS: [&str; 3] = ["ADD", "COPY", "RUN"];

/// Reads all logical lines.
pub(super) fn read(text: &str, directives: &Directives) -> Result<Vec<Line>, SyntaxError> {
    let mut physical = text.split_inclusive('\n').enumerate().map(|(number, line)| (number + 1, line));
    let mut found = Vec::new();
    while let Some((first, line)) = physical.next() {
        let mut last = first;
        let (mut joined, mut ended) = continued(uncommented(bare(line).trim_start()), directives.escape);
        if ended && joined.is_empty() {
            continue;
        }
        while !ended {
            let Some((number, line)) = physical.next() else { break };
            last = number;
            let line = bare(line);
            // Comments and empty lines between continued ones count as nothing.
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (part, is_end) = continued(line, directives.escape);
            joined += &part;
            ended = is_end;
        }
        let mut line = Line { text: joined, lines: Lines { first, last }, heredocs: Vec::new() };
        if takes_heredocs(&line.text) {
            for mut begun in heredoc::begun(&line.text) {
                line.lines.last = fill(&mut begun, &mut physical, line.lines)?;
                line.heredocs.push(begun);
            }
        }
        found.push(line);
    }
    Ok(found)
}

/// Reads a here-document's lines; gives the number of its last.
fn fill<'a>(
    begun: &mut Heredoc,
    physical: &mut impl Iterator<Item = (usize, &'a str)>,
    mut lines: Lines,
) -> Result<usize, SyntaxError> {
    for (number, line) in physical {
        lines.last = number;
        let end = if begun.chomp { bare(line).trim_start_matches('\t') } else { bare(line) };
        if end == begun.name {
            return Ok(number);
        }
        begun.content += line;
    }
    Err(SyntaxError::at(lines, "unterminated heredoc"))
}

/// A line without its end.
fn bare(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

fn uncommented(line: &str) -> &str {
    if line.starts_with('#') { "" } else { line }
}

/// The line without a continuation character, and whether it ends here. Two of them in a row are no continuation.
fn continued(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before.to_owned(), false),
        _ => (line.to_owned(), true),
    }
}

fn takes_heredocs(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let mut word = words.next().unwrap_or_default().to_ascii_uppercase();
    if word == "ONBUILD" {
        word = words.next().unwrap_or_default().to_ascii_uppercase();
    }
    let is_json = words.find(|word| !word.starts_with("--")).is_some_and(|word| word.starts_with('['));
    text.contains("<<") && WITH_HEREDOCS.contains(&word.as_str()) && !is_json
}
