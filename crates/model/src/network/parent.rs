//! The options of the drivers whose devices hang on one of the host's: macvlan and ipvlan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Driver, NetworkError, mtu};

const MTU: &str = "com.docker.network.driver.mtu";

/// Whom macvlan devices of one parent may talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Each other, directly.
    #[default]
    Bridge,
    /// Each other only if the switch outside sends it back.
    Vepa,
    /// Nobody on the same parent.
    Private,
    /// There is only one.
    Passthru,
}

/// What ipvlan devices of one parent share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// The link.
    #[default]
    L2,
    /// Only the addresses; the host routes.
    L3,
    /// As `L3`, with the host's connection tracking.
    L3s,
}

/// What kind of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParentKind {
    /// With a MAC address each.
    Macvlan(MacvlanMode),
    /// With the parent's.
    Ipvlan(IpvlanMode),
}

impl ParentKind {
    /// Whether containers have a gateway to send to: not where the host routes for them anyway.
    pub fn has_gateway(self) -> bool {
        !matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s))
    }
}

/// A macvlan's or ipvlan's options, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The host's device, perhaps one to be made (`eth0.10`); a dummy of hako's own when absent.
    pub parent: Option<String>,
    /// The devices.
    pub kind: ParentKind,
    /// The MTU.
    pub mtu: Option<u32>,
}

impl Parent {
    /// Reads the options of a network of one of the two drivers; other drivers have none.
    pub fn read(driver: Driver, options: &BTreeMap<String, String>) -> Result<Option<Self>, NetworkError> {
        let text = |name: &str| options.get(name).map_or("", String::as_str);
        let kind = match driver {
            Driver::Macvlan => ParentKind::Macvlan(macvlan(text("macvlan_mode"))?),
            Driver::Ipvlan => {
                flag(text("ipvlan_flag"))?;
                ParentKind::Ipvlan(ipvlan(text("ipvlan_mode"))?)
            }
            _ => return Ok(None),
        };
        let parent = Some(text("parent").to_owned()).filter(|parent| !parent.is_empty());
        let mtu = options.get(MTU).map(|value| mtu(MTU, value)).transpose()?.filter(|mtu| *mtu > 0);
        Ok(Some(Self { parent, kind, mtu }))
    }
}

fn macvlan(text: &str) -> Result<MacvlanMode, NetworkError> {
    match text {
        "" | "bridge" => Ok(MacvlanMode::Bridge),
        "vepa" => Ok(MacvlanMode::Vepa),
        "private" => Ok(MacvlanMode::Private),
        "passthru" => Ok(MacvlanMode::Passthru),
        mode => Err(NetworkError::Mode { driver: "macvlan", mode: mode.to_owned(), default: "bridge" }),
    }
}

fn ipvlan(text: &str) -> Result<IpvlanMode, NetworkError> {
    match text {
        "" | "l2" => Ok(IpvlanMode::L2),
        "l3" => Ok(IpvlanMode::L3),
        "l3s" => Ok(IpvlanMode::L3s),
        mode => Err(NetworkError::Mode { driver: "ipvlan", mode: mode.to_owned(), default: "l2" }),
    }
}

/// Other flags than `bridge` exist, but not for containers that are to reach each other.
fn flag(text: &str) -> Result<(), NetworkError> {
    match text {
        "" | "bridge" => Ok(()),
        flag => Err(NetworkError::Flag { flag: flag.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(driver: Driver, option: &str, value: &str) -> Result<Option<Parent>, String> {
        let options = BTreeMap::from([(option.to_owned(), value.to_owned())]);
        Parent::read(driver, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn modes() {
        let kind = |driver, option, value| read(driver, option, value).unwrap().unwrap().kind;
        assert_eq!(kind(Driver::Macvlan, "macvlan_mode", "vepa"), ParentKind::Macvlan(MacvlanMode::Vepa));
        assert_eq!(kind(Driver::Ipvlan, "ipvlan_mode", "l3s"), ParentKind::Ipvlan(IpvlanMode::L3s));
        assert_eq!(read(Driver::Bridge, "parent", "x"), Ok(None));
        assert_eq!(
            read(Driver::Ipvlan, "ipvlan_mode", "l4").unwrap_err(),
            "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"
        );
        assert_eq!(
            read(Driver::Macvlan, "macvlan_mode", "foo").unwrap_err(),
            "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default"
        );
    }
}
