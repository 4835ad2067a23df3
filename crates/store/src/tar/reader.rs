//! Reads members one after the other from a buffered stream, without copying their content.
//!
//! Every byte of the archive passes by a [`Tap`], except content the caller claims: that is how a layer's skeleton is
//! recorded.

use std::io::{self, BufRead};

use super::header::Header;
use super::pax::Records;
use super::sparse::{self, Leading};
use super::{BLOCK, EXTENSION_LIMIT, Entry, PATH_LIMIT};
use crate::{Error, Result};

/// Sees the bytes of an archive that were not claimed.
pub trait Tap {
    /// The next bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Result<()>;
}

impl Tap for () {
    fn bytes(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Reads an archive.
pub struct Reader<R, T = ()> {
    source: R,
    tap: T,
    globals: Records,
    /// Content bytes of the current member not yet consumed.
    remaining: u64,
    /// Padding after the current member's content.
    padding: u64,
    claimed: bool,
    position: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self::tapped(source, ())
    }
}

impl<R: BufRead, T: Tap> Reader<R, T> {
    /// Reads from `source`, showing all unclaimed bytes to `tap`.
    pub fn tapped(source: R, tap: T) -> Self {
        Self { source, tap, globals: Records::default(), remaining: 0, padding: 0, claimed: false, position: 0 }
    }

    /// The tap.
    pub fn tap(&mut self) -> &mut T {
        &mut self.tap
    }

    /// Bytes of the archive read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next member, or none at the end. Unread content of the one before is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut told = Told::default();
        loop {
            let Some(block) = self.header_block()? else { return self.ended(&told) };
            let header = Header(&block);
            if header.is_zero() {
                return self.ended(&told);
            }
            header.check_sum()?;
            match header.typeflag() {
                b'x' | b'X' => told.records = Some(Records::parse(&self.extension(&header)?)?),
                b'g' => self.add_globals(&header)?,
                b'L' => told.path = Some(trimmed(self.extension(&header)?)?),
                b'K' => told.link = Some(trimmed(self.extension(&header)?)?),
                // GNU volume labels and multi-volume notes carry nothing to unpack.
                b'V' => self.skip_extension(&header)?,
                _ => return self.member(&header, told).map(Some),
            }
        }
    }

    fn ended(&self, told: &Told) -> Result<Option<Entry>> {
        if told.records.is_some() || told.path.is_some() || told.link.is_some() {
            return Err(Error::malformed("tar", "it ends after an extended header"));
        }
        Ok(None)
    }

    fn add_globals(&mut self, header: &Header<'_>) -> Result<()> {
        let records = Records::parse(&self.extension(header)?)?.without_singular();
        self.globals.0.extend(records.0);
        if self.globals.0.len() > 10_000 {
            return Err(Error::limit("tar", "too many global records"));
        }
        Ok(())
    }

    fn member(&mut self, header: &Header<'_>, told: Told) -> Result<Entry> {
        let mut entry = header.entry()?;
        self.globals.apply(&mut entry)?;
        if let Some(path) = told.path {
            entry.path = path;
        }
        if let Some(link) = told.link {
            entry.link = link;
        }
        let records = told.records.unwrap_or_default();
        records.apply(&mut entry)?;
        entry.kind = header.kind(&entry.path)?;
        let stored = if has_content(header.typeflag()) { entry.size } else { 0 };
        self.expect(stored);
        if entry.kind == super::Kind::Regular {
            self.sparse(header, &records, &mut entry)?;
        } else {
            entry.size = 0;
        }
        if entry.path.is_empty() {
            return Err(Error::malformed("tar", "a member has no name"));
        }
        Ok(entry)
    }

    fn expect(&mut self, stored: u64) {
        self.remaining = stored;
        self.padding = padding(stored);
        self.claimed = false;
    }

    fn sparse(&mut self, header: &Header<'_>, records: &Records, entry: &mut Entry) -> Result<()> {
        let found =
            if header.typeflag() == b'S' { Some(self.old_sparse(header)?) } else { self.pax_sparse(records, entry)? };
        if let Some((regions, size)) = found {
            sparse::check(&regions, size, self.remaining)?;
            entry.size = size;
            entry.sparse = Some(regions);
        }
        Ok(())
    }

    fn old_sparse(&mut self, header: &Header<'_>) -> Result<(sparse::Regions, u64)> {
        let mut regions = Vec::new();
        let mut more = sparse::old_gnu(&header.0[386..482], header.0[482], &mut regions)?;
        while more {
            let block = self.header_block()?.ok_or_else(truncated)?;
            more = sparse::old_gnu(&block[..504], block[504], &mut regions)?;
        }
        let size = u64::try_from(super::header::number(&header.0[483..495], "size")?)
            .map_err(|_| Error::malformed("sparse map", "its size is negative"))?;
        // The closing empty region only marks the end of the file.
        regions.retain(|(_, length)| *length > 0);
        Ok((regions, size))
    }

    fn pax_sparse(&mut self, records: &Records, entry: &mut Entry) -> Result<Option<(sparse::Regions, u64)>> {
        let Some(found) = sparse::pax(records)? else { return Ok(None) };
        if let Some(name) = found.name {
            entry.path = name;
        }
        let mut regions = match found.regions {
            Some(regions) => regions,
            None => self.leading_map()?,
        };
        regions.retain(|(_, length)| *length > 0);
        Ok(Some((regions, found.size)))
    }

    fn leading_map(&mut self) -> Result<sparse::Regions> {
        let mut map = Leading::default();
        loop {
            if self.remaining < BLOCK as u64 {
                return Err(Error::malformed("sparse map", "it is cut short"));
            }
            let block = self.header_block()?.ok_or_else(truncated)?;
            self.remaining -= BLOCK as u64;
            if let Some(regions) = map.block(&block)? {
                return Ok(regions);
            }
        }
    }

    /// The next piece of the member's content as it lies in the buffer; empty at its end.
    pub fn content(&mut self) -> Result<&[u8]> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let buffer = fill(&mut self.source)?;
        if buffer.is_empty() {
            return Err(truncated());
        }
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        Ok(&buffer[..length])
    }

    /// Marks `count` bytes of [`Reader::content`] as used.
    pub fn consume(&mut self, count: usize) -> Result<()> {
        self.remaining -= count as u64;
        let claimed = self.claimed;
        self.pass(count, !claimed)
    }

    /// Passes over the rest of the member's content: `over` moves the source by so many bytes in its own way.
    pub(crate) fn pass_over(&mut self, over: impl FnOnce(&mut R, u64)) {
        let count = std::mem::take(&mut self.remaining);
        over(&mut self.source, count);
        self.position += count;
    }

    /// How many bytes of content the archive still holds for this member.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Keeps the member's content from the tap: the caller records it in its own way.
    pub fn claim(&mut self) {
        self.claimed = true;
    }

    /// Reads a whole small content.
    pub fn read_content(&mut self, limit: u64) -> Result<Vec<u8>> {
        if self.remaining > limit {
            return Err(Error::limit("tar", format!("a member of {} bytes exceeds {limit}", self.remaining)));
        }
        let mut bytes = Vec::with_capacity(self.remaining as usize);
        while self.remaining > 0 {
            let piece = self.content()?;
            bytes.extend_from_slice(piece);
            let count = piece.len();
            self.consume(count)?;
        }
        Ok(bytes)
    }

    /// Reads the rest of the stream, which belongs to the archive's digest whatever it is. Returns source and tap.
    pub fn finish(mut self) -> Result<(R, T)> {
        self.skip_content()?;
        loop {
            let count = fill(&mut self.source)?.len();
            if count == 0 {
                return Ok((self.source, self.tap));
            }
            self.pass(count, true)?;
        }
    }

    fn skip_content(&mut self) -> Result<()> {
        while self.remaining > 0 {
            let count = self.content()?.len();
            self.consume(count)?;
        }
        while self.padding > 0 {
            let length = fill(&mut self.source)?.len();
            if length == 0 {
                return Err(truncated());
            }
            let count = usize::try_from(self.padding).unwrap_or(usize::MAX).min(length);
            self.padding -= count as u64;
            self.pass(count, true)?;
        }
        Ok(())
    }

    /// Moves past `count` buffered bytes.
    fn pass(&mut self, count: usize, seen: bool) -> Result<()> {
        if seen {
            let buffer = fill(&mut self.source)?;
            self.tap.bytes(&buffer[..count])?;
        }
        self.source.consume(count);
        self.position += count as u64;
        Ok(())
    }

    /// The next 512 bytes; none when the stream ends exactly here.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            let buffer = fill(&mut self.source)?;
            if buffer.is_empty() {
                return if have == 0 { Ok(None) } else { Err(truncated()) };
            }
            let count = buffer.len().min(BLOCK - have);
            block[have..have + count].copy_from_slice(&buffer[..count]);
            have += count;
            self.pass(count, true)?;
        }
        Ok(Some(block))
    }

    fn extension(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        self.expect(header.size()?);
        let bytes = self.read_content(EXTENSION_LIMIT)?;
        self.skip_content()?;
        Ok(bytes)
    }

    fn skip_extension(&mut self, header: &Header<'_>) -> Result<()> {
        self.expect(header.size()?);
        self.skip_content()
    }
}

impl<R: BufRead, T: Tap> io::Read for Reader<R, T> {
    /// Reads the current member's content.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.content().map_err(io::Error::from)?;
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.consume(count).map_err(io::Error::from)?;
        Ok(count)
    }
}

/// What extended headers told about the member that follows.
#[derive(Default)]
struct Told {
    records: Option<Records>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn fill<R: BufRead>(source: &mut R) -> Result<&[u8]> {
    // Asking once and returning at once would be simpler, but the borrow would outlive the retry.
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::io("read", "tar")(cause)),
        }
    }
    source.fill_buf().map_err(Error::io("read", "tar"))
}

fn truncated() -> Error {
    Error::malformed("tar", "it is cut short")
}

/// Whether the size field of this type counts bytes that follow. Links and devices may name a size but have no content.
fn has_content(typeflag: u8) -> bool {
    !matches!(typeflag, b'1'..=b'6')
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// A GNU long name: NUL-terminated.
fn trimmed(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.len() > PATH_LIMIT {
        return Err(Error::limit("tar", "a path is too long"));
    }
    Ok(bytes)
}
