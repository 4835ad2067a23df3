//! The volume verbs.

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::amount;
use hako_model::event::Kind;
use hako_model::filter::Filters;
use hako_model::name;
use hako_model::time::Timestamp;
use hako_store::NewVolume;

use crate::blocking::blocking;
pub use crate::containers::Pruned;
use crate::containers::check_driver;
use crate::house::House;
use crate::{Error, Result};

/// The volume verbs. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {
    pub(crate) house: Arc<House>,
}

/// What a new volume is to be.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The name; 64 hexadecimal digits are made up when empty.
    pub name: String,
    /// The driver; `local` when empty.
    pub driver: String,
    /// The driver's options: `type`, `device`, `o`, `size` of `local`.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Where its data is on the host.
    pub mountpoint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Always `local`.
    pub scope: String,
    /// Bytes used and containers using it, when computed (`system df`).
    pub usage: Option<(u64, u64)>,
}

impl Volumes {
    /// Makes a volume, or finds the one of that name and driver.
    pub async fn create(&self, request: CreateRequest) -> Result<Volume> {
        check_driver(&request.driver).map_err(|error| match request.name.as_str() {
            "" => error,
            name => error.during(format!("create {name}")),
        })?;
        if !request.name.is_empty() {
            name::volume(&request.name)?;
        }
        let bound = check_options(&self.house, &request.name, &request.options)?;
        let known = !request.name.is_empty() && self.house.store.volumes().get(&request.name).is_ok();
        let new = NewVolume {
            anonymous: request.name.is_empty(),
            name: request.name,
            driver: "local".to_owned(),
            labels: Some(request.labels).filter(|labels| !labels.is_empty()),
            options: Some(request.options).filter(|options| !options.is_empty()),
            bound,
        };
        let made = blocking(|| self.house.store.volumes().create(new)).map_err(failure)?;
        if !known {
            self.tell("create", &made.name);
        }
        Ok(view(made))
    }

    /// Lists volumes by name. Filters: dangling, driver, label, label!, name.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Volume>> {
        filters.only(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.flag("dangling")?;
        let volumes = self.house.store.volumes().list().into_iter().map(view);
        let admitted = volumes.filter(|volume| {
            admits_labels(&filters, &volume.labels)
                && filters.admits("name", |wanted| crate::filters::finds(wanted, &volume.name))
                && filters.admits_exactly("driver", &volume.driver)
                && dangling.is_none_or(|dangling| self.users(&volume.name).is_empty() == dangling)
        });
        Ok(admitted.collect())
    }

    /// One volume.
    pub async fn inspect(&self, name: &str) -> Result<Volume> {
        let found = self.house.store.volumes().get(name).map_err(|error| missing(name, error))?;
        Ok(view(found))
    }

    /// Removes a volume that no container uses; with `force`, one that does not exist is no error.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        match self.house.store.volumes().get(name) {
            // What cannot be read can still be removed.
            Ok(_) | Err(hako_store::Error::Damaged { .. }) => {}
            Err(error) if force && error.is_not_found() => return Ok(()),
            Err(error) => return Err(missing(name, error)),
        }
        let users = self.users(name);
        if !users.is_empty() {
            let text = format!("remove {name}: volume is in use - [{}]", users.join(", "));
            return Err(Error::conflict(text));
        }
        blocking(|| self.house.store.volumes().remove(name)).map_err(|error| missing(name, error))?;
        self.tell("destroy", name);
        Ok(())
    }

    /// Removes unused anonymous volumes, with the filter `all` named ones too.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        filters.only(&["all", "label", "label!"])?;
        let all = filters.flag("all")?.unwrap_or(false);
        let mut pruned = Pruned::default();
        for volume in self.house.store.volumes().list() {
            let labels = volume.labels.clone().unwrap_or_default();
            let chosen = (all || volume.anonymous) && admits_labels(&filters, &labels);
            if !chosen || !self.users(&volume.name).is_empty() {
                continue;
            }
            let size = blocking(|| self.house.store.volumes().usage(&volume.name)).unwrap_or(0);
            self.remove(&volume.name, true).await?;
            pruned.space_reclaimed += size;
            pruned.deleted.push(volume.name);
        }
        let facts = [("reclaimed".to_owned(), pruned.space_reclaimed.to_string())].into();
        self.house.hub.tell(Kind::Volume, "prune", "", facts);
        Ok(pruned)
    }

    /// All volumes with the bytes they take and the number of containers that use them.
    pub(crate) fn measured(&self) -> Vec<Volume> {
        let volumes = self.house.store.volumes();
        let measure = |volume: hako_store::Volume| {
            let usage = (volumes.usage(&volume.name).unwrap_or(0), self.users(&volume.name).len() as u64);
            Volume { usage: Some(usage), ..view(volume) }
        };
        volumes.list().into_iter().map(measure).collect()
    }

    /// The ids of containers that use a volume.
    fn users(&self, name: &str) -> Vec<String> {
        let containers = self.house.index.all();
        containers.iter().filter(|c| c.uses_volume(name)).map(|c| c.id.to_string()).collect()
    }

    fn tell(&self, action: &str, name: &str) {
        let facts = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.house.hub.tell(Kind::Volume, action, name, facts);
    }
}

fn admits_labels(filters: &Filters, labels: &BTreeMap<String, String>) -> bool {
    let label = |key: &str| labels.get(key).map(String::as_str);
    filters.admits_labels("label", label) && filters.lacks_labels("label!", label)
}

/// The local driver knows `type`, `o` and `device`, which come together, and `size`. Returns the bound that `size` asks for.
pub(crate) fn check_options(house: &House, name: &str, options: &BTreeMap<String, String>) -> Result<Option<u64>> {
    let refused = |text: String| Err(Error::invalid(format!("create {name}: {text}")));
    if let Some(key) = options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size")) {
        return refused(format!("invalid option: \"{key}\""));
    }
    let given = |key: &str| options.get(key).filter(|value| !value.is_empty());
    let mounted = ["type", "o", "device"].iter().any(|key| given(key).is_some());
    if mounted && let Some(missing) = ["device", "type"].iter().find(|key| given(key).is_none()) {
        return refused(format!("missing required option: \"{missing}\""));
    }
    let Some(size) = given("size") else { return Ok(None) };
    let Some(bytes) = amount::bytes(size).and_then(|bytes| u64::try_from(bytes).ok()) else {
        return refused(format!("invalid size: '{size}'"));
    };
    if bytes == 0 {
        return Ok(None);
    }
    if mounted {
        return refused("size bounds what lies in the volume itself, not what is mounted there".to_owned());
    }
    if !house.store.volumes().can_be_bounded() {
        return refused(format!("quota size requested but no quota support: {NO_QUOTAS}"));
    }
    Ok(Some(bytes))
}

/// Why sizes cannot be bounded, and what to do about it.
pub(crate) const NO_QUOTAS: &str = "the data root's file system does not enforce project quotas (it needs xfs, or ext4 made \
                                    with -O project,quota, mounted with prjquota, and Linux 5.14)";

fn view(volume: hako_store::Volume) -> Volume {
    Volume {
        name: volume.name,
        driver: "local".to_owned(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        created_at: volume.created_at,
        labels: volume.labels.unwrap_or_default(),
        options: volume.options.unwrap_or_default(),
        scope: "local".to_owned(),
        usage: None,
    }
}

fn missing(name: &str, error: hako_store::Error) -> Error {
    if error.is_not_found() { Error::not_found(format!("get {name}: no such volume")) } else { failure(error) }
}

fn failure(error: hako_store::Error) -> Error {
    match &error {
        hako_store::Error::Exists { name, .. } => {
            Error::conflict(format!("create {name}: conflict: volume name must be unique"))
        }
        error if error.is_bad_input() => Error::invalid(error.to_string()),
        error => Error::io("use volume", error),
    }
}
