//! Bounds on what directories may hold, by the file system's project quotas. Leaves out counting by hand: what the file
//! system does not bound is not bounded.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hako_sys::project;
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// Projects of ours have numbers from here on, away from those that people give.
const FIRST: u32 = 0x4000_0000;
/// So many numbers in a row are tried.
const TRIES: u32 = 1000;

fn open(directory: &Path) -> Result<File> {
    File::open(directory).map_err(Error::at("open", directory))
}

/// Whether directories below `place` can be bounded.
pub(crate) fn is_possible(place: &Path) -> bool {
    File::open(place).is_ok_and(|place| project::is_enforced(place.as_fd()))
}

/// Bounds what some empty directories of one file system may hold together. `name` is known to nobody else.
pub(crate) fn bound(directories: &[PathBuf], name: &str, bytes: u64) -> Result<()> {
    let opened = directories.iter().map(|directory| open(directory)).collect::<Result<Vec<File>>>()?;
    let Some(first) = opened.first() else { return Ok(()) };
    let number = free(first, name)?;
    project::limit(first.as_fd(), number, bytes)?;
    for directory in &opened {
        project::assign(directory.as_fd(), number)?;
    }
    Ok(())
}

/// A number that nothing on the file system has: the name's own, or one of those that follow.
fn free(place: &File, name: &str) -> Result<u32> {
    let digest = Sha256::digest(name.as_bytes());
    let own = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 2;
    let numbers = (0..TRIES).map(|step| FIRST + (own + step) % FIRST);
    for number in numbers {
        // A project the file system does not know is an error or has nothing, depending on its kind.
        if project::usage(place.as_fd(), number).unwrap_or_default() == project::Usage::default() {
            return Ok(number);
        }
    }
    Err(Error::Invalid {
        what: "bound directory",
        text: name.to_owned(),
        reason: "no project number is free on its file system".to_owned(),
    })
}

/// Takes the bound of a directory away, so that its number is free again.
pub(crate) fn free_again(directory: &Path) -> Result<()> {
    let opened = open(directory)?;
    match project::of(opened.as_fd()) {
        Ok(number) if number >= FIRST => Ok(project::limit(opened.as_fd(), number, 0)?),
        _ => Ok(()),
    }
}
