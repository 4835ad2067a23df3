//! Paths by text alone, as Go's `path/filepath` treats them: nothing here looks at the disk.

/// Go's `filepath.Clean`: no `.`, no doubled slash, no `..` that can be resolved.
pub(crate) fn clean(path: &str) -> String {
    // Whole parts of a text are left out, so that what is left is one, too.
    String::from_utf8_lossy(&clean_bytes(path.as_bytes())).into_owned()
}

/// As [`clean`], for a name in any encoding.
pub(crate) fn clean_bytes(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, parts.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// Go's `filepath.Join` of two.
pub(crate) fn join(first: &str, second: &str) -> String {
    if first.is_empty() { clean(second) } else { clean(&format!("{first}/{second}")) }
}

/// Go's `filepath.Base`.
pub(crate) fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".".to_owned(),
        (_, true) => "/".to_owned(),
        _ => trimmed.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

/// The directory a path lies in, and its last part: Go's `archive.SplitPathDirEntry`.
pub(crate) fn split(path: &str) -> (String, String) {
    let cleaned = clean(path.trim_end_matches("/."));
    let cleaned = if path.ends_with("/.") { format!("{cleaned}/.") } else { cleaned };
    match cleaned.rsplit_once('/') {
        Some(("", last)) => ("/".to_owned(), last.to_owned()),
        Some((directory, last)) => (directory.to_owned(), last.to_owned()),
        None => (".".to_owned(), cleaned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_is_gos() {
        let cases = [
            ("/a//b/../c", "/a/c"),
            ("a/./b/", "a/b"),
            ("", "."),
            ("..", ".."),
            ("../a/..", ".."),
            ("/..", "/"),
            ("a/..", "."),
            ("a/../..", ".."),
        ];
        for (path, expect) in cases {
            assert_eq!(clean(path), expect, "{path}");
        }
        assert_eq!(base("/a/b/"), "b");
        assert_eq!(base("/"), "/");
        assert_eq!(join("/a", "b/.."), "/a");
    }
}
