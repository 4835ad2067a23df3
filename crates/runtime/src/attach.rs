//! Mounting inside a container's root: destinations are resolved within it, and used by descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::confined::Root;
use hako_sys::mount::{Attributes, FileSystem};
use rustix::fs::{FileType, OFlags};

use crate::LaunchError;
use crate::filesystem;
use crate::option::MountOptions;
use crate::order::{CgroupMount, Fittings, Received};
use crate::spec::Mount;

/// Attaches the mounts of one container, in the order of its description.
pub(crate) struct Attacher<'a> {
    root: &'a Root,
    label: &'a str,
    fittings: Fittings,
    fds: Received,
    kept: Kept,
}

/// Mounts that are needed once more when all of them are attached.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The container's devpts.
    pub(crate) pts: Option<OwnedFd>,
    /// What is to be read-only in the end, but may still be given mount points and devices.
    pub(crate) read_only: Vec<OwnedFd>,
}

impl<'a> Attacher<'a> {
    /// For mounts that need nothing from outside.
    pub(crate) fn new(root: &'a Root, label: &'a str) -> Self {
        Self { root, label, fittings: Fittings::default(), fds: Received::new(Vec::new()), kept: Kept::default() }
    }

    /// The same with what comes from outside.
    pub(crate) fn with_fittings(mut self, fittings: Fittings, fds: Received) -> Self {
        self.fittings = fittings;
        self.fds = fds;
        self
    }

    /// What is needed once more, when all is attached.
    pub(crate) fn into_kept(self) -> Kept {
        self.kept
    }

    /// Attaches the mounts with the chosen numbers.
    pub(crate) fn attach_some(&mut self, mounts: &[Mount], chosen: impl Fn(usize) -> bool) -> Result<(), LaunchError> {
        for (index, mount) in mounts.iter().enumerate().filter(|(index, _)| chosen(*index)) {
            self.attach_one(index, mount).map_err(|cause| {
                LaunchError::setup(
                    format!("error mounting \"{}\" to rootfs at \"{}\"", mount.source, mount.destination),
                    cause,
                )
            })?;
        }
        Ok(())
    }

    fn attach_one(&mut self, index: usize, mount: &Mount) -> Result<(), Failure> {
        let destination = Path::new(&mount.destination);
        if let Some(bind) = self.fittings.binds.iter().find(|bind| bind.mount == index) {
            let tree = self.fds.take(bind.fd)?;
            let target = if bind.directory { self.directory(destination)? } else { self.file(destination)? };
            refuse_inside_proc(&target, destination)?;
            return Ok(hako_sys::mount::attach(tree.as_fd(), target.as_fd())?);
        }
        let options = MountOptions::parse(&mount.options);
        match mount.kind.as_str() {
            "proc" | "sysfs" => {
                let target = plain_directory(self.root, destination)?;
                let mounted = filesystem::simple(mount, &options)?;
                crate::tree::propagate(&mounted, &options)?;
                Ok(hako_sys::mount::attach(mounted.as_fd(), target.as_fd())?)
            }
            "cgroup" | "cgroup2" => self.attach_cgroups(destination, &options),
            kind => {
                let covers = filesystem::takes_mode(kind, &options) && self.root.open_path(destination).is_ok();
                let target = self.directory(destination)?;
                refuse_inside_proc(&target, destination)?;
                let mounted = filesystem::mount(mount, &options, self.label, covers.then_some(&target), &target)?;
                crate::tree::propagate(&mounted, &options)?;
                hako_sys::mount::attach(mounted.as_fd(), target.as_fd())?;
                match kind {
                    "devpts" => self.kept.pts = Some(mounted),
                    "tmpfs" if !options.set.common(Attributes::READ_ONLY).is_empty() => {
                        self.kept.read_only.push(mounted);
                    }
                    _ => {}
                }
                Ok(())
            }
        }
    }

    /// On v2 the one file system; on v1 a small tmpfs with one for each hierarchy, made read-only at the end.
    fn attach_cgroups(&mut self, destination: &Path, options: &MountOptions) -> Result<(), Failure> {
        let target = plain_directory(self.root, destination)?;
        let mounts = std::mem::take(&mut self.fittings.cgroups);
        if let [only] = mounts.as_slice()
            && only.name.is_empty()
        {
            let view = self.cgroup_view(only, options)?;
            return Ok(hako_sys::mount::attach(view.as_fd(), target.as_fd())?);
        }
        let holder = FileSystem::open("tmpfs")?;
        holder.option("source", "cgroup")?;
        holder.option("mode", "755")?;
        holder.option("size", "64k")?;
        let holder = holder.mount(options.set.without(Attributes::READ_ONLY))?;
        hako_sys::mount::attach(holder.as_fd(), target.as_fd())?;
        let inside = Root::from_fd(holder);
        for mount in &mounts {
            inside.mkdir(Path::new(&mount.name), 0o755)?;
            let view = self.cgroup_view(mount, options)?;
            let place = inside.open_path(Path::new(&mount.name))?;
            hako_sys::mount::attach(view.as_fd(), place.as_fd())?;
            for link in mount.controllers.iter().filter(|controller| **controller != mount.name) {
                inside.symlink(mount.name.as_ref(), Path::new(link))?;
            }
        }
        Ok(hako_sys::mount::set_attributes(inside.as_fd(), options.set, options.clear, false)?)
    }

    fn cgroup_view(&mut self, mount: &CgroupMount, options: &MountOptions) -> Result<OwnedFd, Failure> {
        if let Some(index) = mount.fd {
            let tree = self.fds.take(index)?;
            hako_sys::mount::set_attributes(tree.as_fd(), options.set, options.clear, false)?;
            return Ok(tree);
        }
        let kind = if mount.name.is_empty() { "cgroup2" } else { "cgroup" };
        let view = FileSystem::open(kind)?;
        view.option("source", "cgroup")?;
        for controller in &mount.controllers {
            view.flag(controller)?;
        }
        Ok(view.mount(options.set)?)
    }

    fn directory(&self, destination: &Path) -> Result<OwnedFd, Failure> {
        let made = self.root.mkdir_all(destination, 0o755);
        Ok(made.or_else(|_| self.root.mkdir_all(&self.root.destination(destination)?, 0o755))?.into())
    }

    fn file(&self, destination: &Path) -> Result<OwnedFd, Failure> {
        if let Ok(found) = self.root.open_path(destination) {
            if rustix::fs::fstat(&found).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
                return Err(Failure("not a directory".into()));
            }
            return Ok(found);
        }
        // Images may have links to what is made only when they run, such as a resolv.conf of systemd's.
        let destination = self.root.destination(destination)?;
        let parent = destination.parent().unwrap_or(Path::new("/"));
        let parent = self.root.mkdir_all(parent, 0o755)?;
        let name = Path::new(destination.file_name().ok_or(Failure("it has no name".into()))?);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
        drop(parent.open_with(name, flags, rustix::fs::Mode::from_raw_mode(0o755))?);
        Ok(parent.open_path_nofollow(name)?)
    }
}

/// A directory whose last component is no link: nothing of the image may send procfs or sysfs elsewhere.
pub(crate) fn plain_directory(root: &Root, destination: &Path) -> Result<OwnedFd, Failure> {
    if let Ok(stat) = root.symlink_metadata(destination)
        && FileType::from_raw_mode(stat.st_mode) != FileType::Directory
    {
        return Err(Failure("it must be mounted on ordinary directory".into()));
    }
    Ok(root.mkdir_all(destination, 0o755)?.into())
}

/// Files of procfs that may be bound over: what lxcfs and such replace.
const REPLACEABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

const PROCFS_MAGIC: i64 = 0x9fa0;

/// Judged by where the destination really is, not by its name.
fn refuse_inside_proc(target: &OwnedFd, destination: &Path) -> Result<(), Failure> {
    let inside = rustix::fs::fstatfs(target).is_ok_and(|fs| fs.f_type == PROCFS_MAGIC);
    if inside && !REPLACEABLE.iter().any(|path| Path::new(path) == destination) {
        return Err(Failure(format!("\"{}\" cannot be mounted because it is inside /proc", destination.display())));
    }
    Ok(())
}

/// Why one mount failed; its caller knows which one.
pub(crate) struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<hako_sys::Error> for Failure {
    fn from(error: hako_sys::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        Self(error.to_string())
    }
}
