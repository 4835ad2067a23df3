//! The caller's part of a launch: everything that must be opened with the host's eyes.
//!
//! Sources of bind mounts, layers and joined namespaces are looked up here, not in the stage: a seed's mount
//! namespace is older than the request, and holds nothing of the host.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hako_sys::cgroup::{Group, Hierarchy};
use hako_sys::confined::Root;
use hako_sys::process::{Namespaces, SingleThreaded};

use super::LaunchOptions;
use crate::LaunchError;
use crate::birth::{self, Birth, bits};
use crate::hook::Identity;
use crate::idmap;
use crate::option::{MountOptions, Recursion};
use crate::order::{self, Bind, CgroupMount, Container, Fittings, Parcel, Standard};
use crate::seed::Seed;
use crate::spec::{Hooks, Linux, Mount, NamespaceKind, Spec};

/// Which namespaces are new, which are joined; the others are the host's.
#[derive(Debug, Default)]
pub(super) struct Layout {
    new: Namespaces,
    joined: Vec<(NamespaceKind, OwnedFd)>,
}

impl Layout {
    /// `apart`: whether it may do without a mount namespace of its own, and somebody else takes the mounts away again.
    pub(super) fn of(spec: &Spec, apart: bool) -> Result<Self, LaunchError> {
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
        let own_mounts = layout.new.contains(Namespaces::MOUNT) || layout.joined(NamespaceKind::Mount).is_some();
        if !own_mounts && !apart {
            return Err(LaunchError::setup("plan container", "it needs a mount namespace of its own"));
        }
        Ok(layout)
    }

    pub(super) fn joined(&self, kind: NamespaceKind) -> Option<&OwnedFd> {
        self.joined.iter().find(|(joined, _)| *joined == kind).map(|(_, fd)| fd)
    }

    /// How a process for these namespaces is born.
    pub(super) fn birth<'a>(&'a self, linux: &'a Linux, inherited: u32) -> Birth<'a> {
        Birth { new: self.new, joined: &self.joined, clocks: Some(&linux.time_offsets), inherited }
    }

    /// The network namespace the container will be in.
    pub(super) fn netns(&self, seed: &Seed) -> Result<OwnedFd, LaunchError> {
        match self.joined(NamespaceKind::Network) {
            Some(fd) => duplicate(fd),
            None => Ok(hako_sys::netns::of(seed.pid())?),
        }
    }

    /// The user namespace the container will be in, if it is not the caller's.
    fn user_namespace(&self, seed: &Seed) -> Result<Option<OwnedFd>, LaunchError> {
        match self.joined(NamespaceKind::User) {
            Some(fd) => duplicate(fd).map(Some),
            None if self.new.contains(Namespaces::USER) => idmap::of(seed.pid()).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a seed can become a container with these namespaces.
    pub(super) fn fits(&self, seed: &Seed) -> bool {
        seed.namespaces() == self.new && !self.joined.iter().any(|(kind, _)| is_for_birth(*kind))
    }
}

/// Kinds that cannot be joined by a process that is there already.
fn is_for_birth(kind: NamespaceKind) -> bool {
    matches!(kind, NamespaceKind::Pid | NamespaceKind::Time | NamespaceKind::User)
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, LaunchError> {
    fd.try_clone().map_err(|error| LaunchError::setup("hold namespace", error))
}

/// Opens everything the stage needs beside its fittings.
pub(super) fn gather(
    witness: SingleThreaded,
    spec: &Spec,
    options: &LaunchOptions,
    layout: &Layout,
    seed: &Seed,
) -> Result<(Container, Parcel), LaunchError> {
    let mut parcel = Parcel::default();
    let root = parcel.add(crate::overlay::mount(witness, &options.rootfs)?);
    let mut joined = Vec::new();
    let empty = Linux::default();
    let birth = layout.birth(spec.linux.as_ref().unwrap_or(&empty), 0);
    for (kind, fd) in &layout.joined {
        if birth::is_joined_by_stage(&birth, *kind) {
            joined.push((*kind, parcel.add(duplicate(fd)?)));
        }
    }
    let apart = match &options.apart {
        None => None,
        Some(apart) => Some(order::Apart {
            door: parcel
                .add(apart.door.as_fd().try_clone_to_owned().map_err(|error| LaunchError::setup("hold door", error))?),
            inherited: apart.inherited,
            no_pivot: apart.no_pivot,
            keep_keyring: apart.keep_keyring,
        }),
    };
    let container = Container {
        spec: spec.clone(),
        init: options.init,
        root,
        stdio: Standard::Terminal(None),
        joined,
        fittings: Fittings::default(),
        hooked: hooked(spec, options, seed)?,
        apart,
    };
    Ok((container, parcel))
}

/// Who is told of by hooks, if there are any.
fn hooked(spec: &Spec, options: &LaunchOptions, seed: &Seed) -> Result<Option<(Identity, i32)>, LaunchError> {
    let Some(hooks) = &spec.hooks else { return Ok(None) };
    let others = Hooks { create_container: Vec::new(), ..hooks.clone() };
    if options.apart.is_none() && others != Hooks::default() {
        return Err(LaunchError::setup("plan container", "nobody would run its hooks but those of createContainer"));
    }
    Ok(Some((options.identity.clone(), seed.pid())))
}

/// Opens bind mounts and views of cgroups. The group must be there; the process need not be in it.
pub(super) fn fittings(
    witness: SingleThreaded,
    spec: &Spec,
    layout: &Layout,
    seed: &Seed,
    parcel: &mut Parcel,
) -> Result<Fittings, LaunchError> {
    let cgroups = cgroups(spec, layout, seed.group(), parcel)?;
    Ok(Fittings { binds: binds(witness, spec, layout, seed, parcel)?, cgroups })
}

fn binds(
    witness: SingleThreaded,
    spec: &Spec,
    layout: &Layout,
    seed: &Seed,
    parcel: &mut Parcel,
) -> Result<Vec<Bind>, LaunchError> {
    let mut binds = Vec::new();
    let locked = spec.has_namespace(NamespaceKind::User);
    for (index, mount) in spec.mounts.iter().enumerate() {
        let options = MountOptions::parse(&mount.options);
        // Layers told one by one, as the builder does; any other overlay is mounted like every file system.
        if mount.kind == "overlay" && options.data.iter().any(|(key, _)| key == "lowerdir+") {
            let (tree, directory) = crate::overlay::described(witness, &options, &mount.beneath)?;
            crate::tree::configure(&tree, &options, false)?;
            binds.push(Bind { mount: index, fd: parcel.add(tree), directory });
            continue;
        }
        let Some(recursion) = options.bind.or((mount.kind == "bind").then_some(Recursion::Single)) else {
            refuse_mapping(mount, &options)?;
            continue;
        };
        let failed = |error: &dyn std::fmt::Display| {
            LaunchError::setup(
                format!("error mounting \"{}\" to rootfs at \"{}\"", mount.source, mount.destination),
                error,
            )
        };
        let tree = source_of(mount, recursion.is_below()).map_err(|error| failed(&error))?;
        let stat = rustix::fs::fstat(&tree).map_err(|error| failed(&error))?;
        let directory = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        if let Some(mapping) = mapping_of(mount, &options) {
            let container = || layout.user_namespace(seed);
            mapping.put_on(witness, &tree, container).map_err(|error| failed(&error))?;
        }
        crate::tree::configure(&tree, &options, locked).map_err(|error| failed(&error))?;
        binds.push(Bind { mount: index, fd: parcel.add(tree), directory });
    }
    Ok(binds)
}

/// A copy of what a bind mount shows.
fn source_of(mount: &Mount, recursive: bool) -> hako_sys::Result<OwnedFd> {
    let source = Path::new(&mount.source);
    if mount.beneath.is_empty() {
        return hako_sys::mount::copy_tree(source, recursive);
    }
    let found = Root::open(source)?.open_path(Path::new(&mount.beneath))?;
    hako_sys::mount::copy_tree_at(found.as_fd(), recursive)
}

fn mapping_of<'a>(mount: &'a Mount, options: &MountOptions) -> Option<idmap::Mapping<'a>> {
    let listed = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    let recursion = options.mapped.or(listed.then_some(Recursion::Single))?;
    Some(idmap::Mapping { uids: &mount.uid_mappings, gids: &mount.gid_mappings, recursion })
}

fn refuse_mapping(mount: &Mount, options: &MountOptions) -> Result<(), LaunchError> {
    match mapping_of(mount, options) {
        None => Ok(()),
        Some(_) => Err(LaunchError::setup(
            format!("error mounting \"{}\" to rootfs at \"{}\"", mount.source, mount.destination),
            "only bind mounts can have id mappings",
        )),
    }
}

/// The cgroup file systems the container's description asks for, as it sees them.
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
