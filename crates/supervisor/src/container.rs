//! The container a supervisor has been assigned: its files, its status, and what it holds of the host.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use hako_model::port::{Change, Port, Publication};
use hako_model::state::{Rules, Status};
use hako_net::blueprint::{Blueprint, Watch};
use hako_net::dns::directory::{self, Entry};
use hako_net::dns::{self, Answerer, Knowledge};
use hako_net::endpoint::{Plan, Wire};
use hako_net::publish::{self, Binding, Heritage, Published, Target};
use hako_net::{endpoint, nft};
use hako_runtime::spec::{Mount, Namespace, NamespaceKind, Spec};
use hako_sys::cgroup::{Group, OomWatch};
use hako_sys::fdpass::Channel;
use hako_sys::file::{Durability, Lock};
use hako_sys::process::SingleThreaded;

use crate::description::{Called, Description, Naming};
use crate::journal::Journal;
use crate::log::courier::Courier;
use crate::log::write::Writer;
use crate::{Error, Result};

/// The largest `status.json`: five health results of 4 KiB, escaped, fit many times.
const STATUS_LIMIT: u64 = 1024 * 1024;

/// A request that is answered when the container has ended.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Whose.
    pub engine: u32,
    /// The request's id.
    pub id: u64,
    /// Whether it was Stop.
    pub stops: bool,
}

/// A container and what belongs to its life.
#[derive(Debug)]
pub(crate) struct Container {
    pub description: Box<Description>,
    pub rules: Rules,
    pub status: Status,
    /// When its program was last started, by the clock that nobody sets.
    pub launched: Instant,
    pub journal: Journal,
    pub log: Writer,
    /// Carries the log elsewhere, if it is to go there.
    pub courier: Option<Courier>,
    pub group: Option<Group>,
    /// Starts further processes; made by the first request, for placing a process is slow on cgroup v1.
    pub stage: Option<hako_runtime::exec::Stage>,
    pub memory: Option<OomWatch>,
    /// Those of the start, then those published later.
    pub published: Vec<Published>,
    /// Hears when the host's part of its network is taken away.
    pub watch: Option<Watch>,
    /// Answers its questions about names.
    pub answerer: Option<Answerer>,
    /// Networks it has left, whose devices are still to be taken away.
    parted: Vec<Plan>,
    /// Engines that wait for its end.
    pub waiting: Vec<Waiting>,
    /// The engine that froze it for as long as it stays.
    pub held_by: Option<u32>,
    /// The network namespace with the endpoints in it; outlives restarts.
    netns: Option<OwnedFd>,
    /// The root file system, held so that it outlives its processes.
    pub root: Option<OwnedFd>,
    /// Held until everything is given back.
    lock: Option<Lock>,
}

impl Container {
    /// Takes possession of the container's directory.
    pub(crate) fn assign(description: Box<Description>) -> Result<Self> {
        let directory = &description.directory;
        let lock = Lock::try_exclusive(&directory.join("lock"))?
            .ok_or_else(|| Error::Held { id: description.id.short().to_owned() })?;
        let status = read_status(&directory.join("status.json"))?;
        Ok(Self {
            rules: description.rules(),
            journal: Journal::open(&directory.join("journal"))?,
            log: Writer::open(description.log.clone(), status.finished_at)?,
            courier: Courier::of(&description.log),
            status,
            launched: Instant::now(),
            group: None,
            stage: None,
            memory: None,
            published: Vec::new(),
            answerer: None,
            parted: Vec::new(),
            watch: None,
            waiting: Vec::new(),
            held_by: None,
            netns: None,
            root: None,
            lock: Some(lock),
            description,
        })
    }

    /// Writes `status.json`.
    pub(crate) fn save(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&self.status).map_err(|source| Error::Message { source })?;
        let path = self.description.directory.join("status.json");
        Ok(hako_sys::file::write_atomic(&path, &bytes, Durability::Process)?)
    }

    /// The spec of the next life, with `more` mounts: the namespace that holds the endpoints is used again.
    pub(crate) fn spec(&self, more: &[Mount]) -> std::borrow::Cow<'_, Spec> {
        if self.netns.is_none() && more.is_empty() {
            return std::borrow::Cow::Borrowed(&self.description.spec);
        }
        let mut spec = self.description.spec.clone();
        spec.mounts.extend_from_slice(more);
        let Some(netns) = &self.netns else { return std::borrow::Cow::Owned(spec) };
        let namespaces = &mut spec.linux.get_or_insert_default().namespaces;
        namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
        let path = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
        namespaces.push(Namespace { kind: NamespaceKind::Network, path });
        std::borrow::Cow::Owned(spec)
    }

    /// Plugs the container into its networks and publishes its ports; in a later life they are there already.
    pub(crate) fn connect(&mut self, netns: std::os::fd::BorrowedFd<'_>) -> Result<()> {
        let network = &self.description.network;
        let is_own = self
            .description
            .spec
            .linux
            .iter()
            .flat_map(|linux| &linux.namespaces)
            .any(|namespace| namespace.kind == NamespaceKind::Network && namespace.path.is_empty());
        if self.netns.is_some() || !is_own {
            return Ok(());
        }
        let kept = netns.try_clone_to_owned().map_err(hako_sys::Error::os("keep", "network namespace"))?;
        let witness = SingleThreaded::check()?;
        // Before there is anything to send by. Without a table nothing is guarded, nor published.
        self.table().guard(&network.endpoints)?;
        for (index, plan) in network.endpoints.iter().enumerate() {
            if let Err(error) = endpoint::attach_here(witness, netns, plan) {
                network.endpoints[..index].iter().for_each(unplug);
                return Err(error.into());
            }
        }
        let done = self.publish(&network.ports).map(|published| self.published = published.into_iter().collect());
        if let Err(error) = done.and_then(|()| self.name(witness, netns)) {
            self.description.network.endpoints.iter().for_each(unplug);
            self.withdraw_names(&[]);
            return Err(error);
        }
        self.netns = Some(kept);
        self.watch_host();
        Ok(())
    }

    /// The instance's table.
    fn table(&self) -> nft::Table {
        nft::Table::of(&self.description.instance)
    }

    /// Begins to watch over the host's part of the network, as it is now.
    fn watch_host(&mut self) {
        let network = &self.description.network;
        let bridged = network.endpoints.iter().any(|plan| plan.wire == Wire::Bridge);
        let wanted = network.blueprint.is_some() && bridged;
        if let Some(watch) = self.watch.as_mut().filter(|_| wanted)
            && watch.follow(&network.endpoints).is_ok()
        {
            return;
        }
        // Without it the container runs all the same; it only does not heal by itself.
        self.watch = wanted.then(|| Watch::begin(&network.endpoints).ok()).flatten();
    }

    /// Restores bridges, rules, endpoints and published ports; false if that is to be tried again.
    pub(crate) fn mend(&mut self) -> Result<bool> {
        let network = &self.description.network;
        let Some(blueprint) = network.blueprint.as_ref().filter(|_| self.netns.is_some()) else { return Ok(true) };
        if !Blueprint::mend(blueprint)? {
            return Ok(false);
        }
        self.table().guard(&network.endpoints)?;
        network.endpoints.iter().try_for_each(endpoint::rejoin)?;
        self.published.iter_mut().try_for_each(Published::restore)?;
        let open = opened(&self.description.network.endpoints, &self.description.network.ports);
        if !open.is_empty() && !self.description.network.aside {
            self.table().open(&open, true)?;
        }
        if let Some(watch) = &self.watch {
            watch.renew()?;
        }
        Ok(true)
    }

    fn publish(&self, ports: &[Publication]) -> Result<Option<Published>> {
        let network = &self.description.network;
        if network.aside {
            return Ok(None);
        }
        self.publish_instead(ports, &Heritage::default())
    }

    /// Publishes ports in the place of a container that leaves them to it.
    fn publish_instead(&self, ports: &[Publication], heritage: &Heritage) -> Result<Option<Published>> {
        let network = &self.description.network;
        let open = opened(&network.endpoints, ports);
        if !open.is_empty() {
            self.table().open(&open, true)?;
        }
        let target = Target { by_input: network.by_input, ..target(&network.endpoints) };
        if ports.is_empty() || (target.v4.is_none() && target.v6.is_none()) {
            return Ok(None);
        }
        let others = self.bindings().iter().map(|binding| usize::from(binding.more) + 1).sum();
        Ok(Some(Published::beside(&self.table(), target, ports, heritage, others)?))
    }

    /// Takes the place of the container at these addresses: from one moment to the next its published ports lead here.
    pub(crate) fn succeed(&mut self, witness: SingleThreaded, channel: &Channel, addresses: &[IpAddr]) -> Result<()> {
        let Some(netns) = self.netns()? else {
            return Err(Error::NotPluggable { id: self.description.id.short().to_owned() });
        };
        if !self.description.network.aside {
            return Ok(());
        }
        let heritage = match addresses {
            [] => Heritage::default(),
            addresses => Heritage::receive(channel, &self.table(), addresses)?,
        };
        self.published = self.publish_instead(&self.description.network.ports, &heritage)?.into_iter().collect();
        self.description.network.aside = false;
        self.name(witness, netns.as_fd())
    }

    /// Another container has taken its place.
    pub(crate) fn step_back(&mut self) -> Result<()> {
        self.description.network.aside = true;
        self.withdraw_names(&[]);
        let open = opened(&self.description.network.endpoints, &self.description.network.ports);
        if !open.is_empty() {
            self.table().open(&open, false)?;
        }
        self.published.iter_mut().for_each(Published::step_back);
        Ok(())
    }

    /// Lets the container have these endpoints and no others. On an error it has those it had.
    pub(crate) fn plug(&mut self, witness: SingleThreaded, endpoints: Vec<Plan>, naming: Option<Naming>) -> Result<()> {
        let Some(netns) = self.netns()? else {
            return Err(Error::NotPluggable { id: self.description.id.short().to_owned() });
        };
        let old = &self.description.network.endpoints;
        let is_in = |list: &[Plan], plan: &Plan| list.iter().any(|other| other.network == plan.network);
        let (gone, new): (Vec<&Plan>, Vec<&Plan>) = (
            old.iter().filter(|plan| !is_in(&endpoints, plan)).collect(),
            endpoints.iter().filter(|plan| !is_in(old, plan)).collect(),
        );
        let guarded: Vec<Plan> = new.iter().copied().cloned().collect();
        let forgotten: Vec<Plan> = gone.iter().copied().cloned().collect();
        self.table().guard(&guarded)?;
        for (index, plan) in new.iter().enumerate() {
            // The default route is another endpoint's still.
            let plan = Plan { way_out: false, way_out6: false, ..Plan::clone(plan) };
            if let Err(error) = endpoint::attach_here(witness, netns.as_fd(), &plan) {
                for done in &new[..index] {
                    let _ = endpoint::unplug_here(witness, netns.as_fd(), done);
                }
                return Err(error.into());
            }
        }
        for plan in gone {
            endpoint::part_here(witness, netns.as_fd(), plan)?;
        }
        self.table().forget(&forgotten)?;
        endpoint::redirect_here(witness, netns.as_fd(), &endpoints)?;
        let moved = target(old) != target(&endpoints);
        self.parted.extend(forgotten);
        self.description.network.endpoints = endpoints;
        let stay: Vec<Called> = naming.iter().flat_map(|naming| naming.networks.clone()).collect();
        self.withdraw_names(&stay);
        self.description.network.naming = naming;
        self.name(witness, netns.as_fd())?;
        self.watch_host();
        if moved { self.publish_again() } else { Ok(()) }
    }

    /// Takes away the devices of networks the container has left. To be called after that was answered, and before anything
    /// else is: nobody who asks sees them.
    pub(crate) fn take_away(&mut self, witness: SingleThreaded) {
        let parted = std::mem::take(&mut self.parted);
        let Some(netns) = &self.netns else { return };
        for plan in &parted {
            // It has no effect any more, and goes with the namespace.
            let _ = endpoint::unplug_here(witness, netns.as_fd(), plan);
        }
    }

    /// Published ports follow the way out; random ones keep their numbers.
    fn publish_again(&mut self) -> Result<()> {
        let held = self.bindings();
        if !held.is_empty() {
            self.published.iter_mut().try_for_each(Published::withdraw)?;
            self.description.network.ports = settled(&self.description.network.ports, &held);
        }
        self.published = self.publish(&self.description.network.ports)?.into_iter().collect();
        Ok(())
    }

    /// Publishes `wanted` and nothing else. What stays keeps its sockets, its place in the table and its connections.
    pub(crate) fn change_ports(&mut self, wanted: Vec<Publication>) -> Result<()> {
        let network = &self.description.network;
        let change = Change::between(&network.ports, &wanted);
        let mut shut: Vec<(IpAddr, Port)> = opened(&network.endpoints, &change.gone);
        if !shut.is_empty() {
            let open: HashSet<_> = opened(&network.endpoints, &wanted).into_iter().collect();
            shut.retain(|one| !open.contains(one));
        }
        if self.netns.is_some() {
            let added = self.publish(&publish::condensed(change.new.clone()))?;
            for published in &mut self.published {
                published.withdraw_some(|binding| change.takes(binding.container, binding.host))?;
            }
            self.published.retain(|published| !published.bindings().is_empty() || published.watch().is_some());
            if !shut.is_empty() {
                self.table().open(&shut, false)?;
            }
            self.published.extend(added);
        }
        self.description.network.ports = wanted;
        Ok(())
    }

    /// The container's network namespace; none if it shares another's.
    fn netns(&self) -> Result<Option<OwnedFd>> {
        let Some(netns) = &self.netns else { return Ok(None) };
        let kept = netns.as_fd().try_clone_to_owned();
        Ok(Some(kept.map_err(hako_sys::Error::os("keep", "network namespace"))?))
    }

    /// Its published ports.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        self.published.iter().flat_map(|published| published.bindings().iter().copied()).collect()
    }

    /// Makes the container's names known to its neighbours, and theirs to it.
    fn name(&mut self, witness: SingleThreaded, netns: BorrowedFd<'_>) -> Result<()> {
        let endpoints = &self.description.network.endpoints;
        let outside = endpoints.iter().any(|plan| plan.way_out || plan.way_out6);
        let Some(naming) = &self.description.network.naming else {
            // Programs may still ask it, and to begin it anew takes the kernel ten milliseconds.
            self.answerer.iter_mut().for_each(|answerer| answerer.learn(&Knowledge { networks: Vec::new(), outside }));
            return Ok(());
        };
        for called in &naming.networks {
            let Some(plan) = endpoints.iter().find(|plan| plan.network == called.id) else { continue };
            let (v4, v6) = (plan.address.map(|net| net.addr()), plan.address6.map(|net| net.addr()));
            let entry = Entry { v4, v6, names: called.names.clone() };
            if self.description.network.aside {
                continue;
            }
            let published = directory::publish(&called.directory, self.description.id.as_str(), &entry);
            published.map_err(Error::file("write names to", &called.directory))?;
        }
        let known = |called: &Called| dns::Network {
            name: called.network.clone(),
            directory: called.directory.clone(),
            links: called.links.clone(),
        };
        let knowledge = Knowledge { networks: naming.networks.iter().map(known).collect(), outside };
        let mut answerer = match self.answerer.take().filter(|answerer| answerer.asks(&naming.servers)) {
            Some(answerer) => answerer,
            None => Answerer::begin(witness, netns, &naming.servers)?,
        };
        answerer.learn(&knowledge);
        self.answerer = Some(answerer);
        Ok(())
    }

    /// Takes the container's names back, but for the networks it stays on.
    fn withdraw_names(&self, stay: &[Called]) {
        let networks = self.description.network.naming.iter().flat_map(|naming| &naming.networks);
        for called in networks.filter(|called| stay.iter().all(|other| other.id != called.id)) {
            // What cannot be taken back is left to the engine's sweep.
            let _ = directory::withdraw(&called.directory, self.description.id.as_str());
        }
    }

    /// Is called otherwise from now on.
    pub(crate) fn rename(&mut self, name: String) -> Result<()> {
        let old = std::mem::replace(&mut self.description.name, name.clone());
        let naming = self.description.network.naming.iter_mut().flat_map(|naming| &mut naming.networks);
        naming
            .flat_map(|called| &mut called.names)
            .filter(|known| **known == old)
            .for_each(|known| known.clone_from(&name));
        match self.netns()? {
            Some(netns) => self.name(SingleThreaded::check()?, netns.as_fd()),
            None => Ok(()),
        }
    }

    /// Its control group's name, empty if it has none now.
    pub(crate) fn cgroup(&self) -> String {
        self.group.as_ref().map(|group| group.path().to_owned()).unwrap_or_default()
    }

    /// A life is over: the control group goes with it.
    pub(crate) fn end_life(&mut self) {
        self.memory = None;
        self.stage = None;
        if let Some(group) = self.group.take() {
            // Mostly nothing is left inside. What cannot be removed is the engine's sweep's.
            let _ = group.delete().or_else(|_| group.kill_all().and_then(|()| group.delete()));
        }
    }

    /// Gives everything back. Every step is tried; what fails is left to the engine's sweep.
    ///
    /// The watch stays as long as the process does: to close a socket to nf_tables after something was removed takes the
    /// kernel some ten milliseconds.
    pub(crate) fn leave(&mut self) {
        self.end_life();
        for published in &mut self.published {
            let _ = published.withdraw();
        }
        self.withdraw_names(&[]);
        self.answerer = None;
        if self.netns.take().is_some() {
            // Nor is the removal of the pairs waited for: they go with the namespace.
            for plan in &self.description.network.endpoints {
                let _ = endpoint::retire(&plan.host_name);
            }
            let _ = self.table().forget(&self.description.network.endpoints);
            let open = opened(&self.description.network.endpoints, &self.description.network.ports);
            if !open.is_empty() {
                let _ = self.table().open(&open, false);
            }
        }
        self.root = None;
        self.lock = None;
    }

    /// Whether everything was given back.
    pub(crate) fn has_left(&self) -> bool {
        self.lock.is_none()
    }

    /// Removes the door's socket.
    pub(crate) fn shut_door(&self) {
        let _ = hako_sys::file::remove_if_present(&self.description.socket);
    }
}

/// The addresses published ports lead to: those of the endpoints the world is reached through.
fn target(endpoints: &[Plan]) -> Target {
    let on_bridge = || endpoints.iter().filter(|plan| plan.wire == Wire::Bridge);
    Target {
        v4: on_bridge().find(|plan| plan.way_out && !plan.routed).and_then(|plan| plan.address).map(|net| net.addr()),
        v6: on_bridge()
            .find(|plan| plan.way_out6 && !plan.routed6)
            .and_then(|plan| plan.address6)
            .map(|net| net.addr()),
        by_input: false,
    }
}

/// Published ports that are reached at the container's own addresses.
fn opened(endpoints: &[Plan], ports: &[Publication]) -> Vec<(IpAddr, Port)> {
    let v4 = endpoints.iter().filter(|plan| plan.routed).filter_map(|plan| plan.address);
    let v6 = endpoints.iter().filter(|plan| plan.routed6).filter_map(|plan| plan.address6);
    let addresses: Vec<IpAddr> = v4.map(|net| net.addr().into()).chain(v6.map(|net| net.addr().into())).collect();
    let ports = |address: IpAddr| {
        ports.iter().flat_map(Publication::singles).map(move |publication| (address, publication.container))
    };
    addresses.into_iter().flat_map(ports).collect()
}

/// The ports with the host ports they were given.
fn settled(wanted: &[Publication], held: &[Binding]) -> Vec<Publication> {
    let mut held: Vec<Binding> = held.to_vec();
    let settle = |publication: &Publication| {
        let is_its = |binding: &Binding| {
            binding.container == publication.container && publication.host.is_none_or(|host| host == binding.host.ip())
        };
        let Some(index) = held.iter().position(is_its) else { return publication.clone() };
        let port = held[index].host.port();
        held.retain(|binding| !(is_its(binding) && binding.host.port() == port));
        Publication { ports: Some(port..=port), ..publication.clone() }
    };
    wanted.iter().map(settle).collect()
}

fn unplug(plan: &endpoint::Plan) {
    // Kernel threads remove what is left of the pair with the namespace.
    let _ = endpoint::detach(&plan.host_name);
}

fn read_status(path: &std::path::Path) -> Result<Status> {
    match hako_sys::file::read_limited(path, STATUS_LIMIT) {
        // A damaged status must not keep the container from ever running again.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.is_not_found() => Ok(Status::default()),
        Err(error) => Err(error.into()),
    }
}
