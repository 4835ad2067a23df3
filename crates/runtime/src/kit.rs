//! What a waiting seed can already lay out: `/proc`, `/dev` and `/sys` of an ordinary container, mounts, devices, masks
//! and all, and the usual filter.
//!
//! A container whose description begins with just these gets the trees moved to their places in three calls. Any other
//! has everything made for it: the same result, only later. Nothing here decides what a container looks like.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::cgroup::{Hierarchy, Version};
use hako_sys::confined::Root;
use rustix::fs::OFlags;

use crate::attach::Attacher;
use crate::order::{CgroupMount, Container, Fittings, Received};
use crate::seccomp::Filter;
use crate::spec::{Linux, Mount, Spec};
use crate::{LaunchError, device, mask};

/// The laid-out trees.
#[derive(Debug)]
pub(crate) struct Kit {
    scratch: Root,
    stock: Spec,
    pts: Option<OwnedFd>,
    filter: (hako_sys::caps::Set, Filter),
}

const TREES: [&str; 3] = ["proc", "dev", "sys"];

impl Kit {
    /// Lays everything out below the seed's own empty root.
    pub(crate) fn lay(scratch: Root, stock: Spec) -> Result<Self, LaunchError> {
        let linux = stock.linux.clone().unwrap_or_default();
        let cgroups = own_views()?;
        let fittings = Fittings { cgroups, ..Fittings::default() };
        let mut attacher = Attacher::new(&scratch, "").with_fittings(fittings, Received::new(Vec::new()));
        attacher.attach_some(&stock.mounts, |_| true)?;
        let pts = attacher.into_kept().pts;
        device::make_all(&scratch, &stock, false)?;
        mask::apply(&scratch, &linux)?;
        let capabilities = hako_sys::caps::Set::from_names(USUAL_CAPABILITIES)?;
        let filter = crate::seccomp::compile(&crate::spec::Seccomp::builtin(), capabilities)?;
        Ok(Self { scratch, stock, pts, filter: (capabilities, filter) })
    }

    /// Whether a container is, as far as these trees go, an ordinary one; then how many of its mounts are in them.
    pub(crate) fn serves(&self, container: &Container) -> Option<usize> {
        let spec = &container.spec;
        let (ours, theirs) = (self.stock.linux.as_ref()?, spec.linux.as_ref()?);
        let count = self.stock.mounts.len();
        let (first, rest) = spec.mounts.split_at_checked(count)?;
        let same = first == self.stock.mounts
            && theirs.masked_paths == ours.masked_paths
            && theirs.readonly_paths == ours.readonly_paths
            && theirs.devices.is_empty()
            && theirs.mount_label.is_empty()
            && container.fittings.cgroups.iter().all(|mount| mount.fd.is_none());
        // Masks come after all mounts; where one could cover another's mount, order matters.
        let apart = rest
            .iter()
            .all(|mount| !["/proc", "/sys"].iter().any(|tree| Path::new(&mount.destination).starts_with(tree)));
        (same && apart).then_some(count)
    }

    /// Moves the trees into a root.
    pub(crate) fn move_into(&self, root: &Root) -> Result<(), LaunchError> {
        for name in TREES {
            let tree = self.scratch.open_with(Path::new(name), OFlags::PATH, rustix::fs::Mode::empty())?;
            let place = crate::attach::plain_directory(root, Path::new(name)).map_err(|cause| {
                LaunchError::setup(format!("error mounting \"{name}\" to rootfs at \"/{name}\""), cause)
            })?;
            hako_sys::mount::attach(tree.as_fd(), place.as_fd())?;
        }
        Ok(())
    }

    /// Gives up the devpts and the filter, for a container that is served.
    pub(crate) fn into_parts(self) -> (Option<OwnedFd>, (hako_sys::caps::Set, Filter)) {
        (self.pts, self.filter)
    }
}

/// The cgroup file systems as seen from the caller's own cgroup namespace.
pub(crate) fn own_views() -> Result<Vec<CgroupMount>, LaunchError> {
    let hierarchy = Hierarchy::of_host()?;
    let unified = hierarchy.version() == Version::V2;
    let view = |root: &std::path::PathBuf| CgroupMount {
        name: root.file_name().filter(|_| !unified).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        controllers: hierarchy.controllers_at(root),
        fd: None,
    };
    Ok(hierarchy.roots().iter().map(view).collect())
}

const USUAL_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
];

/// The part of an ordinary container's description that is the same for all. To be called while the host's sysfs can
/// be seen.
pub(crate) fn stock() -> Spec {
    let mount = |(destination, kind, source, options): (&str, &str, &str, &[&str])| Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    };
    let mut masked_paths = MASKED.map(str::to_owned).to_vec();
    // Counters of each processor's heat tell about others' load.
    let cpus = hako_sys::proc::processors();
    let thermal = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    masked_paths.extend((0..cpus).map(thermal).filter(|path| Path::new(path).exists()));
    let linux = Linux { masked_paths, readonly_paths: READ_ONLY.map(str::to_owned).to_vec(), ..Linux::default() };
    Spec { mounts: MOUNTS.map(mount).to_vec(), linux: Some(linux), ..Spec::default() }
}
