//! A command line in one text, split into words as mattn's shellwords (and so Compose) splits it.

/// The words of a command line.
///
/// # Errors
/// A text that says what is wrong: an open quote.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut started) = (Vec::new(), String::new(), false);
    let mut letters = text.chars();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                started = true;
                word.push(letters.next().ok_or("ends in a backslash")?);
            }
            ('\'' | '"', None) => (quote, started) = (Some(letter), true),
            (letter, Some(open)) if letter == open => quote = None,
            (' ' | '\t' | '\r' | '\n', None) => {
                if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
            }
            // Compose's splitter stops at what would be another command.
            (';' | '&' | '|' | '<' | '>', None) => break,
            (letter, _) => {
                word.push(letter);
                started = true;
            }
        }
    }
    if quote.is_some() {
        return Err("invalid command line string: a quote is not closed".to_owned());
    }
    if started {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_unquoted() {
        let check = |text: &str, wanted: &[&str]| assert_eq!(split(text).unwrap(), wanted, "{text}");
        check("a 'b c' \"d e\" \\f", &["a", "b c", "d e", "f"]);
        check("serve --trays \"two levels\"", &["serve", "--trays", "two levels"]);
        check("a \"\" b", &["a", "", "b"]);
        check("", &[]);
        check("x 'it''s'", &["x", "its"]);
        assert!(split("it's").is_err());
    }
}
