//! Here-documents: `<<EOF`, `<<-EOF`, `<<"EOF"`.

use hako_model::word::Lexer;

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that begins and ends it.
    pub name: String,
    /// Its lines, with their ends.
    pub content: String,
    /// Whether variables in it are expanded: the word was not quoted.
    pub expand: bool,
    /// Whether leading tabs are left out.
    pub chomp: bool,
}

impl Heredoc {
    /// The content without leading tabs, if that was asked for.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// The here-documents a line begins, in order, still empty.
pub(super) fn begun(line: &str) -> Vec<Heredoc> {
    let raw = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::default() };
    let words = raw.words(line, &|_| None).unwrap_or_default();
    words.iter().filter_map(|word| parse(word)).collect()
}

/// A word that begins a here-document.
pub(super) fn parse(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let plain = Lexer { keep_unset: true, ..Lexer::default() };
    let words = plain.words(rest, &|_| None).ok()?;
    let [name] = &words[..] else { return None };
    Some(Heredoc { name: name.clone(), content: String::new(), expand: name == rest, chomp })
}
