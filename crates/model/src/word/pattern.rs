//! Shell patterns in substitutions: `*`, `?` and escaped characters. Matching takes time proportional to text times
//! pattern, whatever they hold.

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Char(char),
}

/// A pattern.
pub(super) struct Shape(Vec<Part>);

impl Shape {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => Part::Char(characters.next().unwrap_or('\\')),
                other => Part::Char(other),
            });
        }
        Self(parts)
    }

    /// How many characters from the beginning can match: the fewest, or with `greedy` the most.
    fn matches(&self, text: &[char], greedy: bool) -> Option<usize> {
        let mut states = vec![false; self.0.len() + 1];
        states[0] = true;
        self.spread(&mut states);
        let mut found = states[self.0.len()].then_some(0);
        for (at, character) in text.iter().enumerate() {
            if found.is_some() && !greedy {
                break;
            }
            states = self.step(&states, *character);
            if !states.contains(&true) {
                break;
            }
            if states[self.0.len()] {
                found = Some(at + 1);
            }
        }
        found
    }

    /// A star may stand for nothing.
    fn spread(&self, states: &mut [bool]) {
        for (at, part) in self.0.iter().enumerate() {
            if states[at] && *part == Part::Any {
                states[at + 1] = true;
            }
        }
    }

    fn step(&self, states: &[bool], character: char) -> Vec<bool> {
        let mut next = vec![false; states.len()];
        for (at, part) in self.0.iter().enumerate().filter(|(at, _)| states[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::One => next[at + 1] = true,
                Part::Char(own) => next[at + 1] |= *own == character,
            }
        }
        self.spread(&mut next);
        next
    }

    pub(super) fn without_prefix(&self, value: &str, greedy: bool) -> String {
        let text: Vec<char> = value.chars().collect();
        text[self.matches(&text, greedy).unwrap_or(0)..].iter().collect()
    }

    pub(super) fn without_suffix(&self, value: &str, greedy: bool) -> String {
        let text: Vec<char> = value.chars().rev().collect();
        let backwards = Self(self.0.iter().rev().copied().collect());
        text[backwards.matches(&text, greedy).unwrap_or(0)..].iter().rev().collect()
    }

    /// Replaces the first longest match, or all.
    pub(super) fn replace(&self, value: &str, by: &str, all: bool) -> String {
        let text: Vec<char> = value.chars().collect();
        let (mut out, mut at, mut done) = (String::new(), 0, false);
        while at < text.len() {
            match self.matches(&text[at..], true).filter(|length| *length > 0 && !done) {
                Some(length) => {
                    out += by;
                    at += length;
                    done = !all;
                }
                None => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        out
    }
}
