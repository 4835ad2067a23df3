//! All networks there are, by name and id: read when the engine opens, and the three every host has.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_model::id::{NetworkId, is_id_prefix};
use hako_model::network::{BridgeOptions, Driver, GatewayMode, IpamConfig};
use hako_model::pool::{self, Pool};
use hako_net::bridge::Bridge;
use hako_net::nft::Policy;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Fabric, Record, Segment};
use crate::clock::now;
use crate::layout::Layout;
use crate::{Error, Result, Settings};

/// All networks.
pub(crate) struct Catalogue {
    dir: PathBuf,
    /// The default bridge's device.
    device: String,
    pools: Vec<Pool>,
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Held while a subnet or a name is chosen, so that no two networks get the same.
    choosing: Mutex<()>,
    pub(crate) fabric: Fabric,
}

impl Catalogue {
    /// Reads what lies on disk. Blocks.
    pub(crate) fn open(layout: &Layout, settings: &Settings) -> Result<Self> {
        let policy = Policy { metadata: settings.metadata };
        let fabric = Fabric::new(layout, policy, settings.firewall);
        let catalogue = Self {
            dir: layout.network(),
            device: layout.bridge(),
            pools: pools(settings)?,
            segments: Mutex::default(),
            choosing: Mutex::default(),
            fabric,
        };
        for record in read_all(&catalogue.dir) {
            match Segment::new(record) {
                Ok(segment) => catalogue.segments().push(Arc::new(segment)),
                Err(error) => tracing::warn!(%error, "damaged network"),
            }
        }
        for (name, driver) in [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)] {
            catalogue.predefine(name, driver, settings)?;
        }
        Ok(catalogue)
    }

    fn segments(&self) -> MutexGuard<'_, Vec<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure of one of the three networks, and that the default bridge is as the daemon was told.
    fn predefine(&self, name: &str, driver: Driver, settings: &Settings) -> Result<()> {
        let known = self.by_name(name);
        let mut record = match &known {
            Some(segment) => segment.record(),
            None => Record::new(name, driver, now())?,
        };
        if driver == Driver::Bridge {
            configure_default(&mut record, &self.device, settings)?;
        }
        record.save(&self.dir)?;
        match known {
            Some(segment) => segment.replace(record),
            None => {
                self.segments().push(Arc::new(Segment::new(record)?));
                Ok(())
            }
        }
    }

    /// All networks, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.segments().clone()
    }

    fn by_name(&self, name: &str) -> Option<Arc<Segment>> {
        self.segments().iter().find(|segment| segment.name == name).cloned()
    }

    /// The network of exactly this name or id: what a record says.
    pub(crate) fn named(&self, text: &str) -> Result<Arc<Segment>> {
        let found = self.segments().iter().find(|s| s.id.as_str() == text || s.name == text).cloned();
        found.ok_or_else(|| Error::not_found(format!("network {text} not found")))
    }

    /// The network a person means: an id, a name, or the beginning of an id.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Segment>> {
        let text = if text == "default" { "bridge" } else { text };
        let segments = self.segments();
        let exactly =
            segments.iter().find(|s| s.id.as_str() == text).or_else(|| segments.iter().find(|s| s.name == text));
        if let Some(found) = exactly {
            return Ok(Arc::clone(found));
        }
        let mut matching = segments.iter().filter(|s| is_id_prefix(text) && s.id.as_str().starts_with(text));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(Arc::clone(found)),
            (None, _) => Err(Error::not_found(format!("network {text} not found"))),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("network {text} is ambiguous (2 matches found based on ID prefix)")))
            }
        }
    }

    /// Completes `record` with the subnets it does not name, makes what it is made of by `raise`, and makes it known.
    /// Nothing is left of it if any of that fails.
    pub(crate) fn add(&self, mut record: Record, raise: impl FnOnce(&Segment) -> Result<()>) -> Result<Arc<Segment>> {
        // The default bridge has the first choice, as people know it.
        self.settle(&*self.find("bridge")?)?;
        let _choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.by_name(&record.name).is_some() {
            return Err(Error::conflict(format!("network with name {} already exists", record.name)));
        }
        self.complete(&mut record)?;
        let segment = Arc::new(Segment::new(record)?);
        raise(&segment)?;
        // As it is now: raising it has shown whose its device is.
        if let Err(error) = segment.record().save(&self.dir) {
            self.lower(&segment);
            return Err(error);
        }
        self.segments().push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Forgets a network and takes what it is made of off the host.
    pub(crate) fn remove(&self, segment: &Segment) -> Result<()> {
        segment.record().erase(&self.dir)?;
        self.segments().retain(|other| other.id != segment.id);
        self.lower(segment);
        Ok(())
    }

    /// What cannot be taken away now is found by the next engine that looks, and told.
    fn lower(&self, segment: &Segment) {
        let outcome = match self.bridge_of(segment) {
            Some(bridge) => self.fabric.lower(&bridge),
            None => Ok(()),
        };
        if let Some((device, ..)) = segment.parent().filter(|_| !segment.record().adopted)
            && let Err(error) = hako_net::endpoint::detach(&device)
        {
            tracing::warn!(%error, network = segment.name, "parent device stays on the host");
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, network = segment.name, "network's device or rules stay on the host");
        }
    }

    /// Chooses the subnets a network needs and does not name; refuses those that others have.
    fn complete(&self, record: &mut Record) -> Result<()> {
        let others = self.all().into_iter().filter(|segment| segment.id != record.id);
        let ours: Vec<IpNet> = others.flat_map(|segment| segment.subnets()).collect();
        let mut own = Vec::new();
        for v4 in [true, false] {
            let Some(net) = record.config(v4).and_then(IpamConfig::net) else { continue };
            if ours.iter().chain(&own).any(|other| pool::overlap(&net, other)) {
                return Err(Error::forbidden(
                    "invalid pool request: Pool overlaps with other one on this address space",
                ));
            }
            own.push(net);
        }
        let has_addresses = !record.config_only && !matches!(record.driver, Driver::Host | Driver::Null);
        for v4 in [true, false] {
            let on = if v4 { record.enable_ipv4 } else { record.enable_ipv6 };
            if has_addresses && on && record.config(v4).is_none() {
                let mut config = self.choose(v4, &ours)?;
                if is_isolated(record, v4) {
                    config.gateway.clear();
                }
                record.chosen.push(config.subnet.clone());
                record.ipam.config.get_or_insert_default().push(config);
            }
        }
        Ok(())
    }

    /// A free subnet with its gateway: of the pools, avoiding what the host routes; for IPv6 else one made up.
    fn choose(&self, v4: bool, ours: &[IpNet]) -> Result<IpamConfig> {
        let mut taken = hako_net::route::taken().map_err(|e| Error::io("read routes", e))?;
        taken.extend_from_slice(ours);
        let pools: Vec<Pool> = self.pools.iter().filter(|pool| pool.base.addr().is_ipv4() == v4).copied().collect();
        let subnet = if v4 || !pools.is_empty() {
            pool::choose(&pools, &taken).map_err(|e| Error::system(e.to_string()))?
        } else {
            let mut random = [0; 5];
            hako_sys::random::fill(&mut random).map_err(|e| Error::io("make subnet", e))?;
            pool::unique_local(random).into()
        };
        let gateway = match subnet.network() {
            IpAddr::V4(first) => IpAddr::from(Ipv4Addr::from_bits(first.to_bits() + 1)),
            IpAddr::V6(first) => IpAddr::from(std::net::Ipv6Addr::from_bits(first.to_bits() + 1)),
        };
        Ok(IpamConfig { subnet: subnet.to_string(), gateway: gateway.to_string(), ..IpamConfig::default() })
    }

    /// The default bridge's subnet is chosen when it is first looked at: what is shown is what its first container will
    /// meet.
    pub(crate) fn settle(&self, segment: &Segment) -> Result<()> {
        let has = |v4: bool| segment.subnets().iter().any(|net| net.addr().is_ipv4() == v4);
        let complete = has(true) && (has(false) || !segment.record().enable_ipv6);
        if segment.is_own() || segment.driver != Driver::Bridge || complete {
            return Ok(());
        }
        let _choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        if !segment.subnets().is_empty() {
            // Another first container was a moment sooner.
            return Ok(());
        }
        let mut record = segment.record();
        self.complete(&mut record)?;
        record.save(&self.dir)?;
        segment.replace(record)
    }

    /// The device of a bridge network.
    pub(crate) fn bridge_of(&self, segment: &Segment) -> Option<Bridge> {
        let made_up = if segment.is_own() { format!("hk-{}", segment.id.short()) } else { self.device.clone() };
        segment.bridge(&made_up)
    }

    /// Another network that has a device of this name.
    pub(crate) fn owner_of(&self, device: &str) -> Option<NetworkId> {
        let all = self.all();
        let owner = all.iter().find(|other| self.bridge_of(other).is_some_and(|bridge| bridge.name == device));
        owner.map(|segment| segment.id.clone())
    }

    /// Takes off the host what an engine that was killed did not come to: devices of networks that are no more, unless
    /// they are `used`.
    pub(crate) fn sweep(&self, used: impl Iterator<Item = String>) {
        let own = self.all().into_iter().filter_map(|segment| Some(self.bridge_of(&segment)?.name));
        self.fabric.sweep(&own.chain(used).collect());
    }

    /// Takes all devices and rules off the host.
    pub(crate) fn clear(&self) {
        let bridges: Vec<Bridge> = self.all().iter().filter_map(|segment| self.bridge_of(segment)).collect();
        self.fabric.clear(&bridges);
    }
}

/// Whether the host is to have no part in the network: then there is no gateway either.
fn is_isolated(record: &Record, v4: bool) -> bool {
    // What cannot be read was refused before.
    let options = BridgeOptions::read(&record.options, record.internal).unwrap_or_default();
    (if v4 { options.mode4 } else { options.mode6 }) == GatewayMode::Isolated
}

fn read_all(dir: &Path) -> Vec<Record> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| {
        let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
        id.is_some_and(|id| NetworkId::parse(id).is_ok())
    });
    let load = |path: PathBuf| match Record::load(&path) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(%error, "damaged network");
            None
        }
    };
    let mut records: Vec<Record> = files.filter_map(load).collect();
    records.sort_by_key(|record| record.created);
    records
}

/// What flags and `daemon.json` say of the default bridge, over what it was before.
fn configure_default(record: &mut Record, device: &str, settings: &Settings) -> Result<()> {
    let option = |name: &str, value: String| (format!("com.docker.network.{name}"), value);
    record.options = [
        option("bridge.default_bridge", "true".to_owned()),
        option("bridge.enable_icc", settings.icc.to_string()),
        option("bridge.enable_ip_masquerade", settings.masquerade.to_string()),
        option("bridge.host_binding_ipv4", settings.default_publish_ip.to_string()),
        option("bridge.name", device.to_owned()),
        option("driver.mtu", settings.mtu.unwrap_or(1500).to_string()),
    ]
    .into();
    record.enable_ipv6 = settings.ipv6;
    let configured4 = default_v4(settings)?;
    let configured6 = default_v6(settings)?;
    let old = record.ipam.config.take().unwrap_or_default();
    let kept = |v4: bool| {
        let of_family = |config: &&IpamConfig| config.net().is_some_and(|net| net.addr().is_ipv4() == v4);
        old.iter().find(of_family).cloned()
    };
    let v4 = match configured4 {
        Some(config) => Some(config),
        None => {
            kept(true).map(|config| IpamConfig { ip_range: settings.fixed_cidr.clone().unwrap_or_default(), ..config })
        }
    };
    let v6 = configured6.or_else(|| kept(false).filter(|_| settings.ipv6));
    record.ipam.config = Some(v4.into_iter().chain(v6).collect::<Vec<_>>()).filter(|config| !config.is_empty());
    hako_model::network::check_ipam(record.ipam.config.as_deref().unwrap_or_default())
        .map_err(|error| Error::invalid(format!("default bridge: {error}")))
}

fn default_v4(settings: &Settings) -> Result<Option<IpamConfig>> {
    let range = settings.fixed_cidr.clone().unwrap_or_default();
    let Some(bip) = &settings.bip else { return Ok(None) };
    let own: Ipv4Net = bip.parse().map_err(|_| Error::invalid(format!("invalid bip: {bip}")))?;
    let gateway = settings.default_gateway.unwrap_or(IpAddr::V4(own.addr()));
    let (subnet, gateway) = (own.trunc().to_string(), gateway.to_string());
    Ok(Some(IpamConfig { subnet, ip_range: range, gateway, auxiliary_addresses: None }))
}

fn default_v6(settings: &Settings) -> Result<Option<IpamConfig>> {
    let Some(text) = settings.fixed_cidr_v6.as_ref().filter(|_| settings.ipv6) else { return Ok(None) };
    let subnet: Ipv6Net = text.parse().map_err(|_| Error::invalid(format!("invalid fixed-cidr-v6: {text}")))?;
    Ok(Some(IpamConfig { subnet: subnet.trunc().to_string(), ..IpamConfig::default() }))
}

fn pools(settings: &Settings) -> Result<Vec<Pool>> {
    let mut pools = Vec::new();
    for (base, size) in &settings.address_pools {
        let base = base.parse().map_err(|_| Error::invalid(format!("invalid address pool: {base}")))?;
        let pool = Pool { base, size: *size };
        pool.check().map_err(|e| Error::invalid(e.to_string()))?;
        pools.push(pool);
    }
    Ok(if pools.is_empty() { pool::defaults() } else { pools })
}
