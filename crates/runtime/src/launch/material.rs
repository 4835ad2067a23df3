//! The caller's part of a launch: everything that must be opened with the host's eyes.
//!
//! Sources of bind mounts, layers and joined namespaces are looked up here, not in the stage: a seed's mount
//! namespace is older than the request, and holds nothing of the host.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::cgroup::{Group, Hierarchy};
use hako_sys::process::{Namespaces, SingleThreaded};

use super::LaunchOptions;
use crate::LaunchError;
use crate::option::{MountOptions, Recursion};
use crate::order::{Bind, CgroupMount, Container, Parcel, Standard};
use crate::seed::Seed;
use crate::spec::{Linux, NamespaceKind, Spec};

/// Which namespaces are new, which are joined; the others are the host's.
#[derive(Debug, Default)]
pub(super) struct Layout {
    new: Namespaces,
    joined: Vec<(NamespaceKind, OwnedFd)>,
}

impl Layout {
    pub(super) fn of(spec: &Spec) -> Result<Self, LaunchError> {
        let mut layout = Self::default();
        for namespace in spec.linux.iter().flat_map(|linux| &linux.namespaces) {
            if namespace.path.is_empty() {
                layout.new = layout.new.with(bits(namespace.kind));
            } else {
                let file = std::fs::File::open(&namespace.path)
                    .map_err(|error| LaunchError::setup(format!("join namespace {}", namespace.path), error))?;
                layout.joined.push((namespace.kind, file.into()));
            }
        }
        if !layout.new.contains(Namespaces::MOUNT) {
            return Err(LaunchError::setup("plan container", "it needs a mount namespace of its own"));
        }
        Ok(layout)
    }

    fn joined(&self, kind: NamespaceKind) -> Option<&OwnedFd> {
        self.joined.iter().find(|(joined, _)| *joined == kind).map(|(_, fd)| fd)
    }

    /// The network namespace the container will be in.
    pub(super) fn netns(&self, seed: &Seed) -> Result<OwnedFd, LaunchError> {
        let duplicate =
            |fd: &OwnedFd| fd.try_clone().map_err(|error| LaunchError::setup("hold network namespace", error));
        match self.joined(NamespaceKind::Network) {
            Some(fd) => duplicate(fd),
            None => Ok(hako_sys::netns::of(seed.pid())?),
        }
    }
}

fn bits(kind: NamespaceKind) -> Namespaces {
    match kind {
        NamespaceKind::Pid => Namespaces::PID,
        NamespaceKind::Network => Namespaces::NETWORK,
        NamespaceKind::Mount => Namespaces::MOUNT,
        NamespaceKind::Ipc => Namespaces::IPC,
        NamespaceKind::Uts => Namespaces::UTS,
        NamespaceKind::User => Namespaces::USER,
        NamespaceKind::Cgroup => Namespaces::CGROUP,
    }
}

/// The given seed if it has the right namespaces and can get the right group; otherwise a new one.
pub(super) fn fitting_seed(
    witness: SingleThreaded,
    seed: Option<Seed>,
    spec: &Spec,
    layout: &Layout,
) -> Result<Seed, LaunchError> {
    let empty = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&empty);
    if let Some(mut seed) = seed
        && seed.namespaces() == layout.new
        && layout.joined(NamespaceKind::Pid).is_none()
        && seed.rename_group(&linux.cgroups_path)?
    {
        return Ok(seed);
    }
    let pid_namespace = layout.joined(NamespaceKind::Pid).map(AsFd::as_fd);
    let seed = Seed::sprout(witness, &linux.cgroups_path, layout.new, pid_namespace)?;
    if layout.new.contains(Namespaces::USER) {
        seed.map_ids(&linux.uid_mappings, &linux.gid_mappings)?;
    }
    seed.release_into_group(false)?;
    Ok(seed)
}

/// Opens everything the stage needs.
pub(super) fn gather(
    witness: SingleThreaded,
    spec: &Spec,
    options: &LaunchOptions,
    layout: &Layout,
    group: &Group,
) -> Result<(Container, Parcel), LaunchError> {
    let mut parcel = Parcel::default();
    let root = parcel.add(crate::overlay::mount(witness, &options.rootfs)?);
    let binds = binds(witness, spec, &mut parcel)?;
    let cgroups = cgroups(spec, layout, group, &mut parcel)?;
    let mut joined = Vec::new();
    for (kind, fd) in &layout.joined {
        // The pid namespace is joined by being born into it.
        if *kind != NamespaceKind::Pid {
            let fd = fd.try_clone().map_err(|error| LaunchError::setup("hold namespace", error))?;
            joined.push(parcel.add(fd));
        }
    }
    let stdio = Standard::Terminal(None);
    Ok((Container { spec: spec.clone(), init: options.init, root, stdio, binds, joined, cgroups }, parcel))
}

fn binds(witness: SingleThreaded, spec: &Spec, parcel: &mut Parcel) -> Result<Vec<Bind>, LaunchError> {
    let mut binds = Vec::new();
    for (index, mount) in spec.mounts.iter().enumerate() {
        let options = MountOptions::parse(&mount.options);
        if mount.kind == "overlay" {
            let tree = crate::overlay::described(witness, &options)?;
            crate::tree::configure(&tree, &options)?;
            binds.push(Bind { mount: index, fd: parcel.add(tree), directory: true });
            continue;
        }
        let Some(recursion) = options.bind.or((mount.kind == "bind").then_some(Recursion::Single)) else { continue };
        let step = || format!("error mounting \"{}\" to rootfs at \"{}\"", mount.source, mount.destination);
        let source = Path::new(&mount.source);
        let tree = hako_sys::mount::copy_tree(source, recursion.is_below());
        let tree = tree.map_err(|error| LaunchError::setup(step(), error))?;
        let stat = rustix::fs::fstat(&tree).map_err(|error| LaunchError::setup(step(), error))?;
        let directory = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        crate::tree::configure(&tree, &options).map_err(|error| LaunchError::setup(step(), error))?;
        binds.push(Bind { mount: index, fd: parcel.add(tree), directory });
    }
    Ok(binds)
}

fn cgroups(spec: &Spec, layout: &Layout, group: &Group, parcel: &mut Parcel) -> Result<Vec<CgroupMount>, LaunchError> {
    if !spec.mounts.iter().any(|mount| mount.kind == "cgroup" || mount.kind == "cgroup2") {
        return Ok(Vec::new());
    }
    let mut mounts = crate::kit::own_views()?;
    if layout.new.contains(Namespaces::CGROUP) {
        return Ok(mounts);
    }
    for (mount, root) in mounts.iter_mut().zip(Hierarchy::of_host()?.roots()) {
        let directory = root.join(group.path().trim_start_matches('/'));
        let tree = hako_sys::mount::copy_tree(&directory, false)?;
        hako_sys::mount::set_propagation(tree.as_fd(), hako_sys::mount::Propagation::Private, false)?;
        mount.fd = Some(parcel.add(tree));
    }
    Ok(mounts)
}
