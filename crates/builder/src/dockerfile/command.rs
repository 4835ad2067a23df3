//! Command lines: the JSON form, or a line for the shell.

/// What RUN, CMD, ENTRYPOINT and health checks execute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// Program and arguments, or the one line for the shell.
    pub words: Vec<String>,
    /// Whether the shell is put in front.
    pub shell: bool,
}

impl Command {
    /// Reads either form. A list that holds other things than texts is refused, any other text is for the shell.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        Ok(match list(rest)? {
            Some(words) => Self { words, shell: false },
            None => {
                // An empty line is one, too: the shell has nothing to do then.
                Self { words: vec![rest.to_owned()], shell: true }
            }
        })
    }

    /// The whole command line, with this shell if one is needed.
    #[must_use]
    pub fn with_shell(&self, shell: &[String]) -> Vec<String> {
        if !self.shell {
            return self.words.clone();
        }
        shell.iter().chain(&self.words).cloned().collect()
    }
}

/// A JSON list of texts; none when it is no JSON list at all.
pub(super) fn list(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else { return Ok(None) };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err("when using JSON array syntax, arrays must be comprised of strings only".to_owned()),
    };
    values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}
