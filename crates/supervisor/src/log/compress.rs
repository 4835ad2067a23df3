//! Compressing full log files, in a forked child and at leisure: a container that writes fast has its output logged,
//! not compressed, and the loop never waits.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use hako_sys::process::{ForkOptions, Process, SingleThreaded};

use super::config::LogConfig;
use super::files;
use crate::{Error, Result};

/// A file being compressed.
#[derive(Debug)]
pub(crate) struct Compression {
    process: Process,
    inode: u64,
    result: PathBuf,
    config: LogConfig,
}

impl Compression {
    /// Begins to compress the oldest full file that is not compressed yet, if there is one.
    pub(crate) fn begin(witness: SingleThreaded, config: &LogConfig) -> Result<Option<Self>> {
        let plain = |number: &u32| files::full(&config.path, *number, false).exists();
        let Some(number) = (1..config.max_file).rev().find(plain).filter(|_| config.compress) else { return Ok(None) };
        let path = files::full(&config.path, number, false);
        let source = File::open(&path).map_err(Error::file("open", &path))?;
        let inode = source.metadata().map_err(Error::file("stat", &path))?.ino();
        let result = files::full(&config.path, 0, true);
        let target = create(&result)?;
        let process = hako_sys::process::fork(witness, &ForkOptions::default(), || compress(&source, &target))?;
        Ok(Some(Self { process, inode, result, config: config.clone() }))
    }

    /// The child: readable once it is done.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Puts the result in the place of the file, wherever that has moved meanwhile.
    pub(crate) fn finish(self) -> Result<()> {
        let worked = self.process.wait()?.code() == 0;
        let place = (1..self.config.max_file).find(|number| self.is_source(*number));
        match place.filter(|_| worked) {
            Some(number) => {
                let to = files::full(&self.config.path, number, true);
                std::fs::rename(&self.result, &to).map_err(Error::file("rename", &to))?;
                files::remove(&files::full(&self.config.path, number, false))
            }
            None => files::remove(&self.result),
        }
    }

    /// Ends it without a result.
    pub(crate) fn abandon(self) {
        let _ = self.process.kill(9).and_then(|()| self.process.wait());
        let _ = files::remove(&self.result);
    }

    fn is_source(&self, number: u32) -> bool {
        let path = files::full(&self.config.path, number, false);
        std::fs::metadata(path).is_ok_and(|metadata| metadata.ino() == self.inode)
    }
}

fn create(path: &PathBuf) -> Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640).open(path).map_err(Error::file("create", path))
}

/// The child's work. It is to be no burden, and to hold nothing of its parent's: a lock or the input of a container that
/// stayed open here would outlive its owner.
fn compress(source: &File, target: &File) -> i32 {
    let _ = rustix::process::nice(19);
    let kept = hako_sys::own::set_standard_stream(target.as_fd(), 1)
        .and_then(|()| hako_sys::own::keep_only(source.as_fd(), 0))
        .map(File::from);
    let Ok(mut source) = kept else { return 1 };
    let mut encoder = flate2::write::GzEncoder::new(StandardOutput, flate2::Compression::fast());
    let copied = std::io::copy(&mut source, &mut encoder).and_then(|_| encoder.finish());
    i32::from(copied.is_err())
}

/// Standard output without the buffer of the standard library, which looks for newlines.
struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
