//! The network verbs. There are three networks: `bridge`, `host` and `none`.

mod bridge;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::container::EndpointSettings;
use hako_model::filter::Filters;
use hako_model::id::{NetworkId, is_id_prefix};
use hako_net::endpoint;

pub(crate) use bridge::{Bridge, wanted_mac};
pub use view::{Member, Network, Subnet};

use crate::house::House;
use crate::{Error, Result};

/// The network verbs. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    pub(crate) house: Arc<House>,
}

impl Networks {
    /// Lists networks. Filters: driver, id, label, name, scope, type, dangling.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Network>> {
        filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        let dangling = filters.flag("dangling")?;
        let admitted = self.all().into_iter().filter(|network| {
            filters.admits("name", |wanted| network.name.contains(wanted))
                && filters.admits("id", |wanted| network.id.as_str().starts_with(wanted))
                && filters.admits_exactly("driver", &network.driver)
                && filters.admits_exactly("scope", "local")
                && filters.admits_exactly("type", "builtin")
                && filters.admits_labels("label", |key| network.labels.get(key).map(String::as_str))
                && dangling != Some(true)
        });
        Ok(admitted.collect())
    }

    /// One network, by name or id.
    pub async fn inspect(&self, name: &str) -> Result<Network> {
        let all = self.all();
        let named = all.iter().find(|network| network.name == name || network.id.as_str() == name);
        let by_prefix = || all.iter().find(|n| is_id_prefix(name) && n.id.as_str().starts_with(name));
        named.or_else(by_prefix).cloned().ok_or_else(|| Error::not_found(format!("network {name} not found")))
    }

    fn all(&self) -> Vec<Network> {
        let remembered = self.house.bridge.remembered();
        let plain = |name: &str, driver: &str, id: &NetworkId| Network {
            name: name.to_owned(),
            id: id.clone(),
            created: remembered.created,
            driver: driver.to_owned(),
            enable_ipv4: true,
            enable_ipv6: false,
            subnets: Vec::new(),
            containers: self.members(name),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        let mut bridge = plain("bridge", "bridge", &remembered.bridge);
        bridge.subnets = self.house.bridge.gateway().iter().map(view::subnet).collect();
        bridge.options = view::options(&self.house.bridge);
        vec![bridge, plain("host", "host", &remembered.host), plain("none", "null", &remembered.none)]
    }

    /// The running containers of a network.
    fn members(&self, network: &str) -> BTreeMap<String, Member> {
        let running = self.house.index.all().into_iter().filter(|c| c.status().state.live().is_some());
        let on_it = running.filter(|container| mode_network(&container.record().host_config.network_mode) == network);
        on_it.map(|container| (container.id.to_string(), view::member(&container))).collect()
    }
}

/// The network a mode names: `default` is `bridge`.
pub(crate) fn mode_network(mode: &str) -> &str {
    match mode {
        "" | "default" => "bridge",
        other => other,
    }
}

/// The endpoint's id: made of what is unique about it.
pub(crate) fn endpoint_id(container: &str, network: &str) -> String {
    let digest = hako_store::Hasher::digest(format!("{network}/{container}").as_bytes()).to_string();
    digest.split(':').next_back().unwrap_or_default().to_owned()
}

/// An endpoint as `inspect` shows it: what was asked for, and while it runs what it was given.
pub(crate) fn settings(
    asked: &EndpointSettings,
    network_id: &NetworkId,
    container: &str,
    plan: Option<&endpoint::Plan>,
) -> EndpointSettings {
    let mut shown = asked.clone();
    shown.network_id = network_id.to_string();
    if let Some(plan) = plan {
        shown.endpoint_id = endpoint_id(container, network_id.as_str());
        shown.gateway = plan.gateway.map(|g| g.to_string()).unwrap_or_default();
        shown.ip_address = plan.address.addr().to_string();
        shown.ip_prefix_len = plan.address.prefix_len();
        shown.mac_address = endpoint::mac_text(plan.mac);
    }
    shown
}
