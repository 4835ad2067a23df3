//! `.dockerignore`, by Go's rules.

use super::pattern::{InvalidPattern, Pattern};

/// Which paths are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    /// Takes back what earlier rules left out.
    exception: bool,
}

impl Ignore {
    /// Reads a `.dockerignore`.
    ///
    /// # Errors
    /// A pattern makes no sense.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        Self::rules(lines)
    }

    /// Rules one by one, as `--exclude` gives them.
    ///
    /// # Errors
    /// A pattern makes no sense.
    pub fn rules<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidPattern> {
        let mut rules = Vec::new();
        for line in lines {
            let (exception, text) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let text = cleaned(text);
            let text = if text.len() > 1 { text.strip_prefix('/').unwrap_or(&text) } else { &text };
            if !text.is_empty() && text != "." {
                rules.push(Rule { pattern: Pattern::path(text)?, exception });
            }
        }
        Ok(Self { rules })
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether something below an excluded folder may be taken back.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Whether the path, without a slash at its beginning, or a folder it is in, is left out.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for rule in self.rules.iter().filter(|rule| !rule.pattern_is_idle()) {
            if rule.exception == excluded && covers(&rule.pattern, path) {
                excluded = !rule.exception;
            }
        }
        excluded
    }
}

impl Rule {
    /// A pattern of nothing matches nothing.
    fn pattern_is_idle(&self) -> bool {
        self.pattern.matches("") && !self.pattern.matches("x")
    }
}

/// Whether a pattern matches the path or one of the folders it is in.
fn covers(pattern: &Pattern, path: &str) -> bool {
    let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    folders.chain([path]).any(|part| pattern.matches(part))
}

/// Go's `filepath.Clean`.
#[must_use]
pub fn cleaned(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, out: &[&str], kept: &[&str]) {
        let ignore = Ignore::parse(text).unwrap();
        for path in out {
            assert!(ignore.excludes(path), "{text:?} must leave out {path}");
        }
        for path in kept {
            assert!(!ignore.excludes(path), "{text:?} must keep {path}");
        }
    }

    #[test]
    fn rules_are_gos() {
        check(
            "# comment\n\n  secret.txt  \n*.log\n!keep.log",
            &["secret.txt", "a.log"],
            &["keep.log", "d/a.log", "# comment"],
        );
        check("**/*.tmp\ntemp?", &["a.tmp", "x/y/a.tmp", "temp1", "temp1/in"], &["temp", "x/temp1"]);
        check("/docs/\n./b/../c", &["docs", "docs/x", "c"], &["b", "x/docs"]);
        check(
            "*\n!src\n!/docs/*.md\nsrc/**/gen\nsrc/skip/",
            &["a", "src/gen", "src/x/gen/y", "src/skip/z", "docs/a.txt"],
            &["src", "src/a", "docs/a.md"],
        );
        check("a\n!a/b\na/b/c", &["a", "a/x", "a/b/c"], &["a/b", "a/b/d"]);
        check("!", &[], &["a"]);
        assert!(Ignore::parse("[a").is_err());
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, expect) in
            [("a/./b//c/", "a/b/c"), ("/../a", "/a"), ("../a/..", ".."), ("", "."), ("/", "/"), ("a/../..", "..")]
        {
            assert_eq!(cleaned(path), expect, "{path}");
        }
    }
}
