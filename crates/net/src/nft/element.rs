//! Elements of the publishing maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hako_model::port::{Port, Protocol};
use hako_sys::netlink::Socket;

use super::schema::{
    OPEN4, OPEN6, PUBLISH4, PUBLISH4_AT, PUBLISH6, PUBLISH6_AT, RANGES4, RANGES4_AT, RANGES6, RANGES6_AT,
};
use super::wire::{Attributes, Batch, CREATE, EXCLUSIVE, INET, Verb, attribute, attributes, dump};

pub(crate) use super::wire::{Kept, socket};

/// One element: what reaches `host` goes to `target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) protocol: Protocol,
    /// An unspecified address stands for all.
    pub(crate) host: SocketAddr,
    pub(crate) target: SocketAddr,
    /// How many further ports follow; those keep their numbers.
    pub(crate) more: u16,
}

impl Element {
    /// The container's side.
    pub(crate) fn container(&self) -> Port {
        Port { number: self.target.port(), protocol: self.protocol }
    }

    /// Whether both cannot be in the table at the same time.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.protocol, self.host, self.more) == (other.protocol, other.host, other.more)
    }

    /// The first host port both lead away from, if there is one.
    pub(crate) fn overlap(&self, other: &Self) -> Option<u16> {
        let (one, two) = (self.host.ip(), other.host.ip());
        let meet = one == two || one.is_unspecified() || two.is_unspecified();
        let first = self.host.port().max(other.host.port());
        let last = self.last().min(other.last());
        let same = self.protocol == other.protocol && one.is_ipv4() == two.is_ipv4();
        (same && meet && first <= last).then_some(first)
    }

    /// The last host port.
    fn last(&self) -> u16 {
        self.host.port().saturating_add(self.more)
    }

    /// Whether it stands for several ports.
    pub(crate) fn is_range(&self) -> bool {
        self.more > 0
    }

    fn map(&self) -> &'static str {
        match (self.host.ip(), self.host.ip().is_unspecified(), self.is_range()) {
            (IpAddr::V4(_), true, false) => PUBLISH4,
            (IpAddr::V4(_), false, false) => PUBLISH4_AT,
            (IpAddr::V6(_), true, false) => PUBLISH6,
            (IpAddr::V6(_), false, false) => PUBLISH6_AT,
            (IpAddr::V4(_), true, true) => RANGES4,
            (IpAddr::V4(_), false, true) => RANGES4_AT,
            (IpAddr::V6(_), true, true) => RANGES6,
            (IpAddr::V6(_), false, true) => RANGES6_AT,
        }
    }

    fn key(&self, port: u16) -> Vec<u8> {
        let mut key = if self.host.ip().is_unspecified() { Vec::new() } else { octets(self.host.ip()) };
        key.extend_from_slice(&[self.protocol.number(), 0, 0, 0]);
        key.extend_from_slice(&service(port));
        key
    }

    fn value(&self) -> Vec<u8> {
        let port = if self.is_range() { Vec::new() } else { service(self.target.port()).to_vec() };
        [octets(self.target.ip()), port].concat()
    }

    /// Its attributes: key, the highest key of a range, and value.
    fn attributes(&self, valued: bool) -> Attributes {
        let data = |bytes: &[u8]| Attributes::new().bytes(1, bytes);
        let one = Attributes::new().nest(1, &data(&self.key(self.host.port())));
        let one = if valued { one.nest(2, &data(&self.value())) } else { one };
        if self.is_range() { one.nest(10, &data(&self.key(self.last()))) } else { one }
    }

    /// Reads key, value and, in a map of ranges, the highest key.
    fn read(map: &str, key: &[u8], value: &[u8], end: Option<&[u8]>) -> Option<Self> {
        let split = |key| match map {
            PUBLISH4 | RANGES4 => Some((Ipv4Addr::UNSPECIFIED.into(), key)),
            PUBLISH6 | RANGES6 => Some((Ipv6Addr::UNSPECIFIED.into(), key)),
            _ => split_address(key),
        };
        let (address, service) = split(key)?;
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let protocol = protocol.into_iter().find(|known| service.first() == Some(&known.number()))?;
        let first = read_port(service.get(4..)?)?;
        let host = SocketAddr::new(address, first);
        let Some(end) = end else {
            let (target, port) = split_address(value)?;
            return Some(Self { protocol, host, target: SocketAddr::new(target, read_port(port)?), more: 0 });
        };
        let last = read_port(split(end)?.1.get(4..)?)?;
        let target: IpAddr = match value.len() {
            4 => Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into(),
            _ => Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into(),
        };
        Some(Self { protocol, host, target: SocketAddr::new(target, first), more: last.checked_sub(first)? })
    }
}

/// What fits into one transaction: the kernel takes a message of some two hundred kilobytes.
const PORTION: usize = 1000;

/// Takes the elements `old` out and adds `new`, all or none. What is in both changes its target without ever missing.
/// On a refusal the index of the element refused is given.
pub(crate) fn replace(
    socket: &mut Socket,
    table: &str,
    old: &[Element],
    new: &[Element],
) -> Result<(), (usize, hako_sys::Error)> {
    let (moving, going): (Vec<Element>, Vec<Element>) =
        old.iter().partition(|old| new.iter().any(|new| new.is_at(old)));
    let size = if moving.is_empty() { PORTION } else { PORTION / 2 };
    for (portion, some) in new.chunks(size).enumerate() {
        let first = portion * size;
        let mut batch = Batch::new();
        // Which element a message is about; the batch's opening message is number zero.
        let mut about = vec![0];
        for (index, element) in some.iter().enumerate() {
            if moving.iter().any(|old| old.is_at(element)) {
                push(&mut batch, Verb::DeleteElements, 0, table, element);
                about.push(index);
            }
            push(&mut batch, Verb::NewElements, CREATE | EXCLUSIVE, table, element);
            about.push(index);
        }
        if first + some.len() == new.len() {
            going.iter().for_each(|old| push(&mut batch, Verb::DeleteElements, 0, table, old));
        }
        if let Err(error) = batch.commit(socket) {
            // The refusal is the error to tell.
            let _ = remove(socket, table, &new[..first]);
            let back: Vec<Element> =
                moving.iter().filter(|old| new[..first].iter().any(|new| new.is_at(old))).copied().collect();
            let _ = restore(socket, table, &back);
            let index = if let hako_sys::Error::Netlink { index, .. } = error { index } else { 0 };
            return Err((first + about.get(index).copied().unwrap_or(0), error));
        }
    }
    if new.is_empty() { remove(socket, table, &going).map_err(|error| (0, error)) } else { Ok(()) }
}

/// Takes elements out and puts others in their places, in as few transactions as may be; what overlaps is never missing.
pub(crate) fn exchange(
    socket: &mut Socket,
    table: &str,
    exchanges: &[(Element, Vec<Element>)],
) -> hako_sys::Result<()> {
    let mut steps: Vec<(Verb, u16, &Element)> = Vec::new();
    for (whole, parts) in exchanges {
        if steps.len() + 1 + parts.len() > PORTION {
            commit(socket, table, &steps)?;
            steps.clear();
        }
        steps.push((Verb::DeleteElements, 0, whole));
        steps.extend(parts.iter().map(|part| (Verb::NewElements, CREATE, part)));
    }
    commit(socket, table, &steps)
}

fn commit(socket: &mut Socket, table: &str, steps: &[(Verb, u16, &Element)]) -> hako_sys::Result<()> {
    for portion in steps.chunks(PORTION) {
        let mut batch = Batch::new();
        portion.iter().for_each(|(verb, flags, element)| push(&mut batch, *verb, *flags, table, element));
        batch.commit(socket)?;
    }
    Ok(())
}

/// Adds those elements that are not there.
pub(crate) fn restore(socket: &mut Socket, table: &str, elements: &[Element]) -> hako_sys::Result<()> {
    elements.chunks(PORTION).try_for_each(|some| change(socket, Verb::NewElements, CREATE, table, some))
}

/// Opens ports of containers that are reached at their own addresses, or shuts them.
pub(super) fn open(socket: &mut Socket, table: &str, ports: &[(IpAddr, Port)], verb: Verb) -> hako_sys::Result<()> {
    let mut batch = Batch::new();
    for (address, port) in ports {
        let mut key = octets(*address);
        key.extend_from_slice(&[port.protocol.number(), 0, 0, 0]);
        key.extend_from_slice(&service(port.number));
        let set = if address.is_ipv4() { OPEN4 } else { OPEN6 };
        let one = Attributes::new().nest(1, &Attributes::new().bytes(1, &key));
        let list = Attributes::new().text(1, table).text(2, set).nest(3, &Attributes::new().nest(1, &one));
        batch.push(verb, if verb == Verb::NewElements { CREATE } else { 0 }, INET, &list);
    }
    batch.commit(socket)
}

/// Removes elements.
pub(crate) fn remove(socket: &mut Socket, table: &str, elements: &[Element]) -> hako_sys::Result<()> {
    elements.chunks(PORTION).try_for_each(|some| change(socket, Verb::DeleteElements, 0, table, some))
}

fn change(socket: &mut Socket, verb: Verb, flags: u16, table: &str, elements: &[Element]) -> hako_sys::Result<()> {
    let mut batch = Batch::new();
    elements.iter().for_each(|element| push(&mut batch, verb, flags, table, element));
    batch.commit(socket)
}

fn push(batch: &mut Batch, verb: Verb, flags: u16, table: &str, element: &Element) {
    let one = element.attributes(verb == Verb::NewElements);
    let list = Attributes::new().text(1, table).text(2, element.map()).nest(3, &Attributes::new().nest(1, &one));
    batch.push(verb, flags, INET, &list);
}

/// The maps of single ports and of ranges.
const SINGLE: [&str; 4] = [PUBLISH4_AT, PUBLISH4, PUBLISH6_AT, PUBLISH6];
const RANGES: [&str; 4] = [RANGES4_AT, RANGES4, RANGES6_AT, RANGES6];

/// All elements of the maps; none if the table is gone.
pub(crate) fn list(socket: &mut Socket, table: &str) -> hako_sys::Result<Vec<Element>> {
    let mut all = read_maps(socket, table, SINGLE)?;
    all.append(&mut ranges(socket, table)?);
    Ok(all)
}

/// All ranges.
pub(crate) fn ranges(socket: &mut Socket, table: &str) -> hako_sys::Result<Vec<Element>> {
    read_maps(socket, table, RANGES)
}

fn read_maps(socket: &mut Socket, table: &str, maps: [&str; 4]) -> hako_sys::Result<Vec<Element>> {
    let mut found = Vec::new();
    for map in maps {
        let request = Attributes::new().text(1, table).text(2, map);
        let answers = match dump(socket, Verb::GetElements, INET, &request) {
            Err(error) if error.is_not_found() => return Ok(found),
            answers => answers?,
        };
        for answer in answers {
            let list = attribute(&answer.body, 3).unwrap_or_default();
            found.extend(attributes(list).filter_map(|(_, element)| read(map, element)));
        }
    }
    Ok(found)
}

fn read(map: &str, element: &[u8]) -> Option<Element> {
    let key = attribute(attribute(element, 1)?, 1)?;
    let value = attribute(attribute(element, 2)?, 1)?;
    let end = attribute(element, 10).and_then(|end| attribute(end, 1));
    Element::read(map, key, value, end)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A port padded to a register.
fn service(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn read_port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// Splits off the address at the front, whose family the length tells: four bytes or eight follow it.
fn split_address(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    if bytes.len() <= 12 {
        let (address, rest) = bytes.split_first_chunk::<4>()?;
        return Some((Ipv4Addr::from(*address).into(), rest));
    }
    let (address, rest) = bytes.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*address).into(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(protocol: Protocol, host: &str, target: &str) {
        check_range(protocol, host, target, 0);
    }

    fn check_range(protocol: Protocol, host: &str, target: &str, more: u16) {
        let element = Element { protocol, host: host.parse().unwrap(), target: target.parse().unwrap(), more };
        assert_eq!(read(element.map(), &element.attributes(true).0), Some(element), "{host}");
    }

    #[test]
    fn overlaps_are_found() {
        let element = |protocol, host: &str, more| {
            let host = host.parse().unwrap();
            Element { protocol, host, target: "172.17.0.2:1".parse().unwrap(), more }
        };
        let range = element(Protocol::Udp, "0.0.0.0:10000", 9999);
        let meets = |protocol, host: &str, more| range.overlap(&element(protocol, host, more));
        assert_eq!(meets(Protocol::Udp, "0.0.0.0:12000", 0), Some(12000));
        assert_eq!(meets(Protocol::Udp, "192.0.2.1:9000", 1000), Some(10000));
        assert_eq!(meets(Protocol::Udp, "192.0.2.1:19999", 1), Some(19999));
        assert_eq!(meets(Protocol::Udp, "0.0.0.0:20000", 0), None);
        assert_eq!(meets(Protocol::Tcp, "0.0.0.0:12000", 0), None);
        assert_eq!(meets(Protocol::Udp, "[::]:12000", 0), None);
    }

    #[test]
    fn elements_are_read_as_they_were_written() {
        check(Protocol::Tcp, "0.0.0.0:8080", "172.17.0.2:80");
        check(Protocol::Udp, "192.0.2.1:53", "172.17.0.2:5353");
        check(Protocol::Sctp, "[::]:1", "[fd00::2]:65535");
        check(Protocol::Tcp, "[2001:db8::1]:443", "[fd00::2]:8443");
        check_range(Protocol::Udp, "0.0.0.0:10000", "172.17.0.2:10000", 9999);
        check_range(Protocol::Udp, "192.0.2.1:1", "172.17.0.2:1", 65_534);
        check_range(Protocol::Tcp, "[::]:10000", "[fd00::2]:10000", 1);
        check_range(Protocol::Tcp, "[2001:db8::1]:10000", "[fd00::2]:10000", 600);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes in prop::collection::vec(any::<u8>(), 0..80), split in 0_usize..80) {
            let (key, value) = bytes.split_at(split.min(bytes.len()));
            for map in SINGLE.into_iter().chain(RANGES) {
                let _ = Element::read(map, key, value, None);
                let _ = Element::read(map, key, value, Some(key));
            }
            let _ = read(PUBLISH4, &bytes);
        }
    }
}
