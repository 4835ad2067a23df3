//! Runs of ports: very many that follow each other are one element each, and held by no socket.

use std::net::{IpAddr, SocketAddr};

use hako_model::port::{Protocol, Publication};

use super::heritage::Heritage;
use super::{Binding, Published, Refusal, Route, on_all};
use crate::Result;
use crate::nft::element::Element;

impl Published {
    /// Publishes a run on all its addresses, all of which the kernel redirects.
    pub(super) fn publish_run(&mut self, publication: &Publication, routes: &[Route]) -> Result<()> {
        let Publication { container, more, .. } = publication;
        let hosts: Vec<IpAddr> = routes.iter().map(|route| route.host).collect();
        look(publication, &hosts).map_err(|refusal| self.explain(refusal, publication, routes[0].to))?;
        for route in routes {
            let host = SocketAddr::new(route.host, container.number);
            let target = SocketAddr::new(route.to, container.number);
            self.bindings.push(Binding { host, container: *container, more: *more });
            self.elements.push(Element { protocol: container.protocol, host, target, more: *more });
        }
        Ok(())
    }
}

/// Looks whether a process of the host has one of the ports. For UDP the kernel's list says which may be taken; TCP's
/// leaves out sockets that are bound and do not listen yet.
fn look(publication: &Publication, hosts: &[IpAddr]) -> Result<(), Refusal> {
    let container = publication.container;
    let ports = container.number..=container.number.saturating_add(publication.more);
    let nothing = Heritage::default();
    let free = |port: u16| on_all(container.protocol, hosts, port, &nothing).map(drop);
    if container.protocol != Protocol::Udp {
        return ports.into_iter().try_for_each(free);
    }
    // A namespace of its own has a list of its own, also where one thread is in another than its process.
    let table = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let tables = [table("udp"), table("udp6")];
    let taken = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(local_port);
    taken.filter(|port| ports.contains(port)).try_for_each(free)
}

/// The port of a line of `/proc/net/udp`: `0: 0100007F:1F90 …`.
fn local_port(line: &str) -> Option<u16> {
    let local = line.split_ascii_whitespace().nth(1)?;
    u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
}

/// Whether a run can be one element: only what the kernel redirects on every address.
pub(super) fn is_whole(routes: &[Route]) -> bool {
    routes.iter().all(|route| route.redirected)
}
