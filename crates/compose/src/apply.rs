//! A plan is carried out: networks and volumes, then every service as soon as what it needs allows.

mod create;
mod first;
mod hook;
mod image;
mod ready;
mod rollout;
mod stage;
mod stored;

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::future::{try_join, try_join_all};
use hako_api::network::{CreateBody, Ipam, IpamConfig};
use hako_api::query;
use hako_api::volume;

use crate::canonical::{network_hash, volume_hash};
use crate::creation::{strings, unheeded, without_effect};
use crate::label;
use crate::plan::{Existing, Plan, Resource, Step};
use crate::project::Project;
use crate::world::{Mood, Outcome, Trouble, World};
use crate::yaml::{Node, Text};

pub use ready::{Condition, Patience};
use stage::{Stage, Stages};

/// How a plan is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Start containers, too.
    pub start: bool,
    /// Seconds a container gets to stop.
    pub timeout: Option<i64>,
    /// Containers made anew are up and well before the old ones go.
    pub rollout: bool,
    /// Containers made anew do not inherit anonymous volumes.
    pub renew_volumes: bool,
    /// How long dependencies may take to get ready; zero is for ever.
    pub patience: Patience,
}

/// A container that takes part now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its service.
    pub service: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It was running already.
    pub running: bool,
}

/// A plan being carried out.
struct Work<'w> {
    world: &'w World<'w>,
    project: &'w Project,
    plan: &'w Plan,
    manner: Manner,
    images: BTreeMap<String, String>,
    found: &'w crate::plan::Found,
    stages: Stages,
    members: RefCell<Vec<Member>>,
}

/// Carries a plan out. Images are there already.
///
/// # Errors
/// The first [`Trouble`]; what was done until then stays done, and the next plan goes on from there.
pub async fn apply(
    world: &World<'_>,
    project: &Project,
    found: &crate::plan::Found,
    plan: &Plan,
    manner: Manner,
) -> Outcome<Vec<Member>> {
    for resource in &plan.resources {
        if let Resource::Warn(warning) = resource {
            world.report.tell("", warning, Mood::Warning);
        }
    }
    try_join(orphans(world, plan, manner), resources(world, project, found, plan)).await?;
    let work = Work {
        world,
        project,
        plan,
        manner,
        images: found.images.clone(),
        found,
        stages: Stages::new(project.services.keys().map(Text::as_str)),
        members: RefCell::default(),
    };
    try_join_all(project.services.keys().map(|name| work.service(name))).await?;
    Ok(work.members.into_inner())
}

async fn orphans(world: &World<'_>, plan: &Plan, manner: Manner) -> Outcome {
    if plan.orphans.is_empty() {
        return Ok(());
    }
    if !plan.remove_orphans {
        let names: Vec<&str> = plan.orphans.iter().map(|orphan| orphan.name.as_str()).collect();
        let warning = format!(
            "Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose file, \
             you can run this command with the --remove-orphans flag to clean it up.",
            names.join(" ")
        );
        world.report.tell("", &warning, Mood::Warning);
        return Ok(());
    }
    crate::world::all(plan.orphans.iter().map(|orphan| remove(world, orphan, manner.timeout, false))).await.map(drop)
}

/// How often, and how far apart, a removal is asked for again that meets another verb.
const PATIENCE: usize = 50;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Stops and removes a container.
pub(crate) async fn remove(world: &World<'_>, container: &Existing, timeout: Option<i64>, volumes: bool) -> Outcome {
    let subject = format!("Container {}", container.name);
    let containers = world.client.containers();
    if matches!(container.state.as_str(), "running" | "paused" | "restarting") {
        let stop = async { gone(containers.stop(&container.id, &stop_options(timeout)).await) };
        world.act(&subject, ["Stopping", "Stopped"], stop).await?;
    }
    let options = query::RemoveContainer { force: true, volumes, link: false };
    let removed = async {
        // Somebody else may be removing it, or starting it, as the daemon does with a job that is due.
        for _ in 0..PATIENCE {
            match containers.remove(&container.id, &options).await {
                Err(error) if error.status() == Some(409) => tokio::time::sleep(PAUSE).await,
                done => return gone(done),
            }
        }
        gone(containers.remove(&container.id, &options).await)
    };
    world.act(&subject, ["Removing", "Removed"], removed).await
}

/// What somebody else did already is done.
pub(crate) fn gone(outcome: Result<(), hako_client::Error>) -> Outcome {
    match outcome {
        Err(error) if !error.is_not_found() && error.status() != Some(409) => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn stop_options(timeout: Option<i64>) -> query::Stop {
    query::Stop { timeout, ..query::Stop::default() }
}

async fn resources(world: &World<'_>, project: &Project, found: &crate::plan::Found, plan: &Plan) -> Outcome {
    let each = async |resource: &Resource| match resource {
        Resource::CreateNetwork { key, name } => create_network(world, project, key, name).await,
        Resource::RecreateNetwork { key, name } => {
            leave_network(world, found, name).await?;
            let networks = world.client.networks();
            let removed = async { gone(networks.remove(name).await) };
            world.act(&format!("Network {name}"), ["Removing", "Removed"], removed).await?;
            create_network(world, project, key, name).await
        }
        Resource::CreateVolume { key, name } => create_volume(world, project, key, name).await,
        Resource::Warn(_) => Ok(()),
    };
    try_join_all(plan.resources.iter().map(each)).await.map(drop)
}

/// A network can only go when nobody is on it.
async fn leave_network(world: &World<'_>, found: &crate::plan::Found, name: &str) -> Outcome {
    let on_it = found.containers.iter().filter(|one| one.network_settings.networks.contains_key(name));
    let stop = async |container: &hako_api::container::Summary| {
        let body = hako_api::network::DisconnectBody { container: container.id.clone(), force: true };
        if world.dry { Ok(()) } else { gone(world.client.networks().disconnect(name, &body).await) }
    };
    crate::world::all(on_it.map(stop)).await.map(drop)
}

/// The labels of a network.
pub(crate) fn network_labels(project: &Project, key: &str, network: &Node) -> BTreeMap<String, String> {
    let mut labels = strings(network, "labels");
    labels.insert(label::NETWORK.to_owned(), key.to_owned());
    labels.insert(label::PROJECT.to_owned(), project.name.clone());
    labels.insert(label::VERSION.to_owned(), label::COMPOSE_VERSION.to_owned());
    labels.insert(label::HASH.to_owned(), network_hash(network));
    labels
}

async fn create_network(world: &World<'_>, project: &Project, key: &str, name: &str) -> Outcome {
    let Some(network) = project.networks.get(key) else { return Ok(()) };
    let options = strings(network, "driver_opts");
    let body = CreateBody {
        name: name.to_owned(),
        driver: network.text("driver").to_owned(),
        enable_ipv4: network.switch("enable_ipv4"),
        enable_ipv6: network.switch("enable_ipv6"),
        ipam: network.get("ipam").filter(|ipam| ipam.map().is_some_and(|map| !map.is_empty())).map(ipam),
        internal: network.on("internal"),
        attachable: network.on("attachable"),
        options: Some(options).filter(|options| !options.is_empty()),
        labels: Some(network_labels(project, key, network)),
        ..CreateBody::default()
    };
    let networks = world.client.networks();
    let made = async {
        match networks.create(&body).await {
            Ok(_) => Ok(()),
            // Another `up` at the same moment was faster.
            Err(error) if error.status() == Some(409) => Ok(()),
            Err(error) => Err(Trouble::Daemon { context: Some(format!("network {name}")), source: error }),
        }
    };
    world.act(&format!("Network {name}"), ["Creating", "Created"], made).await
}

fn ipam(ipam: &Node) -> Ipam {
    let pool = |pool: &Node| {
        let others = strings(pool, "aux_addresses");
        IpamConfig {
            subnet: pool.text("subnet").to_owned(),
            ip_range: pool.text("ip_range").to_owned(),
            gateway: pool.text("gateway").to_owned(),
            auxiliary_addresses: Some(others).filter(|others| !others.is_empty()),
        }
    };
    let pools: Vec<IpamConfig> = ipam.list("config").iter().map(pool).collect();
    let driver = Some(ipam.text("driver")).filter(|text| !text.is_empty()).unwrap_or("default").to_owned();
    Ipam { driver, options: None, config: Some(pools).filter(|pools| !pools.is_empty()) }
}

async fn create_volume(world: &World<'_>, project: &Project, key: &str, name: &str) -> Outcome {
    let Some(volume) = project.volumes.get(key) else { return Ok(()) };
    let mut labels = strings(volume, "labels");
    labels.insert(label::VOLUME.to_owned(), key.to_owned());
    labels.insert(label::PROJECT.to_owned(), project.name.clone());
    labels.insert(label::VERSION.to_owned(), label::COMPOSE_VERSION.to_owned());
    labels.insert(label::HASH.to_owned(), volume_hash(volume));
    let options = strings(volume, "driver_opts");
    let body = volume::CreateBody {
        name: name.to_owned(),
        driver: volume.text("driver").to_owned(),
        driver_opts: Some(options).filter(|options| !options.is_empty()),
        labels: Some(labels),
        ..volume::CreateBody::default()
    };
    let volumes = world.client.volumes();
    let made = async { volumes.create(&body).await.map(drop).map_err(Trouble::from) };
    world.act(&format!("Volume {name}"), ["Creating", "Created"], made).await
}

impl Work<'_> {
    /// One service from nothing to running.
    async fn service(&self, name: &str) -> Outcome {
        let steps = self.plan.services.get(name).map(Vec::as_slice).unwrap_or_default();
        let node = self.project.service(name).cloned().unwrap_or_default();
        if steps.iter().any(|step| matches!(step, Step::Create { .. } | Step::Recreate { .. })) {
            for key in without_effect(&node) {
                let said = format!("service {name:?}: {key} has no effect on one host");
                self.world.report.tell("", &said, Mood::Warning);
            }
            for said in unheeded(self.project, &node) {
                self.world.report.tell("", &said, Mood::Warning);
            }
        }
        self.await_namespaces(&node).await;
        let (rolled, plain): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| self.rolls(&node, step));
        let made: Vec<Member> = match self.make_all(name, &plain).await {
            Ok(made) => made,
            Err(trouble) => {
                self.stages.reach(name, Stage::Failed);
                return Err(trouble);
            }
        };
        // A job's container is there, but nobody is to wait for it or to follow it.
        let rests = |member: &&Member| !(crate::schedule::is_job(&node) && is_new(steps, member));
        self.members.borrow_mut().extend(made.iter().filter(rests).cloned());
        self.stages.reach(name, Stage::Created);
        if !self.manner.start {
            return Ok(());
        }
        let started = self.start(name, &node, &made, &rolled).await;
        self.stages.reach(name, if started.is_ok() { Stage::Started } else { Stage::Failed });
        started
    }

    /// All steps of a service at once, once the names they need are free.
    async fn make_all(&self, name: &str, steps: &[&Step]) -> Outcome<Vec<Member>> {
        let wanted: Vec<&str> = steps.iter().filter_map(|step| step.new_name()).collect();
        let in_the_way =
            |step: &&Step| matches!(step, Step::Remove(existing) if wanted.contains(&existing.name.as_str()));
        let (first, rest): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| in_the_way(step));
        let mut made = crate::world::all(first.iter().map(|step| self.make(name, step))).await?;
        made.extend(crate::world::all(rest.iter().map(|step| self.make(name, step))).await?);
        Ok(made.into_iter().flatten().collect())
    }

    /// Whether a step is left to the rollout.
    fn rolls(&self, node: &Node, step: &Step) -> bool {
        let was_running = matches!(step, Step::Recreate { existing, .. } if existing.state == "running");
        let wanted = self.manner.rollout || node.at_path(&["deploy", "update_config"]).is_some();
        wanted && self.manner.start && was_running
    }

    async fn start(&self, name: &str, node: &Node, made: &[Member], rolled: &[&Step]) -> Outcome {
        self.await_dependencies(name, node).await?;
        let replaced = self.roll(name, node, rolled).await?;
        self.members.borrow_mut().extend(replaced);
        // The daemon starts a job's when it is due; one that was there is started because somebody said `start`.
        let steps = self.plan.services.get(name).map(Vec::as_slice).unwrap_or_default();
        let due = |member: &&Member| !crate::schedule::is_job(node) || !is_new(steps, member);
        let still: Vec<&Member> = made.iter().filter(|member| !member.running).filter(due).collect();
        // What one that runs already waited for, the others need not.
        let mut is_first = rolled.is_empty() && !made.iter().any(|member| member.running);
        for member in &still {
            self.first_steps(node, member, is_first).await?;
            is_first = false;
        }
        crate::world::all(still.iter().map(|member| self.start_one(node, member))).await.map(drop)
    }

    async fn start_one(&self, node: &Node, member: &Member) -> Outcome {
        let containers = self.world.client.containers();
        let started = async {
            containers.start(&member.id, &query::Start::default()).await?;
            hook::run(self.world.client, &member.id, node, "post_start").await
        };
        self.world.act(&format!("Container {}", member.name), ["Starting", "Started"], started).await
    }

    /// Services whose namespaces or volumes are shared must have their containers first.
    async fn await_namespaces(&self, node: &Node) {
        let mut others: Vec<String> = ["network_mode", "ipc", "pid", "uts"]
            .iter()
            .filter_map(|key| node.text(key).strip_prefix("service:").map(str::to_owned))
            .collect();
        others.extend(node.texts("volumes_from").iter().filter_map(|from| from.split(':').next().map(str::to_owned)));
        for other in others {
            self.stages.reached(&other, Stage::Created).await;
        }
    }

    async fn make(&self, service: &str, step: &Step) -> Outcome<Option<Member>> {
        let kept = |existing: &Existing, name: &str, running: bool| {
            let (id, name) = (existing.id.clone(), name.to_owned());
            Some(Member { service: service.to_owned(), id, name, running })
        };
        match step {
            Step::Rename { existing, name } => {
                let renamed = async { Ok(self.world.client.containers().rename(&existing.id, name).await?) };
                self.world.act(&format!("Container {}", existing.name), ["Renaming", "Renamed"], renamed).await?;
                Ok(kept(existing, name, existing.state == "running"))
            }
            Step::Keep(existing) => {
                let running = existing.state == "running";
                if running {
                    self.world.report.tell(&format!("Container {}", existing.name), "Running", Mood::Done);
                }
                Ok(kept(existing, &existing.name, running))
            }
            Step::Rest(_) => Ok(None),
            Step::Remove(existing) => {
                self.before_stop(service, existing).await?;
                remove(self.world, existing, self.manner.timeout, false).await.map(|()| None)
            }
            Step::Create { number, name } => self.create(service, *number, name).await.map(Some),
            Step::Recreate { existing, name, .. } => self.recreate(service, existing, name).await.map(Some),
            Step::Restart { existing, .. } => {
                self.before_stop(service, existing).await?;
                let containers = self.world.client.containers();
                let stop = async { gone(containers.stop(&existing.id, &stop_options(self.manner.timeout)).await) };
                self.world.act(&format!("Container {}", existing.name), ["Stopping", "Stopped"], stop).await?;
                Ok(kept(existing, &existing.name, false))
            }
        }
    }

    async fn before_stop(&self, service: &str, existing: &Existing) -> Outcome {
        let Some(node) = self.project.service(service).filter(|_| existing.state == "running") else { return Ok(()) };
        if self.world.dry { Ok(()) } else { hook::run(self.world.client, &existing.id, node, "pre_stop").await }
    }
}

/// Whether a container was made by these steps.
fn is_new(steps: &[Step], member: &Member) -> bool {
    !steps
        .iter()
        .any(|step| matches!(step, Step::Keep(existing) | Step::Rename { existing, .. } if existing.id == member.id))
}

pub(crate) use hook::run as run_hook;
pub use image::{PullPolicy, ensure_images, pull};
pub use ready::{await_ready, illness};
pub use stored::inject;
pub(crate) use stored::member as tar_member;
