//! What must be done so that what is found becomes what is wanted. A pure function: `up` does exactly what `plan` shows.

mod difference;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use hako_api::container::Summary;
use hako_api::network::Network;
use hako_api::volume::Volume;

use crate::canonical::{resolved, service_hash, shares};
use crate::creation::container_name;
use crate::label;
use crate::project::{Direction, Project, dependencies, order};
use crate::yaml::Node;

pub use difference::Change;
pub use resources::Resource;

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The project's containers, in any state.
    pub containers: Vec<Summary>,
    /// Networks of the project, and those it names.
    pub networks: Vec<Network>,
    /// Volumes of the project, and those it names.
    pub volumes: Vec<Volume>,
    /// Images the services name, and their ids; those that are not there are missing.
    pub images: BTreeMap<String, String>,
}

/// When a container is made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recreate {
    /// When it differs from what is wanted.
    #[default]
    Diverged,
    /// Always.
    Force,
    /// Never.
    Never,
}

/// What the person chose.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The services that were named; none means all.
    pub services: Vec<String>,
    /// When their containers are made anew.
    pub recreate: Recreate,
    /// When those of services they need are.
    pub recreate_dependencies: Recreate,
    /// Remove containers of services that are gone.
    pub remove_orphans: bool,
    /// Say nothing of them.
    pub ignore_orphans: bool,
}

/// A container, as a step names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: usize,
    /// Its state.
    pub state: String,
}

/// Why a container is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The configuration changed; the fields, where it is known what they were.
    Configuration(Vec<Change>),
    /// The name now means another image.
    Image {
        /// The image it was made of.
        before: String,
        /// The image the name means.
        after: String,
    },
    /// It is not connected to a network it should be on.
    Network(String),
    /// A volume it should have is another one now.
    Volume(String),
    /// It has its namespaces or volumes from this service's container, which is made anew.
    Shares(String),
    /// `--force-recreate`.
    Forced,
}

/// What is done with one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, but that it is started if it does not run.
    Keep(Existing),
    /// It is right but for its name, that of a container that was to take another's place: it gets the one it should have,
    /// and is started if it does not run.
    Rename {
        /// It, under the name it has.
        existing: Existing,
        /// The name it should have.
        name: String,
    },
    /// Nothing: it is a job's, and the daemon starts it when it is due.
    Rest(Existing),
    /// It is made.
    Create {
        /// Its number.
        number: usize,
        /// Its name.
        name: String,
    },
    /// It is made anew.
    Recreate {
        /// The one before.
        existing: Existing,
        /// The new one's name.
        name: String,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// It is stopped and removed: there are more than wanted.
    Remove(Existing),
    /// It is restarted, because a service it depends on is made anew.
    Restart {
        /// It.
        existing: Existing,
        /// That service.
        because: String,
    },
}

impl Step {
    /// The name it needs to be free.
    pub(crate) fn new_name(&self) -> Option<&str> {
        match self {
            Self::Create { name, .. } | Self::Recreate { name, .. } | Self::Rename { name, .. } => Some(name),
            Self::Keep(_) | Self::Rest(_) | Self::Remove(_) | Self::Restart { .. } => None,
        }
    }
}

/// All that must be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Networks and volumes to be made, and what is odd about those there are.
    pub resources: Vec<Resource>,
    /// Images that are not there: service and image.
    pub missing_images: BTreeMap<String, String>,
    /// Containers of services that are gone.
    pub orphans: Vec<Existing>,
    /// Whether the orphans go.
    pub remove_orphans: bool,
    /// What is done with each service's containers.
    pub services: BTreeMap<String, Vec<Step>>,
}

impl Plan {
    /// Whether nothing needs to be made, removed or started.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let idle = |step: &Step| match step {
            Step::Rest(_) => true,
            Step::Keep(existing) => existing.state == "running",
            _ => false,
        };
        self.resources.iter().all(|resource| !resource.acts())
            && self.missing_images.is_empty()
            && (self.orphans.is_empty() || !self.remove_orphans)
            && self.services.values().flatten().all(idle)
    }
}

/// Makes the plan.
///
/// # Errors
/// A text: a network or volume that should be there is not, or belongs to somebody else.
pub fn plan(project: &Project, found: &Found, choices: &Choices) -> Result<Plan, String> {
    let mut plan = Plan { remove_orphans: choices.remove_orphans, ..Plan::default() };
    plan.resources = resources::plan(project, found)?;
    for (name, service) in &project.services {
        let container = service.text("container_name");
        if !container.is_empty() && Project::scale(service) > 1 {
            return Err(format!(
                "WARNING: The {:?} service is using the custom container name {container:?}. Docker requires each container to \
                 have a unique name. Remove the custom name to scale the service",
                name.as_str()
            ));
        }
        let image = project.image(name, service);
        if service.get("provider").is_none() && !found.images.contains_key(&image) {
            plan.missing_images.insert(name.to_string(), image);
        }
    }
    if !choices.ignore_orphans {
        plan.orphans = orphans(project, found);
    }
    let remade = resources::remade(&plan.resources);
    // What another program provides has no containers.
    // Those that others share with come first, so that it is known which containers of theirs stay.
    for name in &order(&project.services, Direction::Up) {
        let Some(service) = project.service(name).filter(|service| service.get("provider").is_none()) else { continue };
        let wanted = choices.services.is_empty() || choices.services.iter().any(|wanted| wanted == name);
        let recreate = if wanted { choices.recreate } else { choices.recreate_dependencies };
        let around = Around { remade: &remade, planned: &plan.services, found };
        let steps = steps(project, name, service, found, recreate, &around);
        plan.services.insert(name.clone(), steps);
    }
    restart_dependents(project, &mut plan);
    Ok(plan)
}

/// What of the plan is known already when a service's turn comes.
struct Around<'p> {
    /// Networks that are made anew.
    remade: &'p BTreeSet<String>,
    /// What is done with the services it needs.
    planned: &'p BTreeMap<String, Vec<Step>>,
    /// What there is of services that are not planned for.
    found: &'p Found,
}

impl Around<'_> {
    /// The id of the first container a service will have; none while that is not there yet.
    fn first_of(&self, service: &str) -> Option<String> {
        let will_be = |step: &Step| match step {
            Step::Keep(existing) | Step::Rest(existing) | Step::Restart { existing, .. } => {
                Some((existing.name.clone(), Some(existing.id.clone())))
            }
            Step::Rename { existing, name } => Some((name.clone(), Some(existing.id.clone()))),
            Step::Create { name, .. } | Step::Recreate { name, .. } => Some((name.clone(), None)),
            Step::Remove(_) => None,
        };
        let Some(steps) = self.planned.get(service) else { return first_container(self.found, service) };
        steps.iter().filter_map(will_be).min()?.1
    }
}

/// The project's containers of a service, those of `run` left out.
fn containers_of<'f>(found: &'f Found, service: &'f str) -> impl Iterator<Item = &'f Summary> {
    let is = |one: &Summary, key: &str, value: &str| one.labels.get(key).is_some_and(|label| label == value);
    found.containers.iter().filter(move |one| is(one, label::SERVICE, service) && !is(one, label::ONEOFF, "True"))
}

/// The first by name of a service's containers there are: its id.
#[must_use]
pub fn first_container(found: &Found, service: &str) -> Option<String> {
    let names = containers_of(found, service).map(existing).map(|one| (one.name, one.id));
    names.min().map(|(_, id)| id)
}

fn orphans(project: &Project, found: &Found) -> Vec<Existing> {
    let known = |one: &&Summary| {
        let service = one.labels.get(label::SERVICE).map(String::as_str).unwrap_or_default();
        let oneoff = one.labels.get(label::ONEOFF).is_some_and(|value| value == "True");
        let declared = project.services.contains_key(service) || project.disabled.contains_key(service);
        // A container of `run` is an orphan only once it has ended.
        declared || (oneoff && one.state == "running")
    };
    found.containers.iter().filter(|one| !known(one)).map(existing).collect()
}

/// A container of a list, as steps name it.
#[must_use]
pub fn existing(container: &Summary) -> Existing {
    let name = container.names.first().map(|name| name.trim_start_matches('/')).unwrap_or_default();
    Existing {
        id: container.id.clone(),
        name: name.to_owned(),
        number: container.labels.get(label::NUMBER).and_then(|number| number.parse().ok()).unwrap_or(0),
        state: container.state.clone(),
    }
}

fn steps(
    project: &Project,
    name: &str,
    service: &Node,
    found: &Found,
    recreate: Recreate,
    around: &Around<'_>,
) -> Vec<Step> {
    let wanted = Project::scale(service);
    // What stands aside was left by a rollout that was cut short: the one in force has a successor or is one.
    let (mut aside, mut in_force): (Vec<&Summary>, Vec<&Summary>) =
        containers_of(found, name).partition(|one| one.aside && one.state == "running");
    if in_force.is_empty() {
        // Caught in the moment of changing places.
        in_force = std::mem::take(&mut aside);
    }
    let mut containers: Vec<(Existing, Vec<Reason>)> = in_force
        .into_iter()
        .map(|one| (existing(one), reasons(project, name, service, one, found, recreate, around)))
        .collect();
    // Those that are right and low in number stay.
    containers.sort_by_key(|(existing, reasons)| (!reasons.is_empty(), existing.number));
    // Two of one number are a container and the one that was to take its place.
    let mut seen = BTreeSet::new();
    let is_first = |(one, _): &(Existing, Vec<Reason>)| one.number == 0 || seen.insert(one.number);
    let (containers, repeats): (Vec<_>, Vec<_>) = containers.into_iter().partition(is_first);
    let aside = aside.into_iter().map(existing).chain(repeats.into_iter().map(|(existing, _)| existing));
    let aside: Vec<Existing> = aside.collect();
    let numbers = containers.iter().map(|(existing, _)| existing.number).chain(aside.iter().map(|one| one.number));
    let next = numbers.max().unwrap_or(0) + 1;
    let missing = wanted.saturating_sub(containers.len());
    let mut steps: Vec<Step> = containers
        .into_iter()
        .enumerate()
        .map(|(place, (existing, reasons))| match () {
            () if place >= wanted => Step::Remove(existing),
            () if reasons.is_empty() && crate::schedule::is_job(service) => Step::Rest(existing),
            () if reasons.is_empty() => {
                let own = container_name(project, name, existing.number);
                if is_interim(&existing.name, &own) {
                    Step::Rename { existing, name: own }
                } else {
                    Step::Keep(existing)
                }
            }
            () => Step::Recreate { name: container_name(project, name, existing.number), existing, reasons },
        })
        .collect();
    steps.extend(aside.into_iter().map(Step::Remove));
    steps.extend(
        (next..next + missing).map(|number| Step::Create { number, name: container_name(project, name, number) }),
    );
    steps
}

/// The name of a container that is to take the place of another, until that is gone.
pub(crate) fn interim_name(old: &Existing, name: &str) -> String {
    format!("{}_{name}", old.id.get(..12).unwrap_or(&old.id))
}

fn is_interim(name: &str, own: &str) -> bool {
    let id = name.strip_suffix(own).and_then(|id| id.strip_suffix('_'));
    id.is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn reasons(
    project: &Project,
    name: &str,
    service: &Node,
    container: &Summary,
    found: &Found,
    recreate: Recreate,
    around: &Around<'_>,
) -> Vec<Reason> {
    match recreate {
        Recreate::Never => return Vec::new(),
        Recreate::Force => return vec![Reason::Forced],
        Recreate::Diverged => {}
    }
    let mut reasons = Vec::new();
    let told = |key: &str| container.labels.get(key).map(String::as_str).unwrap_or_default();
    let shared = shares(service);
    if let Some(other) = shared.iter().find(|other| around.first_of(other).is_none()) {
        reasons.push(Reason::Shares(other.clone()));
    } else {
        let service = resolved(service, &|other| around.first_of(other));
        if told(label::HASH) != service_hash(&service) {
            reasons.push(Reason::Configuration(difference::of(told(label::CONFIGURATION), &service)));
        }
    }
    let image = found.images.get(&project.image(name, service));
    if let Some(after) = image.filter(|image| !told(label::IMAGE).is_empty() && *image != told(label::IMAGE)) {
        reasons.push(Reason::Image { before: told(label::IMAGE).to_owned(), after: after.clone() });
    }
    reasons.extend(missing_network(project, service, container, around.remade).map(Reason::Network));
    reasons.extend(missing_volume(project, service, container).map(Reason::Volume));
    reasons
}

/// A network a running container should be on and is not, or that is itself made anew.
fn missing_network(
    project: &Project,
    service: &Node,
    container: &Summary,
    remade: &BTreeSet<String>,
) -> Option<String> {
    let names = service.entries("networks").filter_map(|(key, _)| project.networks.get(key)).map(|it| it.text("name"));
    let joined = &container.network_settings.networks;
    let mut names = names.filter(|name| !name.is_empty());
    names
        .find(|name| remade.contains(*name) || (container.state == "running" && !joined.contains_key(*name)))
        .map(str::to_owned)
}

/// A named volume a container should have and has not.
fn missing_volume(project: &Project, service: &Node, container: &Summary) -> Option<String> {
    let mounts = service.list("volumes").iter().filter(|mount| mount.text("type") == "volume");
    let names = mounts.filter_map(|mount| project.volumes.get(mount.text("source"))).map(|volume| volume.text("name"));
    let mut names = names.filter(|name| !name.is_empty());
    names.find(|name| !container.mounts.iter().any(|mount| mount.name == *name)).map(str::to_owned)
}

/// What depends on a service with `restart: true` is restarted when that is made anew.
fn restart_dependents(project: &Project, plan: &mut Plan) {
    let remade = |plan: &Plan, name: &str| {
        let steps = plan.services.get(name).map(Vec::as_slice).unwrap_or_default();
        steps.iter().any(|step| matches!(step, Step::Recreate { .. } | Step::Restart { .. }))
    };
    for name in order(&project.services, Direction::Up) {
        let because = dependencies(&project.services, &name)
            .find(|(other, dependency)| dependency.on("restart") && remade(plan, other))
            .map(|(other, _)| other.to_owned());
        let Some(because) = because else { continue };
        for step in plan.services.get_mut(&name).into_iter().flatten() {
            if let Step::Keep(existing) = step
                && existing.state == "running"
            {
                *step = Step::Restart { existing: existing.clone(), because: because.clone() };
            }
        }
    }
}

#[cfg(test)]
mod tests;
