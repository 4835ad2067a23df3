//! Directories that travel as layers do, but never become any: the contents of cache mounts. What they hold is what they
//! hold: whiteouts mean nothing in them, and times are kept exactly, because tools compare them.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hako_model::digest::{Algorithm, Digest};
use hako_model::image::media::Compression;

use super::chunks::{self, CHUNK, Filler};
use super::{Unpack, compress, unpack};
use crate::store::make_dir;
use crate::tree::{Packer, Precision, Sink};
use crate::{Error, HashReader, Hasher, Result};

/// What a directory was packed into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedFolder {
    /// The digest of what was written.
    pub digest: Digest,
    /// How many bytes that were.
    pub size: u64,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// Packs a directory, itself included, with gzip. The same files give the same bytes. Others may change it meanwhile.
pub fn pack_folder(folder: OwnedFd, out: impl Write) -> Result<PackedFolder> {
    let (filler, mut streams) = chunks::channel(1);
    let Some(stream) = streams.pop() else { return Err(Error::Abandoned { what: "directory".to_owned() }) };
    let mut out = Counted { out, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
    let (packing, packed) = std::thread::scope(|scope| {
        let packing = scope.spawn(move || pack(folder, filler));
        let tar = HashReader::new(stream, Algorithm::Sha256);
        let packed = compress::run(tar, &mut out, Compression::Gzip);
        (packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), packed)
    });
    // Who cannot write stops who packs, so that error is the one to tell.
    let (diff_id, _) = packed?.finish();
    packing?;
    Ok(PackedFolder { digest: out.hasher.finish(), size: out.size, diff_id })
}

fn pack(folder: OwnedFd, filler: Filler) -> Result<()> {
    let mut packer = Packer::new(Feed { filler, chunk: Vec::with_capacity(CHUNK) }, Precision::Nanoseconds);
    packer.content(folder)?;
    packer.finish()?.flush().map_err(Error::io("pack", "directory"))
}

/// Makes the directory `diff` in `dir` of what [`pack_folder`] wrote, which must be what `diff_id` says. Whatever comes in is
/// bounded, and stays in there.
pub fn unpack_folder(source: impl Read + Send, dir: &Path, diff_id: &Digest) -> Result<PathBuf> {
    let folder = dir.join("diff");
    make_dir(&folder, 0o755)?;
    let options = Unpack { diff_id: Some(diff_id.clone()), plain: true, ..Unpack::default() };
    unpack::run(source, dir, &options)?;
    Ok(folder)
}

/// Hands an archive's bytes to another thread.
struct Feed {
    filler: Filler,
    chunk: Vec<u8>,
}

impl Feed {
    fn send(&mut self) -> io::Result<()> {
        let mut next = self.filler.buffer();
        next.clear();
        match self.filler.send(std::mem::replace(&mut self.chunk, next)) {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Sink for Feed {}

/// Hashes and counts what is written.
struct Counted<W> {
    out: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::tar::{Entry, Kind, Writer};

    fn open(path: &Path) -> OwnedFd {
        std::fs::File::open(path).unwrap().into()
    }

    fn gzip(tar: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(tar).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_directory_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        std::fs::create_dir_all(from.join("deep/er")).unwrap();
        std::fs::write(from.join("deep/er/big"), vec![b'x'; 700_000]).unwrap();
        std::fs::hard_link(from.join("deep/er/big"), from.join("twin")).unwrap();
        // Names that mean something in layers are names here.
        std::fs::write(from.join(".wh.file"), "kept").unwrap();
        std::fs::write(from.join("deep/.wh..wh..opq"), "kept").unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        std::fs::set_permissions(&from, PermissionsExt::from_mode(0o1777)).unwrap();
        std::os::unix::fs::chown(&from, Some(12), Some(34)).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let packed = pack_folder(open(&from), &mut first).unwrap();
        assert_eq!(pack_folder(open(&from), &mut second).unwrap(), packed);
        assert_eq!((Hasher::digest(&first), first.len() as u64), (packed.digest.clone(), packed.size));

        let to = dir.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let made = unpack_folder(&first[..], &to, &packed.diff_id).unwrap();
        let about = std::fs::metadata(&made).unwrap();
        assert_eq!((about.mode() & 0o7777, about.uid(), about.gid()), (0o1777, 12, 34));
        assert_eq!(std::fs::read(made.join(".wh.file")).unwrap(), b"kept");
        assert_eq!(std::fs::read(made.join("deep/.wh..wh..opq")).unwrap(), b"kept");
        assert_eq!(std::fs::read_link(made.join("link")).unwrap(), Path::new("/etc/passwd"));
        let (one, other) = (made.join("twin").metadata().unwrap(), made.join("deep/er/big").metadata().unwrap());
        assert_eq!((one.ino(), one.len()), (other.ino(), 700_000));
        let before = from.join("twin").metadata().unwrap();
        assert_eq!((one.mtime(), one.mtime_nsec()), (before.mtime(), before.mtime_nsec()), "to the nanosecond");
    }

    #[test]
    fn nothing_leads_out_and_nothing_else_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let hostile: [&[(&str, Kind, &str)]; 3] = [
            &[("../outside", Kind::Regular, "")],
            &[("link", Kind::Symlink, "../.."), ("link/outside", Kind::Regular, "")],
            &[("hard", Kind::HardLink, "../../etc/passwd")],
        ];
        for (number, members) in hostile.iter().enumerate() {
            let mut writer = Writer::new(Vec::new());
            for (path, kind, link) in *members {
                let mut entry = Entry::new(path.as_bytes().to_vec(), *kind);
                entry.link = link.as_bytes().to_vec();
                writer.header(&entry).unwrap();
            }
            let tar = writer.finish().unwrap();
            let into = dir.path().join(number.to_string());
            std::fs::create_dir(&into).unwrap();
            let outcome = unpack_folder(&gzip(&tar)[..], &into, &Hasher::digest(&tar));
            assert!(outcome.is_err() || !outside.exists(), "{members:?}");
            assert!(!outside.exists() && !into.join("outside").exists(), "{members:?}");
        }
        let into = dir.path().join("other");
        std::fs::create_dir(&into).unwrap();
        let tar = Writer::new(Vec::new()).finish().unwrap();
        let wrong = unpack_folder(&gzip(&tar)[..], &into, &Hasher::digest(b"something else"));
        assert!(matches!(wrong, Err(Error::DigestMismatch { .. })));
    }

    #[test]
    fn what_cannot_be_written_is_what_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        for number in 0..40 {
            std::fs::write(dir.path().join(number.to_string()), vec![number; 1 << 20]).unwrap();
        }
        let error = pack_folder(open(dir.path()), Full).unwrap_err().to_string();
        assert!(error.contains("write") && !error.contains("broken pipe"), "{error}");
    }
}
