//! Volumes and networks on the wire.

use hako_api::{network, volume};
use hako_engine::networks::Network;
use hako_engine::volumes::{Pruned, Volume};

use super::{null_if_empty, signed};

/// A volume.
pub(crate) fn volume(found: Volume) -> volume::Volume {
    volume::Volume {
        created_at: found.created_at.to_string(),
        driver: found.driver,
        labels: null_if_empty(found.labels),
        mountpoint: found.mountpoint,
        name: found.name,
        options: null_if_empty(found.options),
        scope: found.scope,
        status: None,
        usage_data: found.usage.map(|(size, users)| volume::UsageData { ref_count: signed(users), size: signed(size) }),
    }
}

pub(crate) fn pruned(found: Pruned) -> volume::Pruned {
    volume::Pruned { volumes_deleted: Some(found.deleted), space_reclaimed: found.space_reclaimed }
}

/// A network; lists do not show its containers.
pub(crate) fn network(found: Network, with_containers: bool) -> network::Network {
    let members = found.containers.into_iter().filter(|_| with_containers);
    let containers = members.map(|(id, member)| {
        let shown = network::EndpointResource {
            name: member.name,
            endpoint_id: member.endpoint_id,
            mac_address: member.mac_address,
            ipv4_address: member.ipv4_address,
            ipv6_address: member.ipv6_address,
        };
        (id, shown)
    });
    network::Network {
        name: found.name,
        id: found.id.to_string(),
        created: found.created.to_string(),
        scope: "local".to_owned(),
        driver: found.driver,
        enable_ipv4: found.enable_ipv4,
        enable_ipv6: found.enable_ipv6,
        ipam: found.ipam,
        internal: found.internal,
        attachable: found.attachable,
        ingress: false,
        config_from: network::ConfigReference { network: found.config_from },
        config_only: found.config_only,
        containers: containers.collect(),
        options: Some(found.options),
        labels: Some(found.labels),
    }
}
