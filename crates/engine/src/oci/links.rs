//! Legacy links of containers on the default bridge: variables and a line in the hosts file about another container.

use std::net::IpAddr;
use std::sync::Arc;

use hako_model::container::HostConfig;
use hako_model::port::Port;

use crate::container::Container;
use crate::house::House;
use crate::networks::{is_own_name, mode_network};
use crate::record::Record;
use crate::{Error, Result};

/// One link: what another container is called, and the container.
pub(crate) struct Link {
    alias: String,
    other: Arc<Container>,
}

/// The container and the alias a link names: `db:store`; the name is the alias where there is none.
pub(crate) fn split(text: &str) -> (&str, &str) {
    let (name, alias) = text.split_once(':').unwrap_or((text, text));
    let name = name.trim_start_matches('/');
    // As `inspect` shows them: `/db:/web/store`.
    (name, alias.rsplit('/').next().unwrap_or(alias))
}

/// Refuses links to containers that do not exist, in Docker's words.
pub(crate) fn check(house: &House, host: &HostConfig) -> Result<()> {
    for text in host.links.iter().flatten() {
        let (name, alias) = split(text);
        if name.is_empty() || alias.is_empty() || text.matches(':').count() > 1 {
            return Err(Error::invalid(format!("bad format for links: {text}")));
        }
        if is_own_name(mode_network(&host.network_mode)) {
            // There a link is one more name, of a container that may come later.
            continue;
        }
        let found = house.index.find(name);
        let other = found.map_err(|error| Error::invalid(format!("could not get container for {name}: {error}")))?;
        if other.record().host_config.network_mode == "host" {
            return Err(Error::invalid("conflicting options: host type networking can't be used with links"));
        }
    }
    Ok(())
}

/// The links of a container about to be started; only the default bridge has them.
pub(crate) fn of(house: &House, record: &Record) -> Result<Vec<Link>> {
    if mode_network(&record.host_config.network_mode) != "bridge" {
        return Ok(Vec::new());
    }
    let mut links = Vec::new();
    for text in record.host_config.links.iter().flatten() {
        let (name, alias) = split(text);
        let other = house.index.find(name)?;
        if !other.status().state.is_running() {
            let (other, own) = (other.record().name.clone(), &record.name);
            return Err(Error::conflict(format!("Cannot link to a non running container: /{other} AS /{own}/{alias}")));
        }
        links.push(Link { alias: alias.to_owned(), other });
    }
    Ok(links)
}

impl Link {
    fn address(&self) -> Option<IpAddr> {
        let inside = self.other.inside();
        inside.run.endpoints.iter().find_map(|plan| plan.address).map(|net| IpAddr::V4(net.addr()))
    }

    /// The line of the hosts file: `172.17.0.3 store cbbf982175ad db`.
    pub(crate) fn hosts_line(&self) -> String {
        let Some(address) = self.address() else { return String::new() };
        let mut names = vec![self.alias.clone(), self.other.id.short().to_owned()];
        let own = self.other.record().name.clone();
        names.extend((own != self.alias).then_some(own));
        format!("{address}\t{}\n", names.join(" "))
    }

    /// `STORE_PORT_80_TCP=tcp://172.17.0.3:80` and its kin.
    pub(crate) fn variables(&self, owner: &str) -> Vec<String> {
        let Some(address) = self.address() else { return Vec::new() };
        let record = self.other.record();
        let prefix = self.alias.to_ascii_uppercase().replace('-', "_");
        let mut ports: Vec<Port> =
            record.config.exposed_ports.iter().flatten().filter_map(|(port, _)| port.parse().ok()).collect();
        ports.sort_by_key(|port| (port.protocol.number(), port.number));
        let url = |port: &Port| format!("{}://{address}:{}", port.protocol, port.number);
        let mut found: Vec<String> =
            ports.first().map(|first| format!("{prefix}_PORT={}", url(first))).into_iter().collect();
        for port in &ports {
            let protocol = port.protocol.name().to_ascii_uppercase();
            let name = format!("{prefix}_PORT_{}_{protocol}", port.number);
            found.extend([
                format!("{name}={}", url(port)),
                format!("{name}_ADDR={address}"),
                format!("{name}_PORT={}", port.number),
                format!("{name}_PROTO={}", port.protocol),
            ]);
        }
        found.push(format!("{prefix}_NAME=/{owner}/{}", self.alias));
        let env = record.config.env.iter().flatten();
        let told = env.filter(|pair| !pair.starts_with("PATH=") && !pair.starts_with("HOME=") && pair.contains('='));
        found.extend(told.map(|pair| format!("{prefix}_ENV_{pair}")));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_split() {
        for (text, expect) in [("db", ("db", "db")), ("db:store", ("db", "store")), ("/db:/web/store", ("db", "store"))]
        {
            assert_eq!(split(text), expect);
        }
    }
}
