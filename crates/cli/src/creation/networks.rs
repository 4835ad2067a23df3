//! Flags about networks: which to join and how, extra hosts, the modes of namespaces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hako_model::container::{EndpointIpam, EndpointSettings, NetworkingConfig};

use crate::flags::Matches;

/// One `--network`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Attachment {
    /// The network or the mode (`host`, `none`, `container:ID`).
    pub(super) target: String,
    settings: EndpointSettings,
}

/// `bridge`, or `name=N,alias=A,ip=I,…`.
pub(super) fn attachment(text: &str) -> Result<Attachment, String> {
    let mut found = Attachment::default();
    if !text.contains('=') {
        found.target = text.to_owned();
        return Ok(found);
    }
    for field in text.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("invalid field {field}"))?;
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => found.target = value.to_owned(),
            "alias" => found.settings.aliases.get_or_insert_default().push(value.to_owned()),
            "ip" => ipam(&mut found.settings).ipv4_address = value.to_owned(),
            "ip6" => ipam(&mut found.settings).ipv6_address = value.to_owned(),
            "mac-address" => found.settings.mac_address = mac_address(value)?,
            "link-local-ip" => {
                ipam(&mut found.settings).link_local_ips.get_or_insert_default().push(value.to_owned());
            }
            "driver-opt" => {
                let (key, value) = value.split_once('=').ok_or("invalid key value pair format in driver options")?;
                found.settings.driver_opts.get_or_insert_default().insert(key.to_owned(), value.to_owned());
            }
            "gw-priority" => {
                found.settings.gw_priority =
                    value.parse().map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if found.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(found)
}

fn ipam(settings: &mut EndpointSettings) -> &mut EndpointIpam {
    settings.ipam_config.get_or_insert_default()
}

fn mac_address(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let valid = parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok());
    if valid { Ok(text.to_owned()) } else { Err(format!("{text} is not a valid mac address")) }
}

/// Networks to be joined by a container that exists.
pub(crate) fn attachments(texts: &[&str]) -> Result<BTreeMap<String, EndpointSettings>, String> {
    let mut endpoints = BTreeMap::new();
    for text in texts {
        let Attachment { target, settings } = attachment(text)?;
        if target.is_empty() {
            return Err(format!("no name set for network {text:?}"));
        }
        endpoints.insert(target, settings);
    }
    Ok(endpoints)
}

/// The network mode and the endpoints that all network flags together ask for.
pub(super) fn collect(found: &Matches) -> Result<(String, NetworkingConfig), String> {
    let mut all = Vec::new();
    for text in found.list("network").into_iter().chain(found.list("net")) {
        all.push(attachment(text)?);
    }
    if all.iter().any(|one| one.target.is_empty()) {
        return Err("no name set for network".to_owned());
    }
    if all.is_empty() {
        all.push(Attachment { target: "default".to_owned(), ..Attachment::default() });
    }
    if all.len() > 1 && all.iter().any(|one| !is_user_defined(&one.target)) {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes".to_owned()
        );
    }
    apply_shared(found, &mut all[0])?;
    let mode = all[0].target.clone();
    let mut endpoints = BTreeMap::new();
    for one in all {
        if endpoints.insert(one.target.clone(), one.settings).is_some() {
            return Err(format!("network {:?} is specified multiple times", one.target));
        }
    }
    Ok((mode, NetworkingConfig { endpoints_config: Some(endpoints) }))
}

/// `--ip`, `--network-alias` and their kin speak of the first network.
fn apply_shared(found: &Matches, first: &mut Attachment) -> Result<(), String> {
    let aliases: Vec<String> = [found.strings("network-alias"), found.strings("net-alias")].concat();
    if !aliases.is_empty() {
        if !is_user_defined(&first.target) {
            return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
        }
        first.settings.aliases.get_or_insert_default().extend(aliases);
    }
    if !found.list("link").is_empty() && is_user_defined(&first.target) {
        first.settings.links = Some(found.strings("link"));
    }
    // Whether these are addresses the daemon says, with what else is wrong with them.
    if let Some(ip) = found.text_given("ip") {
        ipam(&mut first.settings).ipv4_address = ip.to_owned();
    }
    if let Some(ip) = found.text_given("ip6") {
        ipam(&mut first.settings).ipv6_address = ip.to_owned();
    }
    if let Some(mac) = found.text_given("mac-address") {
        first.settings.mac_address = mac_address(mac)?;
    }
    let local = found.strings("link-local-ip");
    if !local.is_empty() {
        ipam(&mut first.settings).link_local_ips = Some(local);
    }
    Ok(())
}

fn is_user_defined(target: &str) -> bool {
    !matches!(target, "" | "default" | "bridge" | "host" | "none") && !target.starts_with("container:")
}

/// `name:address` or `name=address`, as the API wants it.
pub(super) fn extra_host(text: &str) -> Result<String, String> {
    let bad = || format!("bad format for add-host: {text:?}");
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {address:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

/// Namespace modes the daemon must not even be asked for.
pub(super) fn check_modes(found: &Matches) -> Result<(), String> {
    let container = |mode: &str| mode.strip_prefix("container:").is_some_and(|id| !id.is_empty());
    let pid = found.text("pid");
    if !matches!(pid, "" | "host") && !container(pid) {
        return Err("--pid: invalid PID mode".to_owned());
    }
    if !matches!(found.text("uts"), "" | "host") {
        return Err("--uts: invalid UTS mode".to_owned());
    }
    if !matches!(found.text("userns"), "" | "host") {
        return Err("--userns: invalid USER mode".to_owned());
    }
    if !matches!(found.text("cgroupns"), "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_short_and_long() {
        assert_eq!(attachment("host").unwrap().target, "host");
        let long = attachment("name=n,alias=a,alias=b,ip=10.0.0.2").unwrap();
        assert_eq!(long.target, "n");
        assert_eq!(long.settings.aliases.unwrap(), ["a", "b"]);
        assert_eq!(long.settings.ipam_config.unwrap().ipv4_address, "10.0.0.2");
        assert_eq!(attachment("name=x,foo").unwrap_err(), "invalid field foo");
        assert_eq!(attachment("foo=x").unwrap_err(), "invalid field key foo");
    }

    #[test]
    fn addresses_of_other_hosts() {
        assert_eq!(extra_host("db:10.0.0.1").unwrap(), "db:10.0.0.1");
        assert_eq!(extra_host("db=::1").unwrap(), "db:::1");
        assert_eq!(extra_host("db:[::1]").unwrap(), "db:::1");
        assert_eq!(extra_host("db:host-gateway").unwrap(), "db:host-gateway");
        assert_eq!(extra_host("db:x").unwrap_err(), "invalid IP address in add-host: \"x\"");
        assert_eq!(mac_address("x").unwrap_err(), "x is not a valid mac address");
    }
}
