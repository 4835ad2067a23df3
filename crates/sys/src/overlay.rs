//! Overlays as detached mounts, on kernels that take their layers one by one and on those that do not.
//! Leaves out where layers come from, and what becomes of the mount.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::mount::{Attributes, FileSystem};
use crate::{Error, Result};

/// An overlay to be mounted.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// The read-only layers, topmost first.
    pub lowers: &'a [PathBuf],
    /// The writable layer and the working directory beside it; without one, there must be two read-only layers.
    pub upper: Option<(&'a Path, &'a Path)>,
    /// Whether nothing need ever be synced to disk.
    pub volatile: bool,
}

/// Features that would let a writable layer mean something only beside its lower layers, or only mounted once.
const PLAIN: [(&str, &str); 3] = [("redirect_dir", "off"), ("index", "off"), ("metacopy", "off")];

/// Since then layers can be given one by one.
const ONE_BY_ONE: (u32, u32) = (6, 5);

/// The longest value of one option.
const LONGEST: usize = 255;

impl Overlay<'_> {
    /// A detached mount; `None` where the kernel takes so many layers only by [`Overlay::mount_at`].
    ///
    /// An older kernel would refuse layers one by one itself, but complain of it in its log each time.
    pub fn mount(&self) -> Result<Option<OwnedFd>> {
        if crate::proc::kernel_version() >= ONE_BY_ONE { self.one_by_one().map(Some) } else { self.in_one_value() }
    }

    fn one_by_one(&self) -> Result<OwnedFd> {
        let overlay = begin()?;
        for lower in self.lowers {
            overlay.directory("lowerdir+", lower)?;
        }
        if let Some((upper, work)) = self.upper {
            overlay.directory("upperdir", upper)?;
            overlay.directory("workdir", work)?;
        }
        self.finish(overlay)
    }

    /// All read-only layers in one value: there is room for some fifteen.
    fn in_one_value(&self) -> Result<Option<OwnedFd>> {
        let opened = Opened::of(self)?;
        let places = opened.places();
        if places.iter().any(|(_, value)| value.len() > LONGEST) {
            return Ok(None);
        }
        let overlay = begin()?;
        for (key, value) in places {
            overlay.option(key, value)?;
        }
        // These kernels look the names up only now.
        let mounted = self.finish(overlay);
        drop(opened);
        mounted.map(Some)
    }

    fn finish(&self, overlay: FileSystem) -> Result<OwnedFd> {
        for (key, value) in PLAIN {
            overlay.option(key, value)?;
        }
        if self.volatile {
            overlay.flag("volatile")?;
        }
        overlay.mount(Attributes::NONE)
    }

    /// Mounts on a directory of the host by the oldest call, which has room for some two hundred layers.
    pub fn mount_at(&self, target: &Path) -> Result<()> {
        let opened = Opened::of(self)?;
        let places = opened.places();
        let plain = PLAIN.map(|(key, value)| (key, value.to_owned()));
        let mut options: Vec<String> =
            places.into_iter().chain(plain).map(|(key, value)| format!("{key}={value}")).collect();
        if self.volatile {
            options.push("volatile".to_owned());
        }
        crate::mount::overlay_at(target, &options.join(","))
    }
}

fn begin() -> Result<FileSystem> {
    let overlay = FileSystem::open("overlay")?;
    overlay.option("source", "overlay")?;
    Ok(overlay)
}

/// The directories of an overlay, open: descriptors make names short, and free of the characters that separate options.
struct Opened {
    lowers: Vec<OwnedFd>,
    upper: Option<(OwnedFd, OwnedFd)>,
}

impl Opened {
    fn of(overlay: &Overlay<'_>) -> Result<Self> {
        let lowers = overlay.lowers.iter().map(|lower| open(lower)).collect::<Result<_>>()?;
        let upper = overlay.upper.map(|(upper, work)| Ok::<_, Error>((open(upper)?, open(work)?))).transpose()?;
        Ok(Self { lowers, upper })
    }

    fn places(&self) -> Vec<(&'static str, String)> {
        let name = |fd: &OwnedFd| crate::file::fd_path(fd.as_fd());
        let lowers: Vec<String> = self.lowers.iter().map(name).collect();
        let mut places = vec![("lowerdir", lowers.join(":"))];
        if let Some((upper, work)) = &self.upper {
            places.extend([("upperdir", name(upper)), ("workdir", name(work))]);
        }
        places
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(Error::at("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers with a file each, named by its number.
    fn layers(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..count).map(|number| dir.path().join(format!("a:b,{number}"))).collect();
        for (number, path) in paths.iter().enumerate() {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join(number.to_string()), "").unwrap();
        }
        (dir, paths)
    }

    fn files(mount: &OwnedFd) -> usize {
        std::fs::read_dir(crate::file::fd_path(mount.as_fd())).unwrap().count()
    }

    #[test]
    fn both_ways_show_the_same() {
        let (_dir, lowers) = layers(12);
        let overlay = Overlay { lowers: &lowers, upper: None, volatile: false };
        assert_eq!(files(&overlay.in_one_value().unwrap().unwrap()), 12);
        assert_eq!(overlay.mount().unwrap().map(|mount| files(&mount)), Some(12));
    }

    #[test]
    fn one_value_has_room_for_few() {
        let (_dir, lowers) = layers(40);
        let overlay = Overlay { lowers: &lowers, upper: None, volatile: false };
        assert!(overlay.in_one_value().unwrap().is_none());
    }

    #[test]
    fn a_writable_layer_takes_what_is_written() {
        let (dir, lowers) = layers(2);
        let (upper, work) = (dir.path().join("upper"), dir.path().join("work"));
        std::fs::create_dir(&upper).unwrap();
        std::fs::create_dir(&work).unwrap();
        let overlay = Overlay { lowers: &lowers, upper: Some((&upper, &work)), volatile: true };
        let mount = overlay.in_one_value().unwrap().unwrap();
        std::fs::write(Path::new(&crate::file::fd_path(mount.as_fd())).join("new"), "x").unwrap();
        assert_eq!((files(&mount), upper.join("new").exists()), (3, true));
    }
}
