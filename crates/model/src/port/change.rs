//! What of published ports is new and what goes when others are wanted. However they are written, as single ports or as
//! runs of them, it is single ports that are compared.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use super::{Port, Publication};

/// A host port that was asked for by its number: for which port of the container, and at which address.
type Fixed = (Port, u16, Option<IpAddr>);

/// The way from what is published to what is to be.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What is to be published, one by one.
    pub new: Vec<Publication>,
    /// What goes, one by one.
    pub gone: Vec<Publication>,
    goes: HashSet<Fixed>,
    stays: HashSet<Fixed>,
    /// What goes of those whose host port was chosen for them.
    chosen: Vec<Publication>,
}

impl Change {
    /// The difference between two lists.
    #[must_use]
    pub fn between(before: &[Publication], wanted: &[Publication]) -> Self {
        let singles = |list: &[Publication]| list.iter().flat_map(Publication::singles).collect::<Vec<_>>();
        let (before, wanted) = (singles(before), singles(wanted));
        let missing = |list: &[Publication], from: &[Publication]| {
            let known: HashSet<&Publication> = from.iter().collect();
            list.iter().filter(|one| !known.contains(one)).cloned().collect::<Vec<_>>()
        };
        let (new, gone) = (missing(&wanted, &before), missing(&before, &wanted));
        let chosen = gone.iter().filter(|one| fixed(one).is_none()).cloned().collect();
        let (goes, stays) = (gone.iter().filter_map(fixed).collect(), wanted.iter().filter_map(fixed).collect());
        Self { new, gone, goes, stays, chosen }
    }

    /// Whether a port that came to be published goes.
    #[must_use]
    pub fn takes(&self, container: Port, host: SocketAddr) -> bool {
        let known = |list: &HashSet<Fixed>| {
            [None, Some(host.ip())].iter().any(|at| list.contains(&(container, host.port(), *at)))
        };
        known(&self.goes) || !known(&self.stays) && self.chosen.iter().any(|one| one.has(container, host))
    }
}

fn fixed(one: &Publication) -> Option<Fixed> {
    let ports = one.ports.as_ref().filter(|ports| ports.start() == ports.end())?;
    Some((one.container, *ports.start(), one.host))
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::*;

    fn port(number: u16) -> Port {
        Port { number, protocol: Protocol::Tcp }
    }

    fn published(container: u16, host: Option<u16>, more: u16) -> Publication {
        Publication { container: port(container), host: None, ports: host.map(|host| host..=host), more }
    }

    fn at(number: u16) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], number))
    }

    #[test]
    fn runs_differ_by_single_ports() {
        let before = [published(1000, Some(1000), 999), published(80, Some(8080), 0)];
        let wanted = [published(1000, Some(1000), 499), published(1501, Some(1501), 498), published(81, None, 0)];
        let change = Change::between(&before, &wanted);
        assert_eq!(change.new, [published(81, None, 0)]);
        assert_eq!(change.gone, [published(1500, Some(1500), 0), published(80, Some(8080), 0)]);
        assert!(change.takes(port(1500), at(1500)) && change.takes(port(80), at(8080)));
        assert!(!change.takes(port(1499), at(1499)) && !change.takes(port(1501), at(1501)));
    }

    #[test]
    fn a_chosen_port_that_goes_takes_no_other_along() {
        let change =
            Change::between(&[published(80, None, 0), published(80, Some(8080), 0)], &[published(80, Some(8080), 0)]);
        assert!(change.takes(port(80), at(32768)) && !change.takes(port(80), at(8080)));
        let change =
            Change::between(&[published(80, None, 0), published(80, Some(8080), 0)], &[published(80, None, 0)]);
        assert!(!change.takes(port(80), at(32768)) && change.takes(port(80), at(8080)));
    }
}
