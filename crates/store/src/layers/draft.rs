//! A layer in the making: an overlay's upper directory that becomes a layer where it lies. Nothing is copied: the
//! directory is read once for its digest and moved to its place.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hako_model::digest::Digest;
use hako_model::image::media::Compression;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid};

use super::chunks::{self, CHUNK, Chunks, Filler};
use super::place::Staged;
use super::skeleton::Recorder;
use super::unpack::{Unpacked, hash};
use super::{ChainId, Layers};
use crate::extract::{Ledger, Outcome, list};
use crate::store::{discard, make_dir};
use crate::tar::Tap;
use crate::tree::{Packer, Precision, Sink};
use crate::{Error, Result, Rootfs};

/// A layer in the making. Dropped, it is deleted.
pub struct LayerDraft {
    layers: Layers,
    dir: PathBuf,
    lowers: Vec<PathBuf>,
    kept: bool,
}

impl Layers {
    /// Begins a layer above `parent`. Its root looks like the one below.
    pub fn draft(&self, parent: Option<&ChainId>) -> Result<LayerDraft> {
        let lowers = parent.map(|parent| self.lowers(parent)).transpose()?.unwrap_or_default();
        let draft = LayerDraft { layers: self.clone(), dir: self.shared.scratch()?, lowers, kept: false };
        make_dir(&draft.upper(), 0o755)?;
        make_dir(&draft.work(), 0o700)?;
        if let Some(top) = draft.lowers.first() {
            resemble(&draft.upper(), top)?;
        }
        Ok(draft)
    }
}

/// Gives a directory the owner and mode of another one.
fn resemble(made: &Path, model: &Path) -> Result<()> {
    let stat = rustix::fs::stat(model).map_err(Error::at("stat", model))?;
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    rustix::fs::chown(made, owner.0, owner.1).map_err(Error::at("change owner of", made))?;
    rustix::fs::chmod(made, Mode::from_raw_mode(stat.st_mode)).map_err(Error::at("change mode of", made))
}

impl LayerDraft {
    /// The files of the layer, as overlay's upper directory.
    pub fn upper(&self) -> PathBuf {
        self.dir.join("diff")
    }

    /// Overlay's work directory.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The layers below, topmost first.
    pub fn lowers(&self) -> &[PathBuf] {
        &self.lowers
    }

    /// The layers below as one tree, mounted nowhere; none below the first layer.
    pub fn below(&self) -> Result<Option<Rootfs>> {
        if self.lowers.is_empty() {
            return Ok(None);
        }
        Rootfs::read_only(&self.lowers, &self.layers.shared.temporary()).map(Some)
    }

    /// The layers below and this one as one tree, mounted nowhere.
    pub fn rootfs(&self) -> Result<Rootfs> {
        Rootfs::writable(&self.lowers, &self.upper(), &self.work(), &self.layers.shared.temporary())
    }

    /// Ends the making: no time is later than `latest` (seconds since the epoch), the tar is hashed and its skeleton
    /// kept. Nobody may write to the files any more.
    pub fn freeze(mut self, latest: Option<i64>) -> Result<Staged> {
        discard(&self.work())?;
        let upper = self.upper();
        let root: OwnedFd = File::open(&upper).map_err(Error::at("open", &upper))?.into();
        if let Some(latest) = latest {
            clamp(&root, latest)?;
        }
        let describe = self.root_differs()?;
        let unpacked = read(root, describe, Recorder::create(&self.dir)?)?;
        self.kept = true;
        Ok(Staged::new(self.layers.clone(), self.dir.clone(), unpacked))
    }

    fn root_differs(&self) -> Result<bool> {
        let look = |path: &Path| {
            let stat = rustix::fs::stat(path).map_err(Error::at("stat", path))?;
            Ok::<_, Error>((stat.st_mode & 0o7777, stat.st_uid, stat.st_gid))
        };
        let below = self.lowers.first().map_or(Ok((0o755, 0, 0)), |top| look(top))?;
        Ok(look(&self.upper())? != below)
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        if !self.kept {
            // Swept at the next start otherwise.
            let _ = discard(&self.dir);
        }
    }
}

/// Takes back every time that is later than `latest`.
fn clamp(directory: &OwnedFd, latest: i64) -> Result<()> {
    for (name, kind) in list(directory)? {
        if kind == FileType::Directory {
            let flags = rustix::fs::OFlags::RDONLY
                | rustix::fs::OFlags::DIRECTORY
                | rustix::fs::OFlags::NOFOLLOW
                | rustix::fs::OFlags::CLOEXEC;
            let below = rustix::fs::openat(directory, &name, flags, Mode::empty())
                .map_err(Error::io("open", name.to_string_lossy()))?;
            clamp(&below, latest)?;
        }
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("stat", name.to_string_lossy()))?;
        if stat.st_mtime >= latest {
            rustix::fs::utimensat(directory, &name, &at(latest), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(Error::io("set times of", name.to_string_lossy()))?;
        }
    }
    rustix::fs::futimens(directory, &at(latest)).map_err(Error::io("set times of", "directory"))
}

fn at(seconds: i64) -> Timestamps {
    let moment = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: moment, last_modification: moment }
}

/// Packs the files into nothing but a hash and a skeleton; hashing has a thread of its own.
fn read(root: OwnedFd, describe_root: bool, recorder: Recorder) -> Result<Unpacked> {
    let (filler, mut streams) = chunks::channel(1);
    let stream = streams.pop();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || stream.map(|stream: Chunks| hash(stream)));
        let packed = pack(root, describe_root, filler, recorder);
        let hashed = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (size, entries) = packed?;
        let (diff_id, tar_size): (Digest, u64) = hashed.ok_or_else(|| Error::Abandoned { what: "layer".to_owned() })?;
        let outcome = Outcome { entries, size, ..Outcome::default() };
        Ok(Unpacked { diff_id, tar_size, input_size: tar_size, compression: Compression::None, outcome })
    })
}

fn pack(root: OwnedFd, describe_root: bool, filler: Filler, recorder: Recorder) -> Result<(u64, u64)> {
    let mut chunk = filler.buffer();
    chunk.clear();
    let account = Account { filler, recorder, chunk, content: 0, size: 0, files: 0 };
    let mut packer = Packer::new(account, Precision::Seconds);
    packer.read_ahead();
    packer.layer(root, describe_root)?;
    let mut account = packer.finish()?;
    let rest = std::mem::take(&mut account.chunk);
    account.filler.send(rest);
    account.recorder.finish()?;
    Ok((account.size, account.files))
}

/// Hands an archive's bytes to the hashing thread, and all that is no file's content to the skeleton.
struct Account {
    filler: Filler,
    recorder: Recorder,
    chunk: Vec<u8>,
    /// How many bytes of content are still to come.
    content: u64,
    size: u64,
    files: u64,
}

impl Sink for Account {
    fn file(&mut self, path: &[u8], size: u64, inode: u64) -> Result<()> {
        (self.content, self.size, self.files) = (size, self.size + size, self.files + 1);
        match size {
            0 => Ok(()),
            size => self.recorder.stored(path, &[(0, size)], inode),
        }
    }
}

impl Write for Account {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let content = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
        self.content -= content as u64;
        Tap::bytes(&mut self.recorder, &bytes[content..]).map_err(io::Error::other)?;
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            let mut next = self.filler.buffer();
            next.clear();
            self.filler.send(std::mem::replace(&mut self.chunk, next));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, symlink};

    use crate::tree::{Packer, Precision};
    use crate::{Hasher, Store};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    #[test]
    fn a_draft_becomes_a_layer_where_it_lies() {
        let (_dir, store) = store();
        let layers = store.layers();
        let draft = layers.draft(None).unwrap();
        let upper = draft.upper();
        std::fs::create_dir(upper.join("d")).unwrap();
        std::fs::write(upper.join("d/file"), vec![b'x'; 300_000]).unwrap();
        std::fs::hard_link(upper.join("d/file"), upper.join("d/twin")).unwrap();
        std::fs::write(upper.join("empty"), "").unwrap();
        symlink("d/file", upper.join("link")).unwrap();
        let inode = std::fs::metadata(upper.join("d/file")).unwrap().ino();
        let staged = draft.freeze(None).unwrap();
        assert_eq!((staged.size(), staged.entries()), (300_000, 2));
        let layer = staged.place(None, None).unwrap();
        let diff = layers.diff_dir(&layer.chain_id);
        assert_eq!(std::fs::metadata(diff.join("d/file")).unwrap().ino(), inode);
        let mut tar = Vec::new();
        layers.tar(&layer.chain_id).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!((Hasher::digest(&tar), tar.len() as u64), (layer.diff_id, layer.tar_size));
    }

    #[test]
    fn the_same_files_make_the_same_layer() {
        let (_dir, store) = store();
        let make = |seconds| {
            let draft = store.layers().draft(None).unwrap();
            std::fs::create_dir(draft.upper().join("d")).unwrap();
            std::fs::write(draft.upper().join("d/b"), "b").unwrap();
            symlink("b", draft.upper().join("d/a")).unwrap();
            for path in ["d/b", "d", "."] {
                let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
                std::fs::File::open(draft.upper().join(path)).unwrap().set_modified(moment).unwrap();
            }
            draft.freeze(Some(1_000_000_000)).unwrap().diff_id().clone()
        };
        assert_eq!(make(1_700_000_000), make(1_800_000_000));
    }

    #[test]
    fn a_draft_given_up_leaves_nothing() {
        let (dir, store) = store();
        drop(store.layers().draft(None).unwrap());
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn files_that_layers_share_count_once() {
        let (_dir, store) = store();
        let big = 1 << 20;
        let draft = store.layers().draft(None).unwrap();
        std::fs::write(draft.upper().join("big"), vec![b'x'; big]).unwrap();
        let first = draft.freeze(None).unwrap().place(None, None).unwrap();
        let draft = store.layers().draft(None).unwrap();
        let path = store.layers().diff_dir(&first.chain_id).join("big");
        std::fs::hard_link(path, draft.upper().join("big")).unwrap();
        std::fs::write(draft.upper().join("other"), "y").unwrap();
        let second = draft.freeze(None).unwrap().place(None, None).unwrap();
        let once = big as u64..2 * big as u64;
        assert!(once.contains(&store.usage().unwrap().layers));

        let pin = store.layers().pin(&second.chain_id).unwrap();
        assert!(store.collect().unwrap().reclaimed < big as u64, "its other name is still there");
        let kept = std::fs::read(store.layers().diff_dir(&second.chain_id).join("big")).unwrap();
        assert_eq!(kept.len(), big);
        drop(pin);
        assert!(once.contains(&store.collect().unwrap().reclaimed));
    }

    #[test]
    fn many_files_are_packed_in_order_whoever_reads_them() {
        let (_dir, store) = store();
        let draft = store.layers().draft(None).unwrap();
        for number in 0..300 {
            let folder = draft.upper().join(format!("d{}", number % 3));
            std::fs::create_dir_all(folder.join("sub")).unwrap();
            std::fs::write(folder.join(format!("{number:03}")), vec![b'x'; number * number]).unwrap();
            std::fs::write(folder.join(format!("sub/{number}")), number.to_string()).unwrap();
        }
        let mut expected = Vec::new();
        let root = std::fs::File::open(draft.upper()).unwrap().into();
        let mut packer = Packer::new(std::io::BufWriter::new(&mut expected), Precision::Seconds);
        packer.layer(root, false).unwrap();
        drop(packer.finish().unwrap());
        let staged = draft.freeze(None).unwrap();
        assert_eq!(*staged.diff_id(), Hasher::digest(&expected));
    }
}
