//! One network in memory: its record, and who has which of its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hako_model::id::NetworkId;
use hako_model::network::{BridgeOptions, Driver, GatewayMode, IpamConfig, Parent, ParentKind};
use hako_model::pool::{Addresses, PoolError};
use hako_net::bridge::Bridge;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Record;
use crate::{Error, Result};

/// A network.
pub(crate) struct Segment {
    pub(crate) id: NetworkId,
    pub(crate) name: String,
    pub(crate) driver: Driver,
    inside: Mutex<Inside>,
}

struct Inside {
    record: Record,
    v4: Option<Book>,
    v6: Option<Book>,
}

/// The addresses of one family.
struct Book {
    addresses: Addresses,
    /// The network's gateway, leased to nobody else.
    gateway: Option<IpAddr>,
}

impl Segment {
    /// A network whose configuration makes sense.
    pub(crate) fn new(record: Record) -> Result<Self> {
        let (id, name, driver) = (record.id.clone(), record.name.clone(), record.driver);
        let (v4, v6) = (book(&record, true)?, book(&record, false)?);
        Ok(Self { id, name, driver, inside: Mutex::new(Inside { record, v4, v6 }) })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A panic elsewhere cannot leave this half-changed: every change is one assignment.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> Record {
        self.inside().record.clone()
    }

    /// Replaces the record, and begins its address books anew.
    pub(crate) fn replace(&self, record: Record) -> Result<()> {
        let (v4, v6) = (book(&record, true)?, book(&record, false)?);
        *self.inside() = Inside { record, v4, v6 };
        Ok(())
    }

    /// Whether people made it.
    pub(crate) fn is_own(&self) -> bool {
        self.inside().record.is_own()
    }

    /// Its subnets, as far as they are in use.
    pub(crate) fn subnets(&self) -> Vec<IpNet> {
        let inside = self.inside();
        [&inside.v4, &inside.v6].into_iter().flatten().map(|book| book.addresses.subnet()).collect()
    }

    /// The gateways with their subnets' prefix lengths, IPv4 first.
    pub(crate) fn gateways(&self) -> (Option<Ipv4Net>, Option<Ipv6Net>) {
        let inside = self.inside();
        let with_prefix = |book: &Option<Book>| {
            let book = book.as_ref()?;
            IpNet::new(book.gateway?, book.addresses.subnet().prefix_len()).ok()
        };
        let v4 = with_prefix(&inside.v4).and_then(|net| if let IpNet::V4(net) = net { Some(net) } else { None });
        let v6 = with_prefix(&inside.v6).and_then(|net| if let IpNet::V6(net) = net { Some(net) } else { None });
        (v4, v6)
    }

    /// Leases an address of each family that is on: the one asked for, if one was.
    pub(crate) fn lease(&self, ask4: &str, ask6: &str) -> Result<(Option<Ipv4Net>, Option<Ipv6Net>)> {
        let mut inside = self.inside();
        let name = format!("{} ({})", self.name, self.id);
        let v4 = lease(inside.v4.as_mut(), ask4, "IPv4", &name)?;
        let v6 = match lease(inside.v6.as_mut(), ask6, "IPv6", &name) {
            Ok(v6) => v6,
            Err(error) => {
                release(inside.v4.as_mut(), v4.map(|net| net.addr()));
                return Err(error);
            }
        };
        let four = v4.and_then(|net| if let IpNet::V4(net) = net { Some(net) } else { None });
        let six = v6.and_then(|net| if let IpNet::V6(net) = net { Some(net) } else { None });
        Ok((four, six))
    }

    /// Takes note of addresses that a living container has.
    pub(crate) fn claim(&self, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) {
        let mut inside = self.inside();
        for (which, address) in [(true, v4.map(IpAddr::V4)), (false, v6.map(IpAddr::V6))] {
            let book = if which { inside.v4.as_mut() } else { inside.v6.as_mut() };
            let Some((book, address)) = book.zip(address) else { continue };
            if let Err(error) = book.addresses.claim(address) {
                tracing::warn!(%error, %address, "address of a living container is not ours");
            }
        }
    }

    pub(crate) fn release(&self, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) {
        let mut inside = self.inside();
        release(inside.v4.as_mut(), v4.map(IpAddr::V4));
        release(inside.v6.as_mut(), v6.map(IpAddr::V6));
    }

    /// Refuses addresses a container cannot have here, before it is started or plugged in.
    pub(crate) fn check_addresses(&self, asked: [&str; 2], local: &[String]) -> std::result::Result<(), Vec<String>> {
        let record = self.record();
        let mut problems = Vec::new();
        for (v4, text) in [(true, asked[0]), (false, asked[1])] {
            let family = if v4 { "IPv4" } else { "IPv6" };
            if text.is_empty() {
                continue;
            }
            let address = text.parse::<IpAddr>().ok().filter(|address| address.is_ipv4() == v4);
            if address.is_none() {
                problems.push(format!("invalid {family} address: {text}"));
            }
            problems.extend(self.address_problem(&record, v4, address, text));
        }
        let bad = local.iter().filter(|text| text.parse::<IpAddr>().is_err());
        problems.extend(bad.map(|text| format!("invalid link-local IP address: {text}")));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn address_problem(&self, record: &Record, v4: bool, address: Option<IpAddr>, text: &str) -> Option<String> {
        if !has_user_subnet(record, v4) {
            let text =
                "user specified IP address is supported only when connecting to networks with user configured subnets";
            return Some(text.to_owned());
        }
        let contains = |subnet: IpNet| address.is_some_and(|address| subnet.contains(&address));
        let inside = self.subnets().into_iter().chain(configured(record)).any(contains);
        (!inside).then(|| format!("no configured subnet or ip-range contain the IP address {text}"))
    }

    /// The options of a bridge network.
    pub(crate) fn bridge_options(&self) -> BridgeOptions {
        let record = self.record();
        // They were checked when the network was made.
        BridgeOptions::read(&record.options, record.internal).unwrap_or_default()
    }

    /// The bridge it is made of, if it is one: `made_up` is its device unless it names one.
    pub(crate) fn bridge(&self, made_up: &str) -> Option<Bridge> {
        if self.driver != Driver::Bridge {
            return None;
        }
        let (record, options) = (self.record(), self.bridge_options());
        let (gateway, gateway6) = self.gateways();
        let subnets = self.subnets();
        let translated = |net: &&IpNet| {
            let mode = if net.addr().is_ipv4() { options.mode4 } else { options.mode6 };
            options.masquerade && !record.internal && mode != GatewayMode::Routed && mode != GatewayMode::Isolated
        };
        Some(Bridge {
            name: options.name.clone().unwrap_or_else(|| made_up.to_owned()),
            gateway: gateway.filter(|_| !options.bare && options.mode4 != GatewayMode::Isolated),
            gateway6: gateway6.filter(|_| options.mode6 != GatewayMode::Isolated),
            masquerade: subnets.iter().filter(translated).copied().collect(),
            subnets,
            mtu: options.mtu,
            talk: options.icc,
            internal: record.internal,
            routed: [options.mode4, options.mode6].contains(&GatewayMode::Routed),
            open4: options.mode4 == GatewayMode::NatUnprotected,
            open6: options.mode6 == GatewayMode::NatUnprotected,
            trusted: options.trusted.clone(),
            adopted: record.adopted,
        })
    }

    /// The device it hangs on, if it is a macvlan or ipvlan.
    pub(crate) fn parent(&self) -> Option<(String, ParentKind, Option<u32>)> {
        let record = self.record();
        let parent = Parent::read(self.driver, &record.options).ok().flatten()?;
        let device = parent.parent.unwrap_or_else(|| made_up_parent(&self.id));
        Some((device, parent.kind, parent.mtu))
    }
}

/// A dummy of hako's own, for networks without a parent.
pub(super) fn made_up_parent(id: &NetworkId) -> String {
    format!("dm-{}", id.short())
}

/// Whether the subnet of a family was chosen by the user.
fn has_user_subnet(record: &Record, v4: bool) -> bool {
    configured(record).any(|net| net.addr().is_ipv4() == v4)
}

/// The subnets people gave it, of families that are off as well: addresses there are taken note of, as by Docker.
fn configured(record: &Record) -> impl Iterator<Item = IpNet> + '_ {
    let own = record.ipam.config.iter().flatten().filter(|config| !record.chosen.contains(&config.subnet));
    own.filter_map(|config| config.net())
}

fn book(record: &Record, v4: bool) -> Result<Option<Book>> {
    let Some(config) = record.config(v4) else { return Ok(None) };
    let Some(subnet) = config.net() else { return Ok(None) };
    let mut addresses = Addresses::new(subnet, config.range()).map_err(|e| Error::invalid(e.to_string()))?;
    let gateway = gateway(&mut addresses, record, config, v4)?;
    Ok(Some(Book { addresses, gateway }))
}

/// The gateway: as configured, else the lowest free address. Some networks have none.
fn gateway(addresses: &mut Addresses, record: &Record, config: &IpamConfig, v4: bool) -> Result<Option<IpAddr>> {
    let refused =
        |what: String| move |error: PoolError| Error::system(format!("failed to allocate {what}: {}", text(&error)));
    if let Some(gateway) = config.gateway() {
        addresses.claim(gateway).map_err(refused(format!("gateway ({gateway})")))?;
    }
    for address in config.auxiliary() {
        addresses.claim(address).map_err(refused(format!("secondary ip address ({address})")))?;
    }
    if config.gateway().is_some() {
        return Ok(config.gateway());
    }
    let options = BridgeOptions::read(&record.options, record.internal).unwrap_or_default();
    let mode = if v4 { options.mode4 } else { options.mode6 };
    let beside = Parent::read(record.driver, &record.options).ok().flatten();
    let none = mode == GatewayMode::Isolated
        || beside.is_some_and(|parent| !parent.kind.has_gateway())
        || (record.internal && record.driver != Driver::Bridge);
    // A subnet without room for a gateway is no reason to refuse the network: Docker does not either.
    if none { Ok(None) } else { Ok(addresses.lease().ok()) }
}

fn lease(book: Option<&mut Book>, asked: &str, family: &str, network: &str) -> Result<Option<IpNet>> {
    let Some(book) = book else { return Ok(None) };
    let address = if asked.is_empty() {
        book.addresses.lease().map_err(|_| {
            Error::system(format!("no available {family} addresses on this network's address pools: {network}"))
        })?
    } else {
        let address: IpAddr =
            asked.parse().map_err(|_| Error::invalid(format!("invalid {family} address: {asked}")))?;
        book.addresses.claim(address).map_err(|error| Error::forbidden(text(&error)))?;
        address
    };
    let net = IpNet::new(address, book.addresses.subnet().prefix_len());
    net.map(Some).map_err(|e| Error::io("lease address", e))
}

/// A pool's refusal; Docker does not say which address is in use.
fn text(error: &PoolError) -> String {
    match error {
        PoolError::Taken { .. } | PoolError::Outside { .. } => "Address already in use".to_owned(),
        other => other.to_string(),
    }
}

fn release(book: Option<&mut Book>, address: Option<IpAddr>) {
    if let Some((book, address)) = book.zip(address) {
        book.addresses.release(address);
    }
}
