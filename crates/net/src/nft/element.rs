//! Elements of the publishing maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hako_model::port::{Port, Protocol};
use hako_sys::netlink::Socket;

use super::schema::{OPEN4, OPEN6, PUBLISH4, PUBLISH4_AT, PUBLISH6, PUBLISH6_AT};
use super::wire::{Attributes, Batch, CREATE, EXCLUSIVE, INET, Verb, attribute, attributes, dump};

pub(crate) use super::wire::socket;

/// One element: what reaches `host` goes to `target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) protocol: Protocol,
    /// An unspecified address stands for all.
    pub(crate) host: SocketAddr,
    pub(crate) target: SocketAddr,
}

impl Element {
    /// The container's side.
    pub(crate) fn container(&self) -> Port {
        Port { number: self.target.port(), protocol: self.protocol }
    }

    /// Whether both cannot be in the table at the same time.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.protocol, self.host) == (other.protocol, other.host)
    }

    fn map(&self) -> &'static str {
        match (self.host.ip(), self.host.ip().is_unspecified()) {
            (IpAddr::V4(_), true) => PUBLISH4,
            (IpAddr::V4(_), false) => PUBLISH4_AT,
            (IpAddr::V6(_), true) => PUBLISH6,
            (IpAddr::V6(_), false) => PUBLISH6_AT,
        }
    }

    fn key(&self) -> Vec<u8> {
        let mut key = if self.host.ip().is_unspecified() { Vec::new() } else { octets(self.host.ip()) };
        key.extend_from_slice(&[self.protocol.number(), 0, 0, 0]);
        key.extend_from_slice(&service(self.host.port()));
        key
    }

    fn value(&self) -> Vec<u8> {
        [octets(self.target.ip()), service(self.target.port()).to_vec()].concat()
    }

    fn read(map: &str, key: &[u8], value: &[u8]) -> Option<Self> {
        let (address, service) = match map {
            PUBLISH4 => (Ipv4Addr::UNSPECIFIED.into(), key),
            PUBLISH6 => (Ipv6Addr::UNSPECIFIED.into(), key),
            _ => split_address(key)?,
        };
        let (target, port) = split_address(value)?;
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let protocol = protocol.into_iter().find(|known| service.first() == Some(&known.number()))?;
        let host = SocketAddr::new(address, read_port(service.get(4..)?)?);
        Some(Self { protocol, host, target: SocketAddr::new(target, read_port(port)?) })
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
    let key = Attributes::new().bytes(1, &element.key());
    let one = Attributes::new().nest(1, &key);
    let one = match verb {
        Verb::NewElements => one.nest(2, &Attributes::new().bytes(1, &element.value())),
        _ => one,
    };
    let list = Attributes::new().text(1, table).text(2, element.map()).nest(3, &Attributes::new().nest(1, &one));
    batch.push(verb, flags, INET, &list);
}

/// All elements of the four maps; none if the table is gone.
pub(crate) fn list(socket: &mut Socket, table: &str) -> hako_sys::Result<Vec<Element>> {
    let mut found = Vec::new();
    for map in [PUBLISH4_AT, PUBLISH4, PUBLISH6_AT, PUBLISH6] {
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
    Element::read(map, key, value)
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
        let element = Element { protocol, host: host.parse().unwrap(), target: target.parse().unwrap() };
        assert_eq!(Element::read(element.map(), &element.key(), &element.value()), Some(element), "{host}");
    }

    #[test]
    fn elements_are_read_as_they_were_written() {
        check(Protocol::Tcp, "0.0.0.0:8080", "172.17.0.2:80");
        check(Protocol::Udp, "192.0.2.1:53", "172.17.0.2:5353");
        check(Protocol::Sctp, "[::]:1", "[fd00::2]:65535");
        check(Protocol::Tcp, "[2001:db8::1]:443", "[fd00::2]:8443");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes in prop::collection::vec(any::<u8>(), 0..80), split in 0_usize..80) {
            let (key, value) = bytes.split_at(split.min(bytes.len()));
            for map in [PUBLISH4, PUBLISH4_AT, PUBLISH6, PUBLISH6_AT] {
                let _ = Element::read(map, key, value);
            }
            let _ = read(PUBLISH4, &bytes);
        }
    }
}
