//! Looking into what is otherwise hidden: who answers a name, who reaches a published port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use hako_net::dns::{self, Step};
use hako_net::firewall::{self, Station};
use hako_net::publish::Binding;
use hako_supervisor::protocol::{Answer, Ask};
use hako_sys::netns;

use super::{Networks, is_own_name};
use crate::blocking::blocking;
use crate::container::Container;
use crate::{Error, Result};

/// How a container's question about a name is answered.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The container.
    pub container: String,
    /// Everybody who was asked, in order.
    pub steps: Vec<Step>,
}

/// Who reaches a published port, and why.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The container's port.
    pub port: String,
    /// The host's side.
    pub host: String,
    /// Who gets there.
    pub who: String,
    /// What decides it, the first first.
    pub by: Vec<String>,
}

impl Networks {
    /// How a name is answered: in the container `from`, else in one container for every set of networks.
    pub async fn trace(&self, name: &str, from: &str) -> Result<Vec<Traced>> {
        let containers = if from.is_empty() { self.representatives() } else { vec![self.house.index.find(from)?] };
        let mut traced = Vec::new();
        for container in containers {
            traced.push(Traced { container: container.record().name.clone(), steps: trace(&container, name).await? });
        }
        Ok(traced)
    }

    /// One running container for every set of networks of the user's.
    fn representatives(&self) -> Vec<Arc<Container>> {
        let mut found: BTreeMap<Vec<String>, Arc<Container>> = BTreeMap::new();
        for container in self.house.index.all().into_iter().filter(|container| container.status().state.is_running()) {
            let networks: Vec<String> =
                container.record().endpoints.keys().filter(|name| is_own_name(name)).cloned().collect();
            if !networks.is_empty() {
                found.entry(networks).or_insert(container);
            }
        }
        found.into_values().collect()
    }

    /// Who reaches a container's published ports.
    pub async fn reach(&self, name: &str) -> Result<Vec<Reach>> {
        let container = self.house.index.find(name)?;
        container.live_link()?;
        let (bindings, plans) = {
            let inside = container.inside();
            (inside.run.ports.clone(), inside.run.endpoints.clone())
        };
        let table = self.house.networks.fabric.table();
        let plan = plans.iter().find(|plan| plan.way_out || plan.way_out6);
        let bridge = plan.map(|plan| plan.bridge.clone()).unwrap_or_default();
        let stations = blocking(|| firewall::stations(&bridge, table)).map_err(|e| Error::io("look at rules", e))?;
        let elements = blocking(|| hako_net::publish::list(table)).map_err(|e| Error::io("look at ports", e))?;
        let reach = |binding: &Binding| -> Vec<Reach> {
            let target = elements.iter().find(|(known, _)| known == binding).map(|(_, address)| *address);
            binding.singles().map(|one| reach(&one, target, binding.more > 0, &stations, table.name())).collect()
        };
        Ok(bindings.iter().flat_map(reach).collect())
    }
}

async fn trace(container: &Arc<Container>, name: &str) -> Result<Vec<Step>> {
    let answer = container.live_link()?.ask(Ask::Trace { name: name.to_owned() }, Vec::new()).await?;
    let found = match answer {
        Ok(Answer::Traced(found)) => found,
        Ok(_) => return Err(Error::system("trace name: the supervisor answered something else")),
        Err(failure) => return Err(Error::io("trace name", failure)),
    };
    let Some(trace) = found else {
        let text =
            "not answered by hako: the container is on no network of your own and asks the host's servers itself";
        return Ok(vec![Step { who: "resolv.conf".to_owned(), said: text.to_owned(), micros: 0, counts: true }]);
    };
    let mut steps = trace.steps;
    if !trace.outside && steps.iter().all(|step| !step.counts) {
        let said = "not asked: the container has no way out".to_owned();
        steps.push(Step { who: "servers".to_owned(), said, micros: 0, counts: true });
    }
    let pid = i32::try_from(container.status().pid()).unwrap_or(0);
    steps.extend(blocking(|| servers(&trace.servers, name, trace.inside.then_some(pid))));
    Ok(steps)
}

/// Asks the servers; the quickest good answer is the one the container gets.
fn servers(servers: &[SocketAddr], name: &str, inside: Option<i32>) -> Vec<Step> {
    let ask = || servers.iter().map(|server| dns::ask(*server, name)).collect::<Vec<Step>>();
    let mut steps = match inside.map(netns::of) {
        Some(Ok(netns)) => netns::within(netns.as_fd(), ask).unwrap_or_default(),
        Some(Err(_)) => Vec::new(),
        None => ask(),
    };
    let quickest = steps.iter().filter(|step| step.counts).map(|step| step.micros).min();
    steps.iter_mut().for_each(|step| step.counts &= Some(step.micros) == quickest);
    steps
}

fn reach(binding: &Binding, target: Option<IpAddr>, ranged: bool, stations: &[Station], table: &str) -> Reach {
    let (address, port) = (binding.host.ip(), binding.host.port());
    let who = match address {
        address if address.is_loopback() => "this host only".to_owned(),
        address if address.is_unspecified() => "every host that reaches one of this host's addresses".to_owned(),
        address => format!("every host that reaches {address}"),
    };
    let family = if address.is_ipv4() { 4 } else { 6 };
    let at = if address.is_unspecified() { "" } else { "_at" };
    let map = if ranged { "ranges" } else { "publish" };
    let protocol = binding.container.protocol;
    let (own, hooks): (String, &[&str]) = match target {
        Some(target) => (
            format!(
                "table inet {table}, map {map}{family}{at}: {protocol} {port} leads to {target} port {}, and chain forward \
                 accepts what it led",
                binding.container.number
            ),
            &["prerouting", "forward"],
        ),
        None => {
            ("hako itself listens and passes on: the host's input rules decide".to_owned(), &["prerouting", "input"])
        }
    };
    let met = stations.iter().filter(|station| hooks.contains(&station.hook)).map(told);
    let passed = stations.iter().filter(|station| !hooks.contains(&station.hook) && station.drops);
    let not_met = passed
        .map(|station| format!("not {}: packets to this port do not pass the {} hook", station.chain, station.hook));
    let by = [own].into_iter().chain(met).chain(not_met).collect();
    Reach { port: binding.container.to_string(), host: binding.host.to_string(), who, by }
}

fn told(station: &Station) -> String {
    let Station { chain, hook, drops, rules, admitted_by } = station;
    match (drops, admitted_by) {
        (_, Some(rule)) => format!("{chain} ({hook}): lets it pass by the rule \"{rule}\""),
        (true, None) => format!("{chain} ({hook}, {rules} rules): drops what it does not know; its rules decide"),
        (false, None) => format!("{chain} ({hook}, {rules} rules): passes what no rule of its drops"),
    }
}
