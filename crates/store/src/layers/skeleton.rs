//! A layer's skeleton: every byte of its tar but the contents of files, which lie in the layer's directory already. From
//! both the exact tar is made again, so an image that came uncompressed is not stored twice.
//!
//! The file is a zstd stream of records: `0 LENGTH BYTES` verbatim bytes, `1 NUMBER LENGTH PATH COUNT (OFFSET LENGTH)…`
//! regions of the file at PATH, `2` the end. Numbers are little-endian, 32 bits for lengths, 64 for the rest. A file that
//! a later member replaced is kept in `replaced/NUMBER`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::extract::{Ledger, list, remove_tree};
use crate::tar::{PATH_LIMIT, Tap};
use crate::{Error, Result};

const VERBATIM: u8 = 0;
const REGIONS: u8 = 1;
const END: u8 = 2;
/// Verbatim bytes are collected up to this many.
const COLLECT: usize = 64 << 10;

/// The name of the directory of replaced files, beside the layer's own.
pub(super) const REPLACED: &str = "replaced";

/// Records a skeleton while a layer is unpacked.
pub(super) struct Recorder {
    out: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    collected: Vec<u8>,
    replaced: PathBuf,
    numbers: HashMap<u64, u64>,
    next: u64,
}

impl Recorder {
    /// Records to `dir/skeleton`.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let path = dir.join("skeleton");
        let file = File::create_new(&path).map_err(Error::at("create", &path))?;
        let out = zstd::stream::write::Encoder::new(BufWriter::with_capacity(COLLECT, file), 1)
            .map_err(Error::at("write", &path))?;
        let collected = Vec::with_capacity(COLLECT);
        Ok(Self { out, collected, replaced: dir.join(REPLACED), numbers: HashMap::new(), next: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write", "skeleton"))
    }

    fn flush(&mut self) -> Result<()> {
        if self.collected.is_empty() {
            return Ok(());
        }
        let collected = std::mem::take(&mut self.collected);
        self.put(&[VERBATIM])?;
        self.put(&(collected.len() as u32).to_le_bytes())?;
        self.put(&collected)?;
        self.collected = collected;
        self.collected.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.put(&[END])?;
        let mut file = self.out.finish().map_err(Error::io("write", "skeleton"))?;
        file.flush().map_err(Error::io("write", "skeleton"))
    }

    fn keep(&mut self, parent: &OwnedFd, name: &OsStr, number: u64) -> Result<()> {
        match std::fs::create_dir(&self.replaced) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::at("create", &self.replaced))?,
        }
        let place = self.replaced.join(number.to_string());
        rustix::fs::renameat(parent, name, rustix::fs::CWD, &place).map_err(Error::at("rename", &place))
    }

    /// Moves every recorded file below a directory away, then removes the rest.
    fn keep_tree(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(Error::io("open", name.to_string_lossy()))?;
        for (name, kind) in list(&directory)? {
            match kind {
                FileType::Directory => self.keep_tree(&directory, &name)?,
                _ => self.keep_file(&directory, &name)?,
            }
        }
        remove_tree(parent, name)
    }

    fn keep_file(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", name.to_string_lossy()))?;
        match self.numbers.remove(&stat.st_ino) {
            Some(number) => self.keep(parent, name, number),
            None => remove_tree(parent, name),
        }
    }
}

impl Tap for Recorder {
    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.collected.len() + bytes.len() > COLLECT {
            self.flush()?;
        }
        if bytes.len() > COLLECT {
            for piece in bytes.chunks(COLLECT) {
                self.collected.extend_from_slice(piece);
                self.flush()?;
            }
            return Ok(());
        }
        self.collected.extend_from_slice(bytes);
        Ok(())
    }
}

impl Ledger for Recorder {
    fn claims(&self) -> bool {
        true
    }

    fn stored(&mut self, path: &[u8], regions: &[(u64, u64)], inode: u64) -> Result<()> {
        self.flush()?;
        let number = self.next;
        self.next += 1;
        self.numbers.insert(inode, number);
        let mut record = vec![REGIONS];
        record.extend_from_slice(&number.to_le_bytes());
        record.extend_from_slice(&(path.len() as u32).to_le_bytes());
        record.extend_from_slice(path);
        record.extend_from_slice(&(regions.len() as u32).to_le_bytes());
        for (offset, length) in regions {
            record.extend_from_slice(&offset.to_le_bytes());
            record.extend_from_slice(&length.to_le_bytes());
        }
        self.put(&record)
    }

    fn rescue(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<bool> {
        let name = OsStr::from_bytes(name);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", name.to_string_lossy()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.keep_tree(parent, name)?,
            _ => self.keep_file(parent, name)?,
        }
        Ok(true)
    }
}

/// Makes the exact tar of a layer again.
pub(super) struct Replay {
    records: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
    diff: OwnedFd,
    replaced: PathBuf,
    verbatim: usize,
    file: Option<File>,
    regions: std::vec::IntoIter<(u64, u64)>,
    region: (u64, u64),
    ended: bool,
}

impl Replay {
    /// Reads the skeleton in a layer's directory.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("skeleton");
        let file = File::open(&path).map_err(Error::at("open", &path))?;
        let records = zstd::stream::read::Decoder::new(file).map_err(Error::at("read", &path))?;
        let diff = File::open(dir.join("diff")).map_err(Error::at("open", dir))?.into();
        let records = BufReader::with_capacity(COLLECT, records);
        let regions = Vec::new().into_iter();
        Ok(Self {
            records,
            diff,
            replaced: dir.join(REPLACED),
            verbatim: 0,
            file: None,
            regions,
            region: (0, 0),
            ended: false,
        })
    }

    /// Reads the next record's head.
    fn advance(&mut self) -> io::Result<()> {
        let mut tag = [0];
        self.records.read_exact(&mut tag)?;
        match tag[0] {
            VERBATIM => self.verbatim = self.length(COLLECT)?,
            REGIONS => self.open_file()?,
            END => self.ended = true,
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn length(&mut self, limit: usize) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.records.read_exact(&mut bytes)?;
        let length = u32::from_le_bytes(bytes) as usize;
        if length > limit { Err(damaged()) } else { Ok(length) }
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.records.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn open_file(&mut self) -> io::Result<()> {
        let number = self.number()?;
        let length = self.length(PATH_LIMIT)?;
        let mut path = vec![0; length];
        self.records.read_exact(&mut path)?;
        let count = self.length(1 << 20)?;
        let regions: io::Result<Vec<(u64, u64)>> = (0..count).map(|_| Ok((self.number()?, self.number()?))).collect();
        self.regions = regions?.into_iter();
        self.file = Some(self.find(&path, number)?);
        self.region = self.regions.next().unwrap_or((0, 0));
        Ok(())
    }

    /// The file as it was stored; a replaced one first, for its name leads to something else now.
    fn find(&self, path: &[u8], number: u64) -> io::Result<File> {
        match File::open(self.replaced.join(number.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = rustix::fs::openat2(self.diff.as_fd(), OsStr::from_bytes(path), flags, Mode::empty(), resolve)
            .map_err(|errno: Errno| io::Error::from(errno))?;
        Ok(File::from(fd))
    }

    fn read_region(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let (offset, left) = self.region;
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read_at(&mut buffer[..want], offset)?;
        if count == 0 {
            return Err(damaged());
        }
        self.region = (offset + count as u64, left - count as u64);
        if self.region.1 == 0 {
            self.region = self.regions.next().unwrap_or((0, 0));
        }
        if self.region.1 == 0 {
            self.file = None;
        }
        Ok(count)
    }
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.ended || buffer.is_empty() {
                return Ok(0);
            }
            if self.file.is_some() {
                return self.read_region(buffer);
            }
            if self.verbatim > 0 {
                let want = self.verbatim.min(buffer.len());
                let count = self.records.read(&mut buffer[..want])?;
                if count == 0 {
                    return Err(damaged());
                }
                self.verbatim -= count;
                return Ok(count);
            }
            self.advance()?;
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "read skeleton: it is damaged")
}
