//! Whole root file systems, reachable through a descriptor and mounted nowhere.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_sys::overlay::Overlay;

use crate::store::{discard, make_dir};
use crate::{Error, Result};

/// A root file system reachable through a descriptor, mounted nowhere.
pub struct Rootfs {
    fd: OwnedFd,
}

impl AsFd for Rootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Rootfs {
    /// The view through read-only layers, topmost first. `scratch` is a place for kernels without detached overlays.
    pub(crate) fn read_only(lowers: &[PathBuf], scratch: &Path) -> Result<Self> {
        match lowers {
            [] => Self::empty(scratch),
            // Overlay wants two layers; one alone is its own view.
            [only] => File::open(only).map(|file| Self { fd: file.into() }).map_err(Error::at("open", only)),
            lowers => Self::overlay(lowers, None, scratch),
        }
    }

    /// The view through layers with a writable one on top.
    pub(crate) fn writable(lowers: &[PathBuf], upper: &Path, work: &Path, scratch: &Path) -> Result<Self> {
        if lowers.is_empty() {
            return File::open(upper).map(|file| Self { fd: file.into() }).map_err(Error::at("open", upper));
        }
        Self::overlay(lowers, Some((upper, work)), scratch)
    }

    fn empty(scratch: &Path) -> Result<Self> {
        make_dir(scratch, 0o755)?;
        let fd = File::open(scratch).map_err(Error::at("open", scratch))?.into();
        discard(scratch)?;
        Ok(Self { fd })
    }

    fn overlay(lowers: &[PathBuf], upper: Option<(&Path, &Path)>, scratch: &Path) -> Result<Self> {
        let overlay = Overlay { lowers, upper, volatile: false };
        let fd = match overlay.mount()? {
            Some(fd) => fd,
            None => staged(&overlay, scratch)?,
        };
        Ok(Self { fd })
    }
}

/// Mounts in the tree for a moment, keeps a handle, and detaches.
fn staged(overlay: &Overlay<'_>, scratch: &Path) -> Result<OwnedFd> {
    make_dir(scratch, 0o700)?;
    overlay.mount_at(scratch)?;
    let fd = File::open(scratch).map(OwnedFd::from).map_err(Error::at("open", scratch));
    hako_sys::mount::detach(scratch)?;
    discard(scratch)?;
    fd
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kernels before 6.5 get.
    fn staged_in_a_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        for name in ["one", "two", "upper", "work"] {
            std::fs::create_dir(place(name)).unwrap();
            std::fs::write(place(name).join(name), name).unwrap();
        }
        std::fs::remove_file(place("work/work")).unwrap();
        let lowers = [place("one"), place("two")];
        let upper = (place("upper"), place("work"));
        for upper in [None, Some((upper.0.as_path(), upper.1.as_path()))] {
            let fd = staged(&Overlay { lowers: &lowers, upper, volatile: false }, &place("scratch")).unwrap();
            let names = crate::extract::list(&fd).unwrap();
            assert_eq!(names.len(), if upper.is_some() { 3 } else { 2 });
            assert!(!place("scratch").exists());
        }
    }

    #[test]
    fn older_kernels_get_the_same_view() {
        // It mounts, so the test runs itself again in a mount namespace of its own.
        if std::env::var_os("IN_A_NAMESPACE").is_some() {
            return staged_in_a_namespace();
        }
        let run = std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "rootfs::tests::older_kernels_get_the_same_view"])
            .env("IN_A_NAMESPACE", "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"));
    }
}
