//! A whole Dockerfile: the arguments before the first stage, and the stages.

use super::instruction::{From, Instruction, Kind};
use super::{Directives, Lines, SyntaxError, line};

/// The most bytes a Dockerfile may have.
const LIMIT: usize = 4 << 20;

/// A Dockerfile that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// What its first lines ask for.
    pub directives: Directives,
    /// ARG before the first FROM, in order.
    pub arguments: Vec<Instruction>,
    /// The stages, in order; at least one.
    pub stages: Vec<Stage>,
}

/// FROM and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What it begins with.
    pub from: From,
    /// How FROM is written.
    pub source: String,
    /// Where FROM is written.
    pub lines: Lines,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

/// A stage that `--from` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referred {
    /// One that stands before.
    Earlier(usize),
    /// The very stage.
    Own,
    /// One that comes after.
    Later,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// [`SyntaxError`] in BuildKit's words.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxError> {
        let whole = |message: &str| SyntaxError { message: message.to_owned(), lines: None };
        if bytes.len() > LIMIT {
            return Err(whole("the Dockerfile is larger than 4 MiB"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let directives = Directives::read(&text)?;
        let lines = line::read(&text, &directives)?;
        if lines.is_empty() {
            return Err(whole("file with no instructions"));
        }
        let mut read = Self { directives, arguments: Vec::new(), stages: Vec::new() };
        for line in &lines {
            let instruction = Instruction::parse(line, read.directives.escape)?;
            read.take(instruction)?;
        }
        if read.stages.is_empty() {
            return Err(whole("dockerfile contains no stages to build"));
        }
        Ok(read)
    }

    fn take(&mut self, instruction: Instruction) -> Result<(), SyntaxError> {
        let Instruction { kind, source, lines } = instruction;
        match (kind, self.stages.last_mut()) {
            (Kind::From(from), _) => self.stages.push(Stage { from, source, lines, instructions: Vec::new() }),
            (kind, Some(stage)) => stage.instructions.push(Instruction { kind, source, lines }),
            (kind @ Kind::Arg(_), None) => self.arguments.push(Instruction { kind, source, lines }),
            (_, None) => {
                let message =
                    format!("dockerfile parse error on line {}: no build stage in current context", lines.first);
                return Err(SyntaxError::at(lines, message));
            }
        }
        Ok(())
    }

    /// The stage of a name or number before the `before`th; the last one of several.
    #[must_use]
    pub fn find(&self, name: &str, before: usize) -> Option<usize> {
        let before = before.min(self.stages.len());
        let lower = name.to_lowercase();
        let named = self.stages[..before].iter().rposition(|stage| stage.from.name.as_deref() == Some(&lower));
        named.or_else(|| name.parse().ok().filter(|number| *number < before))
    }

    /// The stage of a name before the `before`th, as FROM means it: never a number.
    #[must_use]
    pub fn find_named(&self, name: &str, before: usize) -> Option<usize> {
        let lower = name.to_lowercase();
        self.stages[..before].iter().rposition(|stage| stage.from.name.as_deref() == Some(&lower))
    }

    /// What `--from` means in the `own`th: an earlier stage if there is one; none for no stage at all.
    #[must_use]
    pub fn referred(&self, name: &str, own: usize) -> Option<Referred> {
        if let Some(earlier) = self.find(name, own) {
            return Some(Referred::Earlier(earlier));
        }
        let named = self.stages.iter().position(|stage| stage.from.name.as_deref() == Some(&name.to_lowercase()));
        let found = named.or_else(|| name.parse().ok().filter(|number| *number < self.stages.len()))?;
        Some(if found == own { Referred::Own } else { Referred::Later })
    }
}
