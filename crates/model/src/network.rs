//! Networks as they are asked for: drivers, address configuration, the options of drivers, and who of several networks
//! gives a container its way out. Docker's texts where something makes no sense.
//!
//! Leaves out which addresses are free (`pool`) and everything that asks the kernel (`net`).

mod bridge;
mod ipam;
mod parent;

use serde::{Deserialize, Serialize};

pub use bridge::{BridgeOptions, GatewayMode};
pub use ipam::{Ipam, IpamConfig, check as check_ipam};
pub use parent::{IpvlanMode, MacvlanMode, Parent, ParentKind};

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge device of the host.
    Bridge,
    /// The host's own network.
    Host,
    /// None at all.
    Null,
    /// Devices beside one of the host's, each with a MAC address of its own.
    Macvlan,
    /// Devices that share one of the host's and its MAC address.
    Ipvlan,
}

impl Driver {
    /// Docker's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }

    /// The driver of this name; the empty name is `bridge`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Bridge, Self::Host, Self::Null, Self::Macvlan, Self::Ipvlan]
            .into_iter()
            .find(|driver| driver.as_str() == text || (text.is_empty() && *driver == Self::Bridge))
    }
}

/// Names that always mean one of the three networks a host has.
pub fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

/// Why a network cannot be as it was asked for; the texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Subnets, ranges, gateways or auxiliary addresses that contradict each other.
    #[error("invalid network config:\n{}", listed(problems))]
    Ipam {
        /// Every contradiction.
        problems: Vec<String>,
    },
    /// An option's value that its driver cannot read.
    #[error("failed to parse {option} value: {value} ({reason})")]
    Option {
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A maximum transmission unit that cannot be.
    #[error("invalid MTU number: {mtu}")]
    Mtu {
        /// The number.
        mtu: i64,
    },
    /// A gateway mode that belongs to internal networks only.
    #[error("gateway mode 'isolated' can only be used for an internal network")]
    Isolated,
    /// A device mode the driver does not know.
    #[error("requested {driver} mode '{mode}' is not valid, '{default}' mode is the {driver} driver default")]
    Mode {
        /// `macvlan` or `ipvlan`.
        driver: &'static str,
        /// What was asked for.
        mode: String,
        /// What it is when nothing is asked for.
        default: &'static str,
    },
    /// An ipvlan flag the driver does not know.
    #[error("requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")]
    Flag {
        /// What was asked for.
        flag: String,
    },
}

/// One problem as it is, several as a list.
fn listed(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => many.iter().map(|problem| format!("* {problem}")).collect::<Vec<_>>().join("\n"),
    }
}

/// Go's `strconv.ParseBool` of a driver's option.
fn switch(option: &str, value: &str) -> Result<bool, NetworkError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => {
            let reason = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
            Err(NetworkError::Option { option: option.to_owned(), value: value.to_owned(), reason })
        }
    }
}

/// The MTU option every driver has.
fn mtu(option: &str, value: &str) -> Result<u32, NetworkError> {
    let number: i64 = value.parse().map_err(|_| NetworkError::Option {
        option: option.to_owned(),
        value: value.to_owned(),
        reason: format!("strconv.Atoi: parsing {value:?}: invalid syntax"),
    })?;
    u32::try_from(number).map_err(|_| NetworkError::Mtu { mtu: number })
}

/// A network that could give a container its way out of one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit<'a> {
    /// The network's name.
    pub network: &'a str,
    /// `--network …,gw-priority=N`.
    pub priority: i64,
}

/// Which of these networks the default route points to: the highest priority, of equals the first by name.
pub fn way_out<'a>(exits: impl IntoIterator<Item = Exit<'a>>) -> Option<&'a str> {
    let best = exits.into_iter().min_by_key(|exit| (std::cmp::Reverse(exit.priority), exit.network));
    best.map(|exit| exit.network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_by_name() {
        for (text, driver) in [
            ("", Some(Driver::Bridge)),
            ("bridge", Some(Driver::Bridge)),
            ("null", Some(Driver::Null)),
            ("none", None),
            ("ipvlan", Some(Driver::Ipvlan)),
        ] {
            assert_eq!(Driver::parse(text), driver, "{text}");
        }
    }

    #[test]
    fn the_way_out_is_the_highest_priority_then_the_first_name() {
        let exit = |network, priority| Exit { network, priority };
        assert_eq!(way_out([exit("n4", 0), exit("bridge", 0)]), Some("bridge"));
        assert_eq!(way_out([exit("n4", 1), exit("bridge", 0)]), Some("n4"));
        assert_eq!(way_out([exit("b", -1), exit("a", -2)]), Some("b"));
        assert_eq!(way_out([]), None);
    }
}
