//! Patterns of names, in Go's two dialects: `filepath.Match` for sources, moby's `patternmatcher` for .dockerignore.
//! Matching takes time proportional to pattern times name, whatever they hold.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {0:?}")]
pub struct InvalidPattern(String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    Char(char),
    /// One character but a slash.
    One,
    /// Any characters but slashes.
    Star,
    /// Any characters.
    Deep,
    /// Nothing, or what `Inside` takes; that stands right behind it.
    Folders,
    /// Any characters up to and with a slash.
    Inside,
    /// One of these, or none of these.
    Class { ranges: Vec<(char, char)>, negated: bool },
}

impl Pattern {
    /// Go's `filepath.Match`: a star never crosses a slash.
    ///
    /// # Errors
    /// A class is not closed, or an escape escapes nothing.
    pub fn name(text: &str) -> Result<Self, InvalidPattern> {
        Self::parse(text, false)
    }

    /// moby's: two stars cross slashes.
    ///
    /// # Errors
    /// As for [`Pattern::name`].
    pub fn path(text: &str) -> Result<Self, InvalidPattern> {
        Self::parse(text, true)
    }

    fn parse(text: &str, deep: bool) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern(text.to_owned());
        let mut parts = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            let part = match character {
                '*' if deep && rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    if rest.peek().is_none() { Part::Deep } else { Part::Folders }
                }
                '*' => Part::Star,
                '?' => Part::One,
                '\\' => Part::Char(rest.next().ok_or_else(invalid)?),
                '[' => class(&mut rest).ok_or_else(invalid)?,
                other => Part::Char(other),
            };
            let inside = (part == Part::Folders).then_some(Part::Inside);
            parts.push(part);
            parts.extend(inside);
        }
        Ok(Self { parts })
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut states = vec![false; self.parts.len() + 1];
        states[0] = true;
        self.spread(&mut states);
        for character in name.chars() {
            states = self.step(&states, character);
            if !states.contains(&true) {
                return false;
            }
        }
        states[self.parts.len()]
    }

    /// What may stand for nothing.
    fn spread(&self, states: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Star | Part::Deep if states[at] => states[at + 1] = true,
                Part::Folders if states[at] => states[at + 1..at + 3].fill(true),
                _ => {}
            }
        }
    }

    fn step(&self, states: &[bool], character: char) -> Vec<bool> {
        let mut next = vec![false; states.len()];
        for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| states[*at]) {
            match part {
                Part::Char(own) => next[at + 1] |= *own == character,
                Part::One => next[at + 1] |= character != '/',
                Part::Star => next[at] |= character != '/',
                Part::Deep => next[at] = true,
                Part::Folders => {}
                Part::Inside => {
                    next[at] = true;
                    next[at + 1] |= character == '/';
                }
                Part::Class { ranges, negated } => {
                    let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                    next[at + 1] |= inside != *negated && character != '/';
                }
            }
        }
        self.spread(&mut next);
        next
    }
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Part> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        match rest.next()? {
            ']' if !ranges.is_empty() => return Some(Part::Class { ranges, negated }),
            low => {
                let low = if low == '\\' { rest.next()? } else { low };
                let high = match rest.next_if_eq(&'-') {
                    Some(_) => rest.next().map(|high| if high == '\\' { rest.next() } else { Some(high) })??,
                    None => low,
                };
                ranges.push((low, high));
            }
        }
    }
}

/// Whether a text has characters that mean something in patterns.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '?' | '[' => return true,
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: Pattern, yes: &[&str], no: &[&str]) {
        for name in yes {
            assert!(pattern.matches(name), "{pattern:?} must match {name}");
        }
        for name in no {
            assert!(!pattern.matches(name), "{pattern:?} must not match {name}");
        }
    }

    #[test]
    fn names() {
        let name = |text| Pattern::name(text).unwrap();
        check(name("*.txt"), &["a.txt", ".txt"], &["a/b.txt", "a.txt2"]);
        check(name("a?c"), &["abc"], &["a/c", "ac"]);
        check(name("[a-c]x[^0-9]"), &["bxz"], &["dxz", "bx1"]);
        check(name(r"\*[\]a]"), &["*]", "*a"], &["x]"]);
        check(name("d*/f"), &["dir/f"], &["d/e/f"]);
        for text in ["[a", "[", "a\\", "[a-"] {
            assert!(Pattern::name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths() {
        let path = |text| Pattern::path(text).unwrap();
        check(path("**/*.tmp"), &["a.tmp", "x/y/a.tmp"], &["a.tmpx", "x/y"]);
        check(path("src/**/gen"), &["src/gen", "src/a/b/gen"], &["src/xgen", "gen", "src/a/genx"]);
        check(path("a/**"), &["a/b", "a/b/c"], &["a", "ab"]);
        check(path("**"), &["a", "a/b"], &[]);
        check(path("a**b"), &["ab", "ax/b"], &["axb"]);
        check(path("docs/*.md"), &["docs/a.md"], &["docs/x/a.md"]);
    }

    #[test]
    fn what_means_something() {
        assert!(is_pattern("a*") && is_pattern("[a]") && is_pattern("x?"));
        assert!(!is_pattern("a.b") && !is_pattern(r"a\*"));
    }

    proptest! {
        #[test]
        fn any_pattern_ends(text in "[a*?/\\[\\]^\\\\-]{0,30}", name in "[a/-]{0,60}") {
            if let Ok(pattern) = Pattern::path(&text) {
                let _ = pattern.matches(&name);
            }
        }
    }
}
