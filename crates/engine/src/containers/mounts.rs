//! Which mounts a container has, and the volumes made for them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hako_model::container::{Config, HostConfig};
use hako_model::event::Kind;
use hako_model::mount::{ImageFiles, InvalidMount, Origin, Plan, Volume};
use hako_model::name;
use hako_store::{NewVolume, Rootfs};
use hako_sys::confined::Root;

use crate::house::House;
use crate::volumes::check_options;
use crate::{Error, Result};

impl From<InvalidMount> for Error {
    fn from(cause: InvalidMount) -> Self {
        Self::invalid(cause.to_string())
    }
}

/// All mounts, by target: others' volumes first, then `-v` and `--mount`, which override those, then the image's
/// volumes where nothing is yet.
pub(super) fn plan(house: &House, config: &Config, host: &HostConfig) -> Result<Vec<Plan>> {
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for from in host.volumes_from.iter().flatten() {
        plans.extend(from_other(house, from)?.into_iter().map(|plan| (plan.target.clone(), plan)));
    }
    let mut own: BTreeMap<String, Plan> = BTreeMap::new();
    let binds = host.binds.iter().flatten().map(|bind| Plan::from_bind(bind));
    let mounts = host.mounts.iter().flatten().map(Plan::from_mount);
    let tmpfs = host.tmpfs.iter().flatten().map(|(target, options)| Plan::from_tmpfs(target, options));
    for plan in binds.map(|plan| plan.map(|plan| driven(plan, host))).chain(mounts).chain(tmpfs) {
        let plan = plan?;
        check_source(&plan)?;
        let target = plan.target.clone();
        if own.insert(target.clone(), plan).is_some() {
            return Err(Error::invalid(format!("Duplicate mount point: {target}")));
        }
    }
    plans.extend(own);
    for target in config.volumes.iter().flatten().map(|(target, _)| target) {
        let plan = driven(image_volume(target)?, host);
        check_source(&plan)?;
        plans.entry(plan.target.clone()).or_insert(plan);
    }
    Ok(plans.into_values().collect())
}

/// `--volume-driver` is meant for volumes that name none themselves.
fn driven(mut plan: Plan, host: &HostConfig) -> Plan {
    if let Origin::Volume(volume) = &mut plan.origin
        && volume.driver.is_empty()
    {
        host.volume_driver.clone_into(&mut volume.driver);
    }
    plan
}

/// An entry of `Config.Volumes`, which old clients also use for `-v`.
fn image_volume(target: &str) -> Result<Plan> {
    if target.starts_with('/') { Ok(Plan::anonymous(target)?) } else { Ok(Plan::anonymous(&format!("/{target}"))?) }
}

/// The bind mounts and volumes of another container (`name[:ro|rw]`).
fn from_other(house: &House, spec: &str) -> Result<Vec<Plan>> {
    let (name, mode) = spec.split_once(':').unwrap_or((spec, "rw"));
    if name.is_empty() {
        return Err(Error::invalid(format!("malformed volumes-from specification: {spec}")));
    }
    let read_only = match mode {
        "" | "rw" | "z" | "Z" => false,
        "ro" => true,
        _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
    };
    let found = house.index.find(name).map_err(|error| Error::invalid(error.to_string()));
    let record = found?.record();
    let shared = record.mounts.iter().filter(|plan| !matches!(plan.origin, Origin::Tmpfs(_))).cloned();
    Ok(shared.map(|plan| Plan { read_only: plan.read_only || read_only, mode: String::new(), ..plan }).collect())
}

/// Refuses a source that is not there, where nobody makes it.
pub(super) fn check_source(plan: &Plan) -> Result<()> {
    match &plan.origin {
        Origin::Bind(bind) if !bind.create && !Path::new(&bind.source).exists() => {
            let text = "invalid mount config for type \"bind\": bind source path does not exist: ";
            Err(Error::invalid(format!("{text}{}", bind.source)))
        }
        Origin::Volume(volume) if !volume.name.is_empty() => {
            name::volume(&volume.name)?;
            check_driver(&volume.driver)
        }
        Origin::Volume(volume) => check_driver(&volume.driver),
        _ => Ok(()),
    }
}

/// There is one volume driver.
pub(crate) fn check_driver(driver: &str) -> Result<()> {
    match driver {
        "" | "local" => Ok(()),
        driver => {
            let text = format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
            Err(Error::not_found(text))
        }
    }
}

/// The files of an image that is mounted, for reading: all of it, or the directory beneath that is mounted.
pub(super) fn image_files(house: &House, files: &ImageFiles) -> Result<OwnedFd> {
    let failed = |e: &dyn std::fmt::Display| Error::io(format!("open image {}", files.name), e);
    let lowers = files.layer.as_ref().map(|layer| house.store.layers().lowers(layer)).transpose();
    let rootfs = house.store.rootfs(&lowers.map_err(|e| failed(&e))?.unwrap_or_default()).map_err(|e| failed(&e))?;
    let whole = rootfs.as_fd().try_clone_to_owned().map_err(|e| failed(&e))?;
    if files.subpath.is_empty() {
        return Ok(whole);
    }
    let part = Root::from_fd(whole).open_dir(Path::new(&files.subpath));
    part.map(OwnedFd::from).map_err(|e| failed(&e))
}

/// Makes the volumes that are not there yet, names the anonymous ones, and copies the image's content into empty ones.
pub(super) fn make_volumes(house: &House, plans: &mut [Plan], lowers: &[PathBuf]) -> Result<()> {
    let mut rootfs: Option<Rootfs> = None;
    for plan in plans {
        let Origin::Volume(volume) = &mut plan.origin else { continue };
        make_volume(house, volume)?;
        if volume.no_copy || !volume.subpath.is_empty() || lowers.is_empty() {
            continue;
        }
        if rootfs.is_none() {
            rootfs = Some(house.store.rootfs(lowers).map_err(|e| Error::io("open image", e))?);
        }
        if let Some(rootfs) = &rootfs {
            let copied = house.store.volumes().copy_up(&volume.name, rootfs.as_fd(), Path::new(&plan.target));
            copied.map_err(|e| Error::io(format!("copy image content into volume {}", volume.name), e))?;
        }
    }
    Ok(())
}

fn make_volume(house: &House, volume: &mut Volume) -> Result<()> {
    let volumes = house.store.volumes();
    if !volume.name.is_empty() && volumes.get(&volume.name).is_ok() {
        return Ok(());
    }
    let given = |map: &BTreeMap<String, String>| Some(map.clone()).filter(|map| !map.is_empty());
    let bound = check_options(house, &volume.name, &volume.options)?;
    let new = NewVolume {
        name: volume.name.clone(),
        driver: "local".to_owned(),
        labels: given(&volume.labels),
        options: given(&volume.options),
        bound,
        anonymous: volume.anonymous,
    };
    let made = volumes.create(new).map_err(|e| Error::io("make volume", e))?;
    volume.name = made.name;
    let facts = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
    house.hub.tell(Kind::Volume, "create", &volume.name, facts);
    Ok(())
}
