//! The table's maps, chains and rules.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::expression::{
    DESTINATION_PORT, DESTINATION_V4, DESTINATION_V6, Expressions, ICMP, ICMP_KIND, ICMP6, Meta, R0, Relation,
    SOURCE_V4, SOURCE_V6, STATE_ESTABLISHED, STATE_RELATED, STATUS_DNAT, device_name,
};
use super::wire::{APPEND, Attributes, Batch, CREATE, INET, IPV4, IPV6, Verb};
use crate::annex::PREFIX;
use crate::bridge::Bridge;

/// Published ports of IPv4, by address, protocol and port.
pub(super) const PUBLISH4_AT: &str = "publish4_at";
/// Published ports of IPv4 on every address.
pub(super) const PUBLISH4: &str = "publish4";
/// Published ports of IPv6, by address, protocol and port.
pub(super) const PUBLISH6_AT: &str = "publish6_at";
/// Published ports of IPv6 on every address.
pub(super) const PUBLISH6: &str = "publish6";
/// Published ranges of ports of IPv4 that keep their numbers, by address and protocol.
pub(super) const RANGES4_AT: &str = "ranges4_at";
/// Such ranges on every address.
pub(super) const RANGES4: &str = "ranges4";
/// The same for IPv6.
pub(super) const RANGES6_AT: &str = "ranges6_at";
/// The same for IPv6.
pub(super) const RANGES6: &str = "ranges6";
/// The container ports of routed networks that are open to others, by address, protocol and port.
pub(super) const OPEN4: &str = "open4";
/// The same for IPv6.
pub(super) const OPEN6: &str = "open6";

/// Our bridges.
const BRIDGES: &str = "bridges";
/// Those of internal networks.
const INTERNAL: &str = "internal";
/// Those whose containers answer by their own addresses.
const ROUTED: &str = "routed";
/// Those every port of which is open.
const UNPROTECTED4: &str = "unprotected4";
const UNPROTECTED6: &str = "unprotected6";
/// Pairs of devices between which everything passes.
const PASSES: &str = "passes";
/// Subnets whose packets leave with the host's address.
const MASQUERADE4: &str = "masquerade4";
const MASQUERADE6: &str = "masquerade6";
/// Bridges with their subnets: what comes back to where it came from.
const HAIRPIN4: &str = "hairpin4";
const HAIRPIN6: &str = "hairpin6";

const RAW: &str = "raw";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const PUBLISH: &str = "publish";
const INPUT: &str = "input";
const FORWARD: &str = "forward";
const LEAVE: &str = "leave";
const POSTROUTING: &str = "postrouting";

/// Type numbers of the `nft` program, so that it can print the keys; the kernel only stores them.
const ADDRESS4: u32 = 7;
const ADDRESS6: u32 = 8;
const PROTOCOL: u32 = 12;
const SERVICE: u32 = 13;
const DEVICE: u32 = 41;

/// How many rules each chain has.
pub(super) type Census = BTreeMap<String, usize>;

/// Writes the whole table into the batch, and tells how many rules it has.
pub(super) fn build(batch: &mut Batch, table: &str, bridges: &[Bridge], policy: Policy) -> Census {
    let mut builder = Builder { batch, table, rules: Census::new() };
    builder.push(Verb::NewTable, CREATE, &Attributes::new().text(1, table));
    builder.maps();
    for set in MEMBERSHIPS {
        let all = builder.named(set);
        builder.push(Verb::DeleteElements, 0, &all);
    }
    for bridge in bridges {
        members(builder.batch, table, bridge, Verb::NewElements);
    }
    builder.chains();
    builder.guard();
    builder.publish();
    builder.input();
    builder.forward();
    builder.leave(policy);
    builder.masquerade();
    builder.rules
}

/// The sets that say what the bridges are.
const MEMBERSHIPS: [&str; 10] =
    [BRIDGES, INTERNAL, ROUTED, UNPROTECTED4, UNPROTECTED6, PASSES, MASQUERADE4, MASQUERADE6, HAIRPIN4, HAIRPIN6];

/// Puts a bridge into the sets that say what it is, or takes it out.
pub(super) fn members(batch: &mut Batch, table: &str, bridge: &Bridge, verb: Verb) {
    let name = device_name(&bridge.name);
    let mut put = |set: &str, elements: Vec<Attributes>| {
        if !elements.is_empty() {
            let list = elements.iter().fold(Attributes::new(), |list, element| list.nest(1, element));
            let whole = Attributes::new().text(1, table).text(2, set).nest(3, &list);
            batch.push(verb, if verb == Verb::NewElements { CREATE } else { 0 }, INET, &whole);
        }
    };
    put(BRIDGES, vec![key(&name)]);
    for (set, is_in) in [
        (INTERNAL, bridge.internal),
        (ROUTED, bridge.routed),
        (UNPROTECTED4, bridge.open4),
        (UNPROTECTED6, bridge.open6),
    ] {
        put(set, is_in.then(|| key(&name)).into_iter().collect());
    }
    let within = bridge.talk.then(|| key(&[name, name].concat()));
    let trusted = bridge.trusted.iter().map(|device| key(&[device_name(device), name].concat()));
    put(PASSES, within.into_iter().chain(trusted).collect());
    for (set, v4) in [(MASQUERADE4, true), (MASQUERADE6, false)] {
        put(set, bridge.masquerade.iter().filter(|net| net.addr().is_ipv4() == v4).flat_map(interval).collect());
    }
    for (set, v4) in [(HAIRPIN4, true), (HAIRPIN6, false)] {
        let subnets = bridge.subnets.iter().filter(|net| net.addr().is_ipv4() == v4);
        put(set, subnets.map(|net| span(&name, net)).collect());
    }
}

fn key(key: &[u8]) -> Attributes {
    Attributes::new().nest(1, &Attributes::new().bytes(1, key))
}

/// A subnet in a set of intervals: where it begins, and where the next address is outside again.
fn interval(net: &IpNet) -> Vec<Attributes> {
    const END: u32 = 1;
    let after = match net.broadcast() {
        IpAddr::V4(last) => last.to_bits().checked_add(1).map(|next| next.to_be_bytes().to_vec()),
        IpAddr::V6(last) => last.to_bits().checked_add(1).map(|next| next.to_be_bytes().to_vec()),
    };
    let end = after.map(|after| key(&after).number(3, END));
    [key(&octets(net.network()))].into_iter().chain(end).collect()
}

/// A device with a subnet in a concatenated set: the lowest key and the highest.
fn span(name: &[u8; 16], net: &IpNet) -> Attributes {
    let whole = |address| [&name[..], &octets(address)].concat();
    let highest = Attributes::new().bytes(1, &whole(net.broadcast()));
    key(&whole(net.network())).nest(10, &highest)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// What holds for all networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Whether containers reach the link-local addresses clouds tell their secrets at.
    pub metadata: bool,
}

struct Builder<'a> {
    batch: &'a mut Batch,
    table: &'a str,
    rules: Census,
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
        self.map(5, OPEN4, (types(&at4), 12), None);
        self.map(6, OPEN6, (types(&at6), 24), None);
        for (id, name) in (7..).zip([BRIDGES, INTERNAL, ROUTED, UNPROTECTED4, UNPROTECTED6]) {
            self.map(id, name, (DEVICE, 16), None);
        }
        self.map(12, PASSES, (types(&[DEVICE, DEVICE]), 32), None);
        self.intervals(13, MASQUERADE4, (ADDRESS4, 4), &[], None);
        self.intervals(14, MASQUERADE6, (ADDRESS6, 16), &[], None);
        self.intervals(15, HAIRPIN4, (types(&[DEVICE, ADDRESS4]), 20), &[16, 4], None);
        self.intervals(16, HAIRPIN6, (types(&[DEVICE, ADDRESS6]), 32), &[16, 16], None);
        self.intervals(17, RANGES4_AT, (types(&at4), 12), &[4, 1, 2], Some((ADDRESS4, 4)));
        self.intervals(18, RANGES4, (service, 8), &[1, 2], Some((ADDRESS4, 4)));
        self.intervals(19, RANGES6_AT, (types(&at6), 24), &[16, 1, 2], Some((ADDRESS6, 16)));
        self.intervals(20, RANGES6, (service, 8), &[1, 2], Some((ADDRESS6, 16)));
    }

    /// A map, or a set if there are no values. Keys and values are given as (type, length).
    fn map(&mut self, id: u32, name: &str, key: (u32, u32), value: Option<(u32, u32)>) {
        const MAP: u32 = 8;
        let set = self.named(name).number(3, if value.is_some() { MAP } else { 0 });
        let set = set.number(4, key.0).number(5, key.1).number(10, id);
        let set = match value {
            Some((kind, length)) => set.number(6, kind).number(7, length),
            // Tells the `nft` program that names are in the host's byte order, so that it prints them.
            None if key.0 == DEVICE => set.bytes(13, &[&[0, 4], &1_u32.to_ne_bytes()[..]].concat()),
            None => set,
        };
        self.push(Verb::NewSet, CREATE, &set);
    }

    /// A set of ranges, or a map if there are values; of several fields, whose lengths are given, if there are any.
    fn intervals(&mut self, id: u32, name: &str, key: (u32, u32), fields: &[u32], value: Option<(u32, u32)>) {
        const MAP: u32 = 8;
        const INTERVAL: u32 = 4;
        const CONCATENATED: u32 = 0x80;
        let flags = if fields.is_empty() { INTERVAL } else { INTERVAL | CONCATENATED };
        let flags = if value.is_some() { flags | MAP } else { flags };
        let set = self.named(name).number(3, flags).number(4, key.0).number(5, key.1).number(10, id);
        let set = value.iter().fold(set, |set, (kind, length)| set.number(6, *kind).number(7, *length));
        let field = |list: Attributes, length: &u32| list.nest(1, &Attributes::new().number(1, *length));
        let set = match fields {
            [] => set,
            fields => set.nest(9, &Attributes::new().nest(2, &fields.iter().fold(Attributes::new(), field))),
        };
        self.push(Verb::NewSet, CREATE, &set);
    }

    /// Makes the chains and empties them of rules.
    fn chains(&mut self) {
        self.chain(RAW, Some(("filter", 0, -300)));
        self.chain(PREROUTING, Some(("nat", 0, -100)));
        self.chain(OUTPUT, Some(("nat", 3, -100)));
        self.chain(PUBLISH, None);
        self.chain(LEAVE, None);
        self.chain(INPUT, Some(("filter", 1, 0)));
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
        *self.rules.entry(chain.to_owned()).or_default() += 1;
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
        // What is bridged from an annex on is tracked where it meets the host, and only there.
        self.rule(RAW, Expressions::new().device_like(Meta::InputName, PREFIX).untracked());
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
        for (family, field, [at, any, range_at, range]) in [
            (IPV4, DESTINATION_V4, [PUBLISH4_AT, PUBLISH4, RANGES4_AT, RANGES4]),
            (IPV6, DESTINATION_V6, [PUBLISH6_AT, PUBLISH6, RANGES6_AT, RANGES6]),
        ] {
            let to_address = || {
                let address = Expressions::new().family(family).load_field(field, R0);
                service(address, R0 + if family == IPV4 { 1 } else { 4 })
            };
            let to_any = || service(Expressions::new().family(family), R0);
            self.rule(PUBLISH, to_address().look_up(R0, at).redirect(family));
            self.rule(PUBLISH, to_any().look_up(R0, any).redirect(family));
            self.rule(PUBLISH, to_address().look_up(R0, range_at).redirect_address(family));
            self.rule(PUBLISH, to_any().look_up(R0, range).redirect_address(family));
        }
    }

    /// An internal network has nothing to do with the host's services either; only answers come in, and what IPv6
    /// needs to find a neighbour.
    fn input(&mut self) {
        const NEIGHBOURS: [u8; 2] = [135, 136];
        let from = || Expressions::new().load_meta(Meta::InputName, R0).member(R0, INTERNAL, Relation::Equal);
        self.rule(INPUT, Expressions::new().device_like(Meta::InputName, PREFIX).drop());
        self.rule(INPUT, from().connection_state(STATE_ESTABLISHED | STATE_RELATED).accept());
        for kind in NEIGHBOURS {
            let neighbour = from().protocol(ICMP6).load_field(ICMP_KIND, R0).compare(R0, Relation::Equal, &[kind]);
            self.rule(INPUT, neighbour.accept());
        }
        self.rule(INPUT, from().drop());
    }

    fn forward(&mut self) {
        let into = || on_bridge(Expressions::new(), Meta::OutputName, Relation::Equal);
        // Within annexes the ports keep neighbours apart that are to be; no way out begins there.
        let within = Expressions::new().device_like(Meta::InputName, PREFIX);
        self.rule(FORWARD, within.clone().device_like(Meta::OutputName, PREFIX).accept());
        self.rule(FORWARD, within.drop());
        self.rule(FORWARD, on_bridge(Expressions::new(), Meta::OutputName, Relation::NotEqual).jump(LEAVE));
        self.rule(FORWARD, into().connection_state(STATE_ESTABLISHED | STATE_RELATED).accept());
        // Within a bridge packets are seen here only where they pass through IP's hooks (br_netfilter), or were turned
        // around by a published port.
        let pair = Expressions::new().load_meta(Meta::InputName, R0).load_meta(Meta::OutputName, R0 + 4);
        self.rule(FORWARD, pair.member(R0, PASSES, Relation::Equal).accept());
        for which in [Meta::InputName, Meta::OutputName] {
            let internal = Expressions::new().load_meta(which, R0).member(R0, INTERNAL, Relation::Equal);
            self.rule(FORWARD, internal.drop());
        }
        self.rule(FORWARD, into().connection_status(STATUS_DNAT).accept());
        for (family, field, open, unprotected) in
            [(IPV4, DESTINATION_V4, OPEN4, UNPROTECTED4), (IPV6, DESTINATION_V6, OPEN6, UNPROTECTED6)]
        {
            let address = into().family(family).load_field(field, R0);
            let behind = R0 + if family == IPV4 { 1 } else { 4 };
            self.rule(FORWARD, service(address, behind).member(R0, open, Relation::Equal).accept());
            let every = Expressions::new().family(family).load_meta(Meta::OutputName, R0);
            self.rule(FORWARD, every.member(R0, unprotected, Relation::Equal).accept());
        }
        for protocol in [ICMP, ICMP6] {
            let ping = Expressions::new().protocol(protocol).load_meta(Meta::OutputName, R0);
            self.rule(FORWARD, ping.member(R0, ROUTED, Relation::Equal).accept());
        }
        self.rule(FORWARD, into().drop());
    }

    /// What does not go into one of our bridges.
    fn leave(&mut self, policy: Policy) {
        let internal = Expressions::new().load_meta(Meta::InputName, R0).member(R0, INTERNAL, Relation::Equal);
        self.rule(LEAVE, internal.drop());
        if policy.metadata {
            return;
        }
        let from = || on_bridge(Expressions::new(), Meta::InputName, Relation::Equal);
        self.rule(LEAVE, from().family(IPV4).subnet(DESTINATION_V4, &[169, 254, 0, 0], 16).drop());
        for address in METADATA6 {
            self.rule(LEAVE, from().family(IPV6).subnet(DESTINATION_V6, &address.octets(), 128).drop());
        }
    }

    fn masquerade(&mut self) {
        // A container cannot answer 127.0.0.1.
        let into = || on_bridge(Expressions::new(), Meta::OutputName, Relation::Equal);
        self.rule(POSTROUTING, into().family(IPV4).subnet(SOURCE_V4, &[127, 0, 0, 0], 8).masquerade());
        let families = [(IPV4, SOURCE_V4, MASQUERADE4, HAIRPIN4), (IPV6, SOURCE_V6, MASQUERADE6, HAIRPIN6)];
        for (family, field, masquerade, hairpin) in families {
            // A container that reaches a neighbour, or itself, through the host must get its answer through the host.
            let back = Expressions::new().family(family).connection_status(STATUS_DNAT);
            let back = back.load_meta(Meta::OutputName, R0).load_field(field, R0 + 4);
            self.rule(POSTROUTING, back.member(R0, hairpin, Relation::Equal).masquerade());
            let out = on_bridge(Expressions::new().family(family), Meta::OutputName, Relation::NotEqual);
            self.rule(POSTROUTING, out.load_field(field, R0).member(R0, masquerade, Relation::Equal).masquerade());
        }
    }
}

/// Where clouds tell their secrets, beside IPv4's link-local addresses: AWS and Google.
const METADATA6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn on_bridge(rule: Expressions, which: Meta, relation: Relation) -> Expressions {
    rule.load_meta(which, R0).member(R0, BRIDGES, relation)
}

/// Loads protocol and destination port into two registers.
fn service(rule: Expressions, register: u32) -> Expressions {
    rule.load_meta(Meta::Transport, register).load_field(DESTINATION_PORT, register + 1)
}

/// The type number of a concatenation.
pub(super) fn types(parts: &[u32]) -> u32 {
    parts.iter().fold(0, |whole, part| whole << 6 | part)
}
