//! The networks a container joins, under which names and addresses.

use std::collections::BTreeMap;

use hako_model::container::{EndpointIpam, EndpointSettings, NetworkingConfig};

use super::{Instance, container_name, strings};
use crate::project::Project;
use crate::yaml::Node;

/// The network mode, and the endpoints if it joins networks.
pub(super) fn of(
    project: &Project,
    service: &str,
    node: &Node,
    instance: &Instance,
) -> (String, Option<NetworkingConfig>) {
    let mode = node.text("network_mode");
    if !mode.is_empty() {
        return (mode.to_owned(), None);
    }
    let keys = by_priority(node);
    let Some(first) = keys.first() else { return ("none".to_owned(), None) };
    let name = |key: &str| project.networks.get(key).map_or(key, |network| network.text("name")).to_owned();
    let mut endpoints = BTreeMap::new();
    for key in &keys {
        let mut endpoint = endpoint(service, node, key, instance);
        endpoint.links = Some(links(project, node)).filter(|links| !links.is_empty());
        if key == first && endpoint.mac_address.is_empty() {
            node.text("mac_address").clone_into(&mut endpoint.mac_address);
        }
        endpoints.insert(name(key), endpoint);
    }
    (name(first), Some(NetworkingConfig { endpoints_config: Some(endpoints) }))
}

/// `links` and `external_links` as the containers and the names they get: each container of a linked service under the
/// link's name, the service's with its number, and its own.
fn links(project: &Project, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for link in node.texts("links") {
        let (other, alias) = link.split_once(':').unwrap_or((&link, &link));
        let scale = project.service(other).map(Project::scale).unwrap_or_default();
        for number in 1..=scale {
            let container = container_name(project, other, number);
            let numbered = format!("{other}{}{number}", project.separator);
            let names = [alias.to_owned(), numbered, project.named(&[other, &number.to_string()])];
            found.extend(names.into_iter().map(|name| format!("{container}:{name}")));
        }
    }
    let named = |link: String| if link.contains(':') { link } else { format!("{link}:{link}") };
    found.extend(node.texts("external_links").into_iter().map(named));
    found
}

/// A service's networks, the most important first.
pub(crate) fn by_priority(node: &Node) -> Vec<String> {
    let mut keys: Vec<(i64, String)> =
        node.entries("networks").map(|(key, node)| (-node.int("priority").unwrap_or(0), key.to_string())).collect();
    keys.sort();
    keys.into_iter().map(|(_, key)| key).collect()
}

fn endpoint(service: &str, node: &Node, key: &str, instance: &Instance) -> EndpointSettings {
    let mut aliases = vec![instance.name.clone()];
    let settings = node.at_path(&["networks", key]).filter(|settings| !settings.is_null());
    if instance.aliased {
        aliases.push(service.to_owned());
        aliases.extend(settings.map(|settings| settings.texts("aliases")).unwrap_or_default());
    }
    let mut endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
    if let Some(settings) = settings {
        let link_local = settings.texts("link_local_ips");
        endpoint.ipam_config = Some(EndpointIpam {
            ipv4_address: settings.text("ipv4_address").to_owned(),
            ipv6_address: settings.text("ipv6_address").to_owned(),
            link_local_ips: Some(link_local).filter(|addresses| !addresses.is_empty()),
        });
        endpoint.mac_address = settings.text("mac_address").to_owned();
        let mut options = strings(settings, "driver_opts");
        let interface = settings.text("interface_name");
        if !interface.is_empty() {
            options.insert("com.docker.network.endpoint.ifname".to_owned(), interface.to_owned());
        }
        endpoint.driver_opts = Some(options).filter(|options| !options.is_empty());
        endpoint.gw_priority = settings.int("gw_priority").unwrap_or(0);
    }
    endpoint
}
