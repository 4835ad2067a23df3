//! Verbs on a project's containers in the order of their dependencies: stop, start, restart, remove, and all of it down.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hako_api::container::Summary;
use hako_api::query;
use tokio::sync::watch;

use crate::apply::{remove, run_hook, stop_options};
use crate::label;
use crate::plan::{Existing, Found, existing};
use crate::project::{Direction, Project, dependencies, is_external};
use crate::world::{Mood, Outcome, Trouble, World, all};
use crate::yaml::{Map, Node, Text, Value};

/// Which images `down` takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// Those without a name of their own: built here.
    Local,
    /// All.
    All,
}

/// What `down` takes along besides containers and networks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Down {
    /// Containers of services that are gone.
    pub orphans: bool,
    /// Volumes.
    pub volumes: bool,
    /// Images.
    pub images: Option<Images>,
    /// Seconds a container gets to stop.
    pub timeout: Option<i64>,
    /// Only some services go: what they share with others stays.
    pub partly: bool,
}

/// A project as its containers tell of it, when its files are not at hand.
#[must_use]
pub fn from_containers(name: &str, containers: &[Summary], template: &Project) -> Project {
    let mut services = Map::default();
    for container in containers {
        let Some(service) = container.labels.get(label::SERVICE) else { continue };
        let mut depends_on = Map::default();
        let told = container.labels.get(label::DEPENDS_ON).map(String::as_str).unwrap_or_default();
        for dependency in told.split(',').filter(|text| !text.is_empty()) {
            let mut parts = dependency.split(':');
            let other = parts.next().unwrap_or_default().to_owned();
            let condition = parts.next().unwrap_or("service_started");
            let restart = parts.next() == Some("true");
            let members = [
                ("condition".to_owned(), Node::made(condition.into())),
                ("restart".to_owned(), Node::made(Value::Bool(restart))),
                ("required".to_owned(), Node::made(Value::Bool(true))),
            ];
            depends_on.insert(other, Node::made(Value::Map(Map::from_iter(members))));
        }
        let members = [
            ("image".to_owned(), Node::made(Value::Text(container.image.clone().into()))),
            ("depends_on".to_owned(), Node::made(Value::Map(depends_on))),
        ];
        services.insert(service.clone(), Node::made(Value::Map(Map::from_iter(members))));
    }
    Project { name: name.to_owned(), services, ..template.clone() }
}

/// A service's containers; those of `run` only if asked for.
#[must_use]
pub fn members<'c>(containers: &'c [Summary], service: &str, oneoff: bool) -> Vec<&'c Summary> {
    let is = |one: &Summary, key: &str, value: &str| one.labels.get(key).is_some_and(|label| label == value);
    let mut found: Vec<&Summary> = containers
        .iter()
        .filter(|one| is(one, label::SERVICE, service) && (oneoff || !is(one, label::ONEOFF, "True")))
        .collect();
    found.sort_by_key(|one| existing(one).number);
    found
}

/// Does something to every service, each after those it must come after.
///
/// # Errors
/// The first trouble; the others are tried all the same.
pub async fn ordered<F: Future<Output = Outcome>>(
    services: &Map,
    direction: Direction,
    deed: impl Fn(String) -> F,
) -> Outcome {
    let done: BTreeMap<&str, watch::Sender<bool>> =
        services.keys().map(|name| (name.as_str(), watch::Sender::new(false))).collect();
    let before = |name: &str| -> Vec<String> {
        match direction {
            Direction::Up => dependencies(services, name).map(|(other, _)| other.to_owned()).collect(),
            Direction::Down => {
                let needs = |other: &&Text| dependencies(services, other).any(|(needed, _)| needed == name);
                services.keys().filter(needs).map(Text::to_string).collect()
            }
        }
    };
    let each = async |name: &Text| {
        for other in before(name) {
            if let Some(sender) = done.get(other.as_str()) {
                let _ = sender.subscribe().wait_for(|done| *done).await;
            }
        }
        let outcome = deed(name.to_string()).await;
        if let Some(sender) = done.get(name.as_str()) {
            sender.send_replace(true);
        }
        outcome
    };
    join_all(services.keys().map(each)).await.into_iter().collect()
}

fn subject(container: &Existing) -> String {
    format!("Container {}", container.name)
}

/// Stops the project's running containers, those first that need others.
///
/// # Errors
/// The first trouble.
pub async fn stop(world: &World<'_>, project: &Project, containers: &[Summary], timeout: Option<i64>) -> Outcome {
    ordered(&project.services, Direction::Down, async |name| {
        let running = members(containers, &name, true).into_iter().map(existing).filter(|one| is_alive(&one.state));
        let node = project.service(&name).cloned().unwrap_or_default();
        let each = async |container: Existing| {
            let containers = world.client.containers();
            let stopped = async {
                if container.state == "running" {
                    run_hook(world.client, &container.id, &node, "pre_stop").await?;
                }
                Ok(containers.stop(&container.id, &stop_options(timeout)).await?)
            };
            world.act(&subject(&container), ["Stopping", "Stopped"], stopped).await
        };
        all(running.map(each)).await.map(drop)
    })
    .await
}

fn is_alive(state: &str) -> bool {
    matches!(state, "running" | "paused" | "restarting")
}

/// Restarts the project's containers.
///
/// # Errors
/// The first trouble.
pub async fn restart(world: &World<'_>, project: &Project, containers: &[Summary], timeout: Option<i64>) -> Outcome {
    ordered(&project.services, Direction::Up, async |name| {
        let each = async |container: Existing| {
            let containers = world.client.containers();
            let restarted = async { Ok(containers.restart(&container.id, &stop_options(timeout)).await?) };
            world.act(&subject(&container), ["Restarting", "Started"], restarted).await
        };
        all(members(containers, &name, false).into_iter().map(existing).map(each)).await.map(drop)
    })
    .await
}

/// A verb without an order: kill, pause, unpause.
#[derive(Clone, Copy, Debug)]
pub enum Verb<'v> {
    /// Sends a signal.
    Kill(&'v str),
    /// Freezes.
    Pause,
    /// Thaws.
    Unpause,
}

/// Does a verb to containers.
///
/// # Errors
/// The first trouble.
pub async fn each(world: &World<'_>, containers: &[&Summary], verb: Verb<'_>) -> Outcome {
    let one = async |container: Existing| {
        let api = world.client.containers();
        let done_with = match verb {
            Verb::Kill(_) => "Killed",
            Verb::Pause => "Paused",
            Verb::Unpause => "Unpaused",
        };
        if !is_alive(&container.state) {
            return Ok(());
        }
        let done = async {
            match verb {
                Verb::Kill(signal) => api.kill(&container.id, signal).await?,
                Verb::Pause => api.pause(&container.id).await?,
                Verb::Unpause => api.unpause(&container.id).await?,
            }
            Ok(())
        };
        match verb {
            Verb::Kill(_) => world.act(&subject(&container), ["Killing", done_with], done).await,
            // It takes no time: only its end is told, and what is wrong by the error alone.
            Verb::Pause | Verb::Unpause => {
                let outcome = if world.dry { Ok(()) } else { done.await };
                if outcome.is_ok() {
                    world.report.tell(&subject(&container), done_with, Mood::Done);
                }
                outcome
            }
        }
    };
    all(containers.iter().map(|container| one(existing(container)))).await.map(drop)
}

/// Removes containers that are stopped.
///
/// # Errors
/// The first trouble.
pub async fn remove_all(world: &World<'_>, containers: &[Existing], volumes: bool) -> Outcome {
    all(containers.iter().map(|container| remove(world, container, None, volumes))).await.map(drop)
}

/// Takes a project down: containers in order, then networks, volumes and images.
///
/// # Errors
/// The first trouble; what others still use stays, with a warning.
pub async fn down(world: &World<'_>, project: &Project, found: &Found, how: Down) -> Outcome {
    // To Compose a network that is described is something to remove, even if it is not there.
    let mut nothing = found.containers.is_empty() && project.networks.values().all(is_external);
    ordered(&project.services, Direction::Down, async |name| {
        let node = project.service(&name).cloned().unwrap_or_default();
        let each = async |container: Existing| {
            if container.state == "running" && !world.dry {
                run_hook(world.client, &container.id, &node, "pre_stop").await?;
            }
            remove(world, &container, how.timeout, how.volumes).await
        };
        all(members(&found.containers, &name, true).into_iter().map(existing).map(each)).await.map(drop)
    })
    .await?;
    if how.orphans {
        // What a profile would bring up is described too, and stays.
        let described = |name: &String| project.services.contains_key(name) || project.disabled.contains_key(name);
        let known = |one: &Summary| one.labels.get(label::SERVICE).is_some_and(described);
        let orphans = found.containers.iter().filter(|one| !known(one)).map(existing);
        all(orphans.map(async |orphan| remove(world, &orphan, how.timeout, how.volumes).await)).await?;
    }
    nothing &= !networks_down(world, project, found).await?;
    if how.volumes {
        nothing &= !volumes_down(world, project, found).await?;
    }
    if let Some(images) = how.images {
        images_down(world, project, found, images).await;
    }
    if nothing && !how.partly {
        let warning = format!("Warning: No resource found to remove for project {:?}.", project.name);
        world.report.tell("", &warning, Mood::Warning);
    }
    Ok(())
}

/// Whether there were any.
async fn networks_down(world: &World<'_>, project: &Project, found: &Found) -> Outcome<bool> {
    let ours = |network: &&hako_api::network::Network| {
        let owner = network.labels.as_ref().and_then(|labels| labels.get(label::PROJECT));
        let key = network.labels.as_ref().and_then(|labels| labels.get(label::NETWORK));
        let external = key.and_then(|key| project.networks.get(key)).is_some_and(is_external);
        owner.is_some_and(|owner| *owner == project.name) && !external
    };
    let names: Vec<&String> = found.networks.iter().filter(ours).map(|network| &network.name).collect();
    let each = async |name: &&String| {
        let networks = world.client.networks();
        let subject = format!("Network {name}");
        world.report.tell(&subject, "Removing", Mood::Working);
        if world.dry {
            world.report.tell(&subject, "Removed", Mood::Done);
            return Ok(());
        }
        match networks.remove(name).await {
            Ok(()) => world.report.tell(&subject, "Removed", Mood::Done),
            Err(error) if error.is_not_found() => world.report.tell(&subject, "Removed", Mood::Done),
            Err(error) if error.to_string().contains("active endpoints") || error.status() == Some(409) => {
                world.report.tell(&subject, "Resource is still in use", Mood::Warning);
            }
            Err(error) => return Err(Trouble::from(error)),
        }
        Ok(())
    };
    all(names.iter().map(each)).await?;
    Ok(!names.is_empty())
}

/// Whether there were any, or may have been: those that are described count.
async fn volumes_down(world: &World<'_>, project: &Project, found: &Found) -> Outcome<bool> {
    let declared = project.volumes.values().filter(|volume| !is_external(volume)).map(|volume| volume.text("name"));
    let mut names: Vec<String> = declared.map(str::to_owned).collect();
    let described = !names.is_empty();
    let ours = |volume: &&hako_api::volume::Volume| {
        volume.labels.as_ref().and_then(|labels| labels.get(label::PROJECT)).is_some_and(|owner| *owner == project.name)
    };
    names.extend(found.volumes.iter().filter(ours).map(|volume| volume.name.clone()));
    names.retain(|name| found.volumes.iter().any(|volume| volume.name == *name));
    names.sort();
    names.dedup();
    let each = async |name: &String| {
        let volumes = world.client.volumes();
        let subject = format!("Volume {name}");
        world.report.tell(&subject, "Removing", Mood::Working);
        let outcome = if world.dry { Ok(()) } else { volumes.remove(name, true).await };
        match outcome {
            Ok(()) => world.report.tell(&subject, "Removed", Mood::Done),
            Err(error) if error.is_not_found() => world.report.tell(&subject, "Removed", Mood::Done),
            Err(error) if error.status() == Some(409) => {
                world.report.tell(&subject, "Resource is still in use", Mood::Warning);
            }
            Err(error) => return Err(Trouble::from(error)),
        }
        Ok(())
    };
    all(names.iter().map(each)).await?;
    Ok(described || !names.is_empty())
}

async fn images_down(world: &World<'_>, project: &Project, found: &Found, which: Images) {
    for (name, service) in &project.services {
        let image = project.image(name, service);
        let local = service.text("image").is_empty();
        if (which == Images::Local && !local) || !found.images.contains_key(&image) {
            continue;
        }
        let images = world.client.images();
        let removed =
            async { images.remove(&image, &query::RemoveImage::default()).await.map(drop).map_err(Trouble::from) };
        // An image that others use stays; that was told, and is no failure.
        let _ = world.act(&format!("Image {image}"), ["Removing", "Removed"], removed).await;
    }
}
