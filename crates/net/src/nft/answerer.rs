//! The way to the answerer inside a container: port 53 of 127.0.0.11 is really another one, so that a container may
//! have a name server of its own on every address.
//!
//! Ports are rewritten packet by packet on their way through the container's loopback device. Nothing is remembered,
//! so the container's traffic is not tracked for this.

use super::expression::{DESTINATION_PORT, DESTINATION_V4, Expressions, Meta, R0, Relation, SOURCE_PORT, SOURCE_V4};
use hako_sys::netlink::{Protocol, Socket};
use rustix::io::Errno;

use super::wire::{APPEND, Attributes, Batch, CREATE, EXCLUSIVE, IPV4, Verb};

const TABLE: &str = "hako";
const CHAIN: &str = "names";
const PORT: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Lets 127.0.0.11:53 lead to these ports of the same address. To be called inside the container's namespace, which the
/// socket given back belongs to.
pub(crate) fn install(udp: u16, tcp: u16) -> hako_sys::Result<Socket> {
    let mut socket = Socket::open(Protocol::Netfilter)?;
    let table = Attributes::new().text(1, TABLE);
    let mut new = Batch::new();
    new.push(Verb::NewTable, CREATE | EXCLUSIVE, IPV4, &table);
    fill(&mut new, udp, tcp);
    match new.commit(&mut socket) {
        Err(error) if error.errno() == Some(Errno::EXIST) => {}
        done => return done.map(|()| socket),
    }
    // An answerer that is begun anew, after a container was on no network for a while, has other ports: the old table
    // goes, for which the kernel takes its time.
    let mut again = Batch::new();
    again.push(Verb::DeleteTable, 0, IPV4, &table);
    again.push(Verb::NewTable, CREATE, IPV4, &table);
    fill(&mut again, udp, tcp);
    again.commit(&mut socket).map(|()| socket)
}

fn fill(batch: &mut Batch, udp: u16, tcp: u16) {
    let chain = Attributes::new().text(1, TABLE).text(3, CHAIN);
    let hook = Attributes::new().number(1, OUTPUT).number(2, BEFORE_ALL.cast_unsigned());
    batch.push(Verb::NewChain, CREATE, IPV4, &chain.nest(4, &hook).text(7, "filter"));
    let mut rule = |expressions: &Expressions| {
        let rule = Attributes::new().text(1, TABLE).text(2, CHAIN).nest(4, expressions.list());
        batch.push(Verb::NewRule, CREATE | APPEND, IPV4, &rule);
    };
    // One look at the device is all that other packets cost.
    rule(&Expressions::new().device(Meta::OutputName, Relation::NotEqual, "lo").accept());
    for (protocol, port) in [(UDP, udp), (TCP, tcp)] {
        let question = Expressions::new().subnet(DESTINATION_V4, &ADDRESS, 32).protocol(protocol);
        rule(&question.load_field(DESTINATION_PORT, R0).compare(R0, Relation::Equal, &PORT.to_be_bytes()).set_port(
            DESTINATION_PORT,
            port,
            protocol,
        ));
        let answer = Expressions::new().subnet(SOURCE_V4, &ADDRESS, 32).protocol(protocol);
        rule(&answer.load_field(SOURCE_PORT, R0).compare(R0, Relation::Equal, &port.to_be_bytes()).set_port(
            SOURCE_PORT,
            PORT,
            protocol,
        ));
    }
}

const OUTPUT: u32 = 3;
/// Before connection tracking, which would remember the wrong port.
const BEFORE_ALL: i32 = -400;
const ADDRESS: [u8; 4] = [127, 0, 0, 11];
