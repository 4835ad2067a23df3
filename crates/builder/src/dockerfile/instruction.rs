//! Single instructions: from a line to what it says.

use hako_model::container::HealthConfig;
use hako_model::word::Lexer;

use super::command::{Command, list};
use super::copying::{self, Copying};
use super::flag::{self, Flags, Takes};
use super::heredoc::Heredoc;
use super::line::Line;
use super::{Lines, SyntaxError, did_you_mean, healthcheck};

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// How it is written, continued lines joined.
    pub source: String,
    /// Where it is written.
    pub lines: Lines,
}

/// A name and what it is to be.
pub type Text = (String, String);

/// What an instruction says. Variables are not expanded yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// ADD.
    Add(Copying),
    /// COPY.
    Copy(Copying),
    /// ARG: names and defaults.
    Arg(Vec<(String, Option<String>)>),
    /// CMD.
    Cmd(Command),
    /// ENTRYPOINT.
    Entrypoint(Command),
    /// ENV.
    Env(Vec<Text>),
    /// EXPOSE.
    Expose(Vec<String>),
    /// FROM; becomes a stage.
    From(From),
    /// HEALTHCHECK.
    Healthcheck(HealthConfig),
    /// LABEL.
    Label(Vec<Text>),
    /// MAINTAINER.
    Maintainer(String),
    /// ONBUILD: the instruction to be done later.
    Onbuild(String),
    /// RUN.
    Run(Run),
    /// SHELL.
    Shell(Vec<String>),
    /// STOPSIGNAL.
    StopSignal(String),
    /// USER.
    User(String),
    /// VOLUME.
    Volume(Vec<String>),
    /// WORKDIR.
    Workdir(String),
}

/// FROM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct From {
    /// The image or stage.
    pub base: String,
    /// `AS`.
    pub name: Option<String>,
    /// `--platform`.
    pub platform: Option<String>,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// What is executed.
    pub command: Command,
    /// Here-documents that belong to it.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, as written.
    pub mounts: Vec<String>,
    /// `--network`.
    pub network: Option<String>,
    /// `--security`.
    pub security: Option<String>,
    /// `--device`.
    pub devices: Vec<String>,
}

const WORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

const RUN: &[(&str, Takes)] =
    &[("mount", Takes::Texts), ("network", Takes::Text), ("security", Takes::Text), ("device", Takes::Texts)];

impl Instruction {
    /// Reads one logical line.
    pub(super) fn parse(line: &Line, escape: char) -> Result<Self, SyntaxError> {
        let text = line.text.trim();
        let word = text.split(char::is_whitespace).next().unwrap_or_default();
        let kind = parse(word, &text[word.len()..], &line.heredocs, escape);
        let kind = kind.map_err(|why| {
            SyntaxError::at(line.lines, format!("dockerfile parse error on line {}: {why}", line.lines.first))
        })?;
        Ok(Self { kind, source: text.to_owned(), lines: line.lines })
    }

    /// Reads a trigger that an image carries.
    ///
    /// # Errors
    /// It is no instruction, or none that may be a trigger.
    pub fn trigger(text: &str, lines: Lines) -> Result<Self, SyntaxError> {
        let heredocs = super::line::read(text, &super::Directives::default())?;
        let line = match heredocs.into_iter().next() {
            Some(line) => Line { lines, ..line },
            None => return Err(SyntaxError::at(lines, "an ONBUILD trigger of the image is empty")),
        };
        Self::parse(&line, '\\')
    }
}

fn parse(word: &str, rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Kind, String> {
    let upper = word.to_ascii_uppercase();
    if !WORDS.contains(&upper.as_str()) {
        return Err(format!("unknown instruction: {word}{}", did_you_mean(word, WORDS)));
    }
    let (flags, rest) = flag::take(rest);
    let rest = rest.trim();
    let lexer = Lexer { escape, ..Lexer::default() };
    match upper.as_str() {
        "ADD" => return copying::parse("ADD", &flags, rest, heredocs).map(Kind::Add),
        "COPY" => return copying::parse("COPY", &flags, rest, heredocs).map(Kind::Copy),
        "FROM" => return from(&flags, rest).map(Kind::From),
        "HEALTHCHECK" => return healthcheck::parse(&flags, rest).map(Kind::Healthcheck),
        "RUN" => return run(&flags, rest, heredocs).map(Kind::Run),
        _ => drop(Flags::read(&flags, &[])?),
    }
    match upper.as_str() {
        "ARG" => arguments(&lexer, rest).map(Kind::Arg),
        "CMD" => Command::parse(rest).map(Kind::Cmd),
        "ENTRYPOINT" => Command::parse(rest).map(Kind::Entrypoint),
        "ENV" => pairs(&lexer, "ENV", rest).map(Kind::Env),
        "EXPOSE" => several("EXPOSE", words(rest)).map(Kind::Expose),
        "LABEL" => pairs(&lexer, "LABEL", rest).map(Kind::Label),
        "MAINTAINER" => one("MAINTAINER", rest).map(Kind::Maintainer),
        "ONBUILD" => onbuild(rest, heredocs).map(Kind::Onbuild),
        "SHELL" => shell(rest).map(Kind::Shell),
        "STOPSIGNAL" => one("STOPSIGNAL", rest).map(Kind::StopSignal),
        "USER" => one("USER", rest).map(Kind::User),
        "VOLUME" => volumes(rest).map(Kind::Volume),
        _ => one("WORKDIR", rest).map(Kind::Workdir),
    }
}

fn words(rest: &str) -> Vec<String> {
    rest.split_whitespace().map(str::to_owned).collect()
}

fn one(word: &str, rest: &str) -> Result<String, String> {
    if rest.is_empty() { Err(format!("{word} requires exactly one argument")) } else { Ok(rest.to_owned()) }
}

fn several(word: &str, words: Vec<String>) -> Result<Vec<String>, String> {
    if words.is_empty() { Err(format!("{word} requires at least one argument")) } else { Ok(words) }
}

fn from(flags: &[String], rest: &str) -> Result<From, String> {
    let flags = Flags::read(flags, &[("platform", Takes::Text)])?;
    let words = words(rest);
    let (base, name) = match &words[..] {
        [base] => (base, None),
        [base, word, name] if word.eq_ignore_ascii_case("AS") => (base, Some(stage_name(name)?)),
        _ => return Err("FROM requires either one or three arguments".to_owned()),
    };
    Ok(From { base: base.clone(), name, platform: flags.text("platform") })
}

fn stage_name(name: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    let begins = lower.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if begins && plain {
        return Ok(lower);
    }
    Err(format!("invalid name for build stage: {name:?}, name can't start with a number or contain symbols"))
}

fn run(flags: &[String], rest: &str, heredocs: &[Heredoc]) -> Result<Run, String> {
    let flags = Flags::read(flags, RUN)?;
    let run = Run {
        command: Command::parse(rest)?,
        heredocs: heredocs.to_vec(),
        mounts: flags.texts("mount"),
        network: flags.text("network"),
        security: flags.text("security"),
        devices: flags.texts("device"),
    };
    if let Some(mode) = run.network.as_deref().filter(|mode| !["default", "none", "host"].contains(mode)) {
        return Err(format!("invalid network mode {mode:?}{}", did_you_mean(mode, ["default", "none", "host"])));
    }
    choice("security", run.security.as_deref(), &["sandbox", "insecure"])?;
    for mount in &run.mounts {
        super::mount::check(mount)?;
    }
    Ok(run)
}

fn choice(what: &str, given: Option<&str>, known: &[&str]) -> Result<(), String> {
    match given.filter(|given| !known.contains(given)) {
        None => Ok(()),
        Some(given) => {
            Err(format!("{what} {given:?} is not valid for RUN{}", did_you_mean(given, known.iter().copied())))
        }
    }
}

fn arguments(lexer: &Lexer, rest: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let words = lexer.split(rest);
    if words.is_empty() {
        return Err("ARG requires at least one argument".to_owned());
    }
    let argument = |word: &str| {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        if name.is_empty() { Err("ARG names can not be blank".to_owned()) } else { Ok((name.to_owned(), value)) }
    };
    words.into_iter().map(argument).collect()
}

/// `name=value …`, or the old form `name the rest of the line`.
fn pairs(lexer: &Lexer, word: &str, rest: &str) -> Result<Vec<Text>, String> {
    let words = lexer.split(rest);
    let Some(first) = words.first() else { return Err(format!("{word} requires at least one argument")) };
    if !first.contains('=') {
        let (name, value) = rest
            .split_once([' ', '\t', '\r', '\x0b', '\x0c'])
            .ok_or_else(|| format!("{word} must have two arguments"))?;
        return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
    }
    let pair = |text: &str| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("Syntax error - can't find = in {text:?}. Must be of the form: name=value"))?;
        if name.is_empty() {
            return Err(format!("{word} names can not be blank"));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    words.into_iter().map(pair).collect()
}

/// A trigger's text is kept for later builds, here-documents and all; whether it is an instruction is seen there.
fn onbuild(rest: &str, heredocs: &[Heredoc]) -> Result<String, String> {
    let word = rest.split_whitespace().next().unwrap_or_default();
    match word.to_ascii_uppercase().as_str() {
        "" => return Err("ONBUILD requires at least one argument".to_owned()),
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        upper @ ("MAINTAINER" | "FROM") => return Err(format!("{upper} isn't allowed as an ONBUILD trigger")),
        _ => {}
    }
    let documents = heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
    Ok(rest.to_owned() + &documents.collect::<String>())
}

fn shell(rest: &str) -> Result<Vec<String>, String> {
    match list(rest)? {
        None if rest.is_empty() => Err("SHELL requires at least one argument".to_owned()),
        None => Err("SHELL requires the arguments to be in JSON form".to_owned()),
        Some(words) => several("SHELL", words),
    }
}

fn volumes(rest: &str) -> Result<Vec<String>, String> {
    let words = match list(rest)? {
        Some(words) => words,
        None => words(rest),
    };
    let words = several("VOLUME", words)?;
    match words.iter().any(|word| word.trim().is_empty()) {
        true => Err("VOLUME specified can not be an empty string".to_owned()),
        false => Ok(words),
    }
}
