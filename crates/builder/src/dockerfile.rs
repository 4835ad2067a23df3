//! The Dockerfile language: text becomes stages of typed instructions. Knows nothing of images, files or containers.

mod command;
mod copying;
mod directive;
mod flag;
mod healthcheck;
mod heredoc;
mod instruction;
mod line;
pub mod mount;
mod stage;

pub use command::Command;
pub use copying::{Copying, Inline};
pub use directive::Directives;
pub use heredoc::Heredoc;
pub use instruction::{Instruction, Kind, Run, Text};
pub use stage::{Dockerfile, Referred, Stage};

/// Lines of a file, both included, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// The first.
    pub first: usize,
    /// The last.
    pub last: usize,
}

/// Why a Dockerfile cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// What is wrong, in BuildKit's words.
    pub message: String,
    /// Where; none when it is about the whole file.
    pub lines: Option<Lines>,
}

impl SyntaxError {
    /// An error somewhere in these lines.
    pub(crate) fn at(lines: Lines, message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: Some(lines) }
    }
}

/// BuildKit's hint at the word that was probably meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let lower = word.to_lowercase();
    let near = known.into_iter().map(|name| (distance(&lower, &name.to_lowercase()), name));
    let best = near.filter(|(distance, _)| *distance < 3).min_by_key(|(distance, _)| *distance);
    best.map(|(_, name)| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// How many characters must be changed, added or left out.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, against) in other.iter().enumerate() {
            let changed = before + usize::from(character != *against);
            before = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
