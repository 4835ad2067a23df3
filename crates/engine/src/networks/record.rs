//! What a network was told to be: one file per network, in Docker's words where Docker has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hako_model::id::NetworkId;
use hako_model::network::{Driver, Ipam, IpamConfig};
use hako_model::time::Timestamp;
use hako_sys::file::{Durability, read_limited, write_atomic};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// No record is longer.
const LIMIT: u64 = 4 << 20;

/// A network as it was told to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub(crate) name: String,
    #[serde(rename = "ID")]
    pub(crate) id: NetworkId,
    pub(crate) created: Timestamp,
    pub(crate) driver: Driver,
    #[serde(rename = "EnableIPv4")]
    pub(crate) enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    pub(crate) enable_ipv6: bool,
    /// Subnets chosen by hako stand here with their gateways; those asked for as they were asked for.
    #[serde(rename = "IPAM")]
    pub(crate) ipam: Ipam,
    /// The subnets that hako chose.
    #[serde(default)]
    pub(crate) chosen: Vec<String>,
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default)]
    pub(crate) attachable: bool,
    /// The network that holds its configuration; empty for none.
    #[serde(default)]
    pub(crate) config_from: String,
    #[serde(default)]
    pub(crate) config_only: bool,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether its device was there before it, or belongs to somebody else.
    #[serde(default)]
    pub(crate) adopted: bool,
}

impl Record {
    /// A network that says nothing.
    pub(crate) fn new(name: &str, driver: Driver, created: Timestamp) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            id: new_id()?,
            created,
            driver,
            enable_ipv4: true,
            enable_ipv6: false,
            ipam: Ipam { driver: "default".to_owned(), ..Ipam::default() },
            chosen: Vec::new(),
            internal: false,
            attachable: false,
            config_from: String::new(),
            config_only: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            adopted: false,
        })
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, LIMIT).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
        serde_json::from_slice(&bytes).map_err(|e| Error::io(format!("parse {}", path.display()), e))
    }

    /// Where it lies.
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.json", self.id))
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let path = self.path(dir);
        let bytes = serde_json::to_vec(self).map_err(|e| Error::io("encode network", e))?;
        if read_limited(&path, LIMIT).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        write_atomic(&path, &bytes, Durability::Power).map_err(|e| Error::io(format!("save {}", path.display()), e))
    }

    /// Takes it off the disk; one that is not there is fine.
    pub(crate) fn erase(&self, dir: &Path) -> Result<()> {
        let path = self.path(dir);
        hako_sys::file::remove_if_present(&path).map_err(|e| Error::io(format!("remove {}", path.display()), e))
    }

    /// The configured subnet of a family that is on; a configuration for others is nobody's subnet.
    pub(crate) fn config(&self, v4: bool) -> Option<&IpamConfig> {
        let on = !self.config_only && if v4 { self.enable_ipv4 } else { self.enable_ipv6 };
        let mut all = self.ipam.config.iter().flatten();
        all.find(|config| on && config.net().is_some_and(|net| net.addr().is_ipv4() == v4))
    }

    /// Whether people made it.
    pub(crate) fn is_own(&self) -> bool {
        !hako_model::network::is_predefined(&self.name)
    }
}

pub(crate) fn new_id() -> Result<NetworkId> {
    let mut bytes = [0; 32];
    hako_sys::random::fill(&mut bytes).map_err(|e| Error::io("make network id", e))?;
    Ok(NetworkId::from_bytes(&bytes))
}
