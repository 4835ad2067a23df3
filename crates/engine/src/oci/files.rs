//! The files the engine writes for a container: hosts, hostname, resolv.conf.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use hako_net::endpoint::Plan;

use crate::oci::links::Link;
use crate::record::Record;
use crate::{Error, Result, Settings};

/// What systemd-resolved would itself ask, when resolv.conf only names its stub.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Docker's servers for hosts that have none a container could reach.
const LAST_RESORT: &[&str] = &["8.8.8.8", "8.8.4.4"];

/// Writes the three files into the container's directory.
///
/// A container with an answerer of names of its own asks that one.
pub(crate) fn write(
    dir: &Path,
    record: &Record,
    settings: &Settings,
    plans: &[Plan],
    links: &[Link],
    named: bool,
) -> Result<()> {
    let host_network = record.host_config.network_mode == "host";
    let gateway = plans.iter().find(|plan| plan.way_out).and_then(|plan| plan.gateway).map(IpAddr::V4);
    let hosts = if host_network { host_hosts(record) } else { hosts(record, plans, links, gateway) };
    save(&dir.join("hosts"), &hosts)?;
    save(&dir.join("hostname"), &format!("{}\n", record.config.hostname))?;
    write_resolv(dir, record, settings, named)
}

/// Writes resolv.conf, in place, for the container may hold it.
pub(crate) fn write_resolv(dir: &Path, record: &Record, settings: &Settings, named: bool) -> Result<()> {
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let text = if named {
        resolv_named(&host, record, settings)
    } else {
        resolv(&host, record, settings, record.host_config.network_mode == "host")
    };
    save(&dir.join("resolv.conf"), &text)
}

/// These are made anew at each start, so nothing waits for the disk.
fn save(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| Error::io(format!("write {}", path.display()), e))
}

fn hosts(record: &Record, plans: &[Plan], links: &[Link], gateway: Option<IpAddr>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    text.push_str(&extra_hosts(record, gateway));
    text.extend(links.iter().map(Link::hosts_line));
    for address in plans.iter().flat_map(addresses) {
        text.push_str(&own_line(record, address));
    }
    text
}

fn addresses(plan: &Plan) -> impl Iterator<Item = IpAddr> {
    let v4 = plan.address.map(|net| IpAddr::V4(net.addr()));
    v4.into_iter().chain(plan.address6.map(|net| IpAddr::V6(net.addr())))
}

/// The container's own name at one of its addresses.
fn own_line(record: &Record, address: IpAddr) -> String {
    let (name, domain) = (&record.config.hostname, &record.config.domainname);
    let full = if domain.is_empty() { name.clone() } else { format!("{name}.{domain} {name}") };
    format!("{address}\t{full}\n")
}

/// Takes the lines of addresses a running container lost out of its hosts file and adds those it got. The file is
/// changed in place, for the container holds it; what its owner wrote there stays.
pub(crate) fn change_hosts(dir: &Path, record: &Record, before: &[Plan], after: &[Plan]) -> Result<()> {
    let path = dir.join("hosts");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    let (old, new): (Vec<_>, Vec<_>) =
        (before.iter().flat_map(addresses).collect(), after.iter().flat_map(addresses).collect());
    let lost: Vec<String> =
        old.iter().filter(|address| !new.contains(address)).map(|address| own_line(record, *address)).collect();
    let mut kept: String = text.lines().map(|line| format!("{line}\n")).filter(|line| !lost.contains(line)).collect();
    for gained in new.iter().filter(|address| !old.contains(address)) {
        kept.push_str(&own_line(record, *gained));
    }
    save(&path, &kept)
}

fn host_hosts(record: &Record) -> String {
    let mut text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    if !text.ends_with('\n') && !text.is_empty() {
        text.push('\n');
    }
    text + &extra_hosts(record, Some(IpAddr::from([127, 0, 0, 1])))
}

fn extra_hosts(record: &Record, gateway: Option<IpAddr>) -> String {
    let mut text = String::new();
    for line in record.host_config.extra_hosts.iter().flatten() {
        let Some((name, address)) = line.split_once(':').or_else(|| line.split_once('=')) else { continue };
        let address = match (address, gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            ("host-gateway", None) => continue,
            (address, _) => address.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// What the container, else the daemon, says.
fn pick(own: &Option<Vec<String>>, default: &[String]) -> Vec<String> {
    let own: Vec<String> = own.iter().flatten().filter(|text| !text.is_empty()).cloned().collect();
    if own.is_empty() { default.to_vec() } else { own }
}

/// The servers the container names, instead of the host's.
pub(crate) fn own_servers(record: &Record, settings: &Settings) -> Vec<String> {
    pick(&record.host_config.dns, &settings.dns)
}

/// Resolver options as the container, the daemon or the host says, and which of them it was.
fn options(host: &str, record: &Record, settings: &Settings) -> (Vec<String>, &'static str) {
    let own = pick(&record.host_config.dns_options, &settings.dns_options);
    if own.is_empty() { (words(host, &["options"]), "host") } else { (own, "override") }
}

/// Whether names without a dot are asked outside: not if somebody says how many dots a name must have.
pub(crate) fn asks_bare(record: &Record, settings: &Settings) -> bool {
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let (options, _) = options(&host, record, settings);
    !options.iter().any(|option| option.strip_prefix("ndots:").is_some_and(|dots| dots != "0"))
}

/// The file of a container whose questions are answered by hako, with the comments Docker writes.
fn resolv_named(host: &str, record: &Record, settings: &Settings) -> String {
    let own = own_servers(record, settings);
    let own_search = pick(&record.host_config.dns_search, &settings.dns_search);
    let (mut options, mut dots) = options(host, record, settings);
    let mut overrides = Vec::new();
    overrides.extend((!own.is_empty()).then_some("nameservers"));
    overrides.extend((!own_search.is_empty()).then_some("search"));
    overrides.extend((dots == "override").then_some("options"));
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
        dots = "internal";
    }
    let mut search = if own_search.is_empty() { words(host, &["search", "domain"]) } else { own_search };
    search.retain(|domain| domain != ".");
    let servers = if own.is_empty() {
        words(host, &["nameserver"]).iter().map(|server| format!("host({server})")).collect()
    } else {
        own
    };
    let mut text =
        "# Generated by hako.\n# This file is written anew at each start.\n\nnameserver 127.0.0.11\n".to_owned();
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let _ = write!(
        text,
        "options {}\n\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [{}]\n# Overrides: \
         [{}]\n# Option ndots from: {dots}\n",
        options.join(" "),
        servers.join(" "),
        overrides.join(" "),
    );
    text
}

/// The host's file with what the container or the daemon says instead, less servers only the host can reach.
fn resolv(host: &str, record: &Record, settings: &Settings, host_network: bool) -> String {
    let own = &record.host_config;
    let mut servers = pick(&own.dns, &settings.dns);
    let mut search = pick(&own.dns_search, &settings.dns_search);
    let mut options = pick(&own.dns_options, &settings.dns_options);
    if host_network && servers.is_empty() && search.is_empty() && options.is_empty() {
        return host.to_owned();
    }
    if servers.is_empty() {
        servers = reachable_servers(host, host_network);
    }
    if search.is_empty() {
        search = words(host, &["search", "domain"]);
    }
    if options.is_empty() {
        options = words(host, &["options"]);
    }
    search.retain(|domain| domain != ".");
    let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for (key, list) in [("search", &search), ("options", &options)] {
        if !list.is_empty() {
            let _ = writeln!(text, "{key} {}", list.join(" "));
        }
    }
    text
}

fn reachable_servers(host: &str, host_network: bool) -> Vec<String> {
    let listed = words(host, &["nameserver"]);
    if host_network {
        return listed;
    }
    let outside = |list: Vec<String>| list.into_iter().filter(|s| !is_loopback(s)).collect::<Vec<_>>();
    let stub = listed.iter().any(|server| server == "127.0.0.53");
    let mut servers = outside(listed);
    if servers.is_empty() && stub {
        let behind = std::fs::read_to_string(BEHIND_RESOLVED).unwrap_or_default();
        servers = outside(words(&behind, &["nameserver"]));
    }
    if servers.is_empty() {
        servers = LAST_RESORT.iter().map(|server| (*server).to_owned()).collect();
    }
    servers
}

fn is_loopback(server: &str) -> bool {
    let bare = server.split('%').next().unwrap_or(server);
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Everything that stands behind the keys, in order.
fn words(text: &str, keys: &[&str]) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let behind = lines.filter_map(|line| {
        let (key, rest) = line.split_once(char::is_whitespace)?;
        keys.contains(&key).then_some(rest)
    });
    behind.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_model::container::{Config, HostConfig};

    fn record(host_config: HostConfig) -> Record {
        Record {
            id: hako_model::id::ContainerId::from_bytes(&[1; 32]),
            name: "web".into(),
            created: hako_model::time::Timestamp::ZERO,
            image: hako_store::Hasher::digest(b""),
            layer: None,
            os: "linux".into(),
            config: Config { hostname: "web".into(), domainname: "lan".into(), ..Config::default() },
            host_config,
            endpoints: Default::default(),
            mounts: Vec::new(),
        }
    }

    #[test]
    fn resolvers_a_container_cannot_reach_are_left_out() {
        let settings = Settings::new("/d", "/e");
        let host = "# c\nnameserver 127.0.0.1\nnameserver 10.0.0.1\nsearch a b\noptions ndots:1\n";
        let plain = record(HostConfig::default());
        let expect = "nameserver 10.0.0.1\nsearch a b\noptions ndots:1\n";
        assert_eq!(resolv(host, &plain, &settings, false), expect);
        assert_eq!(resolv("nameserver ::1\n", &plain, &settings, false), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        assert_eq!(resolv(host, &plain, &settings, true), host);
        let own = record(HostConfig { dns: Some(vec!["1.1.1.1".into()]), ..HostConfig::default() });
        assert_eq!(resolv("", &own, &settings, true), "nameserver 1.1.1.1\n");
    }

    #[test]
    fn a_container_on_a_network_of_its_owners_asks_hako() {
        let settings = Settings::new("/d", "/e");
        let plain = record(HostConfig::default());
        let text = resolv_named("nameserver 10.0.0.1\nsearch lan\n", &plain, &settings);
        assert!(text.contains("\nnameserver 127.0.0.11\nsearch lan\noptions ndots:0\n"), "{text}");
        assert!(
            text.contains("# ExtServers: [host(10.0.0.1)]\n# Overrides: []\n# Option ndots from: internal\n"),
            "{text}"
        );
        let own = HostConfig {
            dns: Some(vec!["1.1.1.1".into()]),
            dns_options: Some(vec!["ndots:2".into()]),
            ..HostConfig::default()
        };
        let text = resolv_named("nameserver 10.0.0.1\n", &record(own), &settings);
        assert!(
            text.contains("options ndots:2\n") && text.contains("[1.1.1.1]\n# Overrides: [nameservers options]\n"),
            "{text}"
        );
    }

    #[test]
    fn hosts_name_the_container_and_what_was_added() {
        let extra = Some(vec!["db:10.1.2.3".to_owned(), "up=host-gateway".to_owned(), "six:[::2]".to_owned()]);
        let record = record(HostConfig { extra_hosts: extra, ..HostConfig::default() });
        let plan = Plan {
            address: Some("172.17.0.2/16".parse().unwrap()),
            gateway: Some("172.17.0.1".parse().unwrap()),
            ..Plan::default()
        };
        let text = hosts(&record, std::slice::from_ref(&plan), &[], plan.gateway.map(IpAddr::V4));
        assert!(text.ends_with("10.1.2.3\tdb\n172.17.0.1\tup\n::2\tsix\n172.17.0.2\tweb.lan web\n"), "{text}");
    }
}
