//! `network connect`, `network disconnect`.

use std::collections::BTreeMap;

use hako_api::network::{ConnectBody, DisconnectBody};
use hako_model::container::{EndpointIpam, EndpointSettings};

use crate::creation::check_link;
use crate::failure::Failure;
use crate::flags::{Matches, csv, int, list, switch, text};
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(super) static CONNECT: Command = Command {
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    arity: Arity::Exactly(2),
    flags: &[&[
        csv("alias", "Add network-scoped alias for the container"),
        csv("driver-opt", "driver options for the network"),
        int("gw-priority", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
        text("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
        text("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
        list("link", "Add link to another container").check(check_link),
        csv("link-local-ip", "Add a link-local address for the container"),
    ]],
    examples: &[("hako network connect --alias db back postgres", "It is also called db there")],
    offer: Offer::Networks,
    ..Command::new("Connect a container to a network", run!(connect))
};

pub(super) static DISCONNECT: Command = Command {
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    arity: Arity::Exactly(2),
    flags: &[&[switch("force", "Force the container to disconnect from a network").short('f')]],
    offer: Offer::Networks,
    ..Command::new("Disconnect a container from a network", run!(disconnect))
};

async fn connect(session: &Session, found: &Matches) -> Outcome {
    let mut options = BTreeMap::new();
    for option in found.list("driver-opt") {
        let (key, value) =
            option.split_once('=').ok_or_else(|| Failure::local("invalid key/value pair format in driver options"))?;
        options.insert(key.to_owned(), value.to_owned());
    }
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    let ipam = EndpointIpam {
        ipv4_address: found.text("ip").to_owned(),
        ipv6_address: found.text("ip6").to_owned(),
        link_local_ips: some(found.strings("link-local-ip")),
    };
    let endpoint = EndpointSettings {
        ipam_config: Some(ipam),
        links: some(found.strings("link")),
        aliases: Some(found.strings("alias")),
        driver_opts: Some(options),
        gw_priority: found.int("gw-priority"),
        ..EndpointSettings::default()
    };
    let body = ConnectBody { container: found.word(1).to_owned(), endpoint_config: Some(endpoint) };
    Ok(session.client()?.networks().connect(found.word(0), &body).await?)
}

async fn disconnect(session: &Session, found: &Matches) -> Outcome {
    let body = DisconnectBody { container: found.word(1).to_owned(), force: found.on("force") };
    Ok(session.client()?.networks().disconnect(found.word(0), &body).await?)
}
