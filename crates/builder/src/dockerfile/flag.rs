//! Flags of instructions: `--name=value` words before the arguments.

use super::did_you_mean;

/// What kind of value a flag has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true`, `false` or nothing.
    Truth,
    /// One text.
    Text,
    /// A text each time it is given.
    Texts,
}

/// The flags given to one instruction.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Checks words against what the instruction knows.
    pub(super) fn read(words: &[String], known: &[(&'static str, Takes)]) -> Result<Self, String> {
        let mut flags = Self::default();
        for word in words {
            let text = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
            let Some((name, takes)) = known.iter().find(|(own, _)| *own == name) else {
                let hint = did_you_mean(name, known.iter().map(|(name, _)| *name));
                return Err(format!("unknown flag: --{name}{hint}"));
            };
            if *takes != Takes::Texts && flags.0.iter().any(|(given, _)| given == name) {
                return Err(format!("duplicate flag specified: {name}"));
            }
            flags.0.push((name, checked(name, value, *takes)?));
        }
        Ok(flags)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }
}

fn checked(name: &str, value: Option<&str>, takes: Takes) -> Result<String, String> {
    match (takes, value) {
        (Takes::Truth, None) => Ok("true".to_owned()),
        (_, None) => Err(format!("missing a value on flag: --{name}")),
        (Takes::Truth, Some("")) => Err(format!("missing a value on flag: --{name}")),
        (Takes::Truth, Some(value)) => match value.to_ascii_lowercase().as_str() {
            lower @ ("true" | "false") => Ok(lower.to_owned()),
            _ => Err(format!("expecting boolean value for flag {name}, not: {value}")),
        },
        (_, Some(value)) => Ok(value.to_owned()),
    }
}

/// Takes the flags off the front of an instruction's arguments; gives them and the rest.
pub(super) fn take(line: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = line.trim_start();
    while rest.starts_with("--") {
        let (word, after) = word(rest);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    (flags, rest)
}

/// One word with its quotes and backslashes taken away, and what follows it.
fn word(text: &str) -> (String, &str) {
    let (mut word, mut quote) = (String::new(), None);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
            _ if quote == Some(character) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(character),
            _ if character.is_whitespace() && quote.is_none() => return (word, &text[at..]),
            _ => word.push(character),
        }
    }
    (word, "")
}
