//! Taking back some of what is published: a run of ports loses some of them, and the rest goes on.

use hako_sys::netlink::Socket;

use super::{Binding, MANY, Published, binding, refused};
use crate::nft::Table;
use crate::nft::element::{self, Element};
use crate::{Result, conntrack};

impl Published {
    /// Takes back the ports for which `goes` is true and leaves the others untouched: nobody who uses them notices.
    pub fn withdraw_some(&mut self, goes: impl Fn(&Binding) -> bool) -> Result<()> {
        self.forget_ceded()?;
        let mut exchanges = Vec::new();
        let mut lost = Vec::new();
        let before = std::mem::take(&mut self.elements);
        for element in before {
            let (parts, gone) = split(&binding(&element), &goes);
            if gone.is_empty() {
                self.elements.push(element);
                continue;
            }
            let part = |part: &Binding| at(&element, part);
            lost.extend(gone.iter().map(part));
            let parts: Vec<Element> = parts.iter().map(part).collect();
            self.elements.extend(&parts);
            exchanges.push((element, parts));
        }
        for published in std::mem::take(&mut self.bindings) {
            let (parts, gone) = split(&published, &goes);
            gone.iter().for_each(|one| self.let_go(one));
            self.bindings.extend(if gone.is_empty() { vec![published] } else { parts });
        }
        exchange(&mut self.socket, &self.table, &exchanges)?;
        if lost.len() <= MANY {
            conntrack::forget(&mut self.socket, &lost);
        }
        Ok(())
    }

    /// Closes the sockets of a single port.
    fn let_go(&mut self, lost: &Binding) {
        let (protocol, host) = (lost.container.protocol, lost.host);
        self.relay.iter_mut().for_each(|relay| relay.close(protocol, host));
        self.reservations.retain(|(known, reservation)| (*known, reservation.host) != (protocol, host));
    }
}

/// What is left of a binding, in as few pieces as may be, and the single ports that go.
fn split(whole: &Binding, goes: impl Fn(&Binding) -> bool) -> (Vec<Binding>, Vec<Binding>) {
    let mut parts: Vec<Binding> = Vec::new();
    let mut gone = Vec::new();
    for single in whole.singles() {
        if goes(&single) {
            gone.push(single);
            continue;
        }
        match parts.last_mut() {
            Some(part) if part.host.port() + part.more + 1 == single.host.port() => part.more += 1,
            _ => parts.push(single),
        }
    }
    (parts, gone)
}

/// A piece of an element.
fn at(whole: &Element, part: &Binding) -> Element {
    let mut target = whole.target;
    target.set_port(part.container.number);
    Element { host: part.host, target, more: part.more, ..*whole }
}

/// Puts parts in the place of wholes, from one moment to the next.
fn exchange(socket: &mut Socket, table: &Table, exchanges: &[(Element, Vec<Element>)]) -> Result<()> {
    match element::exchange(socket, table.name(), exchanges) {
        // The table, or some of its elements, were flushed: do what can be done, one by one.
        Err(error) if error.is_not_found() => {
            for (whole, parts) in exchanges {
                let _ = element::remove(socket, table.name(), std::slice::from_ref(whole));
                let _ = element::restore(socket, table.name(), parts);
            }
            Ok(())
        }
        other => other.map_err(refused("withdraw ports from", table)),
    }
}

#[cfg(test)]
mod tests {
    use hako_model::port::{Port, Protocol};

    use super::*;

    #[test]
    fn what_is_left_is_few_pieces() {
        let piece = |first: u16, more: u16| Binding {
            host: std::net::SocketAddr::from(([0, 0, 0, 0], first)),
            container: Port { number: first, protocol: Protocol::Udp },
            more,
        };
        let (parts, gone) = split(&piece(100, 9), |one| [103, 104, 109].contains(&one.host.port()));
        assert_eq!(parts, [piece(100, 2), piece(105, 3)]);
        assert_eq!(gone, [piece(103, 0), piece(104, 0), piece(109, 0)]);
        assert_eq!(split(&piece(65_530, 5), |_| false), (vec![piece(65_530, 5)], vec![]));
        assert_eq!(split(&piece(7, 0), |_| true), (vec![], vec![piece(7, 0)]));
    }
}
