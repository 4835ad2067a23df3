//! Docker's rules of copying: what a destination means depends on whether it exists, what it is and how it is written.

use std::fs;
use std::path::Path;

use super::unpack::Rebase;
use crate::failure::go_cause;
use crate::paths::{base, clean, join, split};

/// What is known of one end of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The path as written.
    pub(crate) path: String,
    /// Whether something is there.
    pub(crate) exists: bool,
    /// Whether that is a directory.
    pub(crate) directory: bool,
    /// The name its content travels under, if not its own.
    pub(crate) shown: String,
}

/// Which side a word of `cp` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A path here, or `-`.
    Local(String),
    /// A path in a container.
    Container(String, String),
}

/// `CONTAINER:PATH`, unless it is absolute, has no colon, or begins with a dot.
pub(crate) fn side(word: &str) -> Side {
    match word.split_once(':') {
        Some((container, path)) if !word.starts_with('/') && !container.starts_with('.') => {
            Side::Container(container.to_owned(), path.to_owned())
        }
        _ => Side::Local(word.to_owned()),
    }
}

/// Where an archive of `source` is to be unpacked so that `destination` comes out, and how its names change.
pub(crate) fn prepare(source: &End, destination: &End) -> Result<(String, Option<Rebase>), String> {
    let (directory, name) = split(&destination.path);
    let from = if source.shown.is_empty() { split(&source.path).1 } else { source.shown.clone() };
    let renamed = |directory: String, name: String| Ok((directory, Some(Rebase { from, to: name })));
    match (destination.exists, destination.directory, source.directory) {
        (true, true, _) => Ok((destination.path.clone(), None)),
        (true, false, true) => Err("cannot copy directory".to_owned()),
        (false, _, false) if asserts_directory(&destination.path) => Err("no such directory".to_owned()),
        _ => renamed(directory, name),
    }
}

/// A path that says it is a directory: it ends in `/` or `/.`.
fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || base(path) == "."
}

/// An absolute path that keeps a trailing `/` or `/.`.
pub(crate) fn local(path: &str) -> String {
    let here = std::env::current_dir().map(|here| here.to_string_lossy().into_owned()).unwrap_or_default();
    let full = if path.starts_with('/') { clean(path) } else { join(&here, path) };
    match () {
        () if base(path) == "." && !path.ends_with('/') => format!("{full}/."),
        () if path.ends_with('/') && full != "/" => format!("{full}/"),
        () => full,
    }
}

/// Looks at a local source. A link is copied as a link, unless it is followed or written with a slash behind it.
pub(crate) fn local_source(path: &str, follow: bool) -> Result<End, String> {
    let failed = |error: std::io::Error| format!("lstat {path}: {}", go_cause(&error));
    let follows = follow || asserts_directory(path);
    let trimmed = path.trim_end_matches("/.").trim_end_matches('/');
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    let metadata = if follows { fs::metadata(trimmed) } else { fs::symlink_metadata(trimmed) }.map_err(failed)?;
    let mut end = End { path: path.to_owned(), exists: true, directory: metadata.is_dir(), shown: String::new() };
    let is_link = fs::symlink_metadata(trimmed).is_ok_and(|metadata| metadata.is_symlink());
    if follows && is_link {
        let target = fs::canonicalize(trimmed).map_err(failed)?.to_string_lossy().into_owned();
        if base(path) == "." {
            end.path = format!("{target}/.");
        } else {
            end.shown = base(trimmed);
            end.path = target;
        }
    }
    if asserts_directory(path) && !end.directory {
        return Err(format!("{path}: not a directory"));
    }
    Ok(end)
}

/// Looks at a local destination; links are followed, also to what is not there yet.
pub(crate) fn local_destination(path: &str) -> Result<End, String> {
    let mut place = path.to_owned();
    for _ in 0..10 {
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_symlink() => {
                let target =
                    fs::read_link(&place).map_err(|error| format!("readlink {place}: {}", go_cause(&error)))?;
                let target = target.to_string_lossy().into_owned();
                place = if target.starts_with('/') { target } else { join(&split(&place).0, &target) };
            }
            Ok(metadata) => {
                return Ok(End { path: place, exists: true, directory: metadata.is_dir(), shown: String::new() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(format!("stat {place}: not a directory"));
            }
            Err(_) => {
                let parent = split(&place).0;
                let found = fs::metadata(&parent).map_err(|error| format!("stat {parent}: {}", go_cause(&error)))?;
                if !found.is_dir() {
                    return Err("not a directory".to_owned());
                }
                return Ok(End { path: place, ..End::default() });
            }
        }
    }
    Err("too many links".to_owned())
}

/// Refuses a local destination whose directory is missing or which is a device.
pub(crate) fn check_output(path: &str) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    let directory = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.exists()) {
        return Err(format!("invalid output path: directory {:?} does not exist", directory.display().to_string()));
    }
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_char_device() || kind.is_block_device() => Err("got a device".to_owned()),
        Ok(kind) if kind.is_fifo() || kind.is_socket() => Err("got an irregular file".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &str, what: &str) -> End {
        End { path: path.into(), exists: what != "-", directory: what == "d", shown: String::new() }
    }

    fn check(source: (&str, &str), destination: (&str, &str)) -> String {
        match prepare(&end(source.0, source.1), &end(destination.0, destination.1)) {
            Ok((directory, None)) => directory,
            Ok((directory, Some(rebase))) => format!("{directory} {}>{}", rebase.from, rebase.to),
            Err(refused) => refused,
        }
    }

    #[test]
    fn every_case_of_the_manual() {
        let cases = [
            (("/a/f", "f"), ("/b/g", "-"), "/b f>g"),
            (("/a/f", "f"), ("/b/g/", "-"), "no such directory"),
            (("/a/f", "f"), ("/b/g/.", "-"), "no such directory"),
            (("/a/f", "f"), ("/b/g", "f"), "/b f>g"),
            (("/a/f", "f"), ("/b", "d"), "/b"),
            (("/a/d", "d"), ("/b/e", "-"), "/b d>e"),
            (("/a/d/.", "d"), ("/b/e", "-"), "/b .>e"),
            (("/a/d", "d"), ("/b/g", "f"), "cannot copy directory"),
            (("/a/d", "d"), ("/b", "d"), "/b"),
            (("/a/d/.", "d"), ("/b", "d"), "/b"),
        ];
        for (source, destination, expect) in cases {
            assert_eq!(check(source, destination), expect, "{source:?} {destination:?}");
        }
    }

    #[test]
    fn sides() {
        assert_eq!(side("web:/etc"), Side::Container("web".into(), "/etc".into()));
        for local in ["/a:b", "./a:b", "-", "a", "../x:y"] {
            assert_eq!(side(local), Side::Local(local.into()));
        }
    }

    #[test]
    fn a_trailing_slash_is_kept() {
        assert_eq!(local("/a/b/"), "/a/b/");
        assert_eq!(local("/a/b/."), "/a/b/.");
        assert_eq!(local("/a/../b"), "/b");
        assert_eq!(
            check_output("/nonexistent/x").unwrap_err(),
            "invalid output path: directory \"/nonexistent\" does not exist"
        );
        assert_eq!(check_output("/dev/null").unwrap_err(), "got a device");
    }

    #[test]
    fn links_are_sources_of_their_own_unless_followed() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", place.path().join("link")).unwrap();
        let link = place.path().join("link").display().to_string();
        assert!(!local_source(&link, false).unwrap().directory);
        let followed = local_source(&link, true).unwrap();
        assert_eq!((followed.directory, followed.shown.as_str()), (true, "link"));
        assert!(local_source(&format!("{link}/"), false).unwrap().directory);
    }
}
