//! The guard at every bridge port: a container sends as itself, or not at all.
//!
//! A table of the `bridge` family, of the same name as the other: frames from a guarded port must carry the port's MAC
//! address, its ARP must tell of the port's own addresses, and it gives out neither addresses (DHCP) nor routes (router
//! advertisements). Sets say which ports are guarded; supervisors add and remove their own.

use std::net::{IpAddr, Ipv4Addr};

use super::expression::{
    ARP_SENDER, ETHER_KIND, ETHER_SOURCE, Expressions, ICMP_KIND, ICMP6, Meta, R0, Relation, SOURCE_PORT, device_name,
};
use super::schema::types;
use super::wire::{APPEND, Attributes, BRIDGE, Batch, CREATE, Verb, dump, socket};
use crate::Result;
use crate::endpoint::Plan;
use crate::error::kernel;

const GUARDED: &str = "guarded";
const MACS: &str = "macs";
const ARPS: &str = "arps";
const CHAIN: &str = "prerouting";

const DEVICE: u32 = 41;
const ETHER: u32 = 9;
const ADDRESS4: u32 = 7;
const ARP: [u8; 2] = [0x08, 0x06];
const UDP: u8 = 17;
const DHCP_SERVER: u16 = 67;
const ROUTER_ADVERTISEMENT: u8 = 134;

/// Makes the table with its rules, keeping the ports already there. Idempotent. A kernel without such tables has no
/// guard.
pub(super) fn ensure(table: &str) -> hako_sys::Result<()> {
    let mut batch = Batch::new();
    batch.push(Verb::NewTable, CREATE, BRIDGE, &Attributes::new().text(1, table));
    for (id, name, kind, length) in
        [(1, GUARDED, DEVICE, 16), (2, MACS, types(&[DEVICE, ETHER]), 24), (3, ARPS, types(&[DEVICE, ADDRESS4]), 20)]
    {
        let set = Attributes::new().text(1, table).text(2, name).number(3, 0).number(4, kind);
        batch.push(Verb::NewSet, CREATE, BRIDGE, &set.number(5, length).number(10, id));
    }
    let hook = Attributes::new().number(1, 0).number(2, (-300_i32).cast_unsigned());
    let chain = Attributes::new().text(1, table).text(3, CHAIN).nest(4, &hook).text(7, "filter");
    batch.push(Verb::NewChain, CREATE, BRIDGE, &chain);
    batch.push(Verb::DeleteRule, 0, BRIDGE, &Attributes::new().text(1, table).text(2, CHAIN));
    for rule in rules() {
        let rule = Attributes::new().text(1, table).text(2, CHAIN).nest(4, rule.list());
        batch.push(Verb::NewRule, CREATE | APPEND, BRIDGE, &rule);
    }
    match batch.commit(&mut *socket()?) {
        Err(error) if is_unknown(&error) => Ok(()),
        done => done,
    }
}

/// Whether the table has all its rules; so it has where the kernel has no such tables.
pub(super) fn is_whole(table: &str) -> hako_sys::Result<bool> {
    let chain = Attributes::new().text(1, table).text(2, CHAIN);
    match dump(&mut *socket()?, Verb::GetRule, BRIDGE, &chain) {
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) if is_unknown(&error) => Ok(true),
        found => found.map(|found| found.len() == rules().len()),
    }
}

fn rules() -> Vec<Expressions> {
    let port = || Expressions::new().load_meta(Meta::InputName, R0);
    let strange = |rule: Expressions, set| rule.member(R0, set, Relation::NotEqual).drop();
    let arp = Expressions::new().load_field(ETHER_KIND, R0).compare(R0, Relation::Equal, &ARP);
    vec![
        port().member(R0, GUARDED, Relation::NotEqual).accept(),
        strange(port().load_field(ETHER_SOURCE, R0 + 4), MACS),
        strange(arp.load_meta(Meta::InputName, R0).load_field(ARP_SENDER, R0 + 4), ARPS),
        Expressions::new()
            .protocol(UDP)
            .load_field(SOURCE_PORT, R0)
            .compare(R0, Relation::Equal, &DHCP_SERVER.to_be_bytes())
            .drop(),
        Expressions::new()
            .protocol(ICMP6)
            .load_field(ICMP_KIND, R0)
            .compare(R0, Relation::Equal, &[ROUTER_ADVERTISEMENT])
            .drop(),
    ]
}

/// Removes the table; one that is gone already is fine.
pub(super) fn remove(table: &str) -> hako_sys::Result<()> {
    let mut batch = Batch::new();
    batch.push(Verb::DeleteTable, 0, BRIDGE, &Attributes::new().text(1, table));
    match batch.commit(&mut *socket()?) {
        Err(error) if is_unknown(&error) => Ok(()),
        done => done,
    }
}

/// Guards the ports of these endpoints, as far as they are to be guarded. Idempotent.
pub(super) fn guard(table: &str, plans: &[Plan]) -> Result<()> {
    change(table, plans, Verb::NewElements).or_else(unless_unknown).map_err(kernel("guard ports in", named(table)))
}

/// Forgets the ports of these endpoints.
pub(super) fn forget(table: &str, plans: &[Plan]) -> Result<()> {
    change(table, plans, Verb::DeleteElements).or_else(unless_unknown).map_err(kernel("forget ports in", named(table)))
}

fn named(table: &str) -> String {
    format!("nft table bridge {table}")
}

fn change(table: &str, plans: &[Plan], verb: Verb) -> hako_sys::Result<()> {
    let mut batch = Batch::new();
    let flags = if verb == Verb::NewElements { CREATE } else { 0 };
    let mut put = |set: &str, keys: &[Vec<u8>]| {
        let one = |key: &Vec<u8>| Attributes::new().nest(1, &Attributes::new().bytes(1, key));
        let list = keys.iter().fold(Attributes::new(), |list, key| list.nest(1, &one(key)));
        batch.push(verb, flags, BRIDGE, &Attributes::new().text(1, table).text(2, set).nest(3, &list));
    };
    let mut any = false;
    for plan in plans.iter().filter(|plan| plan.guarded) {
        any = true;
        let port = device_name(&plan.host_name);
        put(GUARDED, &[port.to_vec()]);
        put(MACS, &[[&port[..], &plan.mac, &[0, 0]].concat()]);
        let arps: Vec<Vec<u8>> = addresses(plan).map(|address| [&port[..], &address.octets()].concat()).collect();
        if !arps.is_empty() {
            put(ARPS, &arps);
        }
    }
    if any { batch.commit(&mut *socket()?) } else { Ok(()) }
}

/// What the port's ARP may tell of; all zeros asks whether an address is free.
fn addresses(plan: &Plan) -> impl Iterator<Item = Ipv4Addr> {
    let more =
        plan.more.iter().filter_map(|net| if let IpAddr::V4(address) = net.addr() { Some(address) } else { None });
    plan.address.map(|net| net.addr()).into_iter().chain(more).chain([Ipv4Addr::UNSPECIFIED])
}

/// The table is gone, or the kernel has no such tables.
fn is_unknown(error: &hako_sys::Error) -> bool {
    use rustix::io::Errno;
    error.is_not_found() || matches!(error.errno(), Some(Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT))
}

fn unless_unknown(error: hako_sys::Error) -> hako_sys::Result<()> {
    if is_unknown(&error) { Ok(()) } else { Err(error) }
}
