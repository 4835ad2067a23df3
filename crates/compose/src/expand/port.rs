//! `[ip:][host[-last]:]container[-last][/protocol]`.

use super::{object, refuse};
use crate::error::Refusal;
use crate::shape::Trail;
use crate::yaml::{Mark, Node, Value};

/// A range of ports, both ends included.
type Range = (u16, u16);

/// The ports a text stands for.
pub(super) fn parse(text: &str, mark: Mark, trail: &Trail<'_>) -> Result<Vec<Node>, Refusal> {
    let parsed = split(text).map_err(|reason| refuse(mark, trail, reason))?;
    let (first, last) = parsed.container;
    let published = |step: u16| match parsed.host {
        None => None,
        Some((low, high)) if high - low == last - first => Some((low + step).to_string()),
        // Any port of the range will do.
        Some((low, high)) => Some(format!("{low}-{high}")),
    };
    let mut ports: Vec<_> = (0..=last - first).map(|step| (first + step, published(step))).collect();
    // Compose sorts them as texts.
    ports.sort_by_key(|(target, _)| target.to_string());
    Ok(ports.into_iter().map(|(target, published)| port(&parsed, target, published, mark)).collect())
}

fn port(parsed: &Parsed<'_>, target: u16, published: Option<String>, mark: Mark) -> Node {
    let address = (!parsed.address.is_empty()).then(|| ("host_ip", Value::from(parsed.address)));
    let members = [
        Some(("mode", "ingress".into())),
        address,
        Some(("target", Value::Int(target.into()))),
        published.map(|published| ("published", Value::Text(published.into()))),
        Some(("protocol", Value::Text(parsed.protocol.clone().into()))),
    ];
    object(mark, members.into_iter().flatten())
}

struct Parsed<'t> {
    address: &'t str,
    host: Option<Range>,
    container: Range,
    protocol: String,
}

fn split(text: &str) -> Result<Parsed<'_>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (address.trim_start_matches('[').trim_end_matches(']'), host),
        None => ("", rest),
    };
    if container.is_empty() {
        return Err(format!("No port specified: {text}<empty>"));
    }
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("Invalid ip address: {address}"));
    }
    let container = range(container).ok_or_else(|| format!("Invalid containerPort: {container}"))?;
    let host = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("Invalid hostPort: {host}"))?),
    };
    let spans = |(first, last): Range| last - first;
    if host.is_some_and(|host| spans(host) != spans(container) && spans(container) != 0) {
        return Err(format!("Invalid ranges specified for container and host Ports: {ports}"));
    }
    Ok(Parsed { address, host, container, protocol })
}

fn range(text: &str) -> Option<Range> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &str) {
        let ports = parse(text, Mark::default(), &Trail::TOP).unwrap();
        let told: Vec<String> = ports
            .iter()
            .map(|port| {
                let target = port.int("target").unwrap();
                format!("{}>{}>{target}/{}", port.text("host_ip"), port.text("published"), port.text("protocol"))
            })
            .collect();
        assert_eq!(told.join(" "), wanted, "{text}");
    }

    #[test]
    fn every_short_form() {
        check("80", ">>80/tcp");
        check("8080:80/udp", ">8080>80/udp");
        check("1-3:4-6", ">1>4/tcp >2>5/tcp >3>6/tcp");
        check("7-8", ">>7/tcp >>8/tcp");
        check("100-110:80", ">100-110>80/tcp");
        check("[::1]:5:6", "::1>5>6/tcp");
        check("127.0.0.1::99/udp", "127.0.0.1>>99/udp");
        check("9-10:9-10", ">10>10/tcp >9>9/tcp");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a", "1:2:3:4:x", "80:", "5-3", "1-3:1-2", "x:80", "99999", "80/icmp", "1.2.3:80:80"] {
            assert!(parse(text, Mark::default(), &Trail::TOP).is_err(), "{text}");
        }
    }
}
