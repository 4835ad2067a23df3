//! One member's header: ustar with PAX records for what does not fit, GNU long names on reading.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// Metadata beyond this is an attack or rubbish.
const LONGEST_METADATA: u64 = 1 << 20;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier member.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// One member without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its path; directories end in a slash.
    pub(crate) name: String,
    /// The target of a link.
    pub(crate) link: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
    /// Bytes of content.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::Character => b'3',
            Self::Block => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }

    fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'0' | 0 | b'7' => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' => Self::Character,
            b'4' => Self::Block,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            _ => return None,
        })
    }
}

impl Member {
    /// Writes the header, with a PAX header before it where ustar is too small.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut records = Vec::new();
        let mut add = |key: &str, value: &str| records.extend(pax_record(key, value));
        if self.name.len() > 100 {
            add("path", &self.name);
        }
        if self.link.len() > 100 {
            add("linkpath", &self.link);
        }
        if self.size >= 1 << 33 {
            add("size", &self.size.to_string());
        }
        if !records.is_empty() {
            let pax = Self { name: "PaxHeaders/entry".to_owned(), link: String::new(), ..self.clone() };
            out.write_all(&pax.block(b'x', records.len() as u64))?;
            out.write_all(&records)?;
            pad(out, records.len() as u64)?;
        }
        out.write_all(&self.block(self.kind.letter(), self.size))
    }

    fn block(&self, letter: u8, size: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_text(&mut block[..100], &self.name);
        put_octal(&mut block[100..108], u64::from(self.mode));
        put_octal(&mut block[108..116], self.uid);
        put_octal(&mut block[116..124], self.gid);
        put_octal(&mut block[124..136], size);
        put_octal(&mut block[136..148], self.mtime.max(0).unsigned_abs());
        block[156] = letter;
        put_text(&mut block[157..257], &self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        put_octal(&mut block[329..337], u64::from(self.device.0));
        put_octal(&mut block[337..345], u64::from(self.device.1));
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// Reads the next member; `None` at the archive's end.
    pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut long = BTreeMap::new();
        loop {
            let Some(block) = read_block(input)? else { return Ok(None) };
            let size = octal(&block[124..136])?;
            match block[156] {
                b'x' => long.extend(pax_records(&metadata(input, size)?)?),
                b'g' => drop(metadata(input, size)?),
                b'L' => drop(long.insert("path".to_owned(), text(&metadata(input, size)?))),
                b'K' => drop(long.insert("linkpath".to_owned(), text(&metadata(input, size)?))),
                letter => return Self::decode(&block, letter, size, &long).map(Some),
            }
        }
    }

    fn decode(block: &[u8; BLOCK], letter: u8, size: u64, long: &BTreeMap<String, String>) -> io::Result<Self> {
        let kind = Kind::from_letter(letter)
            .ok_or_else(|| invalid(format!("unknown tar member type {:?}", char::from(letter))))?;
        let number = |key: &str, field: &[u8]| match long.get(key) {
            Some(text) => text.parse().map_err(|_| invalid(format!("invalid tar record {key}={text}"))),
            None => octal(field),
        };
        let mtime = match long.get("mtime") {
            Some(text) => text.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0),
            None => octal(&block[136..148])? as i64,
        };
        let size = if long.contains_key("size") { number("size", &[])? } else { size };
        let mut member = Self {
            name: long.get("path").cloned().unwrap_or_else(|| ustar_name(block)),
            link: long.get("linkpath").cloned().unwrap_or_else(|| text(&block[157..257])),
            kind,
            mode: octal(&block[100..108])? as u32 & 0o7777,
            uid: number("uid", &block[108..116])?,
            gid: number("gid", &block[116..124])?,
            size: if kind == Kind::File { size } else { 0 },
            mtime,
            device: (octal(&block[329..337])? as u32, octal(&block[337..345])? as u32),
        };
        if member.name.ends_with('/') && member.kind == Kind::File {
            member.kind = Kind::Directory;
        }
        Ok(member)
    }

    /// Bytes that follow the content up to the next block.
    pub(crate) fn padding(&self) -> u64 {
        self.size.next_multiple_of(BLOCK as u64) - self.size
    }
}

/// Fills up to a full block after `length` bytes.
pub(crate) fn pad(out: &mut impl Write, length: u64) -> io::Result<()> {
    let rest = (length.next_multiple_of(BLOCK as u64) - length) as usize;
    out.write_all(&[0; BLOCK][..rest])
}

/// Two empty blocks end an archive.
pub(crate) fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

fn read_block(input: &mut impl Read) -> io::Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    let mut have = 0;
    while have < BLOCK {
        match input.read(&mut block[have..])? {
            0 if have == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => have += more,
        }
    }
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let sum: u64 =
        block.iter().enumerate().map(|(at, b)| u64::from(if (148..156).contains(&at) { b' ' } else { *b })).sum();
    if octal(&block[148..156])? != sum {
        return Err(invalid("invalid tar header checksum".to_owned()));
    }
    Ok(Some(block))
}

fn metadata(input: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    if size > LONGEST_METADATA {
        return Err(invalid(format!("tar metadata of {size} bytes")));
    }
    let mut bytes = vec![0; size.next_multiple_of(BLOCK as u64) as usize];
    input.read_exact(&mut bytes)?;
    bytes.truncate(size as usize);
    Ok(bytes)
}

fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

fn pax_records(mut bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    let broken = || invalid("invalid pax record".to_owned());
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length: usize = text(&bytes[..blank]).parse().map_err(|_| broken())?;
        let record = bytes.get(blank + 1..length.max(blank + 2) - 1).ok_or_else(broken)?;
        let (key, value) = std::str::from_utf8(record).ok().and_then(|r| r.split_once('=')).ok_or_else(broken)?;
        found.push((key.to_owned(), value.to_owned()));
        bytes = bytes.get(length..).ok_or_else(broken)?;
    }
    Ok(found)
}

fn ustar_name(block: &[u8; BLOCK]) -> String {
    let name = text(&block[..100]);
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Octal digits, or GNU's big-endian binary when the top bit is set.
fn octal(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Ok(field.iter().skip(1).fold(0u64, |sum, byte| sum.wrapping_shl(8) | u64::from(*byte)));
    }
    let digits = text(field);
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| invalid(format!("invalid number {digits:?} in a tar header")))
}

fn put_text(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

fn put_octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let text = format!("{number:0digits$o}");
    if text.len() <= digits {
        field[..digits].copy_from_slice(text.as_bytes());
        return;
    }
    let bytes = number.to_be_bytes();
    let width = bytes.len().min(field.len());
    let start = field.len() - width;
    field[start..].copy_from_slice(&bytes[bytes.len() - width..]);
    field[0] |= 0x80;
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            link: "l".repeat(120),
            kind: Kind::Symlink,
            mode: 0o755,
            uid: 1000,
            gid: 3_000_000,
            size: 0,
            mtime: 1_700_000_000,
            device: (0, 0),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for name in ["short", &"long/".repeat(40)] {
            let mut bytes = Vec::new();
            member(name).write(&mut bytes).unwrap();
            finish(&mut bytes).unwrap();
            let mut input = bytes.as_slice();
            assert_eq!(Member::read(&mut input).unwrap(), Some(member(name)));
            assert_eq!(Member::read(&mut input).unwrap(), None);
        }
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(Member::read(&mut [7u8; 512].as_slice()).is_err());
        assert!(Member::read(&mut [7u8; 100].as_slice()).is_err());
        let mut huge = Vec::new();
        huge.extend(member("x").block(b'x', 1 << 40));
        assert!(Member::read(&mut huge.as_slice()).unwrap_err().to_string().contains("tar metadata"));
    }
}
