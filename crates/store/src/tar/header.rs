//! The 512-byte header: its fields, its numbers, its checksum.

use super::{BLOCK, Entry, Kind};
use crate::{Error, Result};

/// A header as it lies in the archive.
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

impl Header<'_> {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.0[156]
    }

    /// GNU's own magic is another; its headers have no prefix.
    fn is_ustar(&self) -> bool {
        self.0[257..263] == *b"ustar\0"
    }

    /// Checks the sum, which old tars computed over signed bytes.
    pub(super) fn check_sum(&self) -> Result<()> {
        let stored = number(&self.0[148..156], "checksum")?;
        let plain = |index: usize, byte: u8| if (148..156).contains(&index) { b' ' } else { byte };
        let unsigned: u64 = self.0.iter().enumerate().map(|(index, byte)| u64::from(plain(index, *byte))).sum();
        let signed: i64 = self.0.iter().enumerate().map(|(index, byte)| i64::from(plain(index, *byte) as i8)).sum();
        if stored == i128::from(unsigned) || stored == i128::from(signed) {
            return Ok(());
        }
        Err(Error::malformed("tar header", "its checksum is wrong"))
    }

    pub(super) fn size(&self) -> Result<u64> {
        unsigned(&self.0[124..136], "size")
    }

    /// Name with the ustar prefix.
    fn path(&self) -> Vec<u8> {
        let name = text(&self.0[0..100]);
        let prefix = if self.is_ustar() { text(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn entry(&self) -> Result<Entry> {
        let mut entry = Entry::new(self.path(), Kind::Regular);
        entry.mode = (number(&self.0[100..108], "mode")? & 0o7777) as u32;
        entry.uid = id(&self.0[108..116], "uid")?;
        entry.gid = id(&self.0[116..124], "gid")?;
        entry.size = self.size()?;
        entry.mtime.secs = i64::try_from(number(&self.0[136..148], "mtime")?).unwrap_or(0);
        entry.link = text(&self.0[157..257]).to_vec();
        if matches!(self.typeflag(), b'3' | b'4') {
            entry.device = (id(&self.0[329..337], "device")?, id(&self.0[337..345], "device")?);
        }
        Ok(entry)
    }

    /// What the member is; asked once its whole name is known.
    pub(super) fn kind(&self, path: &[u8]) -> Result<Kind> {
        Ok(match self.typeflag() {
            // Before ustar a directory was a file whose name ends in a slash.
            b'0' | 0 | b'7' if path.last() == Some(&b'/') => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(Error::malformed("tar header", format!("unknown member type {other:#04x}"))),
        })
    }
}

/// A field's text, up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// A number field: octal, or base 256 when the top bit is set.
pub(super) fn number(field: &[u8], what: &str) -> Result<i128> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field, what),
        _ => octal(field, what),
    }
}

fn octal(field: &[u8], what: &str) -> Result<i128> {
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0i128, |value, digit| match digit {
        b'0'..=b'7' => Ok(value * 8 + i128::from(digit - b'0')),
        _ => Err(Error::malformed("tar header", format!("its {what} is no number"))),
    })
}

/// Two's complement over all bits but the first. Fields have at most 12 bytes, so 95 bits always fit.
fn base256(field: &[u8], what: &str) -> Result<i128> {
    if field.len() > 12 {
        return Err(Error::malformed("tar header", format!("its {what} is no number")));
    }
    let negative = field[0] & 0x40 != 0;
    let start = if negative { -1 } else { 0 };
    let first = if negative { field[0] | 0x80 } else { field[0] & 0x7f };
    Ok(field[1..].iter().fold((start << 8) | i128::from(first), |value, byte| (value << 8) | i128::from(*byte)))
}

fn unsigned(field: &[u8], what: &str) -> Result<u64> {
    let value = u64::try_from(number(field, what)?).ok().filter(|value| *value <= i64::MAX as u64);
    value.ok_or_else(|| Error::malformed("tar header", format!("its {what} is out of range")))
}

fn id(field: &[u8], what: &str) -> Result<u32> {
    u32::try_from(number(field, what)?)
        .map_err(|_| Error::malformed("tar header", format!("its {what} is out of range")))
}

/// Builds headers for the writer.
pub(super) struct Builder(pub(super) [u8; BLOCK]);

impl Builder {
    pub(super) fn new(typeflag: u8) -> Self {
        let mut block = [0; BLOCK];
        block[156] = typeflag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        Self(block)
    }

    /// Writes `bytes` to a text field; false when they do not fit.
    pub(super) fn text(&mut self, at: usize, length: usize, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= length;
        let shown = bytes.len().min(length);
        self.0[at..at + shown].copy_from_slice(&bytes[..shown]);
        fits
    }

    /// Writes an octal field of `length` bytes with its NUL; false when the value does not fit.
    pub(super) fn octal(&mut self, at: usize, length: usize, value: u64) -> bool {
        let digits = length - 1;
        let fits = digits >= 22 || value < 1 << (3 * digits);
        let shown = if fits { value } else { 0 };
        for (place, byte) in self.0[at..at + digits].iter_mut().rev().enumerate() {
            *byte = b'0' + ((shown >> (3 * place).min(63)) & 7) as u8;
        }
        fits
    }

    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148, 7, sum);
        self.0[154] = 0;
        self.0[155] = b' ';
        self.0
    }
}
