//! Text that fits the width of a terminal. What goes to a file or a program is never broken.

use crate::{output, terminal};

/// How wide lines may be.
pub(crate) fn room() -> usize {
    if output::to_terminal() {
        terminal::size().map_or(80, |size| usize::from(size.columns)).max(60)
    } else {
        usize::MAX
    }
}

/// Breaks lines that are too long between words; what follows is indented. Words that are too long stay whole.
pub(crate) fn folded(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut used = 0;
        for word in line.split_inclusive(' ') {
            let length = word.trim_end().chars().count();
            if used > indent && used + length > width {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                used = indent;
            }
            out += word;
            used += word.chars().count();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn lines_break_between_words() {
        for (text, indent, width, shown) in [
            ("one two three\n", 0, 8, "one two\nthree\n"),
            ("- one two three", 2, 9, "- one two\n  three"),
            ("one\ntwo", 0, 4, "one\ntwo"),
            ("verylongword x", 2, 5, "verylongword\n  x"),
            ("as it is", 0, usize::MAX, "as it is"),
            ("    → a b", 6, 7, "    → a\n      b"),
        ] {
            assert_eq!(folded(text, indent, width), shown, "{text:?}");
        }
    }
}
