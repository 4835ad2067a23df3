//! Texts in quotes, as Go prints them.

/// Go's `strconv.Quote`.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            // Rust escapes it, Go does not.
            '\'' => quoted.push('\''),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' | '\r' | '\t' | '\\' => quoted.extend(character.escape_default()),
            '\0'..='\x1f' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => quoted.extend(printable(character)),
        }
    }
    quoted.push('"');
    quoted
}

/// The character itself, or Go's escape for one that cannot be printed.
fn printable(character: char) -> Vec<char> {
    // Behind another one, so that a combining mark counts as printable, as it does in Go.
    let escaped: String = format!("a{character}").escape_debug().skip(1).collect();
    match (escaped.starts_with("\\u"), u32::from(character)) {
        (false, _) => vec![character],
        (true, code @ 0..=0xffff) => format!("\\u{code:04x}").chars().collect(),
        (true, code) => format!("\\U{code:08x}").chars().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_gos() {
        for (text, quoted) in [
            ("it's \"b\" c\\d", r#""it's \"b\" c\\d""#),
            ("a\tb\nc\x1b[0m\x7f\0", r#""a\tb\nc\x1b[0m\x7f\x00""#),
            ("é…e\u{301}\u{a0}\u{200b}", "\"é…e\u{301}\\u00a0\\u200b\""),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
