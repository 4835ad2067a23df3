//! Pax extended headers: `LENGTH KEY=VALUE\n` records, read and written.

use super::{Entry, Mtime, PATH_LIMIT};
use crate::{Error, Result};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records of one extended header, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(pub(super) Vec<(Vec<u8>, Vec<u8>)>);

fn bad(reason: &str) -> Error {
    Error::malformed("pax header", reason)
}

impl Records {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self> {
        let mut records = Vec::new();
        // Some writers pad the header with NULs.
        while !bytes.is_empty() && bytes[0] != 0 {
            let space =
                bytes.iter().take(20).position(|byte| *byte == b' ').ok_or_else(|| bad("a record has no length"))?;
            let length: usize = decimal(&bytes[..space]).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(bad("a record has a wrong length"));
            }
            let record = &bytes[space + 1..length - 1];
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(|| bad("a record has no `=`"))?;
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            bytes = &bytes[length..];
        }
        Ok(Self(records))
    }

    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().rev().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value.as_slice())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>> {
        match self.get(key) {
            None | Some(b"") => Ok(None),
            Some(value) => decimal(value).map(Some).ok_or_else(|| bad(&format!("{key} is no number"))),
        }
    }

    /// What a global header may say for all members: everything but what names or measures a single one.
    pub(super) fn without_singular(mut self) -> Self {
        self.0.retain(|(key, _)| {
            !matches!(key.as_slice(), b"path" | b"linkpath" | b"size") && !key.starts_with(b"GNU.sparse.")
        });
        self
    }

    /// Overrides what the plain header said.
    pub(super) fn apply(&self, entry: &mut Entry) -> Result<()> {
        for (key, value) in &self.0 {
            match key.as_slice() {
                // An empty value takes the record back.
                _ if value.is_empty() && !key.starts_with(XATTR) => {}
                b"path" => entry.path = name(value)?,
                b"linkpath" => entry.link = name(value)?,
                b"size" => entry.size = decimal(value).ok_or_else(|| bad("size is no number"))?,
                b"uid" => entry.uid = id(value)?,
                b"gid" => entry.gid = id(value)?,
                b"mtime" => entry.mtime = time(value)?,
                _ if key.starts_with(XATTR) => set_xattr(entry, &key[XATTR.len()..], value)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn set_xattr(entry: &mut Entry, key: &[u8], value: &[u8]) -> Result<()> {
    if key.is_empty() || key.len() > 255 || key.contains(&0) {
        return Err(bad("an extended attribute has an impossible name"));
    }
    entry.xattrs.retain(|(known, _)| known != key);
    entry.xattrs.push((key.to_vec(), value.to_vec()));
    Ok(())
}

fn name(value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) || value.len() > PATH_LIMIT {
        return Err(bad("a path is too long or holds a NUL"));
    }
    Ok(value.to_vec())
}

fn id(value: &[u8]) -> Result<u32> {
    decimal(value).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| bad("an id is out of range"))
}

/// A plain decimal number that fits a file offset.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|n| *n <= i64::MAX as u64)
}

/// `[-]SECONDS[.FRACTION]`.
fn time(value: &[u8]) -> Result<Mtime> {
    let wrong = || bad("mtime is no number");
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let dot = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let fraction = digits.get(dot + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let secs = decimal(&digits[..dot]).and_then(|n| i64::try_from(n).ok()).ok_or_else(wrong)?;
    let nanos = (0..9).fold(0, |n, place| n * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0')));
    Ok(match (negative, nanos) {
        (false, nanos) => Mtime { secs, nanos },
        (true, 0) => Mtime { secs: -secs, nanos },
        (true, nanos) => Mtime { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    })
}

/// One record, whose length counts its own digits.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// A moment as pax writes it.
pub(super) fn time_text(mtime: Mtime) -> String {
    let (sign, secs, nanos) = match (mtime.secs < 0, mtime.nanos) {
        (false, nanos) => ("", mtime.secs, nanos),
        (true, 0) => ("-", -mtime.secs, 0),
        (true, nanos) => ("-", -(mtime.secs + 1), 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{secs}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    [XATTR, name].concat()
}
