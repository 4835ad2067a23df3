//! The words of a Dockerfile instruction: where they end, what their quotes mean, and the variables in them.
//! Leaves out which instructions expand variables, and which variables there are.

mod pattern;

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

/// How words are read: BuildKit's rules, whose defaults suit instructions' arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexer {
    /// The character that takes the meaning of the next one.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escapes stay in the result.
    pub raw_escapes: bool,
    /// Quotes mean nothing.
    pub plain_quotes: bool,
    /// A variable that is not set stays as it is written, for somebody else to expand.
    pub keep_unset: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        Self { escape: '\\', raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }
}

/// How deep `${a:-${b:-…}}` may be nested: far deeper than people write, and little enough for any thread's stack.
const DEPTH: usize = 64;

/// The most bytes that a word's variables may make of it.
const LENGTH: usize = 1 << 20;

/// Where variables come from.
type Value<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Lexer {
    /// Takes the quotes off a word and puts values in the place of variables; one that is not set is empty.
    ///
    /// # Errors
    /// [`InvalidWord`] for quotes and braces that are not closed, unknown operators, and variables that must be set.
    pub fn expand(&self, word: &str, value: Value<'_>) -> Result<String, InvalidWord> {
        self.read(word, value).map(|(text, _)| text)
    }

    /// As [`Lexer::expand`]; blanks outside quotes, and those that come out of variables, part the result into words.
    ///
    /// # Errors
    /// As [`Lexer::expand`].
    pub fn words(&self, text: &str, value: Value<'_>) -> Result<Vec<String>, InvalidWord> {
        self.read(text, value).map(|(_, words)| words)
    }

    fn read(&self, word: &str, value: Value<'_>) -> Result<(String, Vec<String>), InvalidWord> {
        let mut reader = Reader { rest: word.chars().peekable(), value, lexer: *self, depth: 0, put: 0 };
        let mut words = Words::default();
        let text = reader.read(None, &mut words).map_err(|reason| InvalidWord { word: word.to_owned(), reason })?;
        Ok((text, words.finish()))
    }

    /// Parts a line at the blanks that stand in no quotes; quotes and escapes stay, for [`Lexer::expand`].
    #[must_use]
    pub fn split<'a>(&self, line: &'a str) -> Vec<&'a str> {
        let (mut words, mut begin, mut quote) = (Vec::new(), None, None);
        let mut characters = line.char_indices();
        while let Some((at, character)) = characters.next() {
            if character.is_whitespace() && quote.is_none() {
                words.extend(begin.take().map(|begin: usize| &line[begin..at]));
                continue;
            }
            begin.get_or_insert(at);
            match character {
                escape if escape == self.escape && quote != Some('\'') => drop(characters.next()),
                '"' | '\'' if quote.is_none() => quote = Some(character),
                other if quote == Some(other) => quote = None,
                _ => {}
            }
        }
        words.extend(begin.map(|begin| &line[begin..]));
        words
    }
}

/// [`Lexer::split`] with a backslash.
#[must_use]
pub fn split(line: &str) -> Vec<&str> {
    Lexer::default().split(line)
}

/// [`Lexer::expand`] with a backslash.
///
/// # Errors
/// As [`Lexer::expand`].
pub fn expand(word: &str, value: Value<'_>) -> Result<String, InvalidWord> {
    Lexer::default().expand(word, value)
}

/// Words as they are found.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
    begun: bool,
}

impl Words {
    /// Text in which blanks part words.
    fn text(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                self.end();
            } else {
                self.raw_char(character);
            }
        }
    }

    /// Text that belongs to the current word, blanks and all; even empty text begins one.
    fn raw(&mut self, text: &str) {
        self.current += text;
        self.begun = true;
    }

    fn raw_char(&mut self, character: char) {
        self.current.push(character);
        self.begun = true;
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.begun) {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.end();
        self.done
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    value: Value<'a>,
    lexer: Lexer,
    /// How many operators' words this one is in.
    depth: usize,
    /// How many bytes were put in the place of variables.
    put: usize,
}

/// What stands behind a variable's name in braces.
struct Operator {
    sign: char,
    /// Whether an empty value counts as none.
    colon: bool,
}

impl Operator {
    fn text(&self) -> String {
        if self.colon { format!(":{}", self.sign) } else { self.sign.to_string() }
    }
}

impl Reader<'_> {
    /// Reads up to `end`, which is taken away, or to the end of the text.
    fn read(&mut self, end: Option<char>, words: &mut Words) -> Result<String, String> {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                found if Some(found) == end => return Ok(text),
                '\'' | '"' if !self.lexer.plain_quotes => {
                    let quoted = if character == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    words.raw(&quoted);
                    text += &quoted;
                }
                '$' => {
                    let value = self.variable()?;
                    words.text(&value);
                    text += &value;
                }
                escape if escape == self.lexer.escape => self.escaped(&mut text, words),
                other => {
                    words.text(other.encode_utf8(&mut [0; 4]));
                    text.push(other);
                }
            }
        }
        match end {
            Some(end) => Err(format!("unexpected end of statement while looking for matching {end}")),
            None => Ok(text),
        }
    }

    fn escaped(&mut self, text: &mut String, words: &mut Words) {
        let kept = self.lexer.raw_escapes.then_some(self.lexer.escape);
        for character in kept.into_iter().chain(self.rest.next()) {
            words.raw_char(character);
            text.push(character);
        }
    }

    fn quote(&self, quote: char) -> String {
        if self.lexer.raw_quotes { quote.to_string() } else { String::new() }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let mut text = self.quote('\'');
        loop {
            match self.rest.next() {
                Some('\'') => return Ok(text + &self.quote('\'')),
                Some(other) => text.push(other),
                None => return Err("unexpected end of statement while looking for matching single-quote".to_owned()),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = self.quote('"');
        loop {
            match self.rest.next() {
                Some('"') => return Ok(text + &self.quote('"')),
                Some('$') => text += &self.variable()?,
                Some(escape) if escape == self.lexer.escape => {
                    let escaped = self.rest.next_if(|next| matches!(next, '"' | '$') || *next == escape);
                    if escaped.is_none() || self.lexer.raw_escapes {
                        text.push(escape);
                    }
                    text.extend(escaped);
                }
                Some(other) => text.push(other),
                None => return Err("unexpected end of statement while looking for matching double-quote".to_owned()),
            }
        }
    }

    /// What follows a dollar sign.
    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_some() {
            let value = self.braced()?;
            return self.count(value);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        let value = self.plain(&name, format!("${name}"));
        self.count(value)
    }

    fn plain(&self, name: &str, written: String) -> String {
        match (self.value)(name) {
            Some(value) => value,
            None if self.lexer.keep_unset => written,
            None => String::new(),
        }
    }

    /// Refuses words that grow beyond all measure: each line may double what the last one made.
    fn count(&mut self, value: String) -> Result<String, String> {
        self.put += value.len();
        match self.put > LENGTH {
            true => Err(format!("its variables make more than {LENGTH} bytes of it")),
            false => Ok(value),
        }
    }

    fn braced(&mut self) -> Result<String, String> {
        match self.rest.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let operator = match self.rest.next() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('}') => return Ok(self.plain(&name, format!("${{{name}}}"))),
            Some('/') => return self.replacement(&name),
            Some(':') => Operator { sign: self.rest.next().unwrap_or('}'), colon: true },
            Some(sign) => Operator { sign, colon: false },
        };
        match operator.sign {
            '-' | '+' | '?' => self.default_or_error(&name, &operator),
            '#' | '%' if !operator.colon => self.trimmed(&name, operator.sign),
            _ => Err(format!("unsupported modifier ({}) in substitution", operator.text())),
        }
    }

    /// The word behind an operator, up to the brace.
    fn operand(&mut self, end: char, raw_escapes: bool) -> Result<String, String> {
        if self.depth == DEPTH {
            return Err(format!("variables are nested more than {DEPTH} deep"));
        }
        let before = self.lexer.raw_escapes;
        self.lexer.raw_escapes |= raw_escapes;
        self.depth += 1;
        let word = self.read(Some(end), &mut Words::default());
        self.depth -= 1;
        self.lexer.raw_escapes = before;
        let missing = if end == '/' { "syntax error: missing '/' in ${}" } else { "syntax error: missing '}'" };
        match word {
            Err(_) if self.rest.peek().is_none() => Err(missing.to_owned()),
            read => read,
        }
    }

    fn default_or_error(&mut self, name: &str, operator: &Operator) -> Result<String, String> {
        let word = self.operand('}', false)?;
        let value = (self.value)(name);
        if value.is_none() && self.lexer.keep_unset {
            return Ok(format!("${{{name}{}{word}}}", operator.text()));
        }
        let was_set = value.is_some();
        let value = value.filter(|value| !operator.colon || !value.is_empty());
        match (operator.sign, value) {
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            ('?', None) => {
                let usual = if was_set { "is not allowed to be empty" } else { "is not allowed to be unset" };
                Err(format!("{name}: {}", if word.is_empty() { usual } else { &word }))
            }
            (_, None) => Ok(word),
        }
    }

    fn trimmed(&mut self, name: &str, sign: char) -> Result<String, String> {
        let word = self.operand('}', true)?;
        let Some(value) = (self.value)(name) else {
            return Ok(if self.lexer.keep_unset { format!("${{{name}{sign}{word}}}") } else { String::new() });
        };
        let (greedy, shape) = word.strip_prefix(sign).map_or((false, word.as_str()), |shape| (true, shape));
        let shape = pattern::Shape::parse(shape);
        Ok(if sign == '#' { shape.without_prefix(&value, greedy) } else { shape.without_suffix(&value, greedy) })
    }

    fn replacement(&mut self, name: &str) -> Result<String, String> {
        let all = self.rest.next_if_eq(&'/').is_some();
        let shape = self.operand('/', true)?;
        let text = self.operand('}', true)?;
        let Some(value) = (self.value)(name) else {
            let slash = if all { "//" } else { "/" };
            let kept = format!("${{{name}{slash}{shape}/{text}}}");
            return Ok(if self.lexer.keep_unset { kept } else { String::new() });
        };
        Ok(pattern::Shape::parse(&shape).replace(&value, &text, all))
    }

    /// Letters, digits and underscores; a name that begins with a digit has nothing but digits, and one of the shell's
    /// special characters is a name by itself.
    fn name(&mut self) -> String {
        if let Some(special) = self.rest.next_if(|next| matches!(next, '@' | '*' | '#' | '?' | '-' | '$' | '!')) {
            return special.to_string();
        }
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
        _ => next.is_alphanumeric() || next == '_',
    }
}

#[cfg(test)]
mod tests;
