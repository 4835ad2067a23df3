//! `port`.

use hako_model::container::PortMap;
use hako_model::port::Port;

use crate::failure::Failure;
use crate::flags::{Matches, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static PORT: Command = Command {
    usage: &["[OPTIONS] CONTAINER [PRIVATE_PORT[/PROTO]]"],
    aliases: &["hako container port", "hako port"],
    arity: Arity::Between(1, 2),
    flags: &[&[switch("who", "Show who reaches each port, and which rule decides it")]],
    examples: &[
        ("hako port web 80", "Where the host shows its port 80"),
        ("hako port --who web", "Who reaches its ports, and what decides that"),
    ],
    offer: Offer::Running,
    ..Command::new("List port mappings or a specific mapping for the container", run!(port))
};

async fn port(session: &Session, found: &Matches) -> Outcome {
    let container = session.client()?.containers().inspect(found.word(0), false).await?;
    if found.on("who") {
        return who(session, found).await;
    }
    let ports = &container.network_settings.ports;
    match found.words().get(1) {
        None => output::print(all(ports)),
        Some(wanted) => output::print(one(ports, found.word(0), wanted)?),
    }
}

/// Who reaches the ports, and what decides that.
async fn who(session: &Session, found: &Matches) -> Outcome {
    let wanted = found.words().get(1).map(|text| text.parse::<Port>().map(|port| port.to_string()));
    let wanted = wanted.transpose().map_err(|_| Failure::local(format!("invalid port '{}'", found.word(1))))?;
    let reaches = session.client()?.networks().reach(found.word(0)).await?;
    let shown = reaches.iter().filter(|reach| wanted.as_ref().is_none_or(|port| *port == reach.port));
    let lines = shown.map(|reach| {
        let by: String = reach.by.iter().map(|reason| format!("    by   {reason}\n")).collect();
        format!("{} -> {}\n    who  {}\n{by}", reach.port, reach.host, reach.who)
    });
    let text: String = lines.collect();
    if text.is_empty() {
        Err(Failure::local(format!("no port of {} is published", found.word(0))))
    } else {
        output::print(text)
    }
}

fn all(ports: &PortMap) -> String {
    let mut lines = Vec::new();
    for (port, bindings) in ports {
        for binding in bindings.iter().flatten() {
            lines.push((sort_key(port), format!("{port} -> {}\n", joined(&binding.host_ip, &binding.host_port))));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn sort_key(port: &str) -> (u16, String) {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    (number.parse().unwrap_or(0), protocol.to_owned())
}

fn one(ports: &PortMap, container: &str, wanted: &str) -> Result<String, Failure> {
    let port: Port = wanted.parse().map_err(|_| Failure::local(format!("invalid port '{wanted}'")))?;
    match ports.get(&port.to_string()) {
        Some(Some(bindings)) if !bindings.is_empty() => {
            Ok(bindings.iter().map(|binding| joined(&binding.host_ip, &binding.host_port) + "\n").collect())
        }
        _ => Err(Failure::local(format!("Error: No public port '{wanted}' published for {container}"))),
    }
}

fn joined(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> PortMap {
        serde_json::from_value(serde_json::json!({
            "443/tcp": null,
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "9"}]
        }))
        .unwrap()
    }

    #[test]
    fn mappings() {
        assert_eq!(all(&ports()), "9/udp -> 127.0.0.1:9\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n");
        assert_eq!(one(&ports(), "web", "80").unwrap(), "0.0.0.0:8080\n[::]:8080\n");
        assert!(one(&ports(), "web", "443").is_err());
    }
}
