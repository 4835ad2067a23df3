//! Paths by text alone, as Go's `path/filepath` treats them: nothing here looks at the disk.

/// Go's `filepath.Clean`: no `.`, no doubled slash, no `..` that can be resolved.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
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
