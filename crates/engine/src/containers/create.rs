//! Making containers: everything is checked before anything exists, and what exists half-way is taken back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_model::container::{Config, Empty, EndpointSettings, HostConfig, NameSet, RestartName};
use hako_model::id::ContainerId;
use hako_model::mount::{Origin, Plan};
use hako_model::name;
use hako_model::state::Status;

use super::{Containers, CreateRequest, Created, merge, mounts, validate};
use crate::blocking::blocking;
use crate::clock::now;
use crate::container::Container;
use crate::house::House;
use crate::images::Found;
use crate::networks::mode_network;
use crate::oci::capabilities::full_name;
use crate::oci::paths;
use crate::record::Record;
use crate::{Error, Result, tools};

impl Containers {
    /// Makes a container. Nothing exists when it is refused.
    pub async fn create(&self, mut request: CreateRequest) -> Result<Created> {
        let house = &self.house;
        let chosen = request.name.as_deref().filter(|name| !name.is_empty()).map(name::container).transpose()?;
        let chosen = chosen.map(str::to_owned);
        let examined = self.examine(&mut request)?;
        complete(house, &mut request);
        name_networks(house, &mut request);
        validate::check(house, &request)?;
        let mut warnings = validate::complete_resources(house, &mut request.host_config.resources)?;
        let found = self.image(&request).await?;
        merge::merge(&mut request.config, &found.config.config)?;
        let mut plans = match &examined {
            Some(other) => other.record().mounts.clone(),
            None => mounts::plan(house, &request.config, &request.host_config)?,
        };
        self.find_images(&mut plans).await?;
        super::sources::note(&mut plans);
        if plans.iter().any(|plan| matches!(plan.origin, Origin::Image(_))) {
            warnings.push("Image mount is an experimental feature".to_owned());
        }
        warnings.extend(host_warning(&request.host_config));
        let id = new_id()?;
        let name = reserve(house, &id, chosen)?;
        let record = record(id.clone(), name.clone(), request, &found, plans);
        let made = blocking(|| make(house, record, &found));
        if made.is_err() {
            house.index.release(&name, &id);
        }
        let container = made?;
        house.index.insert(Arc::clone(&container));
        house.tell(&container, "create");
        if container.record().labels().contains_key(crate::jobs::SCHEDULE) {
            house.scheduled.notify_one();
        }
        Ok(Created { id, warnings })
    }

    /// The stopped container a new one is to look at: it has the same image, and is told which one it is by its id.
    fn examine(&self, request: &mut CreateRequest) -> Result<Option<Arc<Container>>> {
        if request.host_config.examines.is_empty() {
            return Ok(None);
        }
        let container = self.house.index.find(&request.host_config.examines)?;
        let record = container.record();
        request.host_config.examines = container.id.to_string();
        request.config.image = record.image.to_string();
        request.config.entrypoint = Some(vec![String::new()]);
        let mut env = tools::environment(record.config.env.as_deref().unwrap_or_default(), &record.name);
        env.extend(request.config.env.take().unwrap_or_default());
        request.config.env = Some(env);
        if request.config.cmd.iter().flatten().next().is_none() {
            request.config.cmd = Some(vec![tools::shell()]);
        }
        Ok(Some(container))
    }

    /// Finds the images that are to be mounted.
    async fn find_images(&self, plans: &mut [Plan]) -> Result<()> {
        for plan in plans {
            let Origin::Image(files) = &mut plan.origin else { continue };
            if files.id.is_none() {
                let images = self.house.images.get().ok_or_else(|| Error::system("find image: engine is not open"))?;
                let found = images.local(&files.name, "").await?;
                (files.id, files.layer) = (Some(found.id), found.layers.last().cloned());
            }
        }
        Ok(())
    }

    async fn image(&self, request: &CreateRequest) -> Result<Found> {
        let images = self.house.images.get().ok_or_else(|| Error::system("find image: engine is not open"))?;
        let platform = request.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        images.find(&request.config.image, &platform).await
    }
}

pub(crate) fn new_id() -> Result<ContainerId> {
    let mut bytes = [0; 32];
    loop {
        hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make id", e))?;
        let id = ContainerId::from_bytes(&bytes);
        // A short id of digits alone could be taken for a number by those who read it.
        if id.short().parse::<u64>().is_err() {
            return Ok(id);
        }
    }
}

/// Reserves the name asked for, or one made up.
fn reserve(house: &House, id: &ContainerId, chosen: Option<String>) -> Result<String> {
    if let Some(name) = chosen {
        house.index.reserve(&name, id)?;
        return Ok(name);
    }
    for attempt in 0..64 {
        let mut bytes = [0; 8];
        hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make name", e))?;
        let name = name::made_up(u64::from_le_bytes(bytes), attempt);
        if house.index.reserve(&name, id).is_ok() {
            return Ok(name);
        }
    }
    house.index.reserve(id.short(), id)?;
    Ok(id.short().to_owned())
}

/// Fills in Docker's defaults, which `inspect` shows.
fn complete(house: &House, request: &mut CreateRequest) {
    complete_host(house, &mut request.host_config);
    if request.config.stop_timeout.is_some_and(|seconds| seconds < -1) {
        request.config.stop_timeout = Some(-1);
    }
}

/// Docker's defaults for what surrounds a container.
pub(crate) fn complete_host(house: &House, host: &mut HostConfig) {
    mode_network(&host.network_mode).to_owned().clone_into(&mut host.network_mode);
    fill(&mut host.ipc_mode, "private");
    fill(&mut host.cgroupns_mode, house.settings.cgroupns_mode.as_deref().unwrap_or("private"));
    fill(&mut host.log_config.driver, &house.settings.log.driver);
    // The name everybody knows; hako is what it means here.
    fill(&mut host.runtime, "runc");
    host.log_config.config.get_or_insert_default();
    if host.restart_policy.name == RestartName::Unset {
        host.restart_policy.name = RestartName::No;
    }
    if host.shm_size == 0 {
        host.shm_size = house.settings.shm_size;
    }
    for name in [&mut host.cap_add, &mut host.cap_drop].into_iter().flatten().flatten() {
        *name = if name.eq_ignore_ascii_case("all") { "ALL".to_owned() } else { full_name(name) };
    }
    // What sees the host's processes is not kept from them by labels, either.
    let sees_host = host.privileged || host.ipc_mode == "host" || host.pid_mode == "host";
    if sees_host && host.security_opt.is_none() {
        host.security_opt = Some(vec!["label=disable".to_owned()]);
    }
    complete_paths(host);
}

fn fill(field: &mut String, default: &str) {
    if field.is_empty() {
        default.clone_into(field);
    }
}

/// Masked and read-only paths: Docker's unless others are given; none for a privileged container.
fn complete_paths(host: &mut HostConfig) {
    let open = host.privileged || crate::oci::security::system_paths_unconfined(host);
    let list = |paths: &[&str]| paths.iter().filter(|_| !open).map(|path| (*path).to_owned()).collect::<Vec<_>>();
    host.masked_paths.get_or_insert_with(|| list(paths::MASKED));
    host.readonly_paths.get_or_insert_with(|| list(paths::READ_ONLY));
    if open {
        host.masked_paths = None;
        host.readonly_paths = None;
    }
}

fn host_warning(host: &HostConfig) -> Option<String> {
    let published = host.port_bindings.iter().flatten().next().is_some();
    let discarded = published && host.network_mode == "host";
    discarded.then(|| "Published ports are discarded when using host network mode".to_owned())
}

/// The names of the networks joined instead of their ids, where they exist.
fn name_networks(house: &House, request: &mut CreateRequest) {
    let named = |text: &str| match house.networks.find(text) {
        Ok(segment) => segment.name.clone(),
        Err(_) => text.to_owned(),
    };
    let mode = &mut request.host_config.network_mode;
    if !mode.starts_with("container:") {
        *mode = named(mode);
    }
    let asked = request.networking.endpoints_config.take().unwrap_or_default();
    let renamed = asked.into_iter().map(|(name, settings)| (named(&name), settings));
    request.networking.endpoints_config = Some(renamed.collect());
}

fn record(id: ContainerId, name: String, request: CreateRequest, found: &Found, mounts: Vec<Plan>) -> Record {
    let CreateRequest { mut config, host_config, networking, .. } = request;
    complete_hostname(&mut config, &host_config, &id);
    config.exposed_ports = config.exposed_ports.map(single_ports);
    let endpoints = endpoints(&mut config, &host_config, networking.endpoints_config.unwrap_or_default());
    Record {
        id,
        name,
        created: now(),
        image: found.id.clone(),
        layer: None,
        os: "linux".to_owned(),
        config,
        host_config,
        endpoints,
        mounts,
    }
}

/// Ranges, as Compose sends them, become a port each.
fn single_ports(exposed: NameSet) -> NameSet {
    let singles = |text: String| {
        let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let range = ports.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match range.filter(|(first, last): &(u16, u16)| 0 < *first && first <= last) {
            Some((first, last)) => (first..=last).map(|port| (format!("{port}/{protocol}"), Empty {})).collect(),
            None => vec![(text, Empty {})],
        }
    };
    exposed.into_keys().flat_map(singles).collect()
}

fn complete_hostname(config: &mut Config, host: &HostConfig, id: &ContainerId) {
    if !config.hostname.is_empty() || host.network_mode.starts_with("container:") {
        return;
    }
    config.hostname = if host.network_mode == "host" || host.uts_mode == "host" {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        id.short().to_owned()
    };
}

/// What each network joined was asked for.
fn endpoints(
    config: &mut Config,
    host: &HostConfig,
    mut asked: BTreeMap<String, EndpointSettings>,
) -> BTreeMap<String, EndpointSettings> {
    if host.network_mode.starts_with("container:") {
        return BTreeMap::new();
    }
    let network = host.network_mode.clone();
    let by_default = asked.remove("default");
    let mut settings = asked.remove(&network).or(by_default).unwrap_or_default();
    if settings.mac_address.is_empty() {
        settings.mac_address = std::mem::take(&mut config.mac_address);
    }
    asked.insert(network, settings);
    asked
}

/// What exists of a container in the making; taken back unless it is kept.
struct Draft<'a> {
    dir: &'a Path,
    kept: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now has no record, and is swept at the next start.
            let _ = std::fs::remove_dir_all(self.dir);
        }
    }
}

/// Puts the container on the disk. The record comes last: without it there is no container.
fn make(house: &House, mut record: Record, found: &Found) -> Result<Arc<Container>> {
    let dir: PathBuf = house.layout.container(&record.id);
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o710).create(&dir).map_err(|e| Error::io(format!("make {}", dir.display()), e))?;
    let mut draft = Draft { dir: &dir, kept: false };
    let image = house.store.images().get(&found.id).map_err(|e| Error::not_found(e.to_string()))?;
    house.store.images().touch(&found.id);
    record.layer = image.layers.last().cloned();
    let pins =
        record.pins(&house.store).collect::<std::result::Result<_, _>>().map_err(|e| Error::io("pin layers", e))?;
    let writable = house.store.writable(&dir);
    writable.create(&found.lowers).map_err(|e| Error::io("make writable layer", e))?;
    if let Some(bytes) = validate::layer_bound(house, &record.host_config)? {
        writable.bound(record.id.as_str(), bytes).map_err(|e| Error::io("bound writable layer", e))?;
    }
    mounts::make_volumes(house, &mut record.mounts, &found.lowers)?;
    record.save(&dir)?;
    draft.kept = true;
    drop(draft);
    let container = Container::new(record, dir, Status::default());
    container.inside().pins = pins;
    Ok(Arc::new(container))
}
