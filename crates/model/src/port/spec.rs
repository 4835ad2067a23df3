//! The grammar of `-p` and `--expose`, and what a port map asks of the host.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::{Port, PortBinding, PortError, PortMap, Protocol, Publication, RangeError};
use crate::container::{Empty, NameSet};

/// Reads one `-p`/`--publish` value, short (`127.0.0.1:8000-8010:80/tcp`) or long (`target=80,published=8080`), into
/// the ports and bindings it means, in order.
pub fn parse_publish(text: &str) -> Result<Vec<(Port, PortBinding)>, PortError> {
    if text.contains('=') { parse_short(&short_form(text)?) } else { parse_short(text) }
}

/// Reads one `--expose` value: a port or a range, with or without a protocol.
pub fn parse_expose(text: &str) -> Result<Vec<Port>, PortError> {
    if text.contains(':') {
        return Err(PortError::Expose { spec: text.to_owned() });
    }
    let (ports, protocol) = split_protocol(text);
    let range = range(ports).map_err(|cause| PortError::ExposeRange { spec: text.to_owned(), cause })?;
    let protocol: Protocol = protocol.parse()?;
    if *range.start() == 0 {
        return Err(PortError::ContainerPort { port: ports.to_owned() });
    }
    Ok(range.map(|number| Port { number, protocol }).collect())
}

/// All `-p` and `--expose` values of a command as `Config.ExposedPorts` and `HostConfig.PortBindings`.
pub fn publish<'a>(
    publish: impl IntoIterator<Item = &'a str>,
    expose: impl IntoIterator<Item = &'a str>,
) -> Result<(NameSet, PortMap), PortError> {
    let (mut exposed, mut bindings) = (NameSet::new(), PortMap::new());
    for value in publish {
        for (port, binding) in parse_publish(value)? {
            exposed.insert(port.to_string(), Empty {});
            bindings.entry(port.to_string()).or_default().get_or_insert_default().push(binding);
        }
    }
    for value in expose {
        exposed.extend(parse_expose(value)?.into_iter().map(|port| (port.to_string(), Empty {})));
    }
    Ok((exposed, bindings))
}

/// What a container's port bindings, as the API received them, ask of the host, in the order of its ports.
///
/// With `all` (`-P`) the `exposed` ports without a binding are wanted too, on host ports of the kernel's choice.
pub fn wanted<'a>(
    bindings: &PortMap,
    exposed: impl IntoIterator<Item = &'a str>,
    all: bool,
) -> Result<Vec<Publication>, PortError> {
    let mut wanted = Vec::new();
    for (port, list) in bindings {
        let container = api_port(port)?;
        for binding in list.iter().flatten() {
            wanted.push(publication(container, binding)?);
        }
    }
    for port in exposed {
        let container = api_port(port)?;
        if all && !wanted.iter().any(|known| known.container == container) {
            wanted.push(Publication { container, host: None, ports: None, more: 0 });
        }
    }
    wanted.sort_by_key(|publication| publication.container);
    Ok(wanted)
}

/// Makes one of ports that follow each other, each published on the host port of its own number.
#[must_use]
pub fn condense(wanted: &[Publication]) -> Vec<Publication> {
    let same = |one: &Publication| {
        let number = one.container.number;
        one.more == 0 && one.ports == Some(number..=number)
    };
    let mut order: Vec<&Publication> = wanted.iter().collect();
    order.sort_by_key(|one| (one.container.protocol.number(), one.host, one.container.number));
    let mut runs: Vec<Publication> = Vec::new();
    for one in order {
        match runs.last_mut() {
            Some(run)
                if same(one)
                    && run.ports == Some(run.container.number..=run.container.number)
                    && (run.container.protocol, run.host) == (one.container.protocol, one.host)
                    && run.container.number.checked_add(run.more + 1) == Some(one.container.number) =>
            {
                run.more += 1;
            }
            _ => runs.push(one.clone()),
        }
    }
    runs
}

fn api_port(text: &str) -> Result<Port, PortError> {
    let refused = |_| PortError::Specification { spec: text.to_owned() };
    text.parse().map_err(refused)
}

fn publication(container: Port, binding: &PortBinding) -> Result<Publication, PortError> {
    let host = match binding.host_ip.as_str() {
        "" => None,
        text => Some(address(text)?),
    };
    let (text, _) = split_protocol(&binding.host_port);
    let ports = match text {
        "" | "0" => None,
        _ => Some(range(text).map_err(|_| PortError::Specification { spec: binding.host_port.clone() })?),
    };
    Ok(Publication { container, host, ports, more: 0 })
}

/// `target=80,published=8080,protocol=udp` as `8080:80/udp`.
fn short_form(text: &str) -> Result<String, PortError> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for part in text.split(',') {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) if !name.is_empty() => (name, value),
            _ => return Err(PortError::Parameter { parameter: part.to_owned() }),
        };
        match name {
            "target" => target = value,
            "published" => published = value,
            "protocol" => protocol = value,
            // `host` and `ingress` differ only in swarm services; without swarm both are a host port.
            "mode" => {}
            _ => return Err(PortError::ParameterName { name: name.to_owned() }),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn parse_short(text: &str) -> Result<Vec<(Port, PortBinding)>, PortError> {
    let (host, host_ports, rest) = split_parts(text);
    let host = host_text(host)?;
    let (container_ports, protocol) = split_protocol(rest);
    if container_ports.is_empty() {
        return Err(PortError::Missing { spec: text.to_owned() });
    }
    let container = range(container_ports)
        .ok()
        .filter(|range| *range.start() != 0)
        .ok_or_else(|| PortError::ContainerPort { port: container_ports.to_owned() })?;
    let hosts = host_range(host_ports)?;
    let mismatch = || PortError::Ranges { container: container_ports.to_owned(), host: host_ports.to_owned() };
    if hosts.as_ref().is_some_and(|hosts| container.len() > 1 && hosts.len() != container.len()) {
        return Err(mismatch());
    }
    let protocol = protocol.parse()?;
    Ok(pair(&container, hosts.as_ref(), protocol, &host))
}

fn pair(
    container: &RangeInclusive<u16>,
    hosts: Option<&RangeInclusive<u16>>,
    protocol: Protocol,
    host: &str,
) -> Vec<(Port, PortBinding)> {
    let host_port = |index: u16| match hosts {
        None => String::new(),
        // One container port and many host ports: any of them will do.
        Some(hosts) if container.len() == 1 && hosts.len() > 1 => format!("{}-{}", hosts.start(), hosts.end()),
        Some(hosts) => (hosts.start() + index).to_string(),
    };
    let numbered = container.clone().zip(0..);
    numbered
        .map(|(number, index)| {
            let binding = PortBinding { host_ip: host.to_owned(), host_port: host_port(index) };
            (Port { number, protocol }, binding)
        })
        .collect()
}

/// `address:host:container`; an IPv6 address may stand with or without brackets, its colons belong to it.
fn split_parts(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else { return ("", "", text) };
    match rest.rsplit_once(':') {
        None => ("", rest, container),
        Some((host, ports)) => (host, ports, container),
    }
}

/// `80/udp` as `80` and `udp`; TCP where nothing is said.
fn split_protocol(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((ports, protocol)) if !protocol.is_empty() => (ports, protocol),
        Some((ports, _)) => (ports, "tcp"),
        None => (text, "tcp"),
    }
}

/// The address as Docker keeps it: without brackets.
fn host_text(text: &str) -> Result<String, PortError> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| PortError::Address { address: text.to_owned() })?,
        None => text,
    };
    if !bare.is_empty() {
        address(bare)?;
    }
    Ok(bare.to_owned())
}

fn address(text: &str) -> Result<IpAddr, PortError> {
    text.parse().map_err(|_| PortError::Address { address: text.to_owned() })
}

fn host_range(text: &str) -> Result<Option<RangeInclusive<u16>>, PortError> {
    match text {
        "" => Ok(None),
        _ => range(text).map(Some).map_err(|_| PortError::HostPort { port: text.to_owned() }),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, RangeError> {
    if text.is_empty() {
        return Err(RangeError::Empty);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(RangeError::Backwards { text: text.to_owned() });
    }
    Ok(first..=last)
}

/// Decimal digits only: Rust's own parser would take a plus sign.
fn number(text: &str) -> Result<u16, RangeError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError::Syntax { text: text.to_owned() });
    }
    text.parse().map_err(|_| RangeError::TooLarge { text: text.to_owned() })
}
