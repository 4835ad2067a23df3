//! Making networks: everything is checked before anything exists.

use std::collections::BTreeMap;

use hako_model::network::{BridgeOptions, Driver, Ipam, NetworkError, Parent, check_ipam, is_predefined};
use hako_net::bridge;

use super::{Networks, Record, Segment, fabric};
use crate::blocking::blocking;
use crate::clock::now;
use crate::{Error, Result};

/// What a new network is to be.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Its name.
    pub name: String,
    /// Its driver; empty for `bridge`.
    pub driver: String,
    /// `local`, or nothing.
    pub scope: String,
    /// Whether it is cut off from the world.
    pub internal: bool,
    /// Swarm only.
    pub attachable: bool,
    /// Swarm only.
    pub ingress: bool,
    /// Whether it only holds a configuration for others.
    pub config_only: bool,
    /// The network that holds its configuration; empty for none.
    pub config_from: String,
    /// Its addresses.
    pub ipam: Option<Ipam>,
    /// Whether it has IPv4; it does unless it is said.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6; it does not unless it, or the daemon, says so.
    pub enable_ipv6: Option<bool>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Networks {
    /// Makes a network and returns its id.
    pub async fn create(&self, mut request: CreateRequest) -> Result<String> {
        check(&request)?;
        if !request.config_from.is_empty() {
            self.take_over(&mut request)?;
        }
        let record = self.record(request)?;
        let segment = blocking(|| self.house.networks.add(record, |segment| self.raise(segment)))?;
        self.tell(&segment, "create");
        Ok(segment.id.to_string())
    }

    /// The configuration of another network instead of one's own.
    fn take_over(&self, request: &mut CreateRequest) -> Result<()> {
        if request.config_only {
            return Err(Error::forbidden("a configuration network cannot depend on another configuration network"));
        }
        let has_own = !request.labels.is_empty()
            || !request.options.is_empty()
            || request.ipam.as_ref().is_some_and(|ipam| ipam.config.iter().flatten().next().is_some());
        if has_own {
            let text =
                "user specified configurations are not supported if the network depends on a configuration network";
            return Err(Error::forbidden(text));
        }
        let found = self.house.networks.find(&request.config_from).map(|segment| segment.record());
        let Some(source) = found.ok().filter(|record| record.config_only) else {
            let name = &request.config_from;
            return Err(Error::not_found(format!("configuration network \"{name}\" does not exist")));
        };
        request.ipam = Some(source.ipam);
        request.options = source.options;
        request.labels = source.labels;
        request.enable_ipv4.get_or_insert(source.enable_ipv4);
        request.enable_ipv6.get_or_insert(source.enable_ipv6);
        Ok(())
    }

    fn record(&self, request: CreateRequest) -> Result<Record> {
        let driver = if request.config_only { Driver::Null } else { driver(&request.driver)? };
        let mut record = Record::new(&request.name, driver, now())?;
        record.enable_ipv4 = request.enable_ipv4.unwrap_or(true);
        record.enable_ipv6 = request.enable_ipv6.unwrap_or(self.house.settings.ipv6_networks);
        if !record.enable_ipv4 && !record.enable_ipv6 {
            return Err(Error::invalid("IPv4 or IPv6 must be enabled"));
        }
        record.ipam = request.ipam.unwrap_or_default();
        check_ipam_driver(&mut record.ipam)?;
        check_ipam(record.ipam.config.as_deref().unwrap_or_default()).map_err(refused)?;
        record.internal = request.internal;
        record.attachable = request.attachable;
        record.config_from = request.config_from;
        record.config_only = request.config_only;
        record.options = self.with_defaults(request.options, driver);
        record.labels = request.labels;
        if !record.config_only {
            self.check_driver(&mut record)?;
        }
        Ok(record)
    }

    /// The daemon's options for networks of this driver that do not say otherwise (`default-network-opts`).
    fn with_defaults(&self, mut options: BTreeMap<String, String>, driver: Driver) -> BTreeMap<String, String> {
        let defaults = self.house.settings.network_options.iter().filter(|(of, ..)| of == driver.as_str());
        for (_, name, value) in defaults {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        options
    }

    fn check_driver(&self, record: &mut Record) -> Result<()> {
        let count = |v4: bool| {
            let nets = record.ipam.config.iter().flatten().filter_map(|config| config.net());
            nets.filter(|net| net.addr().is_ipv4() == v4).count()
        };
        if count(true) > 1 || count(false) > 1 {
            return Err(Error::forbidden(format!(
                "{} driver doesn't support multiple subnets",
                record.driver.as_str()
            )));
        }
        let options = BridgeOptions::read(&record.options, record.internal).map_err(refused)?;
        match record.driver {
            Driver::Bridge => self.check_device(record, options.name.as_deref()),
            driver => Parent::read(driver, &record.options).map(drop).map_err(refused),
        }
    }

    /// A device asked for by name: not another network's, and if it exists a bridge.
    fn check_device(&self, record: &mut Record, name: Option<&str>) -> Result<()> {
        let Some(name) = name else { return Ok(()) };
        if name.len() > 15 || name.contains(['/', ' ', ':']) || name == "." || name == ".." {
            return Err(Error::invalid(format!(
                "invalid bridge name {name:?}: a device's name has at most 15 characters, no slash, colon or space"
            )));
        }
        if let Some(owner) = self.house.networks.owner_of(name) {
            return Err(Error::forbidden(format!(
                "cannot create network {} ({name}): conflicts with network {owner} ({name}): networks have same bridge name",
                record.id
            )));
        }
        record.adopted = bridge::exists(name).map_err(|e| Error::forbidden(e.to_string()))?;
        Ok(())
    }

    /// Makes what the network is made of on the host.
    fn raise(&self, segment: &Segment) -> Result<()> {
        if let Some(bridge) = self.house.networks.bridge_of(segment) {
            return self.house.networks.fabric.raise(&bridge);
        }
        let Some((parent, kind, _)) = segment.parent() else { return Ok(()) };
        let dummy = parent == super::segment::made_up_parent(&segment.id);
        let made = fabric::ensure_parent(&parent, dummy)?;
        let mut record = segment.record();
        record.adopted = !made;
        segment.replace(record)?;
        let tried = hako_net::parent::probe(&parent, kind, &format!("hp-{}", segment.id.short()));
        if tried.is_err() && made {
            // The first error is the one to tell.
            let _ = hako_net::endpoint::detach(&parent);
        }
        tried.map_err(|error| Error::system(error.to_string()))
    }
}

/// What can be refused by looking at the request alone.
fn check(request: &CreateRequest) -> Result<()> {
    let name = &request.name;
    if name.trim().is_empty() {
        return Err(Error::invalid("invalid name: name is empty"));
    }
    if is_predefined(name) {
        return Err(Error::forbidden(format!("operation is not permitted on predefined {name} network")));
    }
    if name.starts_with("container:") || name.contains(['/', '\0', '\n']) || name.len() > 255 {
        return Err(Error::invalid(format!("invalid name: {name:?} cannot be a network's")));
    }
    if request.ingress {
        return Err(Error::forbidden("Ingress network can only be global scope network"));
    }
    match request.scope.as_str() {
        "" | "local" => {}
        "swarm" => return Err(Error::forbidden("cannot create a swarm scoped network when swarm is not active")),
        scope => return Err(Error::invalid(format!("invalid network scope {scope}"))),
    }
    if request.config_only && (request.internal || request.attachable || !request.scope.is_empty()) {
        return Err(Error::forbidden(
            "configuration network can only contain network specific fields. Network operator fields like [ ingress | \
             internal | attachable | scope ] are not supported.",
        ));
    }
    Ok(())
}

fn driver(text: &str) -> Result<Driver> {
    match Driver::parse(text) {
        Some(driver @ (Driver::Host | Driver::Null)) => {
            Err(Error::forbidden(format!("only one instance of \"{}\" network is allowed", driver.as_str())))
        }
        Some(driver) => Ok(driver),
        None if text == "overlay" => Err(Error::not_implemented("overlay networks belong to swarm mode")),
        None => Err(Error::not_found(format!("plugin \"{text}\" not found"))),
    }
}

fn check_ipam_driver(ipam: &mut Ipam) -> Result<()> {
    match ipam.driver.as_str() {
        "" => "default".clone_into(&mut ipam.driver),
        "default" => {}
        "null" => return Err(Error::not_implemented("networks without addresses are not supported")),
        other => return Err(Error::not_found(format!("plugin \"{other}\" not found"))),
    }
    Ok(())
}

fn refused(error: NetworkError) -> Error {
    match error {
        NetworkError::Isolated => Error::system(error.to_string()),
        other => Error::invalid(other.to_string()),
    }
}
