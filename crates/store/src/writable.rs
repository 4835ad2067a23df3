//! A container's writable layer: `diff/` (overlay's upper directory) and `work/`, and what can be read from it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_sys::confined::Root;
use rustix::fs::{FileType, Gid, Mode, Uid};

use crate::store::{Shared, discard, make_dir};
use crate::tree::{Packer, Precision, is_opaque};
use crate::{Change, Error, Layers, Limits, Result, Rootfs, Staged, Unpack, changes, quota, usage};

/// The writable layer of one container.
#[derive(Clone)]
pub struct Writable {
    pub(crate) dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
}

impl Writable {
    /// Makes `diff/` and `work/`; the root takes owner and mode of the topmost lower directory.
    pub fn create(&self, lowers: &[PathBuf]) -> Result<()> {
        make_dir(&self.work(), 0o700)?;
        let upper = self.upper();
        make_dir(&upper, 0o755)?;
        let Some(top) = lowers.first() else { return Ok(()) };
        let stat = rustix::fs::stat(top).map_err(Error::at("stat", top))?;
        let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        rustix::fs::chown(&upper, owner.0, owner.1).map_err(Error::at("change owner of", &upper))?;
        rustix::fs::chmod(&upper, Mode::from_raw_mode(stat.st_mode)).map_err(Error::at("change mode of", &upper))
    }

    /// Whether the bytes of writable layers can be bounded where this one is.
    pub fn can_be_bounded(&self) -> bool {
        quota::is_possible(&self.dir)
    }

    /// Bounds the bytes of a layer that was just made. Overlay moves files between its two directories, so both have one
    /// bound.
    pub fn bound(&self, name: &str, bytes: u64) -> Result<()> {
        quota::bound(&[self.upper(), self.work()], name, bytes)
    }

    /// Takes the bound away before the layer goes.
    pub fn unbound(&self) -> Result<()> {
        quota::free_again(&self.upper())
    }

    /// Overlay's upper directory.
    pub fn upper(&self) -> PathBuf {
        self.dir.join("diff")
    }

    /// Overlay's work directory.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Deletes both directories.
    pub fn delete(&self) -> Result<()> {
        match File::open(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            opened => {
                opened.map_err(Error::at("open", &self.dir))?;
                discard(&self.upper())?;
                discard(&self.work())
            }
        }
    }

    fn open_upper(&self) -> Result<OwnedFd> {
        let upper = self.upper();
        File::open(&upper).map(OwnedFd::from).map_err(Error::at("open", &upper))
    }

    /// The bytes of the files in the layer: Docker's `SizeRw`.
    pub fn size(&self) -> Result<u64> {
        let mut total = 0;
        let mut seen = std::collections::HashSet::new();
        usage::walk(self.open_upper()?, &mut |stat| {
            let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if regular && (stat.st_nlink <= 1 || seen.insert(stat.st_ino)) {
                total += u64::try_from(stat.st_size).unwrap_or(0);
            }
        })?;
        Ok(total)
    }

    /// The bytes the layer takes on disk.
    pub fn usage(&self) -> Result<u64> {
        Ok(usage::tree(&self.upper())? + usage::tree(&self.work())?)
    }

    /// What `docker diff` shows, sorted by path.
    pub fn changes(&self, lowers: &[PathBuf]) -> Result<Vec<Change>> {
        changes::find(self.open_upper()?, lowers)
    }

    /// Writes the layer as a tar with whiteouts.
    pub fn tar(&self, out: impl Write) -> Result<()> {
        let mut packer = Packer::new(BufWriter::with_capacity(256 << 10, out), Precision::Seconds);
        packer.as_layer();
        packer.content(self.open_upper()?)?;
        packer.finish().map(|_| ())
    }

    /// Copies the layer into a new read-only one (commit). The files are copied, not linked: the container may go on
    /// writing to its own.
    pub fn commit(&self, layers: &Layers, limits: &Limits) -> Result<Staged> {
        let (read, write) = std::io::pipe().map_err(Error::io("open", "pipe"))?;
        let options = Unpack { skeleton: true, limits: limits.clone(), ..Unpack::default() };
        std::thread::scope(|scope| {
            let packing = scope.spawn(move || self.tar(write));
            let staged = layers.unpack(read, &options);
            let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (staged, packed) {
                (Err(Error::Malformed { .. }), Err(error)) | (Ok(_), Err(error)) => Err(error),
                (staged, _) => staged,
            }
        })
    }

    /// The container's whole root file system, mounted nowhere, for cp, export and the like. Only while the container
    /// does not run; a running one is reached through /proc/PID/root.
    pub fn rootfs(&self, lowers: &[PathBuf]) -> Result<Rootfs> {
        self.forget_volatile()?;
        Rootfs::writable(lowers, &self.upper(), &self.work(), &self.shared.temporary())
    }

    /// Whether this layer says anything about a path of the image (whose own spelling leads over no links): it changes or
    /// hides it, or a directory on the way. Doubt counts as yes.
    pub fn covers(&self, path: &Path) -> bool {
        let Ok(root) = Root::open(&self.upper()) else { return true };
        let mut at = PathBuf::new();
        for part in path {
            at.push(part);
            let entry = match root.open_path_nofollow(&at) {
                Ok(entry) => entry,
                Err(error) => return !error.is_not_found(),
            };
            let directory = rustix::fs::fstat(&entry)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if !directory || at == path || is_opaque(&entry) {
                return true;
            }
        }
        false
    }

    /// A volatile overlay leaves a mark that stops the next mount, in case data was lost in a crash.
    fn forget_volatile(&self) -> Result<()> {
        let mark: &Path = &self.work().join("work/incompat/volatile");
        match std::fs::remove_dir(mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at("remove", mark)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
