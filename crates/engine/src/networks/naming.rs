//! What a container and its neighbours are called: what its supervisor is told of names.

use hako_model::container::EndpointSettings;
use hako_net::dns::Servers;
use hako_net::endpoint::Plan;
use hako_supervisor::description::{Called, Naming};

use super::{dns_names, is_own_name};
use crate::container::Container;
use crate::house::House;
use crate::oci::files;
use crate::record::Record;

/// Names on the container's networks; none if it is on no network of the user's.
pub(crate) fn naming(house: &House, container: &Container, record: &Record, plans: &[Plan]) -> Option<Naming> {
    let called = |plan: &Plan| {
        let segment = house.networks.named(&plan.network).ok().filter(|segment| is_own_name(&segment.name))?;
        let asked = record.endpoints.get(&segment.name).cloned().unwrap_or_default();
        Some(Called {
            id: segment.id.to_string(),
            network: segment.name.clone(),
            directory: house.layout.names().join(segment.id.as_str()),
            names: dns_names(container, &asked),
            links: links(&asked),
        })
    };
    let networks: Vec<Called> = plans.iter().filter_map(called).collect();
    let own = files::own_servers(record, &house.settings);
    let servers = Servers {
        own: own.iter().filter_map(|server| server.parse().ok()).collect(),
        bare: files::asks_bare(record, &house.settings),
    };
    (!networks.is_empty()).then_some(Naming { servers, networks })
}

/// `other:alias` as alias and name; without an alias others go by their names anyway.
fn links(asked: &EndpointSettings) -> Vec<(String, String)> {
    let pairs = asked.links.iter().flatten().filter_map(|link| link.split_once(':'));
    pairs.map(|(name, alias)| (alias.to_owned(), name.trim_start_matches('/').to_owned())).collect()
}
