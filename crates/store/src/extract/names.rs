//! Names of members: split, cleaned, and told apart from whiteouts.

use crate::tar::PATH_LIMIT;
use crate::{Error, Result};

/// What a name means in a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whiteout<'a> {
    /// A plain member.
    None,
    /// aufs' own bookkeeping.
    Ignored,
    /// The parent hides everything below it.
    Opaque,
    /// This name is hidden.
    Of(&'a [u8]),
}

const PREFIX: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl<'a> Whiteout<'a> {
    /// Reads the meaning of a path. Names that would hide a directory itself or its parent are refused.
    pub(crate) fn of(path: &[&'a [u8]]) -> Result<Self> {
        let Some((name, parents)) = path.split_last() else { return Ok(Self::None) };
        if parents.first().unwrap_or(name).starts_with(META) && *name != OPAQUE {
            return Ok(Self::Ignored);
        }
        if parents.iter().any(|part| part.starts_with(PREFIX)) {
            return Err(refused(path, "a whiteout is no directory"));
        }
        if *name == OPAQUE {
            return Ok(Self::Opaque);
        }
        if name.starts_with(META) {
            return Ok(Self::Ignored);
        }
        match name.strip_prefix(PREFIX) {
            None => Ok(Self::None),
            Some(b"" | b"." | b"..") => Err(refused(path, "a whiteout must name a file")),
            Some(hidden) => Ok(Self::Of(hidden)),
        }
    }
}

/// The components of a member's name: absolute names start at the root, `.` and empty ones vanish, `..` goes back but
/// never above the root.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    if path.len() > PATH_LIMIT || path.contains(&0) {
        return Err(Error::limit("tar member", "its name is too long or holds a NUL"));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() => return Err(refused(&[path], "it leads out of the archive")),
            b".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts)
}

fn refused(path: &[&[u8]], reason: &str) -> Error {
    let name: String = String::from_utf8_lossy(&path.join(&b'/')).chars().take(300).collect();
    Error::malformed(format!("tar member {name}"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(path: &str) -> Option<String> {
        components(path.as_bytes()).ok().map(|parts| String::from_utf8(parts.join(&b'/')).unwrap())
    }

    #[test]
    fn names_are_cleaned() {
        for (path, want) in [
            ("./", ""),
            ("/", ""),
            ("/etc//passwd", "etc/passwd"),
            ("./a/./b/", "a/b"),
            ("a/../b", "b"),
            ("a/b/../..", ""),
        ] {
            assert_eq!(clean(path).as_deref(), Some(want), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/..", "a/\0"] {
            assert_eq!(clean(path), None, "{path}");
        }
    }

    #[test]
    fn whiteouts_are_told_apart() {
        let of = |path: &'static str| Whiteout::of(&components(path.as_bytes()).unwrap());
        assert_eq!(of("a/b").unwrap(), Whiteout::None);
        assert_eq!(of("a/.wh.b").unwrap(), Whiteout::Of(b"b"));
        assert_eq!(of("a/.wh..wh..opq").unwrap(), Whiteout::Opaque);
        assert_eq!(of(".wh..wh..opq").unwrap(), Whiteout::Opaque);
        assert_eq!(of(".wh..wh.plnk").unwrap(), Whiteout::Ignored);
        assert_eq!(of(".wh..wh.plnk/12.34").unwrap(), Whiteout::Ignored);
        assert_eq!(of("a/.wh..b").unwrap(), Whiteout::Of(b".b"));
        for path in [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..", "a/.wh...", ".wh.x/y"] {
            assert!(of(path).is_err(), "{path}");
        }
    }
}
