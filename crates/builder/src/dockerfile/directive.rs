//! Parser directives: comments at the very top of a Dockerfile that change how the rest is read.

use super::{Lines, SyntaxError};

/// What the directives say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The character that continues lines and takes the meaning of the next one.
    pub escape: char,
    /// The frontend asked for; hako reads every Dockerfile itself.
    pub syntax: Option<String>,
    /// What checks are to do: `skip=…;error=…`.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None }
    }
}

impl Directives {
    /// Reads the directives at the top. The first line that is none ends them.
    pub(super) fn read(text: &str) -> Result<Self, SyntaxError> {
        let mut found = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let Some((name, value)) = directive(line) else { break };
            let lines = Lines { first: number + 1, last: number + 1 };
            if seen.contains(&name) {
                return Err(SyntaxError::at(lines, format!("only one {name} parser directive can be used")));
            }
            match name.as_str() {
                "escape" => found.escape = escape(&value).map_err(|why| SyntaxError::at(lines, why))?,
                "syntax" => found.syntax = Some(value),
                "check" => {
                    check(&value).map_err(|why| SyntaxError { message: why, lines: None })?;
                    found.check = Some(value);
                }
                _ => break,
            }
            seen.push(name);
        }
        Ok(found)
    }
}

/// Refuses what is no option of checks.
fn check(options: &str) -> Result<(), String> {
    for part in options.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let failed = |why: String| Err(format!("failed to parse check options: {why}"));
        match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            None => return failed(format!("invalid check option {part:?}")),
            Some(("skip" | "experimental", _)) => {}
            Some(("error", value)) => {
                let known = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
                if !known.contains(&value) {
                    let why = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
                    return failed(format!("failed to parse check option {part:?}: {why}"));
                }
            }
            Some((name, _)) => return failed(format!("invalid check option {name:?}")),
        }
    }
    Ok(())
}

/// `# name = value`, the name in lower case.
fn directive(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value.to_owned()))
}

fn escape(value: &str) -> Result<char, String> {
    match value {
        "`" => Ok('`'),
        "\\" => Ok('\\'),
        other => Err(format!("invalid escape token '{other}' does not match ` or \\")),
    }
}
