//! One member's header: ustar with PAX records for what does not fit, GNU long names on reading.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// Before the names of extended attributes, as tar programs agreed.
const XATTR: &[u8] = b"SCHILY.xattr.";
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
    /// Its path, in whatever encoding; directories end in a slash.
    pub(crate) name: Vec<u8>,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
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
    /// Extended attributes, names and values.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
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
        let mut add = |key: &[u8], value: &[u8]| records.extend(pax_record(key, value));
        if self.name.len() > 100 {
            add(b"path", &self.name);
        }
        if self.link.len() > 100 {
            add(b"linkpath", &self.link);
        }
        if self.size >= 1 << 33 {
            add(b"size", self.size.to_string().as_bytes());
        }
        for (key, value) in &self.xattrs {
            add(&[XATTR, key].concat(), value);
        }
        if !records.is_empty() {
            let pax = Self { name: b"PaxHeaders/entry".to_vec(), link: Vec::new(), ..self.clone() };
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
                b'L' => drop(long.insert(b"path".to_vec(), text(&metadata(input, size)?))),
                b'K' => drop(long.insert(b"linkpath".to_vec(), text(&metadata(input, size)?))),
                letter => return Self::decode(&block, letter, size, &long).map(Some),
            }
        }
    }

    fn decode(block: &[u8; BLOCK], letter: u8, size: u64, long: &Records) -> io::Result<Self> {
        let kind = Kind::from_letter(letter)
            .ok_or_else(|| invalid(format!("unknown tar member type {:?}", char::from(letter))))?;
        let record = |key: &str| long.get(key.as_bytes());
        let number = |key: &str, field: &[u8]| match record(key).map(|value| String::from_utf8_lossy(value)) {
            Some(text) => text.parse().map_err(|_| invalid(format!("invalid tar record {key}={text}"))),
            None => octal(field),
        };
        let mtime = match record("mtime").map(|value| String::from_utf8_lossy(value)) {
            Some(text) => text.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0),
            None => octal(&block[136..148])? as i64,
        };
        let size = if record("size").is_some() { number("size", &[])? } else { size };
        let xattrs = long.iter().filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_vec(), value.clone())));
        let mut member = Self {
            name: record("path").cloned().unwrap_or_else(|| ustar_name(block)),
            link: record("linkpath").cloned().unwrap_or_else(|| text(&block[157..257])),
            kind,
            mode: octal(&block[100..108])? as u32 & 0o7777,
            uid: number("uid", &block[108..116])?,
            gid: number("gid", &block[116..124])?,
            size: if kind == Kind::File { size } else { 0 },
            mtime,
            device: (octal(&block[329..337])? as u32, octal(&block[337..345])? as u32),
            xattrs: xattrs.collect(),
        };
        if member.name.ends_with(b"/") && member.kind == Kind::File {
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

/// What PAX headers (and GNU's long names) say, by key.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

fn pax_records(mut bytes: &[u8]) -> io::Result<Records> {
    let broken = || invalid("invalid pax record".to_owned());
    let mut found = Records::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&bytes[..blank]).ok().and_then(|length| length.parse::<usize>().ok());
        let length = length.ok_or_else(broken)?;
        let record = bytes.get(blank + 1..length.max(blank + 2) - 1).ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        found.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        bytes = bytes.get(length..).ok_or_else(broken)?;
    }
    Ok(found)
}

fn ustar_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(&block[..100]);
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix.as_slice(), b"/", &name].concat() }
}

/// A field up to its first zero.
fn text(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// Octal digits, or GNU's big-endian binary when the top bit is set.
fn octal(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Ok(field.iter().skip(1).fold(0u64, |sum, byte| sum.wrapping_shl(8) | u64::from(*byte)));
    }
    let digits = String::from_utf8_lossy(field);
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| invalid(format!("invalid number {digits:?} in a tar header")))
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
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

    fn member(name: &[u8]) -> Member {
        Member {
            name: name.to_vec(),
            link: b"l".repeat(120),
            kind: Kind::Symlink,
            mode: 0o755,
            uid: 1000,
            gid: 3_000_000,
            size: 0,
            mtime: 1_700_000_000,
            device: (0, 0),
            xattrs: vec![(b"user.any".to_vec(), b"\xff=\n\0".to_vec())],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for name in [&b"short"[..], b"not \xff utf-8", &b"long/\xfe".repeat(40)] {
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
        huge.extend(member(b"x").block(b'x', 1 << 40));
        assert!(Member::read(&mut huge.as_slice()).unwrap_err().to_string().contains("tar metadata"));
    }
}
