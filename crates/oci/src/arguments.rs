//! Arguments: flags before and between words, as runc's command line takes them.
//!
//! A flag is written `--name value`, `--name=value` or with one dash; a switch may be given `=true` or `=false`.

use std::ffi::OsString;

use crate::command::Command;
use crate::error::{Error, Result};

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    /// A second, short name; empty if there is none.
    pub(crate) short: &'static str,
    /// What its value stands for; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// A flag without value.
pub(crate) const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { name, short, value: None, help }
}

/// A flag with a value.
pub(crate) const fn valued(name: &'static str, short: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short, value: Some(value), help }
}

/// Flags and words that were found.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    flags: Vec<(&'static str, String)>,
    /// What is no flag, in order.
    pub(crate) words: Vec<String>,
}

impl Parsed {
    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// The last value of a flag.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a flag as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, command: &'static str, name: &str) -> Result<Option<T>> {
        let wrong = |text: &str| Error::Usage { command, what: format!("--{name} {text}: not such a number") };
        self.value(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// The container's id: the first word.
    pub(crate) fn id(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// The arguments as text.
pub(crate) fn texts(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>> {
    let text = |argument: OsString| {
        argument
            .into_string()
            .map_err(|other| Error::Usage { command: "", what: format!("argument {other:?} is not UTF-8") })
    };
    arguments.map(text).collect()
}

/// The flags before the first word, and the rest.
pub(crate) fn parse_first<'a>(flags: &'static [Flag], arguments: &'a [String]) -> Result<(Parsed, &'a [String])> {
    let mut parsed = Parsed::default();
    let mut rest = arguments;
    while let Some((first, others)) = rest.split_first()
        && first.starts_with('-')
    {
        rest = take("", flags, &mut parsed, first, others)?;
    }
    Ok((parsed, rest))
}

/// A command's flags and words. Some commands take everything behind the first word as it is.
pub(crate) fn parse(command: &'static Command, arguments: &[String]) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut rest = arguments;
    while let Some((first, others)) = rest.split_first() {
        if first == "--" || (command.verbatim && !parsed.words.is_empty()) {
            let behind = if first == "--" { others } else { rest };
            parsed.words.extend_from_slice(behind);
            break;
        }
        if first.len() > 1 && first.starts_with('-') {
            rest = take(command.name, command.flags, &mut parsed, first, others)?;
        } else {
            parsed.words.push(first.clone());
            rest = others;
        }
    }
    Ok(parsed)
}

const HELP: Flag = switch("help", "h", "Show help");

fn take<'a>(
    command: &'static str,
    flags: &'static [Flag],
    parsed: &mut Parsed,
    first: &str,
    others: &'a [String],
) -> Result<&'a [String]> {
    let wrong = |what: String| Error::Usage { command, what };
    let text = first.trim_start_matches('-');
    let (name, given) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let known = |flag: &&Flag| flag.name == name || (!flag.short.is_empty() && flag.short == name);
    let flag = flags.iter().chain([&HELP]).find(known).ok_or_else(|| wrong(format!("unknown flag {first}")))?;
    let (value, rest) = match (flag.value, given) {
        (None, None) => ("true", others),
        (None, Some(value @ ("true" | "false"))) => (value, others),
        (None, Some(other)) => return Err(wrong(format!("--{name}={other}: it takes no value but true or false"))),
        (Some(_), Some(value)) => (value, others),
        (Some(what), None) => {
            let (value, rest) = others.split_first().ok_or_else(|| wrong(format!("--{name} needs a value: {what}")))?;
            (value.as_str(), rest)
        }
    };
    parsed.flags.push((flag.name, value.to_owned()));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(command: &str, line: &str) -> Result<Parsed> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(crate::command::find(command).unwrap(), &arguments)
    }

    #[test]
    fn flags_stand_anywhere_before_a_program() {
        let parsed = given("delete", "--force box").unwrap();
        assert!(parsed.on("force") && parsed.id() == "box");
        assert!(given("delete", "box -f").unwrap().on("force"));
        assert!(!given("delete", "box --force=false").unwrap().on("force"));
        let parsed = given("exec", "-t -e A=B --env=C=D box ls -l --tty").unwrap();
        assert_eq!(parsed.words, ["box", "ls", "-l", "--tty"]);
        assert_eq!(parsed.all("env").collect::<Vec<_>>(), ["A=B", "C=D"]);
        assert_eq!(given("kill", "box -- -9").unwrap().words, ["box", "-9"]);
    }

    #[test]
    fn what_is_unknown_or_incomplete_is_named() {
        for (line, word) in [("box --fly", "--fly"), ("--force=maybe box", "maybe")] {
            assert!(given("delete", line).unwrap_err().to_string().contains(word), "{line}");
        }
        assert!(given("create", "box --bundle").unwrap_err().to_string().contains("--bundle"));
    }
}
