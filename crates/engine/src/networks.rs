//! The network verbs: making, removing and looking at networks, and plugging containers in and out.

mod catalogue;
mod connect;
mod create;
mod fabric;
mod insight;
mod lease;
mod naming;
mod record;
mod remove;
mod segment;
mod view;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hako_model::container::EndpointSettings;
use hako_model::event::Kind;
use hako_model::filter::Filters;
use hako_model::state::Status;
use hako_model::time::Timestamp;
use hako_net::endpoint::{self, Plan};

pub(crate) use catalogue::Catalogue;
pub use connect::ConnectRequest;
pub use create::CreateRequest;
pub(crate) use fabric::Fabric;
pub use hako_net::dns::Step;
pub use insight::{Reach, Traced};
pub(crate) use lease::{claim, lease_all, release};
pub(crate) use naming::naming;
pub(crate) use record::Record;
pub use remove::Pruned;
pub(crate) use segment::Segment;
pub use view::{Member, Network};

use crate::container::Container;
use crate::filters::finds;
use crate::house::House;
use crate::{Error, Result};

/// The network verbs. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    pub(crate) house: Arc<House>,
}

impl Networks {
    /// Lists networks. Filters: driver, id, label, label!, name, scope, type, dangling, until.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Network>> {
        filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        if let Some(bad) = filters.values("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
            return Err(Error::invalid(format!("invalid filter: 'type'='{bad}'")));
        }
        let dangling = dangling(&filters)?;
        let admitted = self.house.networks.all().into_iter().filter(|segment| {
            let kind = if segment.is_own() { "custom" } else { "builtin" };
            let labels = segment.record().labels;
            filters.admits("name", |wanted| finds(wanted, &segment.name))
                && filters.admits("id", |wanted| finds(wanted, segment.id.as_str()))
                && filters.admits_exactly("driver", segment.driver.as_str())
                && filters.admits_exactly("scope", "local")
                && filters.admits_exactly("type", kind)
                && filters.admits_labels("label", |key| labels.get(key).map(String::as_str))
                && dangling.is_none_or(|dangling| self.is_dangling(segment) == dangling)
        });
        admitted.map(|segment| view::network(&self.house, &segment)).collect()
    }

    /// One network, by name or id.
    pub async fn inspect(&self, name: &str) -> Result<Network> {
        view::network(&self.house, &*self.house.networks.find(name)?)
    }

    /// What `host-gateway` means: the host's address in the default network, whether its bridge is up or not.
    #[must_use]
    pub fn host_gateway(&self) -> Option<std::net::IpAddr> {
        let segment = self.house.networks.named("bridge").ok()?;
        let (v4, v6) = segment.gateways();
        v4.map(|own| own.addr().into()).or(v6.map(|own| own.addr().into()))
    }

    /// Whether people made it and no running container is on it.
    fn is_dangling(&self, segment: &Segment) -> bool {
        segment.is_own() && members(&self.house, segment).is_empty()
    }

    fn tell(&self, segment: &Segment, action: &str) {
        self.house.hub.tell(Kind::Network, action, segment.id.as_str(), facts(segment));
    }
}

/// Whether only networks that nobody uses are wanted, or only those that somebody does; refused in Docker's words.
fn dangling(filters: &Filters) -> Result<Option<bool>> {
    if filters.values("dangling").count() > 1 {
        return Err(Error::invalid("got more than one value for filter key \"dangling\""));
    }
    let refused = "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")";
    filters.flag("dangling").map_err(|_| Error::invalid(refused))
}

/// The running containers of a network.
pub(crate) fn members(house: &House, segment: &Segment) -> Vec<Arc<Container>> {
    let running = house.index.all().into_iter().filter(|container| container.status().state.live().is_some());
    running.filter(|container| container.record().endpoints.contains_key(&segment.name)).collect()
}

/// The attributes of a network's events.
pub(crate) fn facts(segment: &Segment) -> std::collections::BTreeMap<String, String> {
    [("name", segment.name.as_str()), ("type", segment.driver.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Tells that a container joined or left a network.
pub(crate) fn tell_endpoint(house: &House, container: &Container, plan: &Plan, action: &str) {
    let Ok(segment) = house.networks.named(&plan.network) else { return };
    let mut facts = facts(&segment);
    facts.insert("container".to_owned(), container.id.to_string());
    house.hub.tell(Kind::Network, action, segment.id.as_str(), facts);
}

/// The network a mode names: `default` is `bridge`.
pub(crate) fn mode_network(mode: &str) -> &str {
    match mode {
        "" | "default" => "bridge",
        other => other,
    }
}

/// Whether the name may be that of a network people made.
pub(crate) fn is_own_name(name: &str) -> bool {
    !hako_model::network::is_predefined(name) && !name.starts_with("container:")
}

/// The endpoint's id: made of what is unique about it.
pub(crate) fn endpoint_id(container: &str, network: &str) -> String {
    let digest = hako_store::Hasher::digest(format!("{network}/{container}").as_bytes()).to_string();
    digest.split(':').next_back().unwrap_or_default().to_owned()
}

/// An endpoint as `inspect` shows it: what was asked for, and while it runs what it was given.
pub(crate) fn settings(
    house: &House,
    container: &Container,
    name: &str,
    asked: &EndpointSettings,
    status: &Status,
) -> EndpointSettings {
    let mut shown = asked.clone();
    let segment = house.networks.named(name).ok();
    if status.started_at != Timestamp::ZERO || status.state.live().is_some() {
        shown.network_id = segment.as_ref().map(|segment| segment.id.to_string()).unwrap_or_default();
    }
    if status.state.live().is_none() {
        return shown;
    }
    shown.endpoint_id = endpoint_id(container.id.as_str(), &shown.network_id);
    if is_own_name(name) {
        shown.dns_names = Some(dns_names(container, asked));
    }
    let plans = container.inside().run.endpoints.clone();
    if let Some(plan) = plans.iter().find(|plan| plan.network == shown.network_id) {
        given(&mut shown, plan);
    }
    shown
}

fn given(shown: &mut EndpointSettings, plan: &Plan) {
    shown.mac_address = endpoint::mac_text(plan.mac);
    shown.gateway = plan.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    shown.ipv6_gateway = plan.gateway6.map(|gateway| gateway.to_string()).unwrap_or_default();
    if let Some(address) = plan.address {
        shown.ip_address = address.addr().to_string();
        shown.ip_prefix_len = address.prefix_len();
    }
    if let Some(address) = plan.address6 {
        shown.global_ipv6_address = address.addr().to_string();
        shown.global_ipv6_prefix_len = address.prefix_len();
    }
}

/// Everything a container is called on a network of the user's: its name, its aliases, its short id, its host name.
pub(crate) fn dns_names(container: &Container, asked: &EndpointSettings) -> Vec<String> {
    let record = container.record();
    let mut names = vec![record.name.clone()];
    let aliases = asked.aliases.iter().flatten().cloned();
    // In the host's namespace the name is the host's.
    let hostname = Some(record.config.hostname.clone()).filter(|_| record.host_config.uts_mode != "host");
    let hostname = hostname.filter(|hostname| !hostname.is_empty());
    for name in aliases.chain([container.id.short().to_owned()]).chain(hostname) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The host address that the published ports of a container's network are bound to, if the network says.
pub(crate) fn binding(house: &House, record: &crate::record::Record) -> Option<std::net::IpAddr> {
    let segment = house.networks.named(mode_network(&record.host_config.network_mode)).ok()?;
    segment.bridge_options().binding.filter(|_| segment.is_own())
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

/// What an endpoint was asked for that it cannot have, in Docker's words.
pub(crate) fn check_settings(house: &House, name: &str, asked: &EndpointSettings) -> Result<()> {
    let mut problems = Vec::new();
    let ipam = asked.ipam_config.clone().unwrap_or_default();
    let asks_address = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if !is_own_name(name) {
        if asks_address {
            problems.push("user specified IP address is supported on user defined networks only".to_owned());
        }
        if asked.aliases.iter().flatten().next().is_some() {
            problems.push("network-scoped alias is supported only for containers in user defined networks".to_owned());
        }
    }
    let local = ipam.link_local_ips.clone().unwrap_or_default();
    if let Ok(segment) = house.networks.named(name) {
        if is_own_name(name) || asks_address || !local.is_empty() {
            let asked = [ipam.ipv4_address.as_str(), ipam.ipv6_address.as_str()];
            problems.extend(segment.check_addresses(asked, &local).err().unwrap_or_default());
        }
    } else {
        // A network that does not exist yet is looked at again when the container starts.
        let v4 = Some(&ipam.ipv4_address).filter(|text| !text.is_empty() && text.parse::<Ipv4Addr>().is_err());
        let v6 = Some(&ipam.ipv6_address).filter(|text| !text.is_empty() && text.parse::<Ipv6Addr>().is_err());
        let local = local.iter().filter(|text| text.parse::<std::net::IpAddr>().is_err());
        problems.extend(local.map(|text| format!("invalid link-local IP address: {text}")));
        problems.extend(v4.map(|text| format!("invalid IPv4 address: {text}")));
        problems.extend(v6.map(|text| format!("invalid IPv6 address: {text}")));
    }
    problems.extend(lease::switches(asked).err().map(|error| error.to_string()));
    problems.extend(wanted_mac(asked).err().map(|error| error.to_string()));
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(Error::invalid(format!("invalid endpoint settings:\n{one}"))),
        many => {
            let list: Vec<String> = many.iter().map(|problem| format!("* {problem}")).collect();
            Err(Error::invalid(format!("invalid endpoint settings:\n{}", list.join("\n"))))
        }
    }
}
