//! `$VAR` and `${VAR…}` in a text: every operator Compose knows, nested as deep as one likes (within a bound).

/// Braces inside braces beyond this are nobody's honest file.
const DEPTH: usize = 32;

/// What a template asks its surroundings.
pub trait Variables {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
    /// A variable without a value and without a default was used.
    fn unset(&self, name: &str);
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A `$` that starts nothing.
    Format,
    /// A required variable is missing; the text's own words about it.
    Missing {
        /// The variable.
        name: String,
        /// The words.
        hint: String,
    },
}

/// One use of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The variable.
    pub name: String,
    /// `?` or `:?`.
    pub required: bool,
    /// What stands after `-`.
    pub default: String,
    /// What stands after `+`.
    pub alternate: String,
}

/// A piece of a template.
enum Piece<'t> {
    Text(&'t str),
    Dollar,
    Variable { name: &'t str, operator: &'t str, rest: &'t str },
}

/// Expands a text.
///
/// # Errors
/// [`Trouble`] when the text is malformed or a required variable is missing.
pub fn substitute(text: &str, variables: &dyn Variables) -> Result<String, Trouble> {
    expand(text, variables, 0)
}

fn expand(text: &str, variables: &dyn Variables, depth: usize) -> Result<String, Trouble> {
    if depth > DEPTH {
        return Err(Trouble::Format);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((piece, after)) = next_piece(rest)? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Dollar => out.push('$'),
            Piece::Variable { name, operator, rest } => {
                out.push_str(&value_of(name, operator, rest, variables, depth)?);
            }
        }
        rest = after;
    }
    Ok(out)
}

fn value_of(
    name: &str,
    operator: &str,
    rest: &str,
    variables: &dyn Variables,
    depth: usize,
) -> Result<String, Trouble> {
    let value = variables.get(name);
    // With a colon an empty value counts as none.
    let present = value.as_ref().is_some_and(|value| !operator.starts_with(':') || !value.is_empty());
    let expand = |text: &str| expand(text, variables, depth + 1);
    match operator.trim_start_matches(':') {
        "-" if !present => expand(rest),
        "+" if present => expand(rest),
        "+" => Ok(String::new()),
        "?" if !present => Err(Trouble::Missing { name: name.to_owned(), hint: expand(rest)? }),
        _ => Ok(value.unwrap_or_else(|| {
            variables.unset(name);
            String::new()
        })),
    }
}

fn next_piece(text: &str) -> Result<Option<(Piece<'_>, &str)>, Trouble> {
    if text.is_empty() {
        return Ok(None);
    }
    let Some(after) = text.strip_prefix('$') else {
        let (plain, rest) = text.split_at(text.find('$').unwrap_or(text.len()));
        return Ok(Some((Piece::Text(plain), rest)));
    };
    if let Some(rest) = after.strip_prefix('$') {
        return Ok(Some((Piece::Dollar, rest)));
    }
    let Some(inside) = after.strip_prefix('{') else {
        // Before anything that is no name it is but a dollar: `$(date)`, `^a$`.
        let Some(name) = name_of(after) else { return Ok(Some((Piece::Dollar, after))) };
        return Ok(Some((Piece::Variable { name, operator: "", rest: "" }, &after[name.len()..])));
    };
    let end = closing_brace(inside).ok_or(Trouble::Format)?;
    let (body, rest) = (&inside[..end], &inside[end + 1..]);
    let name = name_of(body).ok_or(Trouble::Format)?;
    let (operator, words) = operator_of(&body[name.len()..]).ok_or(Trouble::Format)?;
    Ok(Some((Piece::Variable { name, operator, rest: words }, rest)))
}

fn name_of(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then(|| &text[..end])
}

fn operator_of(text: &str) -> Option<(&str, &str)> {
    let sign = usize::from(text.starts_with(':'));
    match text.as_bytes().get(sign) {
        None if sign == 0 => Some(("", "")),
        Some(b'-' | b'+' | b'?') => Some(text.split_at(sign + 1)),
        _ => None,
    }
}

/// The brace that closes what was opened before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Every use of a variable in a text, inner ones after their outer ones.
#[must_use]
pub fn uses(text: &str) -> Vec<Use> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Ok(Some((piece, after))) = next_piece(rest) {
        if let Piece::Variable { name, operator, rest } = piece {
            let sign = operator.trim_start_matches(':');
            let when = |wanted: &str| if sign == wanted { rest.to_owned() } else { String::new() };
            let (default, alternate) = (when("-"), when("+"));
            found.push(Use { name: name.to_owned(), required: sign == "?", default, alternate });
            found.extend(uses(rest));
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Given(RefCell<Vec<String>>);

    impl Variables for Given {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "TAG" => Some("v9".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }
        fn unset(&self, name: &str) {
            self.0.borrow_mut().push(name.to_owned());
        }
    }

    fn check(text: &str, wanted: &str) {
        assert_eq!(substitute(text, &Given(RefCell::default())), Ok(wanted.to_owned()), "{text}");
    }

    #[test]
    fn every_operator() {
        check("$TAG ${TAG}-x pre${TAG}post$TAG.", "v9 v9-x prev9postv9.");
        check("${UNSET:-fallback}${EMPTY:-fallback}", "fallbackfallback");
        check("${EMPTY-kept}|${UNSET-dash}", "|dash");
        check("${TAG:+yes}${EMPTY:+no}${EMPTY+set}${UNSET+no}", "yesset");
        check("${UNSET:-${TAG}-inner} ${UNSET:-${ALSO:-deep}}", "v9-inner deep");
        check("$$TAG and $${TAG}", "$TAG and ${TAG}");
        check("${TAG?must}${TAG:?must}${EMPTY?must}", "v9v9");
        check("$ a$ $(date) $1 ^x$|y$ $TAG$($TAG) $é", "$ a$ $(date) $1 ^x$|y$ v9$(v9) $é");
        check("${UNSET:-with spaces and : colons}", "with spaces and : colons");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in ["${A", "${1}", "${}", "${A!}", "${A:}", "${A B}", "$(x) ${A:-a b${B}"] {
            assert_eq!(substitute(text, &Given(RefCell::default())), Err(Trouble::Format), "{text}");
        }
        let deep = format!("{}x{}", "${U:-".repeat(100), "}".repeat(100));
        assert_eq!(substitute(&deep, &Given(RefCell::default())), Err(Trouble::Format));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = Trouble::Missing { name: "R".to_owned(), hint: "set R to v9".to_owned() };
        assert_eq!(substitute("${R:?set R to $TAG}", &Given(RefCell::default())), Err(missing));
        let given = Given(RefCell::default());
        assert_eq!(substitute("<$NOPE>", &given), Ok("<>".to_owned()));
        assert_eq!(given.0.into_inner(), ["NOPE"]);
    }

    #[test]
    fn uses_are_listed() {
        let names: Vec<_> = uses("${A:-${B}} $C ${D:?x}").into_iter().map(|one| (one.name, one.required)).collect();
        assert_eq!(names, [("A".into(), false), ("B".into(), false), ("C".into(), false), ("D".into(), true)]);
    }
}
