//! `.env` and `env_file` files: exports, quotes, escapes, comments, values over several lines, expansion.

use std::collections::HashMap;

use crate::template::{Trouble, Variables, substitute};

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The line it stood on.
    pub line: u32,
}

/// A file is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// The line.
    pub line: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// The surroundings first, then the file's own assignments.
struct Scope<'a> {
    own: &'a HashMap<String, String>,
    outer: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.outer)(name).or_else(|| self.own.get(name).cloned())
    }

    fn unset(&self, _name: &str) {}
}

/// Reads a file; `outer` answers for variables the file does not set.
///
/// # Errors
/// [`Malformed`] with the line.
pub fn parse(text: &str, outer: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Assignment>, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1 };
    let (mut found, mut own) = (Vec::new(), HashMap::new());
    while reader.skip_blank() {
        let line = reader.line;
        let name = reader.name()?;
        let value = match name.assigned {
            true => Some(reader.value(&Scope { own: &own, outer })?),
            // A bare name passes the surroundings' value on.
            false => outer(&name.text),
        };
        if let Some(value) = value {
            own.insert(name.text.clone(), value.clone());
            found.push(Assignment { name: name.text, value, line });
        }
    }
    Ok(found)
}

/// Reads a file of `format: raw`: values stand as they are.
#[must_use]
pub fn parse_raw(text: &str, outer: &dyn Fn(&str) -> Option<String>) -> Vec<Assignment> {
    let mut found = Vec::new();
    for (line, row) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let row = row.trim_start();
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let (name, value) = match row.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (row.trim_end(), outer(row.trim_end())),
        };
        if let Some(value) = value {
            found.push(Assignment { name: name.to_owned(), value, line });
        }
    }
    found
}

struct Name {
    text: String,
    assigned: bool,
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
}

impl<'t> Reader<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += u32::try_from(taken.matches('\n').count()).unwrap_or(0);
        self.rest = rest;
        taken
    }

    /// Passes empty lines and comments; false at the end.
    fn skip_blank(&mut self) -> bool {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn malformed(&self, reason: String) -> Malformed {
        Malformed { line: self.line, reason }
    }

    fn name(&mut self) -> Result<Name, Malformed> {
        if let Some(after) = self.rest.strip_prefix("export").filter(|after| after.starts_with([' ', '\t'])) {
            self.take(self.rest.len() - after.trim_start_matches([' ', '\t']).len());
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let text = self.rest[..end].trim();
        let wrong = |c: &char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']'));
        if let Some(letter) = text.chars().find(wrong) {
            let near = self.rest.lines().next().unwrap_or_default();
            return Err(self.malformed(format!("unexpected character {letter:?} in variable name near {near:?}")));
        }
        let text = text.to_owned();
        let assigned = self.rest[end..].starts_with(['=', ':']);
        if assigned && text.is_empty() {
            return Err(self.malformed("zero length string: a name is missing".to_owned()));
        }
        self.take(end + usize::from(assigned));
        Ok(Name { text, assigned })
    }

    fn value(&mut self, scope: &Scope<'_>) -> Result<String, Malformed> {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.take(blank);
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote, scope),
            _ => {
                let line = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
                let line = if line.starts_with('#') { "" } else { line };
                let value = line.find(" #").or_else(|| line.find("\t#")).map_or(line, |at| &line[..at]);
                self.expand(value.trim_end(), scope)
            }
        }
    }

    fn quoted(&mut self, quote: char, scope: &Scope<'_>) -> Result<String, Malformed> {
        let body = &self.rest[1..];
        let mut escaped = false;
        let end = body.char_indices().find(|(_, letter)| {
            let closes = *letter == quote && !escaped;
            escaped = *letter == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = end else {
            let near = self.rest.lines().next().unwrap_or_default();
            return Err(self.malformed(format!("unterminated quoted value {near}")));
        };
        let value = &body[..end];
        let expanded = match quote {
            '"' => self.expand(&unescape(value), scope),
            _ => Ok(value.to_owned()),
        };
        self.take(end + 2);
        expanded
    }

    fn expand(&self, text: &str, scope: &Scope<'_>) -> Result<String, Malformed> {
        substitute(text, scope).map_err(|trouble| match trouble {
            Trouble::Format => self.malformed(format!("invalid interpolation format {text:?}")),
            Trouble::Missing { name, hint } => {
                self.malformed(format!("required variable {name} is missing a value: {hint}"))
            }
        })
    }
}

/// What a backslash means between double quotes; `\$` stays a dollar through the expansion that follows.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(plain @ ('"' | '\\')) => out.push(plain),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(name: &str) -> Option<String> {
        (name == "HOST").then(|| "host".to_owned())
    }

    fn check(text: &str, wanted: &[(&str, &str)]) {
        let found = parse(text, &outer).unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn every_way_to_write_a_value() {
        check("# c\nA=1\nB = two \nexport C=x # y\n", &[("A", "1"), ("B", "two"), ("C", "x")]);
        check("A=\"q \\\"in\\\" \\n\\t \\$B\"\nB='$A \\n'\n", &[("A", "q \"in\" \n\t $B"), ("B", "$A \\n")]);
        check("A=1\nB=${A}-${HOST:-none}-${NO:-d}\n", &[("A", "1"), ("B", "1-host-d")]);
        check("A=\"one\ntwo\"\nB=3", &[("A", "one\ntwo"), ("B", "3")]);
        check("HOST\nABSENT\nA: yaml\nE=\nF=#c\n", &[("HOST", "host"), ("A", "yaml"), ("E", ""), ("F", "")]);
        check("U=http://x/#frag\r\nV=1\r\n", &[("U", "http://x/#frag"), ("V", "1")]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let line = |text: &str| parse(text, &outer).unwrap_err().line;
        assert_eq!(line("A=1\n\nB C=2\n"), 3);
        assert_eq!(line("A=1\nB=\"open\n\n"), 2);
        assert_eq!(line("=x"), 1);
        assert_eq!(line("A=${B:?no}"), 1);
    }

    #[test]
    fn raw_values_stand_as_they_are() {
        let found = parse_raw("A='x' $B\n# c\nHOST\n", &outer);
        assert_eq!(found[0].value, "'x' $B");
        assert_eq!(found[1].value, "host");
    }
}
