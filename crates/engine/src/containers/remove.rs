//! Removing containers.

use std::sync::Arc;

use hako_model::event::Kind;
use hako_model::mount::Origin;
use hako_model::state::{State, Status};

use super::graves::Graves;
use super::{Containers, RemoveOptions};
use crate::container::Container;
use crate::house::House;
use crate::record::Record;
use crate::{Error, Result, record};

/// Free space (bytes) below which a removal waits until the files are gone.
const SHORT: u64 = 1 << 30;

/// The end of a grave's name whose container's anonymous volumes go with it.
const WITH_VOLUMES: &str = "-and-volumes";

impl Containers {
    /// Removes it.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        if options.link {
            return self.remove_link(name).await;
        }
        let container = self.house.index.find(name)?;
        if container.inside().removing && !options.force {
            return Err(Error::conflict(format!("removal of container {name} is already in progress")));
        }
        if options.force {
            self.end(&container).await?;
        }
        let _alone = container.verbs.lock().await;
        if container.phase.borrow().removed {
            return Ok(());
        }
        if options.force && container.status().state.is_running() {
            // It was being started when its end was asked for; now nobody starts it any more.
            self.end(&container).await?;
        }
        let refusal =
            check_removable(&container).map_err(|error| error.during(format!("cannot remove container \"{name}\"")));
        if let Err(error) =
            refusal.and_then(|()| super::start::check_unexamined(&self.house, &container, &[container.id.as_str()]))
        {
            container.inside().removing = false;
            return Err(error);
        }
        dismiss(&container);
        erase(&self.house, &container, options.volumes).await
    }

    /// Forgets a legacy link, `CONTAINER/ALIAS`; what a running container was told of it stays until its next start.
    async fn remove_link(&self, name: &str) -> Result<()> {
        let Some((owner, alias)) = name.trim_start_matches('/').rsplit_once('/') else {
            self.house.index.find(name)?;
            let text = format!("Conflict, cannot remove the default link name of the container: {name}");
            return Err(Error::invalid(text));
        };
        let container = self.house.index.find(owner)?;
        let _alone = container.verbs.lock().await;
        let mut record = Record::clone(&container.record());
        let links = record.host_config.links.get_or_insert_default();
        let before = links.len();
        links.retain(|link| crate::oci::links::split(link).1 != alias);
        if links.len() == before {
            return Err(Error::not_found(format!("No such link: {name}")));
        }
        crate::blocking::blocking(|| record.save(&container.dir))?;
        container.inside().record = Arc::new(record);
        Ok(())
    }

    /// Kills a running container and waits until it holds nothing any more.
    async fn end(&self, container: &Arc<Container>) -> Result<()> {
        container.inside().removing = true;
        let outcome = self.kill_and_settle(container).await;
        if outcome.is_err() {
            container.inside().removing = false;
        }
        outcome
    }
}

fn check_removable(container: &Container) -> Result<()> {
    let status = container.status();
    let refuse = |why: &str| Err(Error::conflict(format!("container is {why}")));
    match &status.state {
        State::Paused(_) => refuse("paused and must be unpaused first"),
        State::Restarting { .. } => refuse("restarting: stop the container before removing or force remove"),
        State::Running(_) | State::Starting => refuse("running: stop the container before removing or force remove"),
        _ => Ok(()),
    }
}

/// Lets go a supervisor that was assigned by an attach but never started.
fn dismiss(container: &Container) {
    if let Some(link) = container.inside().link.take() {
        link.dismiss();
    }
}

/// Takes a container that does not run off the disk and out of the index, with its anonymous volumes if wanted.
pub(crate) async fn erase(house: &Arc<House>, container: &Arc<Container>, volumes: bool) -> Result<()> {
    container.inside().removing = true;
    if container.record().host_config.storage_opt.iter().flatten().next().is_some() {
        // A bound that stays costs a number, and nothing else.
        let _ = house.store.writable(&container.dir).unbound();
    }
    let grave = house.layout.tmp().join(grave(container, volumes));
    if let Err(error) = std::fs::rename(&container.dir, &grave)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(not_removed(container, &error));
    }
    // From here on the container is gone; its files follow in the background.
    if !house.index.remove(&container.id) {
        return Ok(());
    }
    container.inside().pins.clear();
    // A supervisor that was killed leaves its door behind.
    let _ = std::fs::remove_file(house.layout.door(&container.id));
    if volumes {
        remove_anonymous_volumes(house, container);
    }
    house.tell(container, "destroy");
    container.turn(|phase| phase.removed = true);
    if is_short_of_space(&grave) {
        // Whoever removes something to make room gets the room. A panic has been told by the runtime.
        let _ = Graves::bury_now(grave).await;
    } else {
        house.graves.bury(grave);
    }
    Ok(())
}

/// Where a removed container's files wait to be deleted; the name says what else goes with it.
fn grave(container: &Container, volumes: bool) -> String {
    format!("removed-{}{}", container.id, if volumes { WITH_VOLUMES } else { "" })
}

/// What the name of a grave says: whose it is, and whether its anonymous volumes go too.
pub(crate) fn buried(name: &str) -> Option<(&str, bool)> {
    let rest = name.strip_prefix("removed-")?;
    let id = rest.strip_suffix(WITH_VOLUMES);
    Some((id.unwrap_or(rest), id.is_some()))
}

/// Whether the disk below `path` is so full that somebody may wait for what is removed.
fn is_short_of_space(path: &std::path::Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < SHORT)
}

fn not_removed(container: &Container, cause: &std::io::Error) -> Error {
    let mut status = Status::clone(&container.status());
    status.state = State::Dead;
    status.error = format!("remove: {cause}");
    // Memory says it even if the disk does not.
    let _ = record::save_status(&container.dir, &status);
    container.set_status(status);
    container.inside().removing = false;
    Error::io(format!("remove container {}", container.id), cause)
}

/// Volumes nobody named go with their container, unless another one uses them.
pub(crate) fn remove_anonymous_volumes(house: &House, container: &Container) {
    let record = container.record();
    for mount in &record.mounts {
        let Origin::Volume(volume) = &mount.origin else { continue };
        if !volume.anonymous || house.index.all().iter().any(|other| other.uses_volume(&volume.name)) {
            continue;
        }
        match house.store.volumes().remove(&volume.name) {
            Ok(()) => {
                let facts = std::collections::BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
                house.hub.tell(Kind::Volume, "destroy", &volume.name, facts);
            }
            Err(error) => tracing::warn!(%error, volume = volume.name, "anonymous volume not removed"),
        }
    }
}
