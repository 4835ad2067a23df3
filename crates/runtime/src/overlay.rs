//! The root file system as a detached mount: visible nowhere until a container attaches it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_sys::fdpass::Channel;
use hako_sys::mount::{Attributes, FileSystem, Propagation};
use hako_sys::process::{ForkOptions, Namespaces, SingleThreaded};
use rustix::fs::{Mode, OFlags};

use crate::LaunchError;
use crate::launch::RootfsPlan;

/// Mounts what the plan says.
pub(crate) fn mount(witness: SingleThreaded, plan: &RootfsPlan) -> Result<OwnedFd, LaunchError> {
    match plan {
        RootfsPlan::Directory { path } => {
            let tree = hako_sys::mount::copy_tree(path, true)?;
            hako_sys::mount::set_propagation(tree.as_fd(), Propagation::Private, true)?;
            Ok(tree)
        }
        RootfsPlan::Overlay { lowers, upper, work, volatile } => {
            let overlay = Overlay { lowers, upper, work, volatile: *volatile };
            overlay.mount(witness)
        }
    }
}

struct Overlay<'a> {
    lowers: &'a [PathBuf],
    upper: &'a Path,
    work: &'a Path,
    volatile: bool,
}

/// Features that would let a writable layer mean something only beside its lower layers, or only mounted once.
const PLAIN: [(&str, &str); 3] = [("redirect_dir", "off"), ("index", "off"), ("metacopy", "off")];

/// Since then layers can be given one by one.
const ONE_BY_ONE: (u32, u32) = (6, 5);

/// The longest value of one option.
const LONGEST: usize = 255;

impl Overlay<'_> {
    /// Three ways, the best first. An older kernel also refuses the first by itself, but complains in its log each time.
    fn mount(&self, witness: SingleThreaded) -> Result<OwnedFd, LaunchError> {
        if self.volatile {
            self.forget_former_use()?;
        }
        if hako_sys::proc::kernel_version() >= ONE_BY_ONE {
            return self.layer_by_layer().map_err(|error| error_of(&error));
        }
        let opened = Opened::of(self).map_err(|error| error_of(&error))?;
        if opened.lowers().len() > LONGEST {
            return self.by_stage(witness, &opened);
        }
        self.in_one_value(&opened).map_err(|error| error_of(&error))
    }

    fn layer_by_layer(&self) -> hako_sys::Result<OwnedFd> {
        let overlay = FileSystem::open("overlay")?;
        overlay.option("source", "overlay")?;
        for lower in self.lowers {
            overlay.directory("lowerdir+", lower)?;
        }
        overlay.directory("upperdir", self.upper)?;
        overlay.directory("workdir", self.work)?;
        self.finish(overlay)
    }

    /// All read-only layers in one value: there is room for some fifteen.
    fn in_one_value(&self, opened: &Opened) -> hako_sys::Result<OwnedFd> {
        let overlay = FileSystem::open("overlay")?;
        overlay.option("source", "overlay")?;
        overlay.option("lowerdir", opened.lowers())?;
        overlay.option("upperdir", opened.upper())?;
        overlay.option("workdir", opened.work())?;
        self.finish(overlay)
    }

    fn finish(&self, overlay: FileSystem) -> hako_sys::Result<OwnedFd> {
        for (key, value) in PLAIN {
            overlay.option(key, value)?;
        }
        if self.volatile {
            overlay.flag("volatile")?;
        }
        overlay.mount(Attributes::NONE)
    }

    /// A volatile overlay leaves a mark that stops the next mount, in case data was lost in a crash. Whoever asks for
    /// one again has chosen not to care.
    fn forget_former_use(&self) -> Result<(), LaunchError> {
        match std::fs::remove_dir_all(self.work.join("work/incompat/volatile")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LaunchError::setup("reuse overlay", error))
            }
            _ => Ok(()),
        }
    }

    /// The old interface takes one text and wants a place in the tree: a short-lived process has one of its own.
    fn by_stage(&self, witness: SingleThreaded, opened: &Opened) -> Result<OwnedFd, LaunchError> {
        let (ours, theirs) = Channel::pair()?;
        let options = ForkOptions { namespaces: Namespaces::MOUNT, ..ForkOptions::default() };
        let stage = hako_sys::process::fork(witness, &options, || {
            i32::from(self.in_own_tree(opened).and_then(|tree| theirs.send(b"tree", &[tree.as_fd()])).is_err())
        })?;
        drop(theirs);
        let message = ours.recv()?;
        stage.wait()?;
        let tree = message.and_then(|mut message| message.fds.pop());
        tree.ok_or_else(|| LaunchError::setup("mount overlay", "the kernel refused its options"))
    }

    fn in_own_tree(&self, opened: &Opened) -> hako_sys::Result<OwnedFd> {
        let root = open_directory(Path::new("/"))?;
        hako_sys::mount::set_propagation(root.as_fd(), Propagation::Private, true)?;
        let mut options =
            format!("lowerdir={},upperdir={},workdir={}", opened.lowers(), opened.upper(), opened.work());
        for (key, value) in PLAIN {
            options.push_str(&format!(",{key}={value}"));
        }
        if self.volatile {
            options.push_str(",volatile");
        }
        hako_sys::mount::overlay_at(self.upper, &options)?;
        hako_sys::mount::copy_tree(self.upper, false)
    }
}

/// The directories of an overlay, open: descriptors make names short, so that a page of options holds two hundred
/// layers, and free of the characters that separate options.
struct Opened {
    lowers: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Opened {
    fn of(overlay: &Overlay<'_>) -> hako_sys::Result<Self> {
        let lowers = overlay.lowers.iter().map(|lower| open_directory(lower)).collect::<Result<_, _>>()?;
        Ok(Self { lowers, upper: open_directory(overlay.upper)?, work: open_directory(overlay.work)? })
    }

    fn lowers(&self) -> String {
        let names: Vec<String> = self.lowers.iter().map(|lower| hako_sys::file::fd_path(lower.as_fd())).collect();
        names.join(":")
    }

    fn upper(&self) -> String {
        hako_sys::file::fd_path(self.upper.as_fd())
    }

    fn work(&self) -> String {
        hako_sys::file::fd_path(self.work.as_fd())
    }
}

fn open_directory(path: &Path) -> hako_sys::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(hako_sys::Error::at("open", path))
}

fn error_of(error: &hako_sys::Error) -> LaunchError {
    LaunchError::setup("error mounting overlay", error)
}
