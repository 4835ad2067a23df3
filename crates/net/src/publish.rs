//! Publishing ports: elements of the table's maps, and sockets that keep the host ports from being taken. Supervisor.
//!
//! A host port has two guards. The bound socket (`reservation`) keeps processes of the host away, and is the probe
//! whether the port is free. The element of the map is what publishes; adding it fails if it exists, whichever hako
//! process added it, and it outlives daemon and supervisor alike, so the kernel itself is the record of what is
//! published.

mod heritage;
mod part;
mod run;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hako_model::port::{Port, PortBinding, PortMap, Protocol, Publication};
use hako_sys::fdpass::Channel;
use hako_sys::netlink::Socket;
use serde::{Deserialize, Serialize};

use crate::error::kernel;
use crate::nft::Table;
use crate::nft::element::{self, Element};
use crate::relay::Relay;
use crate::reservation::Reservation;
use crate::{Error, Result, conntrack};

pub use heritage::Heritage;

/// `EAFNOSUPPORT`.
const NO_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

/// More ports than this are not held by a socket each: the table alone publishes them. They are looked at first, so
/// that no process's port is taken, and IPv6 leads only to a container that has it.
const MANY: usize = 512;

/// How often the kernel is asked for a random port that is free on all the addresses wanted.
const TRIES: usize = 64;

/// The container's addresses that published ports lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Whether everything is relayed by the supervisor, so that the host's input rules decide who comes in: what the
    /// kernel redirects never passes them. The container then sees the host as its client.
    #[serde(default)]
    pub by_input: bool,
}

impl Target {
    /// How to get from a host address to the container, if there is a way.
    fn route(&self, host: IpAddr) -> Option<Route> {
        let (v4, v6) = (self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6));
        let to = if host.is_ipv4() { v4 } else { v6.or(v4) }?;
        // The kernel redirects neither from one family to the other nor, having no route_localnet for IPv6, from
        // [::1]. Whoever publishes on every IPv6 address needs both ways.
        let redirected = !self.by_input && to.is_ipv4() == host.is_ipv4() && host != IpAddr::V6(Ipv6Addr::LOCALHOST);
        let relayed = self.by_input || !redirected || host == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        Some(Route { host, to, redirected, relayed })
    }
}

/// From a host address to the container's.
#[derive(Debug, Clone, Copy)]
struct Route {
    host: IpAddr,
    to: IpAddr,
    /// By the kernel.
    redirected: bool,
    /// By the supervisor, for what the kernel cannot redirect.
    relayed: bool,
}

/// One published port as it came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The host side; an unspecified address stands for every address of its family.
    pub host: SocketAddr,
    /// The container's port.
    pub container: Port,
    /// How many further ports follow on both sides.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u16,
}

/// Whether nothing follows.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(more: &u16) -> bool {
    *more == 0
}

impl Binding {
    /// Whether it publishes this host port.
    pub fn has(&self, port: u16) -> bool {
        (self.host.port()..=self.host.port().saturating_add(self.more)).contains(&port)
    }

    /// Its ports, one by one.
    pub fn singles(&self) -> impl Iterator<Item = Self> {
        let Self { host, container, more } = *self;
        (0..=more).map(move |step| Self {
            host: SocketAddr::new(host.ip(), host.port().saturating_add(step)),
            container: Port { number: container.number.saturating_add(step), ..container },
            more: 0,
        })
    }
}

/// Published ports. Dropping it frees the host ports but leaves the elements: call [`Published::withdraw`] first.
#[derive(Debug)]
pub struct Published {
    table: Table,
    socket: element::Kept,
    elements: Vec<Element>,
    bindings: Vec<Binding>,
    reservations: Vec<(Protocol, Reservation)>,
    relay: Option<Relay>,
    /// Whether there are too many for a socket each.
    many: bool,
    /// Whether another container may have taken the ports over.
    ceding: bool,
}

impl Published {
    /// Publishes all of `wanted`, or nothing.
    pub fn publish(table: &Table, target: Target, wanted: &[Publication]) -> Result<Self> {
        Self::inherit(table, target, wanted, &Heritage::default())
    }

    /// [`Published::publish`] in the place of another container: at one moment everything that led there no longer does,
    /// and all of `wanted` leads here.
    pub fn inherit(table: &Table, target: Target, wanted: &[Publication], heritage: &Heritage) -> Result<Self> {
        Self::beside(table, target, wanted, heritage, 0)
    }

    /// [`Published::inherit`] of a container that publishes `others` ports already.
    pub fn beside(
        table: &Table,
        target: Target,
        wanted: &[Publication],
        heritage: &Heritage,
        others: usize,
    ) -> Result<Self> {
        let many = ports_of(wanted) + others > MANY;
        if !many {
            make_room(wanted);
        }
        let socket = element::socket().map_err(refused("open", table))?;
        let mut published = Self {
            table: table.clone(),
            socket,
            elements: Vec::new(),
            bindings: Vec::new(),
            reservations: Vec::new(),
            relay: None,
            many,
            ceding: false,
        };
        let mut taken = HashSet::new();
        while let Err(clash) = published.attempt(target, wanted, heritage, &taken)? {
            taken.insert(published.other_than(clash, wanted)?);
        }
        published.forget_connections();
        Ok(published)
    }

    /// A table of connections is searched for each port: for very many that takes longer than it is worth.
    fn forget_connections(&mut self) {
        if !self.many {
            conntrack::forget(&mut self.socket, &self.elements);
        }
    }

    /// Reserves all host ports, then adds all elements; says which element cannot be.
    fn attempt(
        &mut self,
        target: Target,
        wanted: &[Publication],
        heritage: &Heritage,
        taken: &HashSet<(Protocol, u16)>,
    ) -> Result<Result<(), Clash>> {
        self.clear();
        for publication in wanted {
            self.reserve(target, publication, heritage, taken)?;
        }
        let old = &heritage.elements;
        if let Err((index, cause)) = element::replace(&mut self.socket, self.table.name(), old, &self.elements) {
            let port = self.elements.get(index).map_or(0, |element| element.host.port());
            return Ok(Err(Clash { index, port, cause }));
        }
        let Some((index, port)) = self.overlap()? else { return Ok(Ok(())) };
        let back = element::replace(&mut self.socket, self.table.name(), &self.elements, old);
        back.map_err(|(_, cause)| refused("withdraw ports from", &self.table)(cause))?;
        let cause = hako_sys::Error::os("publish", "port")(rustix::io::Errno::EXIST);
        Ok(Err(Clash { index, port, cause }))
    }

    /// The first of the elements that another container's meets, and where. The kernel refuses two elements of the same
    /// map only; ranges have maps of their own. Looked for after adding, so that of two at once at least one sees it.
    fn overlap(&mut self) -> Result<Option<(usize, u16)>> {
        let listed = if self.elements.iter().any(Element::is_range) {
            element::list(&mut self.socket, self.table.name())
        } else {
            element::ranges(&mut self.socket, self.table.name())
        };
        let mut others = listed.map_err(refused("read", &self.table))?;
        others.retain(|other| !self.elements.contains(other));
        let mut pairs = self
            .elements
            .iter()
            .enumerate()
            .flat_map(|(index, own)| others.iter().filter_map(move |other| Some((index, own.overlap(other)?))));
        Ok(pairs.next())
    }

    /// What was published, random and ranged host ports decided.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// A descriptor to watch for readability, if there is anything to relay (host ports of IPv6 that lead to a
    /// container without IPv6); call [`Published::turn`] when it is readable.
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.relay.as_ref().map(Relay::watch)
    }

    /// Moves what can be moved without blocking.
    pub fn turn(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.turn();
        }
    }

    /// Hands the sockets of all host ports to a successor. The ports stay as they are until it has taken them over and
    /// [`Published::step_back`] is called; until then it is looked whose they are before one is touched.
    pub fn cede(all: &mut [Self], channel: &Channel) -> Result<()> {
        all.iter_mut().for_each(|published| published.ceding = true);
        let held: Vec<_> = all.iter().flat_map(Self::held).collect();
        heritage::send(channel, &held)
    }

    /// The sockets that hold host ports.
    fn held(&self) -> impl Iterator<Item = (Protocol, SocketAddr, BorrowedFd<'_>)> {
        let reserved = self.reservations.iter().filter_map(|(protocol, reservation)| {
            Some((*protocol, reservation.host, reservation.socket.as_ref()?.as_fd()))
        });
        reserved.chain(self.relay.iter().flat_map(Relay::sockets))
    }

    /// Another container has the ports now. What is being relayed already goes on.
    pub fn step_back(&mut self) {
        self.elements.clear();
        self.bindings.clear();
        self.reservations.clear();
        if let Some(relay) = &mut self.relay {
            relay.stop_accepting();
        }
        self.ceding = false;
    }

    /// Forgets the elements that lead elsewhere by now, if that may be.
    fn forget_ceded(&mut self) -> Result<()> {
        if self.ceding {
            let now = read(&self.table)?;
            let taken = |own: &Element| now.iter().any(|other| other.is_at(own) && other.target != own.target);
            self.elements.retain(|own| !taken(own));
        }
        Ok(())
    }

    /// Adds the elements again that somebody took out of the table.
    pub fn restore(&mut self) -> Result<()> {
        self.forget_ceded()?;
        element::restore(&mut self.socket, self.table.name(), &self.elements)
            .map_err(refused("restore ports in", &self.table))
    }

    /// Takes the elements out of the table and frees the host ports. What is left may be dropped when there is time.
    pub fn withdraw(&mut self) -> Result<()> {
        self.forget_ceded()?;
        let elements = std::mem::take(&mut self.elements);
        self.clear();
        withdraw(&mut self.socket, &self.table, &elements)
    }

    fn clear(&mut self) {
        self.elements.clear();
        self.bindings.clear();
        self.reservations.clear();
        self.relay = None;
    }

    /// Finds a host port for one publication, on all its addresses.
    fn reserve(
        &mut self,
        target: Target,
        publication: &Publication,
        heritage: &Heritage,
        taken: &HashSet<(Protocol, u16)>,
    ) -> Result<()> {
        let routes = routes(target, publication, self.many)?;
        if publication.more > 0 {
            return match run::is_whole(&routes) {
                true => self.publish_run(publication, &routes),
                false => publication.singles().try_for_each(|one| self.reserve(target, &one, heritage, taken)),
            };
        }
        let hosts: Vec<IpAddr> = routes.iter().map(|route| route.host).collect();
        let protocol = publication.container.protocol;
        let free = |port: &u16| !taken.contains(&(protocol, *port));
        // A port that was left is asked for first, so that a container made anew keeps its random ports.
        let left = heritage.port(hosts[0], publication.container).filter(free);
        let left = left.filter(|port| publication.ports.as_ref().is_none_or(|range| range.contains(port)));
        let inherited = left.and_then(|port| on_all(protocol, &hosts, port, heritage).ok());
        let held = match (inherited, &publication.ports) {
            (Some(held), _) => Ok(held),
            (None, None) => any_port(protocol, &hosts, taken),
            (None, Some(range)) => first_free(protocol, &hosts, range.clone().filter(free), *range.start()),
        };
        let held = held.map_err(|refusal| self.explain(refusal, publication, routes[0].to))?;
        for (reservation, route) in held.into_iter().zip(routes) {
            self.open(publication.container, reservation, route)?;
        }
        Ok(())
    }

    fn open(&mut self, container: Port, reservation: Reservation, route: Route) -> Result<()> {
        let (host, target) = (reservation.host, SocketAddr::new(route.to, container.number));
        self.bindings.push(Binding { host, container, more: 0 });
        if route.redirected {
            self.elements.push(Element { protocol: container.protocol, host, target, more: 0 });
        }
        // Where both ways are open, what the kernel redirects never reaches the socket.
        match reservation.socket {
            Some(socket)
                if route.relayed && !(self.many && route.redirected) && container.protocol != Protocol::Sctp =>
            {
                self.relay(container.protocol, socket, target).map_err(kernel("relay port", host.to_string()))
            }
            socket => {
                let kept = socket.filter(|_| !self.many);
                self.reservations
                    .extend(kept.map(|socket| (container.protocol, Reservation { host, socket: Some(socket) })));
                Ok(())
            }
        }
    }

    fn relay(&mut self, protocol: Protocol, socket: OwnedFd, target: SocketAddr) -> hako_sys::Result<()> {
        let relay = match &mut self.relay {
            Some(relay) => relay,
            none => none.insert(Relay::new()?),
        };
        relay.serve(protocol, socket, target)
    }

    /// Tells a port of another container from a port of a process.
    fn explain(&self, refusal: Refusal, publication: &Publication, target: IpAddr) -> Error {
        let Refusal { host, cause } = refusal;
        let protocol = publication.container.protocol;
        let same = |element: &Element| element.protocol == protocol && element.host.port() == host.port();
        let ours = self.elements.iter().any(same) || read(&self.table).unwrap_or_default().iter().any(same);
        let one = publication.ports.as_ref().is_some_and(|range| range.len() == 1);
        let in_use = cause.kind() == std::io::ErrorKind::AddrInUse;
        match (one, in_use) {
            (false, true) => Error::NoPort { host },
            (true, true) if ours => Error::PortAllocated { host },
            _ => {
                let target = SocketAddr::new(target, publication.container.number);
                Error::PortInUse { host, target, container: publication.container, cause }
            }
        }
    }

    /// Whether another host port may be tried instead of the one whose element was refused.
    ///
    /// That happens where a supervisor was killed: its sockets are closed, its elements are still there; and where a
    /// container has very many ports, which no sockets hold.
    fn other_than(&self, clash: Clash, wanted: &[Publication]) -> Result<(Protocol, u16)> {
        let Clash { index, port, cause } = clash;
        let Some(refused) = self.elements.get(index).filter(|_| cause.is_exists()) else {
            return Err(kernel("publish ports in", format!("nft table inet {}", self.table.name()))(cause));
        };
        let movable = wanted.iter().any(|publication| {
            publication.container == refused.container()
                && publication.ports.as_ref().is_none_or(|range| range.len() > 1 && range.contains(&port))
        });
        if movable {
            Ok((refused.protocol, port))
        } else {
            Err(Error::PortAllocated { host: SocketAddr::new(refused.host.ip(), port) })
        }
    }
}

/// An element that cannot be, the host port at which, and why.
struct Clash {
    index: usize,
    port: u16,
    cause: hako_sys::Error,
}

/// How many ports these are.
fn ports_of(wanted: &[Publication]) -> usize {
    wanted.iter().map(|publication| usize::from(publication.more) + 1).sum()
}

/// What very many publications are sent as: ports that follow each other in one piece.
pub fn condensed(wanted: Vec<Publication>) -> Vec<Publication> {
    if wanted.len() > MANY { hako_model::port::condense(&wanted) } else { wanted }
}

/// Lifts the limit on open files for a long range of ports: each takes a socket or two. If it cannot be lifted far
/// enough, binding will say so.
fn make_room(wanted: &[Publication]) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| (wanted.len() * 4 + 256) as u64 > current) {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The ways to the container from the host addresses of a publication: all of them, if it names none.
fn routes(target: Target, publication: &Publication, many: bool) -> Result<Vec<Route>> {
    let hosts = match publication.host {
        Some(host) => vec![host],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    // SCTP is not relayed: who names no address gets it where the kernel can do it.
    let relays = publication.container.protocol != Protocol::Sctp && !(many && publication.host.is_none());
    let possible = |route: &Route| route.redirected || relays;
    let every = |route: &Route| possible(route) || target.by_input;
    let routes: Vec<Route> = hosts.iter().filter_map(|host| target.route(*host)).filter(every).collect();
    if routes.is_empty() {
        return Err(Error::NoTarget { container: publication.container, host: hosts[0] });
    }
    Ok(routes)
}

/// A bind that was refused.
struct Refusal {
    host: SocketAddr,
    cause: std::io::Error,
}

fn first_free(
    protocol: Protocol,
    hosts: &[IpAddr],
    ports: impl Iterator<Item = u16>,
    first: u16,
) -> Result<Vec<Reservation>, Refusal> {
    let mut refusal = None;
    for port in ports {
        match on_all(protocol, hosts, port, &Heritage::default()) {
            Ok(held) => return Ok(held),
            Err(new) => refusal = refusal.or(Some(new)),
        }
    }
    let none = || Refusal { host: SocketAddr::new(hosts[0], first), cause: std::io::ErrorKind::AddrInUse.into() };
    Err(refusal.unwrap_or_else(none))
}

fn any_port(
    protocol: Protocol,
    hosts: &[IpAddr],
    taken: &HashSet<(Protocol, u16)>,
) -> Result<Vec<Reservation>, Refusal> {
    let mut refusal = None;
    for _ in 0..TRIES {
        match on_all(protocol, hosts, 0, &Heritage::default()) {
            Ok(held) if taken.contains(&(protocol, held[0].host.port())) => {}
            Ok(held) => return Ok(held),
            Err(new) => refusal = Some(new),
        }
    }
    let none = || Refusal { host: SocketAddr::new(hosts[0], 0), cause: std::io::ErrorKind::AddrInUse.into() };
    Err(refusal.unwrap_or_else(none))
}

/// One port on every address; for port 0 the kernel's choice for the first address is the port of all.
fn on_all(protocol: Protocol, hosts: &[IpAddr], port: u16, heritage: &Heritage) -> Result<Vec<Reservation>, Refusal> {
    let mut held: Vec<Reservation> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let port = held.first().map_or(port, |first| first.host.port());
        let host = SocketAddr::new(*host, port);
        match heritage.reservation(protocol, host).map_or_else(|| Reservation::take(protocol, host), Ok) {
            Ok(reservation) => held.push(reservation),
            // The host has no IPv6 at all: then "every address" means those of IPv4.
            Err(error) if !held.is_empty() && error.raw_os_error() == Some(NO_FAMILY) => {}
            Err(cause) => return Err(Refusal { host, cause }),
        }
    }
    Ok(held)
}

fn binding(element: &Element) -> Binding {
    Binding { host: element.host, container: element.container(), more: element.more }
}

/// `NetworkSettings.Ports` for these bindings; `exposed` ports that are not published become `null`.
pub fn port_map(bindings: &[Binding], exposed: impl IntoIterator<Item = Port>) -> PortMap {
    let mut map: PortMap = exposed.into_iter().map(|port| (port.to_string(), None)).collect();
    for Binding { host, container, .. } in bindings.iter().flat_map(Binding::singles) {
        let wire = PortBinding { host_ip: host.ip().to_string(), host_port: host.port().to_string() };
        map.entry(container.to_string()).or_default().get_or_insert_default().push(wire);
    }
    map
}

/// Every binding in the table with the address it leads to: what is true, for the engine's sweep.
pub fn list(table: &Table) -> Result<Vec<(Binding, IpAddr)>> {
    let elements = read(table)?;
    Ok(elements.iter().map(|element| (binding(element), element.target.ip())).collect())
}

/// Removes every element that leads to `address`: for containers whose supervisor was killed.
pub fn sweep(table: &Table, address: IpAddr) -> Result<()> {
    let stale: Vec<Element> = read(table)?.into_iter().filter(|element| element.target.ip() == address).collect();
    withdraw(&mut *element::socket().map_err(refused("open", table))?, table, &stale)
}

fn read(table: &Table) -> Result<Vec<Element>> {
    element::socket().and_then(|mut socket| element::list(&mut socket, table.name())).map_err(refused("read", table))
}

fn withdraw(socket: &mut Socket, table: &Table, elements: &[Element]) -> Result<()> {
    match element::remove(socket, table.name(), elements) {
        // The table, or some of its elements, were flushed: take out what is left, one by one.
        Err(error) if error.is_not_found() => {
            for element in elements {
                let _ = element::remove(socket, table.name(), std::slice::from_ref(element));
            }
        }
        other => other.map_err(refused("withdraw ports from", table))?,
    }
    if elements.len() <= MANY {
        conntrack::forget(socket, elements);
    }
    Ok(())
}

fn refused(verb: &'static str, table: &Table) -> impl FnOnce(hako_sys::Error) -> Error {
    kernel(verb, format!("nft table inet {}", table.name()))
}
