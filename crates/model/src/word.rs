//! The words of a Dockerfile instruction: where they end, what their quotes mean, and the variables in them.
//! Leaves out which instructions expand variables, and which variables there are.

use std::iter::Peekable;
use std::str::Chars;

/// A word that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct InvalidWord {
    /// The word.
    pub word: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Parts a line at the blanks that stand in no quotes; quotes and backslashes stay, for [`expand`].
#[must_use]
pub fn split(line: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quote) = (Vec::new(), None, None);
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        if character.is_whitespace() && quote.is_none() {
            words.extend(begin.take().map(|begin: usize| &line[begin..at]));
            continue;
        }
        begin.get_or_insert(at);
        match character {
            '\\' if quote != Some('\'') => drop(characters.next()),
            '"' | '\'' if quote.is_none() => quote = Some(character),
            other if quote == Some(other) => quote = None,
            _ => {}
        }
    }
    words.extend(begin.map(|begin| &line[begin..]));
    words
}

/// Takes the quotes off a word and puts values in the place of variables; one that is not set is empty.
///
/// # Errors
/// [`InvalidWord`] for quotes and braces that are not closed, and for operators other than `:-`, `:+`, `:?` and those
/// without their colon.
pub fn expand(word: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, InvalidWord> {
    let mut reader = Reader { rest: word.chars().peekable(), value };
    reader.read(None).map_err(|reason| InvalidWord { word: word.to_owned(), reason })
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    value: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// Reads up to `end`, which is taken away, or to the end of the word.
    fn read(&mut self, end: Option<char>) -> Result<String, String> {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                found if Some(found) == end => return Ok(text),
                '\'' => text += &self.single_quoted()?,
                '"' => text += &self.double_quoted()?,
                '$' => text += &self.variable()?,
                '\\' => text.extend(self.rest.next()),
                other => text.push(other),
            }
        }
        match end {
            Some(_) => Err("unexpected end of statement while looking for matching }".to_owned()),
            None => Ok(text),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some('\'') => return Ok(text),
                Some(other) => text.push(other),
                None => return Err("unexpected end of statement while looking for matching single-quote".to_owned()),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some('"') => return Ok(text),
                Some('$') => text += &self.variable()?,
                Some('\\') => match self.rest.next_if(|next| matches!(next, '"' | '$' | '\\')) {
                    Some(escaped) => text.push(escaped),
                    None => text.push('\\'),
                },
                Some(other) => text.push(other),
                None => return Err("unexpected end of statement while looking for matching double-quote".to_owned()),
            }
        }
    }

    /// What follows a dollar sign.
    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.value)(&name).unwrap_or_default() });
        }
        let name = self.name();
        if name.is_empty() {
            return Err("bad substitution".to_owned());
        }
        let value = (self.value)(&name);
        let (colon, operator) = match self.rest.next() {
            Some('}') => return Ok(value.unwrap_or_default()),
            Some(':') => (true, self.rest.next()),
            other => (false, other),
        };
        let Some(operator) = operator else { return Err("unexpected end of statement".to_owned()) };
        if !matches!(operator, '-' | '+' | '?') {
            return Err(format!("unsupported modifier ({operator}) in substitution"));
        }
        let word = self.read(Some('}'))?;
        let set = value.filter(|value| !colon || !value.is_empty());
        match (operator, set) {
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            ('?', None) => {
                Err(format!("{name}: {}", if word.is_empty() { "is not allowed to be unset" } else { &word }))
            }
            (_, None) => Ok(word),
        }
    }

    /// Letters, digits and underscores; a name that begins with a digit has nothing but digits.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(next) = self.rest.next_if(|next| belongs(&name, *next)) {
            name.push(next);
        }
        name
    }
}

fn belongs(name: &str, next: char) -> bool {
    match name.chars().next() {
        Some(first) if first.is_ascii_digit() => next.is_ascii_digit(),
        _ => next.is_ascii_alphanumeric() || next == '_',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn words_end_at_bare_blanks() {
        assert_eq!(split(r#" a "b c"  d='e f'\ g "#), ["a", r#""b c""#, r"d='e f'\ g"]);
        assert_eq!(split(r#"A="unclosed b"#), [r#"A="unclosed b"#]);
        assert!(split("  ").is_empty());
    }

    #[test]
    fn variables_and_quotes() {
        for (word, expect) in [
            ("$A/x", "1/x"),
            ("${A}x$UNSET.", "1x."),
            ("${UNSET:-none}${EMPTY:-none}${EMPTY-none}", "nonenone"),
            ("${A:+yes}${UNSET:+yes}${EMPTY+set}", "yesset"),
            ("${UNSET:-a${A}b}", "a1b"),
            (r#""$A \"b\" \n" '$A' \$A"#, r#"1 "b" \n $A $A"#),
            ("$ $", "$ $"),
            ("$1A", "A"),
        ] {
            assert_eq!(expand(word, &value).as_deref(), Ok(expect), "{word}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (word, reason) in [
            ("\"unclosed", "unexpected end of statement while looking for matching double-quote"),
            ("'unclosed", "unexpected end of statement while looking for matching single-quote"),
            ("${A", "unexpected end of statement"),
            ("${A:-", "unexpected end of statement while looking for matching }"),
            ("${}", "bad substitution"),
            ("${A#x}", "unsupported modifier (#) in substitution"),
            ("${UNSET:?missing}", "UNSET: missing"),
        ] {
            let refused = expand(word, &value).unwrap_err();
            assert_eq!(refused.to_string(), format!("failed to process {word:?}: {reason}"));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,60}") {
            for word in split(&line) {
                let _ = expand(word, &value);
            }
        }
    }
}
