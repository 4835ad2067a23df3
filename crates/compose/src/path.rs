//! Paths in compose files: cleaned as Go cleans them, and relative to where they were written.

use std::path::{Path, PathBuf};

use crate::artifact::is_artifact;
use crate::repository::is_repository;

/// Go's `path.Clean`: no `.`, no `a/..`, no doubled slashes.
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
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Where paths of a file lead.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// The directory they are relative to.
    pub(crate) directory: PathBuf,
    /// The directory `~` stands for.
    pub(crate) home: Option<String>,
}

impl Base {
    /// A path of the file, resolved.
    pub(crate) fn resolve(&self, path: &str) -> String {
        let path = match (path.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
            _ => path.to_owned(),
        };
        if path.starts_with('/') || is_drive(&path) || is_artifact(&path) {
            return path;
        }
        let joined = self.directory.join(&path);
        clean(&joined.to_string_lossy())
    }

    /// A compose file: a path, unless it is an address.
    pub(crate) fn resolve_file(&self, text: &str) -> String {
        if is_repository(text) { text.to_owned() } else { self.resolve(text) }
    }

    /// A build context: a path, unless it is an address.
    pub(crate) fn resolve_context(&self, text: &str) -> String {
        if is_remote(text) { text.to_owned() } else { self.resolve(text) }
    }
}

/// The way to a directory from another; both are absolute.
pub(crate) fn relative(directory: &Path, from: &Path) -> PathBuf {
    let shared = directory.components().zip(from.components()).take_while(|(left, right)| left == right).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    let way: PathBuf = up.chain(directory.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

fn is_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic())
}

/// Whether a build context lies elsewhere.
pub(crate) fn is_remote(text: &str) -> bool {
    [
        "https://",
        "http://",
        "git://",
        "ssh://",
        "github.com/",
        "git@",
        "service:",
        "docker-image://",
        "oci-layout://",
        "target:",
    ]
    .iter()
    .any(|prefix| text.starts_with(prefix))
}

/// An absolute path without links followed.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    PathBuf::from(clean(&here.join(path).to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        let check = |path: &str, wanted: &str| assert_eq!(clean(path), wanted);
        check("/a/./b//c/..", "/a/b");
        check("a/..", ".");
        check("../../a", "../../a");
        check("/../a/", "/a");
        check("", ".");
    }

    #[test]
    fn the_way_from_one_directory_to_another() {
        let check = |to: &str, wanted: &str| assert_eq!(relative(Path::new(to), Path::new("/a/b")), Path::new(wanted));
        check("/a/b", ".");
        check("/a/b/c/d", "c/d");
        check("/a/x", "../x");
        check("/", "../..");
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let base = Base { directory: "/project/sub".into(), home: Some("/home/me".to_owned()) };
        assert_eq!(base.resolve("./x"), "/project/sub/x");
        assert_eq!(base.resolve("../x"), "/project/x");
        assert_eq!(base.resolve("~/x"), "/home/me/x");
        assert_eq!(base.resolve("/x"), "/x");
        assert_eq!(base.resolve_context("https://x/y.git#main"), "https://x/y.git#main");
    }
}
