//! Environment variables and labels, from flags and from files.

use std::collections::BTreeMap;
use std::fs;

/// Variables in the order files first, then flags; `NAME` alone takes the caller's value, or removes it when unset.
pub(crate) fn variables(files: &[&str], flags: &[&str]) -> Result<Vec<String>, String> {
    let mut variables = Vec::new();
    for path in files {
        variables.extend(from_lines(&read_lines(path)?, Some(&caller_value), path)?);
    }
    variables.extend(flags.iter().filter_map(|flag| resolved(flag)));
    Ok(variables)
}

fn resolved(flag: &str) -> Option<String> {
    if flag.contains('=') {
        return Some(flag.to_owned());
    }
    Some(caller_value(flag).map_or_else(|| flag.to_owned(), |value| format!("{flag}={value}")))
}

fn caller_value(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Labels in the order files first, then flags; a later one replaces an earlier.
pub(crate) fn labels(files: &[&str], flags: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let mut lines = Vec::new();
    for path in files {
        // In a file a name alone is no label.
        lines.extend(from_lines(&read_lines(path)?, None, path)?.into_iter().filter(|line| line.contains('=')));
    }
    Ok(pairs(lines.iter().map(String::as_str).chain(flags.iter().copied())))
}

/// `key=value` words as a map; a word without `=` has an empty value.
pub(crate) fn pairs<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    words.map(|word| word.split_once('=').unwrap_or((word, ""))).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn read_lines(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("open {path}: {}", crate::failure::go_cause(&error)))
}

/// Where a name without a value finds one.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Docker's rules for such a file: comments and blank lines are skipped, white space before a line goes, names have no
/// white space, values are taken as they stand.
fn from_lines(bytes: &[u8], unset: Option<Lookup<'_>>, path: &str) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("invalid utf8 bytes in file {path}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        match (value, unset) {
            (Some(value), _) => found.push(format!("{name}={value}")),
            (None, Some(lookup)) => found.extend(lookup(name).map(|value| format!("{name}={value}"))),
            (None, None) => found.push(name.to_owned()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        from_lines(text.as_bytes(), Some(&|name| (name == "SET").then(|| "here".to_owned())), "f")
    }

    #[test]
    fn files_of_variables() {
        let text = "\u{feff}# comment\n\nA=1\n  B= two words \nSET\nUNSET\nC=\nD=a=b\n";
        assert_eq!(read(text).unwrap(), ["A=1", "B= two words ", "SET=here", "C=", "D=a=b"]);
        assert_eq!(read("=x").unwrap_err(), "no variable name on line '=x'");
        assert_eq!(read("a b=x").unwrap_err(), "variable 'a b' contains whitespaces");
        assert_eq!(from_lines(&[0xff], None, "f").unwrap_err(), "invalid utf8 bytes in file f");
    }

    #[test]
    fn labels_replace_each_other() {
        let found = labels(&[], &["a=1", "a=2", "b"]).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("a".into(), "2".into()), ("b".into(), String::new())]);
    }

    #[test]
    fn a_missing_file_is_named_as_go_names_it() {
        assert_eq!(variables(&["/nonexistent"], &[]).unwrap_err(), "open /nonexistent: no such file or directory");
    }
}
