//! COPY and ADD.

use super::command::list;
use super::flag::{Flags, Takes};
use super::heredoc::{self, Heredoc};

/// What is copied where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copying {
    /// Sources, in order.
    pub sources: Vec<String>,
    /// Files written in the Dockerfile itself.
    pub inline: Vec<Inline>,
    /// Where to.
    pub destination: String,
    /// `--from`.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`, which promises that nothing below matters. It makes the same files as without it, as in Docker's own
    /// store of images.
    pub link: bool,
    /// `--parents`: the sources' folders are made, too.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// ADD's `--checksum`.
    pub checksum: Option<String>,
    /// ADD's `--unpack`.
    pub unpack: Option<bool>,
    /// ADD's `--keep-git-dir`.
    pub keep_git: bool,
}

/// A file whose content is a here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// The file's name.
    pub name: String,
    /// Its content.
    pub content: String,
    /// Whether variables in it are expanded.
    pub expand: bool,
}

const COPY: &[(&str, Takes)] = &[
    ("chown", Takes::Text),
    ("from", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Truth),
    ("parents", Takes::Truth),
    ("exclude", Takes::Texts),
];

const ADD: &[(&str, Takes)] = &[
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Truth),
    ("keep-git-dir", Takes::Truth),
    ("checksum", Takes::Text),
    ("unpack", Takes::Truth),
    ("exclude", Takes::Texts),
];

/// Reads either instruction.
pub(super) fn parse(word: &str, flags: &[String], rest: &str, heredocs: &[Heredoc]) -> Result<Copying, String> {
    let flags = Flags::read(flags, if word == "COPY" { COPY } else { ADD })?;
    let words = match list(rest)? {
        Some(words) => words,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    let (destination, sources) = match words.split_last() {
        Some((destination, sources)) if !sources.is_empty() => (destination.clone(), sources),
        Some((_, _)) => {
            return Err(format!(
                "{word} requires at least two arguments, but only one was provided. Destination could not be determined"
            ));
        }
        None => return Err(format!("{word} requires at least two arguments")),
    };
    if heredoc::parse(&destination).is_some() {
        return Err(format!("{word} cannot accept a heredoc as a destination"));
    }
    let (inline, sources) = parted(sources, heredocs);
    Ok(Copying {
        sources,
        inline,
        destination,
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.truth("link").unwrap_or(false),
        parents: flags.truth("parents").unwrap_or(false),
        exclude: flags.texts("exclude"),
        checksum: flags.text("checksum"),
        unpack: flags.truth("unpack"),
        keep_git: flags.truth("keep-git-dir").unwrap_or(false),
    })
}

/// Here-documents among the sources, and the rest.
fn parted(words: &[String], heredocs: &[Heredoc]) -> (Vec<Inline>, Vec<String>) {
    let (mut inline, mut sources) = (Vec::new(), Vec::new());
    for word in words {
        let begun = heredoc::parse(word);
        match begun.and_then(|begun| heredocs.iter().find(|heredoc| heredoc.name == begun.name)) {
            Some(found) => {
                inline.push(Inline { name: found.name.clone(), content: found.text(), expand: found.expand });
            }
            None => sources.push(word.clone()),
        }
    }
    (inline, sources)
}
