//! A container's mounts, in order: the kernel's file systems, the files the engine writes, then what was asked for.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hako_model::container::HostConfig;
use hako_model::mount::{Bind, ImageFiles, Origin, Plan, Volume};
use hako_store::Store;
use hako_supervisor::spec::Mount;
use hako_sys::confined::Root;

use crate::container::Container;
use crate::record::Record;
use crate::{Error, Result, secrets};

/// All mounts; `files` is the directory of hosts, hostname and resolv.conf.
pub(super) fn of(store: &Store, record: &Record, files: &Path, shm: Shm) -> Result<Vec<Mount>> {
    let host = &record.host_config;
    let mut mounts = standard(host, shm);
    let asked = |target: &str| record.mounts.iter().any(|plan| plan.target == target);
    mounts.retain(|mount| !asked(&mount.destination));
    for name in ["resolv.conf", "hostname", "hosts"] {
        let destination = format!("/etc/{name}");
        if !asked(&destination) {
            let source = files.join(name).to_string_lossy().into_owned();
            mounts.push(bind(source, destination, &["rbind", "rprivate"], host.readonly_rootfs));
        }
    }
    if host.secrets.iter().flatten().next().is_some() && !asked(secrets::PLACE) {
        // Their names, too, are in memory only.
        let options = ["nosuid", "nodev", "noexec", "mode=755", "size=16m"];
        mounts.push(mount(secrets::PLACE, "tmpfs", "tmpfs", &options));
    }
    // Parents before what is mounted inside them.
    let mut plans: Vec<&Plan> = record.mounts.iter().collect();
    plans.sort_by_key(|plan| plan.target.matches('/').count());
    for plan in plans {
        mounts.push(asked_for(store, plan)?);
    }
    Ok(mounts)
}

/// Where /dev/shm comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shm {
    /// A file system of its own.
    Own,
    /// The host's.
    Host,
    /// There is none.
    None,
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

fn bind(source: String, destination: String, options: &[&str], read_only: bool) -> Mount {
    let mut bound = mount(&destination, "bind", &source, options);
    if read_only {
        bound.options.push("ro".to_owned());
    }
    bound
}

fn standard(host: &HostConfig, shm: Shm) -> Vec<Mount> {
    let access = if host.privileged { "rw" } else { "ro" };
    let size = format!("size={}", host.shm_size);
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    match shm {
        Shm::Own => mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])),
        Shm::Host => mounts.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"])),
        Shm::None => {}
    }
    mounts
}

/// What is mounted for a plan.
pub(crate) fn asked_for(store: &Store, plan: &Plan) -> Result<Mount> {
    match &plan.origin {
        Origin::Bind(wanted) => bound(plan, wanted),
        Origin::Volume(volume) => volume_mount(store, plan, volume),
        Origin::Image(files) => image_mount(store, plan, files),
        Origin::Tmpfs(tmpfs) => {
            let mut options: Vec<&str> = tmpfs.options.iter().map(String::as_str).collect();
            if plan.read_only && !options.contains(&"ro") {
                options.push("ro");
            }
            Ok(mount(&plan.target, "tmpfs", "tmpfs", &options))
        }
    }
}

fn bound(plan: &Plan, wanted: &Bind) -> Result<Mount> {
    let source = Path::new(&wanted.source);
    if wanted.create && !source.exists() {
        let made = std::fs::create_dir_all(source);
        made.map_err(|e| Error::io(format!("error while creating mount source path '{}'", wanted.source), e))?;
    }
    let propagation = if wanted.propagation.is_empty() { "rprivate" } else { &wanted.propagation };
    let recursion = if wanted.non_recursive { "bind" } else { "rbind" };
    let mut options = vec![recursion, propagation];
    if plan.read_only {
        options.push(read_only_option(wanted)?);
    }
    Ok(mount(&plan.target, "bind", &wanted.source, &options))
}

/// Read-only with everything mounted below, where the kernel can (5.12).
fn read_only_option(wanted: &Bind) -> Result<&'static str> {
    let can = hako_sys::proc::kernel_version() >= (5, 12);
    match (wanted.non_recursive || wanted.read_only_non_recursive, can) {
        (true, _) => Ok("ro"),
        (false, true) => Ok("rro"),
        (false, false) if wanted.read_only_force_recursive => {
            Err(Error::not_implemented("recursive read-only mounts need kernel 5.12"))
        }
        (false, false) => Ok("ro"),
    }
}

/// A volume is a directory of the data root, unless its options say what to mount instead.
fn volume_mount(store: &Store, plan: &Plan, wanted: &Volume) -> Result<Mount> {
    let volume =
        store.volumes().get(&wanted.name).map_err(|e| Error::not_found(format!("get {}: {e}", wanted.name)))?;
    let option = |key: &str| volume.options.as_ref().and_then(|options| options.get(key)).map_or("", String::as_str);
    let (kind, device, words) = (option("type"), option("device"), option("o"));
    let access: &[&str] = if plan.read_only { &["ro"] } else { &[] };
    if !device.is_empty() || !kind.is_empty() {
        let options: Vec<&str> =
            words.split(',').filter(|word| !word.is_empty()).chain(access.iter().copied()).collect();
        let kind = if options.iter().any(|o| matches!(*o, "bind" | "rbind")) { "bind" } else { kind };
        return Ok(mount(&plan.target, kind, device, &options));
    }
    check_inside(&volume.mountpoint, &wanted.subpath)?;
    let source = volume.mountpoint.to_string_lossy().into_owned();
    let whole = bind(source, plan.target.clone(), &["rbind", "rprivate"], plan.read_only);
    Ok(Mount { beneath: wanted.subpath.clone(), ..whole })
}

/// The layers of an image, never to be written.
fn image_mount(store: &Store, plan: &Plan, wanted: &ImageFiles) -> Result<Mount> {
    let failed = |e: &dyn std::fmt::Display| Error::not_found(format!("mount image {}: {e}", wanted.name));
    let layer = wanted.layer.as_ref().ok_or_else(|| failed(&"it has no layers"))?;
    let lowers = store.layers().lowers(layer).map_err(|e| failed(&e))?;
    check_subpath(store, &lowers, wanted)?;
    // Not even one layer alone is bound as it is: who may mount anything could make it writable.
    let below = if lowers.len() == 1 { Some(store.nothing().map_err(|e| failed(&e))?) } else { None };
    let mut mounted = mount(&plan.target, "overlay", "overlay", &["rprivate", "ro"]);
    mounted.options.extend(lowers.iter().chain(&below).map(|lower| format!("lowerdir+={}", lower.display())));
    mounted.beneath.clone_from(&wanted.subpath);
    Ok(mounted)
}

/// Refuses a path that is not in the image, in Docker's words for volumes. It is looked up again when it is mounted.
fn check_subpath(store: &Store, lowers: &[PathBuf], wanted: &ImageFiles) -> Result<()> {
    if wanted.subpath.is_empty() {
        return Ok(());
    }
    let whole = store.rootfs(lowers).map_err(|e| Error::io(format!("open image {}", wanted.name), e))?;
    let whole = whole.as_fd().try_clone_to_owned().map_err(|e| Error::io(format!("open image {}", wanted.name), e))?;
    let found = Root::from_fd(whole).open_path(Path::new(&wanted.subpath));
    let told =
        |cause| Error::invalid(format!("cannot access path {} in image {}: {cause}", wanted.subpath, wanted.name));
    found.map(drop).map_err(told)
}

/// Refuses a path that is not in the volume now, in Docker's words. What is mounted is looked up again, confined in the
/// same way: another container may be changing the volume.
fn check_inside(mountpoint: &Path, subpath: &str) -> Result<()> {
    if subpath.is_empty() {
        return Ok(());
    }
    let found = Root::open(mountpoint).and_then(|root| root.open_path(Path::new(subpath)));
    found.map(drop).map_err(|cause| Error::invalid(format!("cannot access path {subpath} in volume: {cause}")))
}

/// Where /dev/shm of a container in this IPC mode comes from.
pub(super) fn shm(container: &Container) -> Shm {
    match container.record().host_config.ipc_mode.as_str() {
        "host" => Shm::Host,
        "none" => Shm::None,
        _ => Shm::Own,
    }
}
