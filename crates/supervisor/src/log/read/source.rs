//! One file of a log, plain or compressed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// A file being read.
#[derive(Debug)]
pub(super) struct Source {
    kind: Kind,
    inode: u64,
    position: u64,
    /// Where to stop, for a reader that does not follow.
    end: u64,
}

#[derive(Debug)]
enum Kind {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Source {
    /// Opens `path`; none if it is missing. A reader that does not follow sees the file as long as it is now.
    pub(super) fn open(path: &Path, compressed: bool, follow: bool) -> crate::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::file("open", path))?,
        };
        let metadata = file.metadata().map_err(Error::file("stat", path))?;
        let end = if follow || compressed { u64::MAX } else { metadata.len() };
        let kind = if compressed {
            Kind::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, file))))
        } else {
            Kind::Plain(file)
        };
        Ok(Some(Self { kind, inode: metadata.ino(), position: 0, end }))
    }

    /// Reads on; 0 at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = room.len().min(left);
        let room = &mut room[..length];
        let read = match &mut self.kind {
            Kind::Plain(file) => file.read(room),
            Kind::Gzip(decoder) => decoder.read(room),
        }?;
        self.position += read as u64;
        Ok(read)
    }

    /// Goes to `position`: forward only in a compressed file.
    pub(super) fn seek(&mut self, position: u64) -> Result<()> {
        match &mut self.kind {
            Kind::Plain(file) => {
                file.seek(SeekFrom::Start(position))?;
                self.position = position;
            }
            Kind::Gzip(_) => {
                let skipped = std::io::copy(&mut Read::by_ref(self).take(position), &mut std::io::sink())?;
                debug_assert_eq!(skipped, position, "positions come from a first reading");
            }
        }
        Ok(())
    }

    /// Goes back to the beginning.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.position = 0;
        match &mut self.kind {
            Kind::Plain(file) => file.rewind(),
            Kind::Gzip(decoder) => {
                let mut file = decoder.get_ref().get_ref().try_clone()?;
                file.rewind()?;
                **decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, file));
                Ok(())
            }
        }
    }

    /// How long a plain file is for this reader; none for a compressed one.
    pub(super) fn length(&self) -> Result<Option<u64>> {
        match &self.kind {
            Kind::Plain(file) => Ok(Some(file.metadata()?.len().min(self.end))),
            Kind::Gzip(_) => Ok(None),
        }
    }

    /// Reads `room` at `position` of a plain file, wherever the source is.
    pub(super) fn read_at(&self, room: &mut [u8], position: u64) -> Result<()> {
        match &self.kind {
            Kind::Plain(file) => std::os::unix::fs::FileExt::read_exact_at(file, room, position),
            Kind::Gzip(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Whether this is the file at `path` now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.ino() == self.inode)
    }

    /// Whether the file is shorter than what was read of it.
    pub(super) fn was_truncated(&self) -> bool {
        matches!(&self.kind, Kind::Plain(file) if file.metadata().is_ok_and(|metadata| metadata.len() < self.position))
    }
}

impl Read for Source {
    fn read(&mut self, room: &mut [u8]) -> Result<usize> {
        Source::read(self, room)
    }
}
