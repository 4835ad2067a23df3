//! Writes members: ustar, with pax records where ustar cannot say it, as Go's archive/tar does.

use std::io::{Read, Write};

use super::header::Builder;
use super::{BLOCK, Entry, Kind, pax};
use crate::{Error, Result};

/// Writes an archive.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`; best a buffered one.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes a member without content.
    pub fn header(&mut self, entry: &Entry) -> Result<()> {
        let (block, records) = encode(entry, entry.size);
        self.records(entry, &records)?;
        self.put(&block)
    }

    /// Writes a member with exactly `entry.size` bytes of content. A shorter source is filled with zeros (the file
    /// shrank while it was read), a longer one is cut.
    pub fn member(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self.header(entry)?;
        self.content(entry, content)
    }

    /// The second half of [`Writer::member`].
    pub(crate) fn content(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let mut buffer = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX).clamp(1, 256 << 10)];
        let mut left = entry.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = content.read(&mut buffer[..want]).map_err(Error::io("read", entry.display()))?;
            if count == 0 {
                buffer.fill(0);
            }
            let count = if count == 0 { want } else { count };
            self.put(&buffer[..count])?;
            left -= count as u64;
        }
        self.pad(entry.size)
    }

    /// Writes a member whose content is at hand.
    pub fn bytes(&mut self, entry: &Entry, content: &[u8]) -> Result<()> {
        let entry = Entry { size: content.len() as u64, ..entry.clone() };
        self.header(&entry)?;
        self.put(content)?;
        self.pad(entry.size)
    }

    /// What is written to.
    pub(crate) fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends the archive and returns what was written to.
    pub fn finish(mut self) -> Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(Error::io("write", "tar"))?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write", "tar"))
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let length = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.put(&[0; BLOCK][..length])
    }

    fn records(&mut self, entry: &Entry, records: &[u8]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut block = Builder::new(b'x');
        // The name of the extended header itself means nothing; this is the customary one.
        let last = entry.path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        let name = [b"PaxHeaders.0/", last].concat();
        block.text(0, 100, &name);
        for (at, length) in [(100, 8), (108, 8), (116, 8), (136, 12)] {
            block.octal(at, length, 0);
        }
        block.octal(124, 12, records.len() as u64);
        self.put(&block.finish())?;
        self.put(records)?;
        self.pad(records.len() as u64)
    }
}

/// The header block, and the pax records for what it cannot hold.
fn encode(entry: &Entry, size: u64) -> ([u8; BLOCK], Vec<u8>) {
    let mut block = Builder::new(typeflag(entry.kind));
    let mut records = Vec::new();
    let mut note = |fits: bool, key: &[u8], value: &[u8]| {
        if !fits {
            records.extend_from_slice(&pax::record(key, value));
        }
    };
    note(name(&mut block, &entry.path), b"path", &entry.path);
    note(block.text(157, 100, &entry.link), b"linkpath", &entry.link);
    block.octal(100, 8, u64::from(entry.mode & 0o7777));
    note(block.octal(108, 8, u64::from(entry.uid)), b"uid", entry.uid.to_string().as_bytes());
    note(block.octal(116, 8, u64::from(entry.gid)), b"gid", entry.gid.to_string().as_bytes());
    note(block.octal(124, 12, size), b"size", size.to_string().as_bytes());
    let secs = u64::try_from(entry.mtime.secs).ok().filter(|_| entry.mtime.nanos == 0);
    let fits = block.octal(136, 12, u64::try_from(entry.mtime.secs).unwrap_or(0)) && secs.is_some();
    note(fits, b"mtime", pax::time_text(entry.mtime).as_bytes());
    if matches!(entry.kind, Kind::Character | Kind::Block) {
        // Linux numbers fit: 12 bits of major, 20 bits of minor.
        block.octal(329, 8, u64::from(entry.device.0));
        block.octal(337, 8, u64::from(entry.device.1));
    }
    for (key, value) in &entry.xattrs {
        note(false, &pax::xattr_key(key), value);
    }
    (block.finish(), records)
}

/// Writes the name, split at a slash when that makes it fit; false when it does not. A name that is not UTF-8 stays
/// plain when it fits: readers take bytes.
fn name(block: &mut Builder, path: &[u8]) -> bool {
    if path.len() <= 100 {
        return block.text(0, 100, path);
    }
    let split = path.iter().enumerate().rev().find(|(at, byte)| {
        **byte == b'/' && *at > 0 && *at <= 155 && path.len() - at - 1 <= 100 && path.len() - at > 1
    });
    match split {
        Some((at, _)) => block.text(345, 155, &path[..at]) && block.text(0, 100, &path[at + 1..]),
        None => {
            block.text(0, 100, path);
            false
        }
    }
}

fn typeflag(kind: Kind) -> u8 {
    match kind {
        Kind::Regular => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}
