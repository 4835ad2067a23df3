//! Single values of a YAML text put in place of others; whatever else the text says, comments too, stays as it is.

use crate::yaml::{Mark, Node};

/// A text and the changes to it.
pub(super) struct Rewrite<'t> {
    text: &'t str,
    lines: Vec<usize>,
    edits: Vec<(usize, usize, String)>,
}

impl<'t> Rewrite<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(ends).collect(), edits: Vec::new() }
    }

    /// Puts a plain word in place of the text that a node is. `key` is the word before it, if a mapping holds it: then
    /// the node's mark is the key's. None if the text does not stand there as it is, as with anchors.
    pub(super) fn put(&mut self, node: &Node, key: Option<&str>, word: &str) -> Option<()> {
        let mut at = self.offset(node.mark)?;
        if let Some(key) = key {
            let rest = &self.text[at..];
            let after = [format!("\"{key}\""), format!("'{key}'"), key.to_owned()];
            let rest = after.iter().find_map(|key| rest.strip_prefix(key.as_str()))?;
            let rest = rest.trim_start().strip_prefix(':')?.trim_start();
            at = self.text.len() - rest.len();
        }
        let length = written(&self.text[at..], node.as_text()?)?;
        let edit = (at, at + length, word.to_owned());
        if !self.edits.contains(&edit) {
            self.edits.push(edit);
        }
        Some(())
    }

    fn offset(&self, mark: Mark) -> Option<usize> {
        let line = *self.lines.get(usize::try_from(mark.line).ok()?.checked_sub(1)?)?;
        let column = usize::try_from(mark.column).ok()?.checked_sub(1)?;
        let (offset, _) = self.text[line..].char_indices().nth(column)?;
        Some(line + offset)
    }

    /// The changed text.
    pub(super) fn done(mut self) -> String {
        self.edits.sort();
        let mut out = String::with_capacity(self.text.len());
        let mut from = 0;
        for (start, end, word) in &self.edits {
            out += &self.text[from..*start];
            out += word;
            from = *end;
        }
        out + &self.text[from..]
    }
}

/// How long a scalar is that stands at the beginning of a text and means `value`.
fn written(text: &str, value: &str) -> Option<usize> {
    match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let inner = text[1..].find(quote)?;
            // What is escaped in quotes means something else than it says.
            (&text[1..=inner] == value).then_some(inner + 2)
        }
        _ => text.starts_with(value).then_some(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Limits, read};

    fn rewritten(text: &str) -> Option<String> {
        let document = read(text, 0, Limits::default()).unwrap().remove(0);
        let mut rewrite = Rewrite::new(text);
        for node in document.get("a")?.items() {
            match node.get("path") {
                Some(path) => rewrite.put(path, Some("path"), "new")?,
                None => rewrite.put(node, None, "new")?,
            }
        }
        Some(rewrite.done())
    }

    #[test]
    fn values_change_and_nothing_else() {
        let check = |text: &str, wanted: &str| assert_eq!(rewritten(text).as_deref(), Some(wanted), "{text}");
        check("a: [x, 'y', \"z\"] # x\nb: x\n", "a: [new, new, new] # x\nb: x\n");
        check(
            "ü: 1\na:\n  - ./x  # why\n  - path: ä b # x\n    c: 1\n",
            "ü: 1\na:\n  - new  # why\n  - path: new # x\n    c: 1\n",
        );
        check("a: [{path: x, r: 1}, {\"path\":\n  'y'}]", "a: [{path: new, r: 1}, {\"path\":\n  new}]");
    }

    #[test]
    fn what_is_written_elsewhere_is_not_guessed() {
        assert_eq!(rewritten("x: &x [b]\na: [*x, c]\n"), None);
        assert_eq!(rewritten("x: &x b\na: [\"b\\u0061\"]\n"), None);
    }
}
