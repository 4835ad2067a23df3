//! The table's maps, chains and rules.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::expression::{
    DESTINATION_PORT, DESTINATION_V4, DESTINATION_V6, Expressions, Field, Meta, R0, Relation, SOURCE_V4, SOURCE_V6,
    STATE_ESTABLISHED, STATE_RELATED, STATUS_DNAT, device_name,
};
use super::wire::{APPEND, Attributes, Batch, CREATE, INET, IPV4, IPV6, Verb};
use crate::bridge::Bridge;

/// Published ports of IPv4, by address, protocol and port.
pub(super) const PUBLISH4_AT: &str = "publish4_at";
/// Published ports of IPv4 on every address.
pub(super) const PUBLISH4: &str = "publish4";
/// Published ports of IPv6, by address, protocol and port.
pub(super) const PUBLISH6_AT: &str = "publish6_at";
/// Published ports of IPv6 on every address.
pub(super) const PUBLISH6: &str = "publish6";
const BRIDGES: &str = "bridges";

const RAW: &str = "raw";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const PUBLISH: &str = "publish";
const FORWARD: &str = "forward";
const POSTROUTING: &str = "postrouting";

/// Type numbers of the `nft` program, so that it can print the keys; the kernel only stores them.
const ADDRESS4: u32 = 7;
const ADDRESS6: u32 = 8;
const PROTOCOL: u32 = 12;
const SERVICE: u32 = 13;
const DEVICE: u32 = 41;

/// Writes the whole table into the batch.
pub(super) fn build(batch: &mut Batch, table: &str, bridges: &[Bridge]) {
    let mut builder = Builder { batch, table };
    builder.push(Verb::NewTable, CREATE, &Attributes::new().text(1, table));
    builder.maps();
    builder.bridges(bridges);
    builder.chains();
    builder.guard();
    builder.publish();
    builder.forward(bridges);
    for bridge in bridges {
        builder.masquerade(bridge);
    }
}

struct Builder<'a> {
    batch: &'a mut Batch,
    table: &'a str,
}

impl Builder<'_> {
    fn push(&mut self, verb: Verb, flags: u16, attributes: &Attributes) {
        self.batch.push(verb, flags, INET, attributes);
    }

    fn named(&self, name: &str) -> Attributes {
        Attributes::new().text(1, self.table).text(2, name)
    }

    fn maps(&mut self) {
        let (service, at4, at6) =
            (types(&[PROTOCOL, SERVICE]), [ADDRESS4, PROTOCOL, SERVICE], [ADDRESS6, PROTOCOL, SERVICE]);
        let (to4, to6) = ((types(&[ADDRESS4, SERVICE]), 8), (types(&[ADDRESS6, SERVICE]), 20));
        self.map(1, PUBLISH4_AT, (types(&at4), 12), Some(to4));
        self.map(2, PUBLISH4, (service, 8), Some(to4));
        self.map(3, PUBLISH6_AT, (types(&at6), 24), Some(to6));
        self.map(4, PUBLISH6, (service, 8), Some(to6));
        self.map(5, BRIDGES, (DEVICE, 16), None);
    }

    /// A map, or a set if there are no values. Keys and values are given as (type, length).
    fn map(&mut self, id: u32, name: &str, key: (u32, u32), value: Option<(u32, u32)>) {
        const MAP: u32 = 8;
        let set = self.named(name).number(3, if value.is_some() { MAP } else { 0 });
        let set = set.number(4, key.0).number(5, key.1).number(10, id);
        let set = match value {
            Some((kind, length)) => set.number(6, kind).number(7, length),
            // Tells the `nft` program that names are in the host's byte order, so that it prints them.
            None => set.bytes(13, &[&[0, 4], &1_u32.to_ne_bytes()[..]].concat()),
        };
        self.push(Verb::NewSet, CREATE, &set);
    }

    fn bridges(&mut self, bridges: &[Bridge]) {
        let flush = self.named(BRIDGES);
        self.push(Verb::DeleteElements, 0, &flush);
        let element = |list: Attributes, bridge: &Bridge| {
            let name = Attributes::new().bytes(1, &device_name(&bridge.name));
            list.nest(1, &Attributes::new().nest(1, &name))
        };
        let list = bridges.iter().fold(Attributes::new(), element);
        let elements = self.named(BRIDGES).nest(3, &list);
        self.push(Verb::NewElements, CREATE, &elements);
    }

    /// Makes the chains and empties them of rules.
    fn chains(&mut self) {
        self.chain(RAW, Some(("filter", 0, -300)));
        self.chain(PREROUTING, Some(("nat", 0, -100)));
        self.chain(OUTPUT, Some(("nat", 3, -100)));
        self.chain(PUBLISH, None);
        self.chain(FORWARD, Some(("filter", 2, 0)));
        self.chain(POSTROUTING, Some(("nat", 4, 100)));
    }

    /// A chain; a base chain has a type, a hook's number and a priority.
    fn chain(&mut self, name: &str, base: Option<(&str, u32, i32)>) {
        let chain = Attributes::new().text(1, self.table).text(3, name);
        let chain = match base {
            Some((kind, hook, priority)) => {
                let hook = Attributes::new().number(1, hook).number(2, priority.cast_unsigned());
                chain.nest(4, &hook).text(7, kind)
            }
            None => chain,
        };
        self.push(Verb::NewChain, CREATE, &chain);
        let all_rules = self.named(name);
        self.push(Verb::DeleteRule, 0, &all_rules);
    }

    fn rule(&mut self, chain: &str, expressions: Expressions) {
        let rule = self.named(chain).nest(4, expressions.list());
        self.push(Verb::NewRule, CREATE | APPEND, &rule);
    }

    /// With `route_localnet` on a bridge its containers could reach what listens on the host's 127.0.0.1. This runs
    /// before connection tracking undoes our own translation, so answers to the host's loopback still get through.
    fn guard(&mut self) {
        for field in [DESTINATION_V4, SOURCE_V4] {
            let from_containers = on_bridge(Expressions::new(), Meta::InputName, Relation::Equal);
            self.rule(RAW, from_containers.family(IPV4).subnet(field, &[127, 0, 0, 0], 8).drop());
        }
    }

    fn publish(&mut self) {
        // A packet from the wire to 127.0.0.1 must not reach a port published on localhost.
        let stray = Expressions::new().device(Meta::InputName, Relation::NotEqual, "lo");
        self.rule(PREROUTING, stray.family(IPV4).subnet(DESTINATION_V4, &[127, 0, 0, 0], 8).leave());
        self.rule(PREROUTING, Expressions::new().local().jump(PUBLISH));
        // The kernel would not take an answer to ::1 from a bridge: the supervisor relays.
        let loopback = Expressions::new().family(IPV6);
        self.rule(OUTPUT, loopback.subnet(DESTINATION_V6, &Ipv6Addr::LOCALHOST.octets(), 128).leave());
        self.rule(OUTPUT, Expressions::new().local().jump(PUBLISH));
        for (family, field, at, any) in
            [(IPV4, DESTINATION_V4, PUBLISH4_AT, PUBLISH4), (IPV6, DESTINATION_V6, PUBLISH6_AT, PUBLISH6)]
        {
            let address = Expressions::new().family(family).load_field(field, R0);
            let behind = R0 + if family == IPV4 { 1 } else { 4 };
            self.rule(PUBLISH, service(address, behind).look_up(R0, at).redirect(family));
            self.rule(PUBLISH, service(Expressions::new().family(family), R0).look_up(R0, any).redirect(family));
        }
    }

    fn forward(&mut self, bridges: &[Bridge]) {
        // Seen here only where bridged packets pass through IP's hooks (br_netfilter).
        for Bridge { name, .. } in bridges.iter().filter(|bridge| bridge.talk) {
            let within = Expressions::new().device(Meta::InputName, Relation::Equal, name);
            self.rule(FORWARD, within.device(Meta::OutputName, Relation::Equal, name).accept());
        }
        let into = || on_bridge(Expressions::new(), Meta::OutputName, Relation::Equal);
        self.rule(FORWARD, into().connection_state(STATE_ESTABLISHED | STATE_RELATED).accept());
        self.rule(FORWARD, into().connection_status(STATUS_DNAT).accept());
        self.rule(FORWARD, into().drop());
    }

    fn masquerade(&mut self, bridge: &Bridge) {
        let into = || Expressions::new().device(Meta::OutputName, Relation::Equal, &bridge.name);
        let out = || Expressions::new().device(Meta::OutputName, Relation::NotEqual, &bridge.name);
        // A container cannot answer 127.0.0.1.
        self.rule(POSTROUTING, into().family(IPV4).subnet(SOURCE_V4, &[127, 0, 0, 0], 8).masquerade());
        for subnet in bridge.subnets() {
            let published = into().connection_status(STATUS_DNAT);
            // A container that reaches a neighbour, or itself, through the host must get its answer through the host.
            self.rule(POSTROUTING, from(published, subnet).masquerade());
            if bridge.masquerade {
                self.rule(POSTROUTING, from(out(), subnet).masquerade());
            }
        }
    }
}

fn on_bridge(rule: Expressions, which: Meta, relation: Relation) -> Expressions {
    rule.load_meta(which, R0).member(R0, BRIDGES, relation)
}

/// Loads protocol and destination port into two registers.
fn service(rule: Expressions, register: u32) -> Expressions {
    rule.load_meta(Meta::Transport, register).load_field(DESTINATION_PORT, register + 1)
}

fn from(rule: Expressions, subnet: IpNet) -> Expressions {
    let prefix = subnet.prefix_len();
    match subnet.network() {
        IpAddr::V4(network) => within(rule.family(IPV4), SOURCE_V4, &network.octets(), prefix),
        IpAddr::V6(network) => within(rule.family(IPV6), SOURCE_V6, &network.octets(), prefix),
    }
}

fn within(rule: Expressions, field: Field, network: &[u8], prefix: u8) -> Expressions {
    rule.subnet(field, network, prefix)
}

/// The type number of a concatenation.
fn types(parts: &[u32]) -> u32 {
    parts.iter().fold(0, |whole, part| whole << 6 | part)
}
