//! One folder of a layer in the making: its own side, and what the layers below show there.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use hako_sys::confined::Root;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timestamps, Uid};
use rustix::io::Errno;

use super::leaf;
use crate::{Error, Result};

/// A folder.
pub(super) struct Folder {
    upper: Root,
    below: Option<Root>,
    path: String,
    /// Made just now, with nothing below: nothing is in it but what its maker puts there.
    is_new: bool,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.upper.as_fd()
    }
}

impl Folder {
    pub(super) fn root(upper: &Root, below: Option<&Root>) -> Result<Self> {
        let below = below.map(Root::try_clone).transpose()?;
        Ok(Self { upper: upper.try_clone()?, below, path: String::new(), is_new: false })
    }

    /// The folder of that name, if there is one on either side; one that lies below is made here with the same
    /// attributes. Something else under that name is an error.
    pub(super) fn enter(&self, name: &str) -> Result<Option<Self>> {
        let below = self.below(name)?;
        match look(&self.upper, name)? {
            Some(stat) if is_folder(&stat) => return self.inside(name, below.is_some()).map(Some),
            Some(_) => return Err(self.not_a_folder(name)),
            None => {}
        }
        match below {
            None => Ok(None),
            Some(stat) if !is_folder(&stat) => Err(self.not_a_folder(name)),
            Some(stat) => {
                let owner = (stat.st_uid, stat.st_gid);
                let made = self.make(name, stat.st_mode & 0o7777, owner)?;
                if let Some(model) = &made.below {
                    leaf::copy_attributes(model, &made)?;
                }
                made.set_times(&leaf::times(&stat))?;
                Ok(Some(made))
            }
        }
    }

    /// What the layers below have under that name.
    pub(super) fn below(&self, name: &str) -> Result<Option<Stat>> {
        self.below.as_ref().map_or(Ok(None), |below| look(below, name))
    }

    fn not_a_folder(&self, name: &str) -> Error {
        Error::refused(format!("cannot copy to non-directory: {}/{name}", self.path))
    }

    fn inside(&self, name: &str, known: bool) -> Result<Self> {
        let path = Path::new(name);
        let below = self.below.as_ref().filter(|_| known).map(|below| below.open_dir(path));
        // Something other than a folder below is hidden by the one here.
        let below = below.and_then(|opened| opened.ok());
        Ok(Self { upper: self.upper.open_dir(path)?, below, path: format!("{}/{name}", self.path), is_new: false })
    }

    /// Makes a folder.
    pub(super) fn make(&self, name: &str, mode: u32, (uid, gid): (u32, u32)) -> Result<Self> {
        let failed = |errno| Error::io(format!("make {}/{name}", self.path), errno);
        rustix::fs::mkdirat(&self.upper, name, Mode::from_raw_mode(0o700)).map_err(failed)?;
        let mut made = self.inside(name, true)?;
        made.is_new = made.below.is_none();
        rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(failed)?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(mode)).map_err(failed)?;
        Ok(made)
    }

    pub(super) fn set_times(&self, times: &Timestamps) -> Result<()> {
        rustix::fs::futimens(self, times).map_err(|errno| Error::io(format!("set times of {}", self.path), errno))
    }

    /// Gives a file of another layer that name here, too; whether that could be done.
    pub(super) fn link(&self, from: &Root, name: &str) -> bool {
        rustix::fs::linkat(from, name, &self.upper, name, AtFlags::empty()).is_ok()
    }

    /// Makes way for something that is no folder.
    pub(super) fn make_way(&self, name: &str) -> Result<()> {
        if self.is_new {
            return Ok(());
        }
        let taken = |stat: &Stat| is_folder(stat);
        let conflict = || Error::refused(format!("cannot replace to directory {}/{name} with file", self.path));
        match look(&self.upper, name)? {
            Some(stat) if taken(&stat) => return Err(conflict()),
            Some(_) => {
                return rustix::fs::unlinkat(&self.upper, name, AtFlags::empty())
                    .map_err(|errno| Error::io(format!("replace {}/{name}", self.path), errno));
            }
            None => {}
        }
        match self.below(name)? {
            Some(stat) if taken(&stat) => Err(conflict()),
            _ => Ok(()),
        }
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn look(root: &Root, name: &str) -> Result<Option<Stat>> {
    match rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::io(format!("stat {name}"), errno)),
    }
}
