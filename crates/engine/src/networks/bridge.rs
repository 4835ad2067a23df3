//! The default bridge: its subnet, its device and rules, and who has which address.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hako_model::container::EndpointSettings;
use hako_model::id::{ContainerId, NetworkId};
use hako_model::pool::{self, Addresses, Pool};
use hako_model::time::Timestamp;
use hako_net::bridge::Bridge as Device;
use hako_net::endpoint;
use hako_net::nft::Table;
use hako_sys::file::{Durability, read_limited, write_atomic};
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::layout::Layout;
use crate::{Error, Result, Settings};

/// What is remembered of the three networks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Remembered {
    pub(crate) created: Timestamp,
    pub(crate) bridge: NetworkId,
    pub(crate) host: NetworkId,
    pub(crate) none: NetworkId,
    /// The bridge's address with its prefix length, once chosen.
    pub(crate) gateway: Option<Ipv4Net>,
}

/// The default bridge.
pub(crate) struct Bridge {
    device: String,
    table: Table,
    file: PathBuf,
    settings: BridgeSettings,
    state: Mutex<State>,
}

struct BridgeSettings {
    gateway: Option<Ipv4Net>,
    range: Option<Ipv4Net>,
    pools: Vec<Pool>,
    mtu: Option<u32>,
    talk: bool,
    firewall: bool,
}

struct State {
    remembered: Remembered,
    addresses: Option<Addresses>,
    /// Whether the device and the rules were made by this engine.
    up: bool,
}

impl Bridge {
    pub(crate) fn open(layout: &Layout, settings: &Settings) -> Result<Self> {
        let file = layout.network().join("networks.json");
        let remembered = match read_limited(&file, 1 << 20).ok().and_then(|b| serde_json::from_slice(&b).ok()) {
            Some(remembered) => remembered,
            None => first_time()?,
        };
        let bridge = Self {
            device: layout.bridge(),
            table: Table::of(&layout.instance),
            file,
            settings: bridge_settings(settings)?,
            state: Mutex::new(State { remembered, addresses: None, up: false }),
        };
        bridge.save(&bridge.state().remembered)?;
        Ok(bridge)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, remembered: &Remembered) -> Result<()> {
        let bytes = serde_json::to_vec(remembered).map_err(|e| Error::io("encode networks", e))?;
        let same = read_limited(&self.file, 1 << 20).is_ok_and(|old| old == bytes);
        if same {
            return Ok(());
        }
        write_atomic(&self.file, &bytes, Durability::Power).map_err(|e| Error::io("save networks", e))
    }

    pub(crate) fn remembered(&self) -> Remembered {
        self.state().remembered.clone()
    }

    /// The bridge's address, chosen now if it was not yet: what is shown is what the first container will meet.
    pub(crate) fn gateway(&self) -> Option<Ipv4Net> {
        self.choose(&mut self.state()).ok()
    }

    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn mtu(&self) -> Option<u32> {
        self.settings.mtu
    }

    pub(crate) fn talk(&self) -> bool {
        self.settings.talk
    }

    /// Leases an address (the one asked for, if one was) and says how to plug the container in. Makes the bridge and
    /// its rules on first need.
    pub(crate) fn lease(&self, id: &ContainerId, wanted: &EndpointSettings) -> Result<endpoint::Plan> {
        let mut state = self.state();
        self.make(&mut state)?;
        let gateway = state.remembered.gateway.ok_or_else(|| Error::system("lease address: bridge has no subnet"))?;
        let addresses = self.addresses(&mut state)?;
        let address = lease_from(addresses, wanted)?;
        Ok(endpoint::Plan {
            host_name: endpoint::host_name(id.as_str()),
            name: "eth0".to_owned(),
            bridge: self.device.clone(),
            address: Ipv4Net::new_assert(address, gateway.prefix_len()),
            gateway: Some(gateway.addr()),
            address6: None,
            gateway6: None,
            mac: wanted_mac(wanted)?.unwrap_or_else(|| endpoint::mac_of(address)),
            mtu: self.settings.mtu,
            isolated: !self.settings.talk,
        })
    }

    /// Takes note of an address that a living container has.
    pub(crate) fn claim(&self, address: Ipv4Addr) {
        let mut state = self.state();
        if let Ok(addresses) = self.addresses(&mut state)
            && let Err(error) = addresses.claim(address.into())
        {
            tracing::warn!(%error, %address, "address of a living container is not ours");
        }
    }

    pub(crate) fn release(&self, address: Ipv4Addr) {
        if let Some(addresses) = self.state().addresses.as_mut() {
            addresses.release(address.into());
        }
    }

    /// Takes the device and the rules off the host, also those an earlier engine made.
    pub(crate) fn clear(&self) {
        self.state().up = false;
        let told = |what: &str, outcome: hako_net::Result<()>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "{what} stays on the host");
            }
        };
        if self.settings.firewall {
            told("rule in another's firewall", hako_net::firewall::withdraw(&self.device));
            told("table", self.table.remove());
        }
        told("bridge", hako_net::bridge::remove(&self.device));
    }

    /// Whether the rules are still there; someone may have flushed them.
    pub(crate) fn check_rules(&self) {
        let mut state = self.state();
        if state.up && self.settings.firewall && matches!(self.table.exists(), Ok(false)) {
            state.up = false;
        }
    }

    fn addresses<'a>(&self, state: &'a mut State) -> Result<&'a mut Addresses> {
        let gateway = self.choose(state)?;
        if state.addresses.is_none() {
            let subnet = IpNet::V4(gateway.trunc());
            let addresses = Addresses::new(subnet, self.settings.range.map(IpNet::V4));
            let mut addresses = addresses.map_err(|e| Error::invalid(e.to_string()))?;
            addresses.claim(gateway.addr().into()).map_err(|e| Error::invalid(e.to_string()))?;
            state.addresses = Some(addresses);
        }
        state.addresses.as_mut().ok_or_else(|| Error::system("lease address: no subnet"))
    }

    /// The bridge's address: configured, remembered, or chosen now among what the host does not use.
    fn choose(&self, state: &mut State) -> Result<Ipv4Net> {
        if let Some(gateway) = self.settings.gateway.or(state.remembered.gateway) {
            if state.remembered.gateway != Some(gateway) {
                state.remembered.gateway = Some(gateway);
                self.save(&state.remembered)?;
            }
            return Ok(gateway);
        }
        let taken = hako_net::route::taken().map_err(|e| Error::io("read routes", e))?;
        let subnet = pool::choose(&self.settings.pools, &taken).map_err(|e| Error::system(e.to_string()))?;
        let IpNet::V4(subnet) = subnet else { return Err(Error::invalid("the first address pool must be IPv4")) };
        let first = Ipv4Addr::from_bits(subnet.network().to_bits() + 1);
        let gateway = Ipv4Net::new_assert(first, subnet.prefix_len());
        state.remembered.gateway = Some(gateway);
        self.save(&state.remembered)?;
        Ok(gateway)
    }

    fn make(&self, state: &mut State) -> Result<()> {
        let gateway = self.choose(state)?;
        if state.up {
            return Ok(());
        }
        let device = Device {
            name: self.device.clone(),
            gateway,
            gateway6: None,
            mtu: self.settings.mtu,
            masquerade: true,
            talk: self.settings.talk,
        };
        hako_net::bridge::ensure(&device).map_err(|e| Error::io("make bridge", e))?;
        if self.settings.firewall {
            self.table.ensure(std::slice::from_ref(&device)).map_err(|e| Error::io("make firewall rules", e))?;
            hako_net::firewall::admit(&self.device).map_err(|e| Error::io("admit bridge", e))?;
        }
        state.up = true;
        Ok(())
    }
}

fn lease_from(addresses: &mut Addresses, wanted: &EndpointSettings) -> Result<Ipv4Addr> {
    let asked = wanted.ipam_config.as_ref().map_or("", |ipam| ipam.ipv4_address.as_str());
    let address = if asked.is_empty() {
        addresses.lease().map_err(|e| Error::system(e.to_string()))?
    } else {
        let address: Ipv4Addr = asked.parse().map_err(|_| Error::invalid(format!("invalid IPv4 address: {asked}")))?;
        addresses.claim(address.into()).map_err(|e| Error::conflict(e.to_string()))?;
        address.into()
    };
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(Error::system(format!("lease address: {address} is not IPv4"))),
    }
}

/// The MAC address asked for.
pub(crate) fn wanted_mac(wanted: &EndpointSettings) -> Result<Option<endpoint::Mac>> {
    if wanted.mac_address.is_empty() {
        return Ok(None);
    }
    let text = &wanted.mac_address;
    let invalid = || Error::invalid(format!("invalid MAC address: {text}"));
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let bytes: Vec<u8> = parts.iter().filter_map(|p| u8::from_str_radix(p, 16).ok().filter(|_| p.len() == 2)).collect();
    let mac: endpoint::Mac = bytes.try_into().map_err(|_| invalid())?;
    if parts.len() == 6 { Ok(Some(mac)) } else { Err(invalid()) }
}

fn bridge_settings(settings: &Settings) -> Result<BridgeSettings> {
    let net = |what: &str, text: &Option<String>| match text {
        Some(text) => text.parse().map(Some).map_err(|_| Error::invalid(format!("invalid {what}: {text}"))),
        None => Ok(None),
    };
    let mut pools = Vec::new();
    for (base, size) in &settings.address_pools {
        let base = base.parse().map_err(|_| Error::invalid(format!("invalid address pool: {base}")))?;
        pools.push(Pool { base, size: *size });
    }
    Ok(BridgeSettings {
        gateway: net("bip", &settings.bip)?,
        range: net("fixed-cidr", &settings.fixed_cidr)?,
        pools: if pools.is_empty() { pool::defaults() } else { pools },
        mtu: settings.mtu,
        talk: settings.icc,
        firewall: settings.firewall,
    })
}

fn first_time() -> Result<Remembered> {
    let id = || {
        let mut bytes = [0; 32];
        hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make network id", e))?;
        Ok::<_, Error>(NetworkId::from_bytes(&bytes))
    };
    Ok(Remembered { created: now(), bridge: id()?, host: id()?, none: id()?, gateway: None })
}
