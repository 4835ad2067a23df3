//! Names of a log's files, and turning them over: `PATH` is written, `PATH.1` is the youngest full one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::config::LogConfig;
use crate::{Error, Result};

/// The name of the full file number `number`.
pub(crate) fn full(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    if compressed {
        name.push(".gz");
    }
    PathBuf::from(name)
}

/// Every file there is, oldest first, the current one (which may be missing) last; with whether it is compressed.
pub(crate) fn existing(config: &LogConfig) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::new();
    for number in (1..config.max_file).rev() {
        for compressed in [true, false] {
            let path = full(&config.path, number, compressed);
            if path.exists() {
                files.push((path, compressed));
                break;
            }
        }
    }
    files.push((config.path.clone(), false));
    files
}

/// Renames every full file to the next number and the current one to `.1`; what is too old goes. Where a number is
/// missing nothing has to move.
pub(crate) fn turn_over(config: &LogConfig) -> Result<()> {
    let path = &config.path;
    let is_free = |number: &u32| [false, true].iter().all(|compressed| !full(path, *number, *compressed).exists());
    let free = (1..config.max_file).find(is_free).unwrap_or(config.max_file - 1);
    for compressed in [false, true] {
        remove(&full(path, free, compressed))?;
        for number in (1..free).rev() {
            rename(&full(path, number, compressed), &full(path, number + 1, compressed))?;
        }
    }
    rename(path, &full(path, 1, false))
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> Result<()> {
    missing_is_fine(std::fs::remove_file(path)).map_err(Error::file("remove", path))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    missing_is_fine(std::fs::rename(from, to)).map_err(Error::file("rename", from))
}

fn missing_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
